"""{env:NAME} in a scenario file: secrets stay in the environment, the file only names them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bot.errors import SettingsError

SHORTEST_SECRET = 6
"""Characters; what is shorter would be found in innocent words."""
_VARIABLE = re.compile(r"\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_BRACED = re.compile(r"\$?\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}")


def names_in(text: str) -> list[str]:
    """The variables `text` names. ValueError for a brace that names none: it would be sent as it stands."""
    rest = _VARIABLE.sub("", text)
    if "{env" in rest:
        raise ValueError("write {env:NAME}")
    if (unfilled := _BRACED.search(rest)) is not None:
        raise ValueError(
            f"nothing fills {unfilled[0]} here; write {{env:{unfilled[1]}}} for an environment variable"
        )
    return _VARIABLE.findall(text)


def filled(text: str, environment: Mapping[str, str]) -> str:
    """`text` with its variables. SettingsError names one that is missing or is no single line.

    Spaces around a value are a slip of whoever set it, and no header may have them.
    """
    for name in names_in(text):
        value = environment.get(name, "").strip()
        if not value:
            raise SettingsError(f"set {name} in the environment or in .env")
        if not value.isprintable():
            raise SettingsError(f"{name} has characters in it that no value may have, such as a line's end")
    return _VARIABLE.sub(lambda match: environment[match[1]].strip(), text).strip()


def secrets_of(names: Iterable[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of the variables, longest first: one may be part of another."""
    values = {environment.get(name, "").strip() for name in names}
    return tuple(sorted((v for v in values if len(v) >= SHORTEST_SECRET), key=len, reverse=True))


def without(secrets: Iterable[str], told: Any) -> Any:
    """`told`, as JSON has it, without the secrets: a server or a library may repeat what it was sent."""
    match told:
        case str():
            for secret in secrets:
                told = told.replace(secret, "[hidden]")
            return told
        case dict():
            return {without(secrets, key): without(secrets, value) for key, value in told.items()}
        case list():
            return [without(secrets, value) for value in told]
    return told
