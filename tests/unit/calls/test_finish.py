"""After a call: what is kept, and whose word about the outcome counts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from loguru import logger

from bot.calls.finish import finish
from bot.conversation.call import CallEnd
from bot.conversation.call_plan import Plan, choose
from bot.conversation.scenario.compliance import Compliance
from bot.conversation.scenario.parts import OutcomeField
from bot.conversation.scenario.scenario import Scenario
from bot.pipeline.llm.vendors import Claude, Rules
from bot.pipeline.stt.vendors import DeepgramNova, PocketSphinx
from bot.pipeline.tts.vendors import ElevenLabs, Hibari
from bot.records import (
    AnsweredBy,
    CallSpec,
    CostPart,
    Counts,
    Direction,
    EndedReason,
    Outcome,
    Speaker,
    Status,
    Turn,
    TurnLatency,
)
from bot.settings import Settings
from bot.store import CallChange, SqlCallStore

ANSWERED = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SCENARIO = Scenario(
    compliance=Compliance(profile="none"),
    name="s",
    description="d",
    instructions="i",
    goal="confirmed",
    outcome=(
        OutcomeField(
            name="confirmed", type="boolean", description="Whether they come.", question="Will you come?"
        ),
    ),
)
PLAN = Plan(
    "call-1",
    CallSpec("+12025550123", "s", action="Confirm your appointment"),
    Direction.OUTBOUND,
    SCENARIO,
    choose(SCENARIO, Settings(_env_file=None), simulated_line=True),
)


@dataclass
class MemoryStore:
    """Refuses to advance a call whose status is final already."""

    final: bool = False
    changes: list[tuple[str, CallChange]] = field(default_factory=list)

    async def advance(self, call_id: str, status: Status, *, at: datetime, change: CallChange) -> bool:
        if not self.final:
            self.changes.append((status.value, change))
        return not self.final

    async def update(self, call_id: str, change: CallChange) -> None:
        self.changes.append(("updated", change))


def turn(index: int, speaker: Speaker, text: str, **changes: Any) -> Turn:
    return Turn(index, speaker, text, ANSWERED, index * 1000, index * 1000 + 900, **changes)


TURNS = (
    turn(0, Speaker.CALLEE, "Hello?"),
    turn(1, Speaker.AGENT, "Hi, I'm calling to confirm your appointment. Will you come?"),
    turn(2, Speaker.CALLEE, "Yes, I will be there."),
    turn(3, Speaker.AGENT, "Great, goodbye.", latency=TurnLatency(voice_to_voice_ms=640.0)),
)


async def ended(store: MemoryStore, end: CallEnd, turns: tuple[Turn, ...] = TURNS) -> Outcome:
    return await finish(
        cast(SqlCallStore, store),
        PLAN,
        end,
        turns,
        answered_at=datetime.now(UTC) - timedelta(seconds=30),
        counts=Counts(2),
    )


async def test_the_end_is_kept_whole() -> None:
    store = MemoryStore()
    end = CallEnd(EndedReason.AGENT_HANGUP, answer_to_first_audio_ms=31.5)
    outcome = await ended(store, end)
    ((status, change),) = store.changes
    assert status == "completed"
    assert (change.ended_reason, change.error) == (EndedReason.AGENT_HANGUP, None)
    assert change.counts == Counts(2)
    assert change.answer_to_first_audio_ms == 31.5
    assert change.duration_seconds == pytest.approx(30, abs=2)
    assert change.outcome == outcome


@pytest.mark.parametrize("replied", [None, "anthropic", "rules"])
async def test_a_call_whose_first_llm_never_replied_names_the_one_that_did(replied: str | None) -> None:
    store = MemoryStore()
    slots = replace(PLAN.slots, llms=(Claude(), Rules()))
    end = CallEnd(EndedReason.AGENT_HANGUP, llm=replied)
    await finish(
        cast(SqlCallStore, store),
        replace(PLAN, slots=slots, carrier="twilio"),
        end,
        TURNS,
        answered_at=ANSWERED,
        counts=Counts(),
    )
    ((_, change),) = store.changes
    named = {"carrier": "twilio", **slots.vendors, "llm": "rules"}
    assert change.vendors == (named if replied == "rules" else None)


async def test_who_stood_in_is_in_the_record_the_costs_and_one_line_of_the_log() -> None:
    store, lines = MemoryStore(), list[str]()
    slots = replace(PLAN.slots, stts=(DeepgramNova(), PocketSphinx()), ttss=(ElevenLabs(), Hibari()))
    end = CallEnd(EndedReason.AGENT_HANGUP, stood_in={"stt": "pocketsphinx", "tts": "hibari"})
    plan = replace(PLAN, slots=slots, carrier="twilio")
    sink = logger.add(lambda line: lines.append(str(line)), level="INFO", format="{message}")
    try:
        await finish(cast(SqlCallStore, store), plan, end, TURNS, answered_at=ANSWERED, counts=Counts())
    finally:
        logger.remove(sink)
    ((_, change),) = store.changes
    fallbacks = {"stt_fallback": "pocketsphinx", "tts_fallback": "hibari"}
    assert change.vendors == {"carrier": "twilio", **slots.vendors, **fallbacks}
    assert change.costs is not None
    [hearing] = [item for item in change.costs[CostPart.CALL].items if item.vendor == "pocketsphinx"]
    assert (hearing.what, hearing.quantity, hearing.usd) == ("hearing", None, 0.0)
    [line] = [line for line in lines if "stood in" in line]
    assert "pocketsphinx stood in as stt, hibari stood in as tts" in line


def test_the_log_says_what_keeps_a_vendor_from_a_call() -> None:
    said = str(choose(PLAN.scenario, Settings(_env_file=None), simulated_line=True))
    assert "stt scripted in its vendor's place (DEEPGRAM_API_KEY not set)" in said
    assert "tts hibari in its vendor's place (ELEVENLABS_API_KEY" in said
    keys: dict[str, Any] = {
        "deepgram_api_key": "k",
        "anthropic_api_key": "k",
        "elevenlabs_api_key": "k",
        "elevenlabs_voice_id": "v",
    }
    said = str(choose(PLAN.scenario, Settings(_env_file=None, **keys), simulated_line=True))
    assert "place" not in said


async def test_a_status_that_came_first_does_not_lose_the_rest() -> None:
    """Twilio's `completed` callback may be there before the pipeline is torn down."""
    store = MemoryStore(final=True)
    await ended(store, CallEnd(EndedReason.CALLEE_HANGUP))
    ((how, change),) = store.changes
    assert how == "updated"
    assert change.ended_reason is EndedReason.CALLEE_HANGUP
    assert change.outcome is not None


async def test_without_tools_the_rules_say_what_came_of_it() -> None:
    outcome = await ended(MemoryStore(), CallEnd(EndedReason.AGENT_HANGUP))
    assert outcome.source == "rules"
    assert outcome.reached_goal
    assert outcome.fields["confirmed"] is True


async def test_what_tools_recorded_wins_over_the_rules() -> None:
    told = Outcome(False, "", {"confirmed": False}, source="tools", recorded=["confirmed", "reached_goal"])
    outcome = await ended(MemoryStore(), CallEnd(EndedReason.AGENT_HANGUP, outcome=told))
    assert not outcome.reached_goal
    assert outcome.fields["confirmed"] is False
    assert outcome.source == "tools"
    assert outcome.summary, "a missing summary is filled in"


async def test_a_call_without_words_reached_nothing() -> None:
    outcome = await ended(MemoryStore(), CallEnd(EndedReason.ERROR_STT, error="401"), turns=())
    assert not outcome.reached_goal


async def test_one_line_says_how_it_went() -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    try:
        await ended(MemoryStore(), CallEnd(EndedReason.AGENT_HANGUP))
    finally:
        logger.remove(sink)
    (line,) = [line for line in lines if line.startswith("hung up")]
    assert "agent_hangup" in line
    assert "4 turns" in line
    assert "640 ms" in line
    assert "+12025550123" not in line


async def test_what_is_inferred_does_not_contradict_what_was_recorded() -> None:
    recorded = ["reached_goal", "summary"]
    told = Outcome(False, "Nothing was settled.", {}, source="tools", recorded=recorded)
    outcome = await ended(MemoryStore(), CallEnd(EndedReason.AGENT_HANGUP, outcome=told))
    assert outcome.reached_goal is False
    assert outcome.fields["confirmed"] is None


async def test_what_it_cost_is_kept_with_its_end() -> None:
    store = MemoryStore()
    plan = replace(PLAN, carrier="twilio")
    plan.usage.add("elevenlabs", "eleven_flash_v2_5", "characters", 1000)
    await finish(
        cast(SqlCallStore, store),
        plan,
        CallEnd(EndedReason.AGENT_HANGUP),
        TURNS,
        answered_at=datetime.now(UTC) - timedelta(seconds=61),
        counts=Counts(),
    )
    ((_, change),) = store.changes
    assert change.costs is not None
    voice, *engines = change.costs[CostPart.CALL].items
    assert (voice.vendor, voice.quantity, voice.usd) == ("elevenlabs", 1000.0, 0.05)
    assert {(item.vendor, item.usd) for item in engines} == {("scripted", 0.0), ("rules", 0.0)}
    assert [(item.what, item.quantity) for item in change.costs[CostPart.CARRIER].items] == [
        ("outbound US", 2.0),
        ("media streams", 2.0),
        ("answering machine detection", 1.0),
    ]


async def test_a_voicemails_words_are_no_answer() -> None:
    end = CallEnd(EndedReason.VOICEMAIL_REACHED, answered_by=AnsweredBy.VOICEMAIL)
    greeting = (TURNS[1], turn(2, Speaker.CALLEE, "Yes, you have reached John. Yes, leave a message."))
    outcome = await ended(MemoryStore(), end, turns=greeting)
    assert (outcome.reached_goal, outcome.fields) == (False, {"confirmed": None})
    assert outcome.summary == "A voicemail answered. A message was left."


async def test_a_goal_that_no_tool_recorded_is_inferred() -> None:
    """A message taken in the call says nothing about the rest of it."""
    told = Outcome(False, "", {"messages": ["m"]}, source="tools", recorded=["messages"])
    outcome = await ended(MemoryStore(), CallEnd(EndedReason.AGENT_HANGUP, outcome=told))
    assert outcome.reached_goal is True
    assert outcome.fields == {"confirmed": True, "messages": ["m"]}
    assert (outcome.source, outcome.recorded) == ("tools", ["messages"])


@pytest.mark.parametrize("reason", [EndedReason.AGENT_HANGUP, EndedReason.SERVER_SHUTDOWN])
async def test_a_yes_that_we_cut_off_is_not_inferred_from(reason: EndedReason) -> None:
    talk = (*TURNS[:2], turn(2, Speaker.CALLEE, "Yes"))
    outcome = await ended(MemoryStore(), CallEnd(reason), turns=talk)
    assert (outcome.reached_goal, outcome.fields) == (False, {"confirmed": None})
    assert (await ended(MemoryStore(), CallEnd(EndedReason.CALLEE_HANGUP), turns=talk)).reached_goal is True


@pytest.mark.parametrize("reached", [True, False])
async def test_the_summary_agrees_with_the_goal_that_tools_recorded(reached: bool) -> None:
    told = Outcome(reached, "", {"confirmed": reached}, source="tools", recorded=["confirmed", "reached_goal"])
    talk = (*TURNS[:2], turn(2, Speaker.CALLEE, "No, I won't come." if reached else "Yes, I will be there."))
    outcome = await ended(MemoryStore(), CallEnd(EndedReason.CALLEE_HANGUP, outcome=told), turns=talk)
    assert outcome.summary == "Somebody was spoken to. The goal of the call was not reached."
    assert outcome.claimed == ({"confirmed": True, "reached_goal": True} if reached else {})
