"""Names that a command was given, looked at before anything slow is imported: a typo is said at once."""

import argparse
import os
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from dotenv import dotenv_values

from bot.errors import RequestError, did_you_mean


def check(chosen: argparse.Namespace) -> None:
    """RequestError for a scenario or a callee that is not there."""
    _known(getattr(chosen, "scenario", None), "scenario", _stems(_pipelines()))
    _known(getattr(chosen, "new", None), "scenario", _stems(_pipelines()))
    callees = [
        entry.name.removesuffix(".toml") for entry in (files("bot.telephony.simulated") / "callees").iterdir()
    ]
    _known(getattr(chosen, "callee", None), "callee", [*sorted(callees), "all"])


def _known(name: str | None, kind: str, names: Iterable[str]) -> None:
    there = list(names)
    if name is not None and there and name not in there:
        near = did_you_mean(name, there)
        raise RequestError(f"there is no {kind} {name!r}{near}; there are: {', '.join(there)}", field=kind)


def _pipelines() -> Path:
    """As the settings find it: the environment before .env."""
    name = "PIPELINES_DIR"
    return Path(os.environ.get(name) or dotenv_values(".env").get(name) or "pipelines")


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.toml"))
