"""Calls put through to a person: asked first or dialled on, taken, refused, not answered, given up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.telephony.simulated.carrier import SimulatedCarrier
from bot.telephony.simulated.network import SimulatedCall
from bot.telephony.simulated.script import TRANSFER_TARGET, Conversation, shipped_conversations
from tests.calls.server import (
    HANG_UP,
    TO,
    RunningServer,
    Vendors,
    hear,
    running_server,
    say,
    silence,
    steps,
    texts_of,
    vendors,
    wait,
)
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

DESK, SALES = "+12025550177", "+12025550178"
SUMMARY = "John wants to move his appointment & pay."
FAILED = "Nobody is free right now."


def press(digits: str) -> dict[str, Any]:
    return {"do": "press", "digits": digits}


def replies(target: str, words: str = "One moment, I am putting you through.") -> RuleReplies:
    transfer = ToolUse("transfer_call", {"target": target, "summary": SUMMARY})
    return RuleReplies(
        [
            ("never mind", Reply("Alright, goodbye.", (ToolUse("end_call"),))),
            ("how long", "It should not take long."),
            ("person", Reply(words, (transfer,))),
        ],
        otherwise="Pardon?",
    )


ASKS = (say("Hello?"), hear(), say("Let me speak to a person."))
TAKES = steps(silence(600), press("1"), silence(300), say("This is Sam."), silence(1500), HANG_UP, ring_ms=600)


@asynccontextmanager
async def transferring(
    tmp_path: Path, caller: Conversation, person: Conversation, replies: RuleReplies
) -> AsyncIterator[tuple[Vendors, RunningServer, str]]:
    """A call to TO on the vendor path; `person` answers every other number."""
    async with vendors(caller, replies) as sims, running_server(tmp_path, **sims.keys()) as server:
        sims.twilio.conversations = lambda number: caller if number == TO else person
        sims.twilio.network._dialled = sims.twilio.conversations
        yield sims, server, await server.call(scenario="desk", first_speaker="callee")


def legs(sims: Vendors) -> tuple[SimulatedCall, SimulatedCall]:
    """The callee's and the person's."""
    person, callee = sims.twilio.network.calls
    return callee, person


async def over(*calls: SimulatedCall) -> None:
    for call in calls:
        await call.ended.wait()


async def test_warm_and_taken(tmp_path: Path) -> None:
    caller = steps(*ASKS, hear(), say("How long does it take?"), wait())
    slow = steps(
        silence(2500), press("1"), silence(800), say("This is Sam."), silence(700), HANG_UP, ring_ms=3000
    )
    async with transferring(tmp_path, caller, slow, replies("front desk")) as (sims, server, call_id):
        call = await server.ended(call_id)
        await server.all_over()
        assert (call["status"], call["ended_reason"], call["error"]) == ("completed", "transferred", None)
        said = texts_of(call, "agent")
        assert said[1] == "One moment, I am putting you through."
        assert "It should not take long." in said, "the agent goes on talking while it rings"
        callee, person = legs(sims)
        assert person.leg.to == DESK
        assert not [r for r in sims.twilio.requests if ("Status", "completed") in r.form], "nobody was hung up on"
        assert person.callee is not None
        assert callee.status == "in-progress", "the call lives on without us"
        await over(callee, person)
        assert person.callee.said == ["This is Sam."]
        assert person.callee.digits_heard == "7", "the extension of the target"
        assert (callee.status, person.status) == ("completed", "completed")
        assert len(sims.twilio.streams) == 1


@pytest.mark.parametrize(
    ("person", "why"),
    [
        (steps(silence(400), press("2"), wait(), ring_ms=300), "refused"),
        (steps(ring_ms=300, answer="no-answer"), "no answer"),
    ],
    ids=["refused", "no answer"],
)
async def test_warm_and_not_taken(tmp_path: Path, person: Conversation, why: str) -> None:
    caller = steps(*ASKS, hear(), hear(), say("Never mind."), wait())
    async with transferring(tmp_path, caller, person, replies("front desk")) as (sims, server, call_id):
        call = await server.ended(call_id)
        await server.all_over()
        assert (call["status"], call["ended_reason"]) == ("completed", "agent_hangup")
        said = texts_of(call, "agent")
        assert FAILED in " ".join(said)
        assert said[-1] == "Alright, goodbye."
        last = sims.anthropic.exchanges[-1].request
        assert f"Nobody took the transfer to front desk: {why}." in str(last.messages)
        await over(*legs(sims))


async def test_the_callee_hangs_up_while_the_person_is_asked(tmp_path: Path) -> None:
    caller = steps(*ASKS, hear(), silence(1500), HANG_UP)
    person = steps(wait(20_000), ring_ms=500)
    async with transferring(tmp_path, caller, person, replies("front desk")) as (sims, server, call_id):
        call = await server.ended(call_id)
        await server.all_over()
        assert call["ended_reason"] == "callee_hangup"
        callee, asked = legs(sims)
        await over(callee, asked)
        assert asked.status == "completed", "answered, and ended with the call"
        assert asked.callee is not None


async def test_cold_and_taken(tmp_path: Path) -> None:
    caller = steps(*ASKS, wait())
    async with transferring(tmp_path, caller, TAKES, replies("sales", words="")) as (sims, server, call_id):
        call = await server.ended(call_id)
        await server.all_over()
        assert (call["status"], call["ended_reason"], call["error"]) == ("completed", "transferred", None)
        assert texts_of(call, "agent")[-1] == "One moment please.", "announced by the scenario's phrase"
        (stream,) = sims.twilio.streams
        assert len(stream.played()) == len(stream.audio), "the announcement was heard whole"
        callee, person = legs(sims)
        assert (person.leg.to, person.leg.parent_sid) == (SALES, callee.call_sid)
        await over(callee, person)


async def test_cold_and_not_answered(tmp_path: Path) -> None:
    caller = steps(*ASKS, hear(), hear(), say("Never mind."), wait())
    nobody = steps(ring_ms=800, answer="busy")
    async with transferring(tmp_path, caller, nobody, replies("sales")) as (sims, server, call_id):
        call = await server.ended(call_id)
        await server.all_over()
        assert (call["status"], call["ended_reason"]) == ("completed", "agent_hangup")
        assert texts_of(call, "agent")[-2:] == [FAILED, "Alright, goodbye."]
        assert len(sims.twilio.streams) == 2


async def test_without_an_account_a_simulated_person_takes_the_call(tmp_path: Path) -> None:
    """Line, STT, LLM, TTS and both people are of this machine."""
    people = {"desk": steps(*ASKS, wait()), TRANSFER_TARGET: shipped_conversations()[TRANSFER_TARGET]}
    async with running_server(tmp_path, callees=people.__getitem__) as server:
        call = await server.ended(await server.call(scenario="desk", first_speaker="callee"))
        assert (call["status"], call["ended_reason"]) == ("completed", "transferred")
        assert texts_of(call, "agent")[-1] == "One moment please."
        (used,) = [tool for turn in call["transcript"] for tool in turn["tools"]]
        assert used["arguments"] == {"target": "front desk", "summary": "Let me speak to a person."}
        assert isinstance(server.agent.carrier, SimulatedCarrier)
        person, callee = server.agent.carrier._network.calls
        await over(callee, person)
        assert person.callee is not None
        assert person.callee.said == ["Hello, this is Sam at the front desk. How can I help you?"]
