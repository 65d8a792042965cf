"""Three servers on one PostgreSQL behind a proxy: whoever dials, is told or gets the socket, it is one call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from bot.telephony.simulated.script import Conversation
from bot.telephony.simulated.signed_client import SignedClient
from tests.calls.server import HANG_UP, Vendors, hear, say, silence, steps, texts_of, vendors, wait
from tests.postgres import PostgresServer
from tests.scale.cluster import Cluster, Server, cluster
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse
from tests.simulators.stt_recogniser import ScriptedRecogniser

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("cluster"),
]

SUMMARY = "John wants to pay."
REPLIES = RuleReplies(
    [
        (
            "person",
            Reply("One moment.", (ToolUse("transfer_call", {"target": "front desk", "summary": SUMMARY}),)),
        ),
        ("code", Reply("Here it comes.", (ToolUse("send_digits", {"digits": "1w#"}),))),
        ("that is right", Reply("Goodbye then.", (ToolUse("end_call"),))),
    ],
    otherwise="I see.",
)
BRIEF = steps(say("Hello?"), hear(), silence(2500), HANG_UP, ring_ms=3000)
PATIENT = steps(say("Hello?"), wait(60_000))
QUIET = steps(wait(60_000))
KEYPAD = steps(
    say("Hello?"),
    hear(),
    say("Please enter your code."),
    hear(),
    silence(3000),
    say("Thank you, that is right."),
    wait(),
)
CALLER = steps(say("Hello?"), hear(), say("Let me speak to a person."), wait(60_000))
PERSON = steps(
    silence(1500), {"do": "press", "digits": "1"}, silence(800), say("This is Sam."), HANG_UP, ring_ms=900
)
DESK = "+12025550177"
CHANCES = 4
"""Which server gets a socket is the proxy's choice: one time in thirty, all of a few come to the same."""


@dataclass
class ClusterHarness:
    cluster: Cluster
    sims: Vendors

    async def dials(self, callee: Conversation) -> None:
        """Who answers from now on, but for the desk; and the words that the recogniser knows."""
        said = [await self.sims.twilio.voice.speak(text) for text in callee.texts]
        self.sims.deepgram._recogniser = lambda _: ScriptedRecogniser(said)
        self.sims.twilio.conversations = lambda number: PERSON if number == DESK else callee

    def spoken(self) -> str:
        """All that the voice was asked to say."""
        return " ".join(context.text for context in self.sims.elevenlabs.contexts)

    async def not_holding(self) -> Server:
        """A server that does not have the one call that is on the line."""
        holder = await self.cluster.holder()
        return next(server for server in self.cluster.servers if server is not holder)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ClusterHarness]:
    folder, url = tmp_path_factory.mktemp("cluster"), postgres.new_url()
    async with vendors(QUIET, REPLIES) as sims, cluster(folder, url, sims) as started:
        yield ClusterHarness(started, sims)


def named(number: int) -> str:
    """A name for each call, without figures: a voice is given those in words."""
    return f"John {chr(ord('A') + number) * 3}a"


async def test_the_opening_goes_with_the_call(running: ClusterHarness) -> None:
    """Made once, while it rings, by whoever dialled; said at once by whoever gets the socket."""
    await running.dials(BRIEF)
    for begin in range(0, 4 * CHANCES, 4):
        numbers = range(begin, begin + 4)
        ids = [
            await running.cluster.call(
                phone_number=f"+120255501{n:02}", callee_name=named(n), first_speaker="callee"
            )
            for n in numbers
        ]
        calls = [await running.cluster.ended(call_id, within=30.0) for call_id in ids]
        assert [call["ended_reason"] for call in calls] == ["callee_hangup"] * 4
        for number, call in zip(numbers, calls, strict=True):
            assert running.spoken().count(named(number)) == 1, "its opening was made again"
            assert named(number) in texts_of(call, "agent")[0]
        if sum("answered:" in server.log for server in running.cluster.servers) > 1:
            return
    raise AssertionError("one server got every socket")


async def test_a_supervisor_finds_the_call_and_follows_it_to_its_hang_up(running: ClusterHarness) -> None:
    """By a server that does not have it."""
    await running.dials(PATIENT)
    call_id = await running.cluster.call(phone_number="+12025550110")
    await running.cluster.talking(call_id)
    other = (await running.not_holding()).http
    url = f"/api/phone/calls/{call_id}"
    events: list[dict[str, Any]] = []
    following = asyncio.create_task(_follow(other, f"{url}/events", events))
    for _ in range(2):
        answer = await other.post(f"{url}/say", json={"text": "One moment."}, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 200, answer.text
    async with asyncio.timeout(20.0):
        while not any(_heard(event, "One moment.") for event in events):  # of another process
            assert not following.done(), following
            await asyncio.sleep(0.05)
    answer = await other.post(f"{url}/hangup")
    assert answer.status_code == 200, answer.text
    call = await running.cluster.ended(call_id, within=10.0)
    assert (call["status"], call["ended_reason"]) == ("completed", "api_hangup")
    assert [turn["tools"][0]["name"] for turn in call["transcript"] if turn["speaker"] == "business"] == [
        "say",
        "hangup",
    ]
    await asyncio.wait_for(following, 40.0)
    assert {"turn_completed", "turn_passed", "outcome_written"} <= {event["event"] for event in events}
    assert any(event["event"] == "status_changed" and event["status"] == "completed" for event in events)
    assert events[-1]["event"] == "stream_ended"


def _heard(event: dict[str, Any], words: str) -> bool:
    return event["event"] == "agent_words" and words in event["text"]


async def _follow(http: httpx.AsyncClient, url: str, events: list[dict[str, Any]]) -> None:
    async with http.stream("GET", url, timeout=60.0) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))  # noqa: PERF401  # read as it grows


async def test_the_carriers_detection_finds_the_call(running: ClusterHarness) -> None:
    await running.dials(QUIET)
    call_id = await running.cluster.call(phone_number="+12025550111")
    other = await running.not_holding()
    client = SignedClient(
        auth_token=running.sims.twilio.auth_token, local_origin=f"http://127.0.0.1:{other.port}"
    )
    await client.open()
    try:
        form = {"CallSid": (await running.cluster.read(call_id))["call_sid"], "AnsweredBy": "machine_end_beep"}
        answer = await client.post(f"{running.cluster.url}/api/phone/twilio/amd?call_id={call_id}", form)
        assert answer.status == 204
    finally:
        await client.close()
    call = await running.cluster.ended(call_id, within=20.0)
    assert (call["status"], call["ended_reason"]) == ("completed", "voicemail_reached")


async def test_the_next_stream_comes_to_the_call(running: ClusterHarness) -> None:
    """Keys pressed through the carrier end the stream; each next one is a socket anywhere."""
    await running.dials(KEYPAD)
    for begin in range(0, 3 * CHANCES, 3):
        ids = [
            await running.cluster.call(phone_number=f"+120255512{n:02}", scenario="desk", first_speaker="callee")
            for n in range(begin, begin + 3)
        ]
        calls = [await running.cluster.ended(call_id, within=45.0) for call_id in ids]
        assert [(call["ended_reason"], call["error"]) for call in calls] == [("agent_hangup", None)] * 3
        for call in calls:
            assert texts_of(call, "agent")[-2:] == ["Here it comes.", "Goodbye then."]
        if any("its media stream is passed on" in server.log for server in running.cluster.servers):
            return
    raise AssertionError("each stream came to its holder by itself")


async def test_a_transfer_is_decided_where_its_call_is(running: ClusterHarness) -> None:
    await running.dials(CALLER)
    call_id = await running.cluster.call(phone_number="+12025550130", scenario="desk", first_speaker="callee")
    call = await running.cluster.ended(call_id, within=45.0)
    assert (call["status"], call["ended_reason"], call["error"]) == ("completed", "transferred", None)
    person = next(leg for leg in running.sims.twilio.network.calls if leg.leg.to == DESK)
    await asyncio.wait_for(person.ended.wait(), 20.0)
    assert person.callee is not None
    assert person.callee.said == ["This is Sam."], "the two were not joined"


async def test_all_slots_are_given_back(running: ClusterHarness) -> None:
    """Who prepared for a call that another server took lets go of it."""
    async with asyncio.timeout(10.0):
        for server in running.cluster.servers:
            while await server.calls_on_line():  # noqa: ASYNC110  # another process's state
                await asyncio.sleep(0.05)
