"""Calls in text: the conversation of any call, on a clock that jumps."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from bot.calls.planner import callee_brief
from bot.conversation.scenario.scenario import Scenarios
from bot.records import AnsweredBy, CallRecord, CallSpec, EndedReason, Speaker, Status
from bot.settings import Settings
from bot.suites import clock
from bot.suites.text_call import NUMBER, TextRequest, TextRoom, hold
from bot.suites.typed_line import ScriptedCallee
from bot.telephony.simulated.script import callee_named
from tests.profiles import held_to

PIPELINES = Path(__file__).parents[3] / "pipelines"
SCENARIOS = Scenarios(
    [held_to("none", PIPELINES / f"{name}.toml") for name in ("appointment_confirmation", "survey")]
)


def held(*calls: tuple[str, str]) -> list[CallRecord]:
    """Calls of a scenario with a shipped callee, all at once."""

    async def one(room: TextRoom, name: str, callee: str) -> CallRecord:
        scenario = SCENARIOS.get(name)
        example = scenario.example
        spec = CallSpec(NUMBER, name, example.action, example.context, "John", organization=example.organization)
        conversation = callee_named(callee).told(callee_brief(scenario))
        request = TextRequest(spec, pickup=conversation.pickup.answer)
        return await hold(room, request, ScriptedCallee(conversation))

    async def main() -> list[CallRecord]:
        room = TextRoom(Settings(_env_file=None), SCENARIOS)
        try:
            return await asyncio.gather(*(one(room, *call) for call in calls))
        finally:
            await room.close()

    return clock.run(main())


def test_calls_in_text_are_calls() -> None:
    confirmation = "appointment_confirmation"
    callees = (
        "cooperative",
        "mhm",
        "silent",
        "voicemail",
        "menu",
        "hold",
        "stop_calling",
        "busy",
        "changes_mind",
    )
    calls = dict(zip(callees, held(*((confirmation, callee) for callee in callees)), strict=True))
    ends = {callee: (call.ended_reason, call.answered_by) for callee, call in calls.items()}
    assert ends == {
        "cooperative": (EndedReason.AGENT_HANGUP, AnsweredBy.PERSON),
        "mhm": (EndedReason.AGENT_HANGUP, AnsweredBy.PERSON),
        "silent": (EndedReason.SILENCE, AnsweredBy.NOBODY),
        "voicemail": (EndedReason.VOICEMAIL_REACHED, AnsweredBy.VOICEMAIL),
        "menu": (EndedReason.AGENT_HANGUP, AnsweredBy.PERSON),
        "hold": (EndedReason.AGENT_HANGUP, AnsweredBy.PERSON),
        "stop_calling": (EndedReason.AGENT_HANGUP, AnsweredBy.PERSON),
        "busy": (EndedReason.DIAL_BUSY, None),
        "changes_mind": (EndedReason.AGENT_HANGUP, AnsweredBy.PERSON),
    }
    fields = {callee: call.outcome.fields["confirmed"] for callee, call in calls.items() if call.outcome}
    assert fields["cooperative"] is fields["menu"] is fields["hold"] is True
    assert fields["changes_mind"] is False
    assert fields["voicemail"] is fields["busy"] is fields["silent"] is None
    assert calls["stop_calling"].outcome is not None
    assert calls["stop_calling"].outcome.fields["do_not_call"] is True
    assert calls["busy"].status is Status.BUSY
    said = calls["cooperative"].turns
    assert [turn.speaker for turn in said[:2]] == [Speaker.CALLEE, Speaker.AGENT]
    assert said[1].text.startswith("Hi John, this is Alex"), "the opening is the scenario's"
    assert [use.name for turn in said for use in turn.tools] == ["record_outcome", "end_call"]
    assert not any(turn.interrupted for turn in calls["mhm"].turns), "a backchannel interrupts nothing"
    assert any(turn.text == "Mhm." for turn in calls["mhm"].turns)


def test_the_words_of_an_outcome_are_its_evidence() -> None:
    (call,) = held(("survey", "cooperative"))
    assert call.outcome is not None
    assert call.outcome.fields == {
        "completed": True,
        "satisfaction": 4,
        "best_part": "The friendly staff",
        "recommend": True,
    }


def test_the_clock_jumps_over_waits_and_stands_while_a_thread_works() -> None:
    async def main() -> tuple[float, float]:
        begun = time.monotonic()
        await asyncio.sleep(3600)
        slept = time.monotonic()
        await asyncio.to_thread(time.sleep, 0.05)
        return slept - begun, time.monotonic() - slept

    began = time.perf_counter()
    slept, worked = clock.run(main())
    assert 3600 <= slept < 3601
    assert worked < 0.01
    assert time.perf_counter() - began < 60, "an hour"


def test_a_deadlock_is_an_error_and_no_end_of_waiting() -> None:
    with pytest.raises(RuntimeError, match="deadlock"):
        clock.run(asyncio.Event().wait())
    assert time.monotonic is not None
    assert "loop" not in repr(time.monotonic), "the process has its clock back"
