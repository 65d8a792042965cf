"""{env:NAME} in a scenario file: secrets stay in the environment, the file only names them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.errors import SettingsError

_VARIABLE = re.compile(r"\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


def names_in(text: str) -> list[str]:
    """The variables `text` names. ValueError for a brace that names none."""
    if "{env" in _VARIABLE.sub("", text):
        raise ValueError("write {env:NAME}")
    return _VARIABLE.findall(text)


def filled(text: str, environment: Mapping[str, str]) -> str:
    """`text` with its variables. SettingsError names one that is missing or is no single line."""
    for name in names_in(text):
        if not environment.get(name):
            raise SettingsError(f"set {name} in the environment or in .env")
        if not environment[name].isprintable():
            raise SettingsError(f"{name} has characters in it that no value may have, such as a line's end")
    return _VARIABLE.sub(lambda match: environment[match[1]], text)
