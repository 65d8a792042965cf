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

from bot import languages
from bot.conversation.disclosure import DisclosureWatch
from bot.conversation.scenario.compliance import Compliance
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
from bot.telephony.carrier import Instruction, JoinConference, LegEvent, StreamAddress
from bot.telephony.twilio import twiml
from tests.unit.calls.calls_in_memory import NotingCarrier, webhook
from tests.unit.pipeline.conversation import Reports, until
from tests.unit.pipeline.memory_socket import MemorySocket, stream_on

SCENARIO = Scenario(
    compliance=Compliance(profile="none"),
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


class Addresses:
    async def origin(self) -> str:
        return "https://a.example"

    async def stream(self, call_id: str, seconds: float) -> StreamAddress:
        return StreamAddress("wss://a.example/media", "t")


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


class Bench:
    """A call with a handover, whose voice needs no time."""

    def __init__(self, scenario: Scenario = SCENARIO) -> None:
        self.socket, self.carrier = MemorySocket(), NotingCarrier()
        self.line = Line(stream_on(self.socket))
        self.pipeline, self.goodbye = SpokenAtOnce(), Ending()
        self.context = LLMContext(messages=[])
        self.transfers = Transfers(self.carrier, Addresses())
        self.keys_answered = 0
        plan = SimpleNamespace(call_id="call-1", scenario=scenario, spec=CallSpec("+12025550123", "s"))
        wanted, sentence = scenario.compliance.disclosure, scenario.phrases.disclosure
        self.disclosure = DisclosureWatch(languages.of("en"), sentence, wanted=wanted)
        user, output = cast(Any, SimpleNamespace(last_turn_at=1.0)), cast(Any, SimpleNamespace(last_word_at=0.0))
        self.handover = Handover(
            cast(Any, plan),
            self.transfers,
            stages=Stages(self.line, user, output, cast(Any, self.pipeline), self.context, ()),
            goodbye=cast(Any, self.goodbye),
            disclosure=self.disclosure,
            callee_speaks=lambda: False,
            no_reply_owed=self._no_reply,
        )

    def _no_reply(self) -> None:
        self.keys_answered += 1

    async def report(self, step: str, **form: str) -> str:
        (token,) = self.transfers._by_token
        event = self.carrier.read(webhook(f"/transfer/{token}/{step}", form), "https://a.example")
        assert isinstance(event, LegEvent)
        instruction = await self.transfers.leg_event(event)
        return "" if instruction is None else twiml.render(instruction)

    async def begin(self, target: str) -> None:
        assert "status" in await self.handover.transfer(target, "John.")
        cold = target == "sales"
        await until(lambda: bool(self.carrier.instructed if cold else self.carrier.dialled))

    def next_stream(self) -> asyncio.Task[bool]:
        return asyncio.create_task(self.line.attach(stream_on(MemorySocket(), "MZ2")))

    @property
    def notes(self) -> str:
        return str(self.context.get_messages())


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with opened() as bench:
        yield bench


@asynccontextmanager
async def opened(scenario: Scenario = SCENARIO) -> AsyncIterator[Bench]:
    bench = Bench(scenario)
    running = asyncio.create_task(bench.line.run(Reports()))
    yield bench
    await bench.handover.close()
    await bench.line.close()
    await running


FAILED = SCENARIO.phrases.transfer_failed


async def test_only_targets_of_the_scenario_are_dialled(bench: Bench) -> None:
    result: Mapping[str, Any] = await bench.handover.transfer("+19005550100", "")
    assert "desk, sales" in result["error"]
    assert bench.carrier.dialled == []


async def test_one_thing_at_a_time_and_nothing_while_the_call_ends(bench: Bench) -> None:
    await bench.begin("desk")
    assert "already" in (await bench.handover.transfer("sales", ""))["error"]
    assert "already" in (await bench.handover.send_digits("1"))["error"]
    assert bench.handover.waiting
    bench.goodbye.begun = True
    assert "ending" in (await bench.handover.send_digits("1"))["error"]


async def test_a_person_who_cannot_be_called(bench: Bench) -> None:
    bench.carrier.failures["dial"] = REFUSED
    await bench.begin("desk")
    await until(lambda: FAILED in bench.pipeline.said)
    assert bench.pipeline.said == [SCENARIO.phrases.transferring, FAILED]
    assert "Nobody took the transfer to desk: failed." in bench.notes
    assert not bench.handover.waiting
    assert not bench.line.ended


async def test_a_yes_hands_the_call_over(bench: Bench) -> None:
    await bench.begin("desk")
    await bench.report("answered")
    assert "<Conference" in await bench.report("reply", Digits="1")
    await until(lambda: bench.goodbye.reason is EndedReason.TRANSFERRED)
    assert bench.handover.handed_over
    await bench.handover.close()
    assert bench.carrier.hung_up == []


async def test_a_yes_to_a_call_that_says_goodbye_comes_too_late(bench: Bench) -> None:
    await bench.begin("desk")
    await bench.report("answered")
    bench.goodbye.begun = True
    assert "hung up" in await bench.report("reply", Digits="1")
    assert not bench.handover.handed_over
    assert bench.carrier.instructed == []


async def test_a_callee_who_cannot_be_moved_stays_with_the_agent(bench: Bench) -> None:
    await bench.begin("desk")
    await bench.report("answered")
    bench.carrier.failures["instruct"] = REFUSED
    assert "hung up" in await bench.report("reply", Digits="1")
    await until(lambda: FAILED in bench.pipeline.said)
    assert bench.carrier.hung_up == ["CA1"]
    bench.socket.hang_up()
    await until(lambda: bench.line.ended)
    assert not bench.handover.handed_over


async def test_a_person_who_hangs_up_in_the_middle_of_the_move_gives_the_callee_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.begin("desk")
    await bench.report("answered")

    async def instruct(call_sid: str, instruction: Instruction, *, time_limit_seconds: int | None = None) -> None:
        bench.carrier.instructed.append((call_sid, twiml.render(instruction)))
        if isinstance(instruction, JoinConference):
            await bench.report("status", CallStatus="completed")
            bench.socket.hang_up()
            await until(lambda: bench.line.away)

    monkeypatch.setattr(bench.carrier, "instruct", instruct)
    replying = asyncio.create_task(bench.report("reply", Digits="1"))
    await until(lambda: "<Stream" in bench.carrier.instructed[-1][1] if bench.carrier.instructed else False)
    attached = bench.next_stream()
    await until(lambda: FAILED in bench.pipeline.said)
    assert not bench.handover.handed_over
    assert not bench.line.ended
    await replying
    attached.cancel()


async def test_a_callee_is_not_moved_to_a_person_who_was_sent_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.conversation.transfers.transfers.JOIN_SECONDS", 0.2)
    speaks = [True]
    bench.handover._callee_speaks = lambda: speaks[0]
    await bench.begin("desk")
    await bench.report("answered")
    assert "hung up" in await bench.report("reply", Digits="1"), "the callee went on talking for too long"
    speaks.clear()
    speaks.append(False)
    await until(lambda: FAILED in bench.pipeline.said)
    assert bench.carrier.instructed == []
    assert not bench.handover.handed_over


async def test_a_callee_who_was_moved_while_the_person_was_sent_away_comes_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.conversation.transfers.transfers.JOIN_SECONDS", 0.1)
    await bench.begin("desk")
    await bench.report("answered")
    replied = asyncio.Event()

    async def instruct(call_sid: str, instruction: Instruction, *, time_limit_seconds: int | None = None) -> None:
        bench.carrier.instructed.append((call_sid, twiml.render(instruction)))
        if isinstance(instruction, JoinConference):
            bench.socket.hang_up()
            await replied.wait()

    monkeypatch.setattr(bench.carrier, "instruct", instruct)
    assert "hung up" in await bench.report("reply", Digits="1")
    replied.set()
    await until(lambda: "<Stream" in bench.carrier.instructed[-1][1])
    attached = bench.next_stream()
    await until(lambda: FAILED in bench.pipeline.said)
    assert not bench.handover.handed_over
    attached.cancel()


async def test_nothing_is_said_behind_a_goodbye(bench: Bench) -> None:
    await bench.begin("desk")
    await until(lambda: SCENARIO.phrases.transferring in bench.pipeline.said)
    bench.goodbye.begun = True
    await bench.report("status", CallStatus="busy")
    await until(lambda: not bench.handover.waiting)
    await until(lambda: bench.handover._task is not None and bench.handover._task.done())
    assert FAILED not in bench.pipeline.said


@pytest.mark.parametrize("target", ["sales", None])
async def test_a_call_that_says_goodbye_is_not_taken_off_its_line(bench: Bench, target: str | None) -> None:
    queue = bench.pipeline.queue

    async def bye(*frames: Frame) -> None:
        bench.goodbye.begun = True
        await queue(*frames)

    bench.pipeline.queue = bye  # type: ignore[method-assign]  # the goodbye begins while the last words are said
    result = await (bench.handover.send_digits("1") if target is None else bench.handover.transfer(target, ""))
    assert "status" in result
    await until(lambda: bench.handover._task is not None and bench.handover._task.done())
    assert bench.carrier.instructed == []
    assert not bench.line.crossing


async def test_an_order_that_was_taken_and_not_carried_out_leaves_the_call_as_it_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.2)
    monkeypatch.setattr("bot.conversation.transfers.transfers.LOST_CALLBACK_SECONDS", -24.9)
    await bench.begin("sales")
    await until(lambda: FAILED in bench.pipeline.said)
    assert "unreported" in bench.notes
    assert not bench.line.crossing, "its end is the call's again"


async def test_a_dialled_person_who_answers_takes_the_call(bench: Bench) -> None:
    await bench.begin("sales")
    assert bench.pipeline.said == ["I'll connect you."]
    bench.socket.hang_up()
    await until(lambda: bench.line.away)
    await bench.report("status", CallStatus="in-progress")
    await until(lambda: bench.goodbye.reason is EndedReason.TRANSFERRED)
    assert bench.handover.handed_over


async def test_a_callee_nobody_took_is_told_so_on_the_next_stream(bench: Bench) -> None:
    await bench.begin("sales")
    bench.socket.hang_up()
    await until(lambda: bench.line.away)
    assert "<Stream" in await bench.report("dialled", DialCallStatus="no-answer")
    await asyncio.sleep(0.02)
    assert FAILED not in bench.pipeline.said, "not before they can hear it"
    attached = bench.next_stream()
    await until(lambda: FAILED in bench.pipeline.said)
    assert "Nobody took the transfer to sales: no answer." in bench.notes
    attached.cancel()


@pytest.mark.parametrize(("disclosure", "again"), [(True, "This is the AI assistant again. "), (False, "")])
async def test_who_comes_back_hears_again_that_an_ai_speaks(disclosure: bool, again: str) -> None:
    rules = Compliance(profile="us_service", disclosure=disclosure)
    scenario = Scenario.model_validate(
        {**SCENARIO.model_dump(exclude_unset=True), "compliance": rules.model_dump(exclude_unset=True)}
    )
    async with opened(scenario) as bench:
        await bench.begin("sales")
        bench.socket.hang_up()
        await until(lambda: bench.line.away)
        await bench.report("dialled", DialCallStatus="no-answer")
        attached = bench.next_stream()
        await until(lambda: f"{again}{FAILED}" in bench.pipeline.said)
        assert bench.disclosure.pending is disclosure, "they do not interrupt before they have heard it"
        attached.cancel()


@pytest.mark.parametrize("acted", [True, False])
async def test_an_order_without_an_answer_may_have_been_carried_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, acted: bool
) -> None:
    monkeypatch.setattr(module, "UNSURE_SECONDS", 0.3)
    bench.carrier.failures["instruct"] = CarrierError("no answer", provider="twilio", status=503)
    await bench.begin("sales")
    if acted:
        bench.socket.hang_up()
        await bench.report("status", CallStatus="in-progress")
        await until(lambda: bench.goodbye.reason is EndedReason.TRANSFERRED)
    else:
        await until(lambda: FAILED in bench.pipeline.said)
    assert bench.handover.handed_over is acted


async def test_a_dial_without_an_answer_may_ring_all_the_same(bench: Bench) -> None:
    bench.carrier.failures["dial"] = DialUnconfirmedError("no answer", provider="twilio", status=503)
    await bench.begin("desk")
    assert "<Gather" in await bench.report("answered", CallSid="CA-theirs")
    assert FAILED not in bench.pipeline.said
    await bench.handover.close()
    assert bench.carrier.hung_up == ["CA-theirs"], "its webhook told which it is"


async def test_a_carrier_that_does_not_dial_on_leaves_the_call_as_it_is(bench: Bench) -> None:
    bench.carrier.failures["instruct"] = REFUSED
    await bench.begin("sales")
    await until(lambda: FAILED in bench.pipeline.said)
    assert not bench.line.away


async def test_two_whom_no_callback_tells_of_are_taken_to_be_talking(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.conversation.transfers.transfers.LOST_CALLBACK_SECONDS", -24.9)
    await bench.begin("sales")
    bench.socket.hang_up()
    await until(lambda: bench.goodbye.reason is EndedReason.TRANSFERRED)
    assert bench.handover.handed_over


async def test_a_callee_who_hangs_up_while_it_rings_ends_the_call(bench: Bench) -> None:
    running = asyncio.create_task(bench.line.next_stream())
    await bench.begin("sales")
    bench.socket.hang_up()
    await until(lambda: bench.line.away)
    bench.line.carrier_ended()
    await until(lambda: bench.line.ended)
    await bench.handover.close()
    assert not bench.handover.handed_over
    assert FAILED not in bench.pipeline.said
    running.cancel()


async def test_keys_are_pressed_and_no_reply_is_owed(bench: Bench) -> None:
    assert "status" in await bench.handover.send_digits("1w2")
    await until(lambda: bool(bench.carrier.instructed))
    assert bench.keys_answered == 1
    bench.socket.hang_up()
    await until(lambda: bench.line.away)
    attached = bench.next_stream()
    await until(lambda: not bench.line.away)
    await until(lambda: bench.handover._refusal() is None)
    attached.cancel()


@pytest.mark.parametrize("failure", [REFUSED, RuntimeError("a fault of ours")])
async def test_keys_that_cannot_be_pressed_are_told_to_the_model(bench: Bench, failure: Exception) -> None:
    bench.carrier.failures["instruct"] = failure
    await bench.handover.send_digits("1")
    await until(lambda: any(isinstance(frame, LLMRunFrame) for frame in bench.pipeline.frames))
    assert "not pressed" in bench.notes
    bench.socket.hang_up()
    await until(lambda: bench.line.ended)


async def test_a_stream_that_does_not_come_back_ends_the_line(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECONNECT_SECONDS", -0.4)
    running = asyncio.create_task(bench.line.next_stream())
    await bench.handover.send_digits("1")
    await until(lambda: bool(bench.carrier.instructed))
    bench.socket.hang_up()
    await until(lambda: bench.line.ended)
    assert bench.line._end is LineEnd.LOST
    running.cancel()


async def test_a_line_without_a_carrier_refuses(bench: Bench) -> None:
    bench.handover._transfers = None
    assert "error" in await bench.handover.send_digits("1")
    assert "error" in await bench.handover.transfer("desk", "")
