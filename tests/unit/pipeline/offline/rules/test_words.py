"""Every language's rules.toml is whole: it has each rule, sentence and placeholder that English has."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from typing import Any

import pytest

from bot import languages


def rules(code: str) -> dict[str, Any]:
    return tomllib.loads(files(languages).joinpath(code, "rules.toml").read_text("utf-8"))


def names(data: dict[str, Any]) -> set[str]:
    found = {f"{table}.{name}" for table in data if table not in ("parts", "sentences") for name in data[table]}
    for table, rows in data["sentences"].items():
        for name, *said in rows:
            fields = sorted({field for way in said for field in re.findall(r"\{(\w+)\}", way)})
            found.add(f"{table}.{name} {fields if table != 'fields' else ''}")
    return found


@pytest.mark.parametrize("code", sorted(languages.KNOWN))
def test_nothing_is_missing(code: str) -> None:
    assert names(rules(code)) ^ names(rules("en")) == set()
