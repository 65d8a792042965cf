"""phone-agent: hold a call in the terminal, check what a first call needs."""

from __future__ import annotations


def main() -> None:
    """The console script."""
