"""Commands that ask a running server: what they ask, print and return."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.cli import remote
from bot.cli.main import main
from bot.client import ApiError, Event, PhoneCall, PlacedCall

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CALL = {
    "call_id": "call_1",
    "status": "completed",
    "ended_reason": "agent_hangup",
    "phone_number": "+12025550123",
    "scenario": "survey",
    "action": "a",
    "created_at": NOW,
    "answered_at": NOW,
    "ended_at": NOW,
    "outcome": {
        "reached_goal": True,
        "summary": "They come.",
        "fields": {"confirmed": True},
        "evidence": {},
        "source": "rules",
    },
}


class FakePhone:
    """A client whose server answers as it is given."""

    asked: list[tuple[Any, ...]]
    call: dict[str, Any]

    def __init__(self, url: str, key: str | None) -> None:
        FakePhone.asked.append((url, key))

    def __enter__(self) -> FakePhone:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def place(self, phone_number: str, action: str, **more: Any) -> PlacedCall:
        self.asked.append((phone_number, action, more))
        return PlacedCall.model_construct(call_id="call_1", status="initiated")

    def events(self, call_id: str) -> Iterator[Event]:
        said: dict[str, Any] = {"call_id": call_id, "at": NOW, "speaker": "agent", "text": "Hello."}
        yield Event.model_validate({"event": "turn_completed", **said})

    def wait(self, call_id: str) -> PhoneCall:
        return PhoneCall.model_validate(self.call)

    def list_calls(self, **where: Any) -> list[PhoneCall]:
        self.asked.append((where,))
        return [PhoneCall.model_validate(self.call)]

    def request(self, *asked: Any) -> Any:
        self.asked.append(asked)
        if asked[0] == "GET":
            raise ApiError("This number is not on the do-not-call list.")
        return {}


@pytest.fixture(autouse=True)
def phone(monkeypatch: pytest.MonkeyPatch) -> type[FakePhone]:
    FakePhone.asked, FakePhone.call = [], dict(CALL)
    monkeypatch.setattr(remote, "PhoneClient", FakePhone)
    monkeypatch.setenv("PHONE_AGENT_KEY", "k")
    monkeypatch.delenv("PHONE_AGENT_URL", raising=False)
    return FakePhone


def code_of(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return left.value.code


def test_a_call_is_placed_with_what_it_may_know(phone: type[FakePhone], tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    known.write_text('{"office": "Suite 200"}')
    assert code_of("call", "+12025550123", "--action", "a", "--context", str(known), "--server", "http://s") == 0
    assert phone.asked[0] == ("http://s", "k")
    assert phone.asked[1] == ("+12025550123", "a", {"context": {"office": "Suite 200"}})
    assert "cannot be read" in str(code_of("call", "+12025550123", "--action", "a", "--context", "nowhere"))


@pytest.mark.parametrize(
    ("changes", "code"),
    [({}, 0), ({"outcome": None}, 1), ({"answered_at": None, "outcome": None}, 3)],
)
def test_a_call_that_is_followed_ends_with_its_outcome(
    phone: type[FakePhone], capsys: pytest.CaptureFixture[str], changes: dict[str, Any], code: int
) -> None:
    phone.call |= changes
    assert code_of("call", "+12025550123", "--action", "a", "--follow") == code
    shown = capsys.readouterr().out
    assert "agent      Hello." in shown
    assert "call_1  completed, agent_hangup" in shown
    assert ("goal reached: They come." in shown) is (code == 0)


def test_lists_are_for_people_or_programs(phone: type[FakePhone], capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("calls", "--live") == 0
    assert phone.asked[1] == ({"limit": 20, "status": "in-progress"},)
    assert "call_1  2026-03-01 00:00  completed    survey: a" in capsys.readouterr().out
    assert code_of("calls", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["call_id"] == "call_1"


def test_the_do_not_call_list(phone: type[FakePhone]) -> None:
    assert code_of("dnc", "add", "+12025550199", "--reason", "asked") == 0
    assert phone.asked[1] == (
        "POST",
        "/api/phone/do-not-call",
        {"phone_number": "+12025550199", "reason": "asked"},
    )
    assert code_of("dnc", "remove", "+12025550199") == 0
    assert phone.asked[3] == ("DELETE", "/api/phone/do-not-call/%2B12025550199")
    assert code_of("dnc", "check", "+12025550199") == "error: This number is not on the do-not-call list."
