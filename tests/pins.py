"""Holds [tool.uv] constraint-dependencies to what uv resolves: `python -m tests.pins [--write]`.

uv.lock carries download addresses and is not kept; the exact version of every package stands in
pyproject.toml instead.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

_PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
_BLOCK = re.compile(r"^constraint-dependencies = \[\n.*?^\]\n", re.MULTILINE | re.DOTALL)


def resolved() -> list[str]:
    """Every package of every group and extra with its version and marker, sorted."""
    command = [os.environ.get("UV", "uv"), "export", "--quiet", "--all-groups", "--all-extras"]
    flags = ["--no-hashes", "--no-annotate", "--no-header", "--no-emit-project"]
    run = subprocess.run([*command, *flags], cwd=_PYPROJECT.parent, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"uv export failed:\n{run.stderr}")
    return sorted({line.strip() for line in run.stdout.splitlines() if "==" in line})


def block(lines: list[str]) -> str:
    """The TOML of the constraints."""
    quoted = "".join(f'  "{line}",\n' for line in (line.replace('"', "'") for line in lines))
    return f"constraint-dependencies = [\n{quoted}]\n"


def main() -> None:
    """Compare, or write with --write. Exit code 1 on drift."""
    text = _PYPROJECT.read_text(encoding="utf-8")
    wanted = block(resolved())
    found = _BLOCK.search(text)
    if "--write" in sys.argv:
        if found is None:
            sys.exit("pyproject.toml has no constraint-dependencies to rewrite")
        _PYPROJECT.write_text(text[: found.start()] + wanted + text[found.end() :], encoding="utf-8")
    elif found is None or found.group() != wanted:
        sys.exit("constraint-dependencies drifted from what uv resolves: run `uv run poe repin`")


if __name__ == "__main__":
    main()
