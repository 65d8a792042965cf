"""A typo in a name is said before anything slow is imported."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from bot.cli import names
from bot.errors import RequestError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scenario": "surveyy"}, "there is no scenario 'surveyy'; did you mean 'survey'"),
        ({"new": "surveyy"}, "there is no scenario 'surveyy'; did you mean 'survey'"),
        ({"callee": "voicemial"}, "there is no callee 'voicemial'; did you mean 'voicemail'"),
    ],
)
def test_a_name_that_is_not_there(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], said: str) -> None:
    monkeypatch.setenv("PIPELINES_DIR", str(ROOT / "pipelines"))
    with pytest.raises(RequestError, match=said):
        names.check(Namespace(**given))


def test_names_that_are_there_and_commands_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINES_DIR", str(ROOT / "pipelines"))
    names.check(Namespace(scenario="survey", callee="all"))
    names.check(Namespace(scenario=None, callee=None))
    names.check(Namespace())


def test_it_needs_nothing_of_the_pipeline() -> None:
    code = (
        "import sys, bot.cli.main; print([m for m in ('pipecat', 'fastapi', 'sqlalchemy') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert shown.stdout.strip() == "[]"
