""".env.example names every setting, shows its default, and changes nothing when copied as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.settings import Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
LINES = re.findall(r"^(# )?([A-Z_]+)=(.*)$", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_it_names_every_setting_once() -> None:
    assert sorted(name.lower() for _, name, _ in LINES) == sorted(Settings.model_fields)


def test_copied_as_it_is_it_changes_nothing() -> None:
    assert Settings(_env_file=EXAMPLE) == Settings(_env_file=None)


def test_what_it_shows_as_a_default_is_the_default() -> None:
    shown = {name.lower(): value for commented, name, value in LINES if commented}
    defaults = Settings(_env_file=None)
    assert {name: str(getattr(defaults, name)) for name in shown} == shown
