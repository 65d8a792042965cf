"""What takes a call off its stream, where it goes wrong: each time the callee is told, or the call is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pipecat.frames.frames import Frame, LLMRunFrame, TTSSpeakFrame
from pipecat.processors.aggregators.llm_context import LLMContext

from bot.conversation.scenario.scenario import Scenario
from bot.conversation.stages import Stages
from bot.conversation.tools.transfer_call import TransferTarget
from bot.conversation.transfers import handover as module
from bot.conversation.transfers.handover import Handover
from bot.conversation.transfers.transfers import Transfers
from bot.errors import CarrierError, DialUnconfirmedError
from bot.pipeline.line.line import Line, LineEnd
from bot.pipeline.line.line_ends import AllHeardFrame
from bot.records import CallSpec, EndedReason
from bot.telephony.twilio import twiml
from bot.telephony.twilio.media_streams import Started
from tests.unit.calls.calls_in_memory import NotingCarrier
from tests.unit.pipeline.conversation import Reports, until
from tests.unit.pipeline.memory_socket import STARTED, MemorySocket

SCENARIO = Scenario(
    name="s",
    description="d",
    instructions="i",
    tools=("end_call", "transfer_call", "send_digits"),
    transfer=(
        TransferTarget(name="desk", number="+12025550177"),
        TransferTarget(name="sales", number="+12025550178", mode="cold", announcement="I'll connect you."),
    ),
)


REFUSED = CarrierError("Call is not in-progress.", provider="twilio", status=400, carrier_code=21220)


class Ingress:
    async def stream(self, call_id: str, seconds: float) -> twiml.StreamAddress:
        return twiml.StreamAddress("wss://a.example/media", {"token": "t"})

    async def transfer_url(self, token: str, step: str) -> str:
        return f"https://a.example/{token}/{step}"


class SpokenAtOnce:
    """A pipeline whose voice needs no time: fences are passed as they are queued."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def queue(self, *frames: Frame) -> None:
        for frame in frames:
            self.frames.append(frame)
            if isinstance(frame, AllHeardFrame):
                await frame.heard()

    @property
    def said(self) -> list[str]:
        return [frame.text for frame in self.frames if isinstance(frame, TTSSpeakFrame)]


class Ending:
    """The goodbye, as far as a handover knows it."""

    def __init__(self) -> None:
        self.begun = False
        self.reason: EndedReason | None = None

    def end_now(self, reason: EndedReason) -> None:
        self.reason = reason


class Desk:
    def __init__(self) -> None:
        self.socket, self.carrier = MemorySocket(), NotingCarrier()
        self.line = Line(self.socket, STARTED)
        self.pipeline, self.goodbye = SpokenAtOnce(), Ending()
        self.context = LLMContext(messages=[])
        self.transfers = Transfers(self.carrier, Ingress())
        self.keys_answered = 0
        plan = SimpleNamespace(call_id="call-1", scenario=SCENARIO, spec=CallSpec("+12025550123", "s"))
        user, output = cast(Any, SimpleNamespace(last_turn_at=1.0)), cast(Any, SimpleNamespace(last_word_at=0.0))
        self.handover = Handover(
            cast(Any, plan),
            self.transfers,
            stages=Stages(self.line, user, output, cast(Any, self.pipeline), self.context, ()),
            goodbye=cast(Any, self.goodbye),
            callee_speaks=lambda: False,
            no_reply_owed=self._no_reply,
        )

    def _no_reply(self) -> None:
        self.keys_answered += 1

    async def tell(self, step: str, **form: str) -> str:
        (token,) = self.transfers._by_token
        return await self.transfers.webhook(token, step, form, {"round": "1"})

    async def begin(self, target: str) -> None:
        assert "status" in await self.handover.transfer(target, "John.")
        cold = target == "sales"
        await until(lambda: bool(self.carrier.instructed if cold else self.carrier.dialled))

    def next_stream(self) -> asyncio.Task[bool]:
        return asyncio.create_task(self.line.attach(MemorySocket(), Started("MZ2", "CA1", "AC1")))

    @property
    def notes(self) -> str:
        return str(self.context.get_messages())


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with opened() as desk:
        yield desk


@asynccontextmanager
async def opened() -> AsyncIterator[Desk]:
    desk = Desk()
    running = asyncio.create_task(desk.line.run(Reports()))
    yield desk
    await desk.handover.close()
    await desk.line.close()
    await running


FAILED = SCENARIO.phrases.transfer_failed


async def test_only_targets_of_the_scenario_are_dialled(desk: Desk) -> None:
    result: Mapping[str, Any] = await desk.handover.transfer("+19005550100", "")
    assert "desk, sales" in result["error"]
    assert desk.carrier.dialled == []


async def test_one_thing_at_a_time_and_nothing_while_the_call_ends(desk: Desk) -> None:
    await desk.begin("desk")
    assert "already" in (await desk.handover.transfer("sales", ""))["error"]
    assert "already" in (await desk.handover.send_digits("1"))["error"]
    assert desk.handover.waiting
    desk.goodbye.begun = True
    assert "ending" in (await desk.handover.send_digits("1"))["error"]


async def test_a_person_who_cannot_be_called(desk: Desk) -> None:
    desk.carrier.failures["dial"] = REFUSED
    await desk.begin("desk")
    await until(lambda: FAILED in desk.pipeline.said)
    assert desk.pipeline.said == [SCENARIO.phrases.transferring, FAILED]
    assert "Nobody took the transfer to desk: failed." in desk.notes
    assert not desk.handover.waiting
    assert not desk.line.ended


async def test_a_yes_hands_the_call_over(desk: Desk) -> None:
    await desk.begin("desk")
    await desk.tell("answered")
    assert "<Conference" in await desk.tell("reply", Digits="1")
    await until(lambda: desk.goodbye.reason is EndedReason.TRANSFERRED)
    assert desk.handover.handed_over
    await desk.handover.close()
    assert desk.carrier.hung_up == []


async def test_a_yes_to_a_call_that_says_goodbye_comes_too_late(desk: Desk) -> None:
    await desk.begin("desk")
    await desk.tell("answered")
    desk.goodbye.begun = True
    assert "hung up" in await desk.tell("reply", Digits="1")
    assert not desk.handover.handed_over
    assert desk.carrier.instructed == []


async def test_a_callee_who_cannot_be_moved_stays_with_the_agent(desk: Desk) -> None:
    await desk.begin("desk")
    await desk.tell("answered")
    desk.carrier.failures["instruct"] = REFUSED
    assert "hung up" in await desk.tell("reply", Digits="1")
    await until(lambda: FAILED in desk.pipeline.said)
    assert desk.carrier.hung_up == ["CA1"]
    desk.socket.hang_up()
    await until(lambda: desk.line.ended)
    assert not desk.handover.handed_over


async def test_a_person_who_hangs_up_in_the_middle_of_the_move_gives_the_callee_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.begin("desk")
    await desk.tell("answered")

    async def instruct(call_sid: str, document: str, *, time_limit_seconds: int | None = None) -> None:
        desk.carrier.instructed.append((call_sid, document))
        if "<Conference" in document:
            await desk.tell("status", CallStatus="completed")
            desk.socket.hang_up()
            await until(lambda: desk.line.away)

    monkeypatch.setattr(desk.carrier, "instruct", instruct)
    replying = asyncio.create_task(desk.tell("reply", Digits="1"))
    await until(lambda: "<Stream" in desk.carrier.instructed[-1][1] if desk.carrier.instructed else False)
    attached = desk.next_stream()
    await until(lambda: FAILED in desk.pipeline.said)
    assert not desk.handover.handed_over
    assert not desk.line.ended
    await replying
    attached.cancel()


async def test_a_callee_is_not_moved_to_a_person_who_was_sent_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.conversation.transfers.transfers.JOIN_SECONDS", 0.2)
    speaks = [True]
    desk.handover._callee_speaks = lambda: speaks[0]
    await desk.begin("desk")
    await desk.tell("answered")
    assert "hung up" in await desk.tell("reply", Digits="1"), "the callee went on talking for too long"
    speaks.clear()
    speaks.append(False)
    await until(lambda: FAILED in desk.pipeline.said)
    assert desk.carrier.instructed == []
    assert not desk.handover.handed_over


async def test_a_callee_who_was_moved_while_the_person_was_sent_away_comes_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.conversation.transfers.transfers.JOIN_SECONDS", 0.1)
    await desk.begin("desk")
    await desk.tell("answered")
    replied = asyncio.Event()

    async def instruct(call_sid: str, document: str, *, time_limit_seconds: int | None = None) -> None:
        desk.carrier.instructed.append((call_sid, document))
        if "<Conference" in document:
            desk.socket.hang_up()
            await replied.wait()

    monkeypatch.setattr(desk.carrier, "instruct", instruct)
    assert "hung up" in await desk.tell("reply", Digits="1")
    replied.set()
    await until(lambda: "<Stream" in desk.carrier.instructed[-1][1])
    attached = desk.next_stream()
    await until(lambda: FAILED in desk.pipeline.said)
    assert not desk.handover.handed_over
    attached.cancel()


async def test_nothing_is_said_behind_a_goodbye(desk: Desk) -> None:
    await desk.begin("desk")
    await until(lambda: SCENARIO.phrases.transferring in desk.pipeline.said)
    desk.goodbye.begun = True
    await desk.tell("status", CallStatus="busy")
    await until(lambda: not desk.handover.waiting)
    await until(lambda: desk.handover._task is not None and desk.handover._task.done())
    assert FAILED not in desk.pipeline.said


@pytest.mark.parametrize("target", ["sales", None])
async def test_a_call_that_says_goodbye_is_not_taken_off_its_line(desk: Desk, target: str | None) -> None:
    queue = desk.pipeline.queue

    async def bye(*frames: Frame) -> None:
        desk.goodbye.begun = True
        await queue(*frames)

    desk.pipeline.queue = bye  # type: ignore[method-assign]  # the goodbye begins while the last words are said
    result = await (desk.handover.send_digits("1") if target is None else desk.handover.transfer(target, ""))
    assert "status" in result
    await until(lambda: desk.handover._task is not None and desk.handover._task.done())
    assert desk.carrier.instructed == []
    assert not desk.line.crossing


async def test_an_order_that_was_taken_and_not_carried_out_leaves_the_call_as_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.2)
    monkeypatch.setattr("bot.conversation.transfers.transfers.LOST_CALLBACK_SECONDS", -24.9)
    await desk.begin("sales")
    await until(lambda: FAILED in desk.pipeline.said)
    assert "untold" in desk.notes
    assert not desk.line.crossing, "its end is the call's again"


async def test_a_dialled_person_who_answers_takes_the_call(desk: Desk) -> None:
    await desk.begin("sales")
    assert desk.pipeline.said == ["I'll connect you."]
    desk.socket.hang_up()
    await until(lambda: desk.line.away)
    await desk.tell("status", CallStatus="in-progress")
    await until(lambda: desk.goodbye.reason is EndedReason.TRANSFERRED)
    assert desk.handover.handed_over


async def test_a_callee_nobody_took_is_told_so_on_the_next_stream(desk: Desk) -> None:
    await desk.begin("sales")
    desk.socket.hang_up()
    await until(lambda: desk.line.away)
    assert "<Stream" in await desk.tell("dialled", DialCallStatus="no-answer")
    await asyncio.sleep(0.02)
    assert FAILED not in desk.pipeline.said, "not before they can hear it"
    attached = desk.next_stream()
    await until(lambda: FAILED in desk.pipeline.said)
    assert "Nobody took the transfer to sales: no answer." in desk.notes
    attached.cancel()


@pytest.mark.parametrize("acted", [True, False])
async def test_an_order_without_an_answer_may_have_been_carried_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, acted: bool
) -> None:
    monkeypatch.setattr(module, "UNSURE_SECONDS", 0.3)
    desk.carrier.failures["instruct"] = CarrierError("no answer", provider="twilio", status=503)
    await desk.begin("sales")
    if acted:
        desk.socket.hang_up()
        await desk.tell("status", CallStatus="in-progress")
        await until(lambda: desk.goodbye.reason is EndedReason.TRANSFERRED)
    else:
        await until(lambda: FAILED in desk.pipeline.said)
    assert desk.handover.handed_over is acted


async def test_a_dial_without_an_answer_may_ring_all_the_same(desk: Desk) -> None:
    desk.carrier.failures["dial"] = DialUnconfirmedError("no answer", provider="twilio", status=503)
    await desk.begin("desk")
    assert "<Gather" in await desk.tell("answered", CallSid="CA-theirs")
    assert FAILED not in desk.pipeline.said
    await desk.handover.close()
    assert desk.carrier.hung_up == ["CA-theirs"], "its webhook told which it is"


async def test_a_carrier_that_does_not_dial_on_leaves_the_call_as_it_is(desk: Desk) -> None:
    desk.carrier.failures["instruct"] = REFUSED
    await desk.begin("sales")
    await until(lambda: FAILED in desk.pipeline.said)
    assert not desk.line.away


async def test_two_whom_no_callback_tells_of_are_taken_to_be_talking(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.conversation.transfers.transfers.LOST_CALLBACK_SECONDS", -24.9)
    await desk.begin("sales")
    desk.socket.hang_up()
    await until(lambda: desk.goodbye.reason is EndedReason.TRANSFERRED)
    assert desk.handover.handed_over


async def test_a_callee_who_hangs_up_while_it_rings_ends_the_call(desk: Desk) -> None:
    running = asyncio.create_task(desk.line.next_stream())
    await desk.begin("sales")
    desk.socket.hang_up()
    await until(lambda: desk.line.away)
    desk.line.carrier_ended()
    await until(lambda: desk.line.ended)
    await desk.handover.close()
    assert not desk.handover.handed_over
    assert FAILED not in desk.pipeline.said
    running.cancel()


async def test_keys_are_pressed_and_no_reply_is_owed(desk: Desk) -> None:
    assert "status" in await desk.handover.send_digits("1w2")
    await until(lambda: bool(desk.carrier.instructed))
    assert desk.keys_answered == 1
    desk.socket.hang_up()
    await until(lambda: desk.line.away)
    attached = desk.next_stream()
    await until(lambda: not desk.line.away)
    await until(lambda: desk.handover._refusal() is None)
    attached.cancel()


@pytest.mark.parametrize("failure", [REFUSED, RuntimeError("a fault of ours")])
async def test_keys_that_cannot_be_pressed_are_told_to_the_model(desk: Desk, failure: Exception) -> None:
    desk.carrier.failures["instruct"] = failure
    await desk.handover.send_digits("1")
    await until(lambda: any(isinstance(frame, LLMRunFrame) for frame in desk.pipeline.frames))
    assert "not pressed" in desk.notes
    desk.socket.hang_up()
    await until(lambda: desk.line.ended)


async def test_a_stream_that_does_not_come_back_ends_the_line(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECONNECT_SECONDS", -0.4)
    running = asyncio.create_task(desk.line.next_stream())
    await desk.handover.send_digits("1")
    await until(lambda: bool(desk.carrier.instructed))
    desk.socket.hang_up()
    await until(lambda: desk.line.ended)
    assert desk.line._end is LineEnd.LOST
    running.cancel()


async def test_a_line_without_a_carrier_refuses(desk: Desk) -> None:
    desk.handover._transfers = None
    assert "error" in await desk.handover.send_digits("1")
    assert "error" in await desk.handover.transfer("desk", "")
