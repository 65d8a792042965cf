"""`phone-agent chat` and `phone-agent test`, as they are typed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bot.cli.main import main

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines").mkdir()
    scenario = (ROOT / "pipelines" / "survey.toml").read_text()
    (tmp_path / "pipelines" / "survey.toml").write_text(scenario)


def code_of(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as left:
        main(["--log-level", "ERROR", *arguments])
    return left.value.code


def test_a_newcomer_writes_a_suite_and_sees_it_fail_for_the_right_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("test", "--new", "survey") == 0
    suite = tmp_path / "pipelines" / "suites" / "survey.toml"
    assert suite.exists()
    assert "is there already" in str(code_of("test", "--new", "survey"))
    suite.write_text(f'{suite.read_text()}\n[[case]]\nname = "mine"\nexpect.fields.satisfaction = 5\n')
    report = tmp_path / "reports" / "calls.xml"
    assert code_of("test", "survey", "--case", "mine", "--junit", str(report)) == 1
    shown = capsys.readouterr().out
    assert "FAIL  survey: mine" in shown
    assert "expected: satisfaction = 5; found: 4" in shown
    assert "callee     Four." in shown
    assert "0 of 1 cases pass" in shown
    assert report.exists()
    assert code_of("test", "survey", "--case", "refusal") == 0
    assert "no case is called 'zzz'; there are: 'goal reached'" in str(code_of("test", "--case", "zzz"))


def test_one_is_the_callee_by_typing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello?\nNo, I have no time. Goodbye.\n"))
    assert code_of("chat", "survey", "--callee-name", "Ann") == 1
    shown = capsys.readouterr().out
    assert "Ann" in shown
    assert "completed, agent_hangup" in shown
    assert "outcome     not reached" in shown
