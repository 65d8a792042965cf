""".env.example against the settings: every name once, explained, and a copy of it changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from bot.settings import Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
LINES = EXAMPLE.read_text(encoding="utf-8").splitlines()


def test_every_name_is_there_once_and_no_other() -> None:
    names = [line.partition("=")[0] for line in LINES if line and not line.startswith("#")]
    assert names == [name.upper() for name in Settings.model_fields], "in the order of the settings"


def test_a_copy_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    bare = Settings()
    (tmp_path / ".env").write_bytes(EXAMPLE.read_bytes())
    assert Settings() == bare
    assert all(line.endswith("=") for line in LINES if line and not line.startswith("#"))


def test_every_name_is_explained_with_its_default() -> None:
    """A line of explanation stands right above each name, or above the group it opens."""
    comment = ""
    for line in LINES:
        if line.startswith("#") or not line:
            comment = line
            continue
        name = line.partition("=")[0].lower()
        default = Settings.model_fields[name].default
        if comment.endswith(")") and default is not PydanticUndefined and default is not None:
            told = re.findall(r"\(([^()]*)\)$", comment)
            assert told == [str(default)], f"{name}: the default in its comment"
        elif name != "twilio_auth_token":  # told with the account, in the line above both
            assert comment.startswith("# "), name
            assert default in (None, ()) or isinstance(default, SecretStr), f"{name}: its comment has no default"
