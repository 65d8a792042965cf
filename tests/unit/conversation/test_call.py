"""One call with its own engines: the opening's second chance, the clock at the end, what tools note."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from bot.audio import mulaw_to_pcm
from bot.conversation.call import Call, CallBackend
from bot.conversation.call_plan import Plan, build_services, choose
from bot.conversation.opening import SpeechStream
from bot.conversation.recorder import Recorder
from bot.conversation.scenario.compliance import Compliance
from bot.conversation.scenario.parts import Limits, OutcomeField
from bot.conversation.scenario.scenario import Scenario
from bot.conversation.tools.declared.mcp_server import McpServers
from bot.pipeline.line.line import Line
from bot.pipeline.offline.voice import LocalVoice
from bot.pipeline.resources import Resources
from bot.records import CallSpec, Direction, EndedReason, Turn
from bot.settings import Settings
from tests.unit.calls.calls_in_memory import NotingCarrier
from tests.unit.pipeline.conversation import until
from tests.unit.pipeline.memory_socket import MemorySocket, stream_on

SETTINGS = Settings(_env_file=None)
SCENARIO = Scenario(
    compliance=Compliance(profile="none"),
    name="s",
    description="d",
    instructions="i",
    first_speaker="agent",
    limits=Limits(max_duration_seconds=10),
    outcome=(
        OutcomeField(name="confirmed", type="boolean", description="Whether they come."),
        OutcomeField(name="rating", type="number", description="From 1 to 5."),
        OutcomeField(name="day", type="choice", description="Which day.", options=("monday", "friday")),
    ),
)
TEXT = "Hi, this is Alex."


class KeptTurns:
    def __init__(self) -> None:
        self.turns: dict[int, Turn] = {}

    async def put_turn(self, call_id: str, turn: Turn) -> None:
        self.turns[turn.index] = turn


class Room:
    """A call, its line and who carries it."""

    def __init__(
        self, resources: Resources, opening: SpeechStream | None, *, number: str = "+12025550123"
    ) -> None:
        self.socket, self.carrier = MemorySocket(), NotingCarrier()
        self.listed: list[str] = []
        self.line = Line(stream_on(self.socket))
        slots = choose(SCENARIO, SETTINGS, simulated_line=True)
        plan = Plan(
            "call-1", CallSpec(number, "s", from_number="+12025550100"), Direction.OUTBOUND, SCENARIO, slots
        )
        plan = replace(plan, opening=opening, opening_text=TEXT)
        self.recorder = Recorder("call-1", KeptTurns(), lambda: self.line.media_ms, vad_start_ms=200)
        self.call = Call(
            plan,
            line=self.line,
            services=build_services(plan, resources, "CA1"),
            recorder=self.recorder,
            backend=CallBackend(resources, McpServers({}), self.carrier, do_not_call=self),
        )

    async def asked_for(self, phone_number: str, call_id: str, reason: str | None = None) -> None:
        self.listed.append(phone_number)

    async def echo(self) -> None:
        """The far end plays all it is sent, at once."""
        echoed = 0
        while True:
            for name in self.socket.marks[echoed:]:
                echoed += 1
                self.socket.echo(name)
            await asyncio.sleep(0.005)

    async def until_said(self, text: str) -> None:
        await until(lambda: any(turn.text == text and turn.complete for turn in self.recorder.turns))


@pytest.fixture(scope="module")
def resources() -> Iterator[Resources]:
    voice = LocalVoice()
    voice.load()
    yield Resources(SETTINGS, voice=voice)
    voice.close()


@pytest.fixture
async def on_line(resources: Resources) -> AsyncIterator[Any]:
    """Starts calls; hung up at the end."""
    rooms: list[tuple[Room, asyncio.Task[Any], asyncio.Task[None]]] = []

    def begin(opening: SpeechStream | None) -> Room:
        room = Room(resources, opening)
        rooms.append((room, asyncio.create_task(room.call.hold()), asyncio.create_task(room.echo())))
        return room

    yield begin
    for room, holding, echoing in rooms:
        await room.call.hang_up(EndedReason.AGENT_HANGUP)
        room.socket.hang_up()
        assert (await holding).reason is EndedReason.AGENT_HANGUP
        echoing.cancel()
        await asyncio.gather(echoing, return_exceptions=True)


async def test_an_opening_that_was_made_is_played_as_it_is(on_line: Any) -> None:
    stream = SpeechStream(TEXT)
    stream.add_audio(mulaw_to_pcm(b"\x21" * 1600))
    room = on_line(stream)
    await until(lambda: room.socket.audio == b"\x21" * 1600)
    stream.add_audio(mulaw_to_pcm(b"\x22" * 1600))
    stream.finish()
    await room.until_said(TEXT)
    assert room.socket.audio == b"\x21" * 1600 + b"\x22" * 1600


@pytest.mark.parametrize("when", ["before it is wanted", "while it is awaited"])
async def test_an_opening_that_stays_silent_is_spoken_by_the_pipeline(on_line: Any, when: str) -> None:
    stream = SpeechStream(TEXT)
    if when == "before it is wanted":
        stream.finish()
    room = on_line(stream)
    if not stream.finished:
        await until(lambda: stream._listener is not None)
        assert room.socket.audio == b""
        stream.finish()
    await room.until_said(TEXT)
    assert len(room.socket.audio) > 4000
    assert [turn.text for turn in room.recorder.turns] == [TEXT], "once"


@pytest.mark.parametrize("noted", [True, False])
async def test_a_failed_call_promises_a_call_back_only_if_one_is_noted(resources: Resources, noted: bool) -> None:
    room = Room(resources, None)
    if noted:
        room.call.notes.note_callback("Friday at ten")
    holding, echoing = asyncio.create_task(room.call.hold()), asyncio.create_task(room.echo())
    await room.until_said(TEXT)
    await room.call.take_leave(EndedReason.SERVER_SHUTDOWN)
    phrases = SCENARIO.phrases
    await room.until_said(phrases.trouble_call_back if noted else phrases.trouble)
    room.socket.hang_up()
    assert (await holding).reason is EndedReason.SERVER_SHUTDOWN
    echoing.cancel()
    await asyncio.gather(echoing, return_exceptions=True)


async def test_a_hang_up_at_the_last_moment_of_the_longest_call_ends_the_flow(resources: Resources) -> None:
    """No goodbye can begin then: a flow that goes on asking for it never lets the loop run again."""
    room = Room(resources, None)
    room.line.opened_at -= SCENARIO.limits.max_duration_seconds
    conducting = asyncio.create_task(room.call._flow.run())
    await room.call.hang_up(EndedReason.CALLEE_HANGUP)
    await asyncio.wait_for(conducting, 1)


@pytest.mark.parametrize(
    ("told", "kept", "refused"),
    [
        ({"confirmed": "false"}, {"confirmed": False}, []),
        ({"confirmed": "Yes"}, {"confirmed": True}, []),
        ({"confirmed": "maybe"}, {}, ["confirmed"]),
        ({"confirmed": 1}, {}, ["confirmed"]),
        ({"rating": "4"}, {"rating": 4}, []),
        ({"rating": 4.5}, {"rating": 4.5}, []),
        ({"rating": True}, {}, ["rating"]),
        ({"rating": "four"}, {}, ["rating"]),
        ({"rating": "nan"}, {}, ["rating"]),
        ({"rating": "inf"}, {}, ["rating"]),
        ({"day": "friday"}, {"day": "friday"}, []),
        ({"day": "sunday"}, {}, ["day"]),
        ({"day": None, "confirmed": True}, {"confirmed": True}, ["day"]),
        ({"reached_goal": "perhaps", "rate": 1}, {}, ["rate", "reached_goal"]),
    ],
)
async def test_an_outcome_of_another_type_is_refused(
    resources: Resources, told: dict[str, Any], kept: dict[str, Any], refused: list[str]
) -> None:
    call = Room(resources, None).call
    assert call.notes.note_outcome(told) == refused
    outcome = call.notes.outcome()
    assert (outcome.fields if outcome is not None else {}) == kept


async def test_the_word_false_is_no_goal_reached(resources: Resources) -> None:
    call = Room(resources, None).call
    assert call.notes.note_outcome({"reached_goal": "false", "summary": "No."}) == []
    outcome = call.notes.outcome()
    assert outcome is not None
    assert outcome.reached_goal is False


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_hang_up_that_nobody_confirms_is_asked_for_again(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, confirmed: bool
) -> None:
    monkeypatch.setattr("bot.conversation.hang_up.HANG_UP_SECONDS", 0.05)
    room = Room(resources, None)
    holding = asyncio.create_task(room.call.hold())
    await room.call.hang_up(EndedReason.AGENT_HANGUP)
    if confirmed:
        room.call.carrier_ended()
    assert (await holding).reason is EndedReason.AGENT_HANGUP
    assert len(room.carrier.hung_up) == (1 if confirmed else 2)


@pytest.mark.parametrize(
    "hidden", ["+266696687", "+7378742833", "", "Restricted", "sip:ann@example.com", "client:ann"]
)
async def test_a_hidden_number_is_asked_for_and_never_listed(resources: Resources, hidden: str) -> None:
    room = Room(resources, None, number=hidden)
    refused = await room.call.never_call_again("Stop calling me.")
    assert "Ask which number" in refused["error"]
    assert "again" in (await room.call.never_call_again(None, "no number at all"))["error"]
    assert room.listed == []
    assert room.call.notes.outcome() is None
    assert "status" in await room.call.never_call_again(None, "(202) 555-0177")
    assert room.listed == ["+12025550177"]


async def test_a_caller_lists_no_number_but_the_one_that_called(resources: Resources) -> None:
    room = Room(resources, None)
    await room.call.never_call_again(None, "+12025550177")
    assert room.listed == ["+12025550123"]


async def test_a_deed_without_a_tool_is_corrected_in_the_next_words(resources: Resources) -> None:
    room = Room(resources, None)
    room.call.agent_turn_over("Good. I've booked you in.", interrupted=False)
    (*_, note) = room.call._stages.context.get_messages()
    assert "I've booked you in." in str(note["content"])  # type: ignore[index]
    room.recorder.agent_words("One moment.")
    room.recorder.tool_used("book_slot", {}, {"id": 7})
    before = len(room.call._stages.context.get_messages())
    room.call.agent_turn_over("One moment. I've booked you in.", interrupted=False)
    assert len(room.call._stages.context.get_messages()) == before
