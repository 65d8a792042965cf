"""A line while its call is on its way, rings or is hung up: wherever that is cut short, it is free again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.calls.dialling import dialler as dialler_module
from bot.calls.dialling import following as following_module
from bot.calls.ingress import HANDSHAKE_SECONDS, MEDIA_PATH, UNAUTHORIZED_CLOSE
from bot.calls.registrations import REGISTRATION_SECONDS
from bot.conversation.call_plan import Plan
from bot.errors import CarrierError, ConflictError, ForbiddenError, RequestError
from bot.policy import CallConsent, CallPurpose, Terms
from bot.records import CallRecord, EndedReason, Status
from bot.telephony.carrier import CarrierCall, ConnectStream
from bot.telephony.twilio import twiml
from tests.unit.calls.agent.agents import ORIGIN, SPEC, AgentHarness, Listening, ended, record_of
from tests.unit.calls.calls_in_memory import QuietCall, refusal, webhook
from tests.unit.pipeline.conversation import until

# -- a line that nobody comes to --------------------------------------------------------------------------


async def test_an_answered_call_whose_media_never_comes_frees_its_line(
    harness: AgentHarness, listener: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = listener.ended
    waits: list[float] = []
    at_once(harness, monkeypatch, waits)
    await harness.answer(None, "CA9")
    await until(lambda: bool(ended))
    record = await harness.the_record()
    assert waits == [5 + HANDSHAKE_SECONDS], "the life of the token, and the socket's own patience"
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.ERROR_LINE)
    assert ended == [record.call_id]
    assert harness.agent.active_calls.slots == []


async def test_an_answer_that_the_store_refuses_does_not_keep_the_line(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(harness, monkeypatch, [])
    harness.store.failures = {"issue_token": OSError("disk full")}
    with pytest.raises(OSError, match="disk full"):
        await harness.answer(None, "CA9")
    await until(lambda: not harness.agent.active_calls.slots)


async def test_an_answer_that_nobody_can_be_notified_of_does_not_keep_the_line(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process dialled; the word that it was answered fails right after the line was taken."""
    at_once(harness, monkeypatch, [])

    async def away(*_: Any) -> None:
        raise ConnectionError("the database is away")

    record = record_of("c1", call_sid="CA1", followed_by="c1:1", dialling_at=datetime.now(UTC))
    await harness.store.add(record)
    monkeypatch.setattr(harness.agent._dialler, "news", away)
    with pytest.raises(ConnectionError):
        await harness.answer("c1", "CA1")
    await until(lambda: not harness.agent.active_calls.slots)


async def test_a_line_that_is_held_outlives_its_token(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    twiml = await harness.answer(None, "CA9")
    _, streaming = harness.connect(twiml, "CA9")
    await until(lambda: bool(QuietCall.made))
    (slot,) = harness.agent.active_calls.slots

    async def never() -> None:
        raise AssertionError("the call is on the line")

    harness.agent.active_calls.release_after(slot, 0.0, never)
    assert slot.expiry is not None
    await slot.expiry
    assert harness.lines == 1
    await harness.agent.hang_ups.hang_up(slot.plan.call_id)
    await streaming
    assert harness.lines == 0


async def test_a_ring_that_nobody_tells_the_end_of_is_asked_about(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The carrier's callbacks are lost: the tunnel was down."""
    monkeypatch.setattr(following_module, "LOST_CALLBACK_SECONDS", -4.9)
    harness.carrier.known = {"CA1": CarrierCall("CA1", Status.NO_ANSWER)}
    call = await harness.agent.placing.place(SPEC)
    record = await ended(harness, call.call_id)
    assert (record.status, record.ended_reason) == (Status.NO_ANSWER, EndedReason.DIAL_NO_ANSWER)
    await until(lambda: harness.lines == 0)


def at_once(harness: AgentHarness, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    """Every wait of a slot is over at once."""
    board = harness.agent.active_calls
    release_after = board.release_after

    def soon(slot: Any, seconds: float, then: Callable[[], Awaitable[None]]) -> None:
        waits.append(seconds)
        release_after(slot, 0.0, then)

    monkeypatch.setattr(board, "release_after", soon)


# -- registered calls -------------------------------------------------------------------------------------


async def test_a_registered_call_takes_a_line_when_it_is_answered(harness: AgentHarness) -> None:
    registered = await harness.agent.registrations.register(SPEC)
    assert harness.lines == 0
    placed = [await harness.agent.placing.place(SPEC)]
    also = await harness.agent.registrations.register(SPEC)
    await harness.answer(also.call_id, "CA7")
    assert harness.lines == 2, "a call that was answered may exceed the lines for new ones, up to the ceiling"
    turned_away = await harness.answer(registered.call_id, "CA8")
    assert "<Hangup" in turned_away
    assert (await harness.record(registered.call_id)).status is Status.BUSY
    await harness.tell(placed[0].call_sid or "", Status.NO_ANSWER)
    await harness.tell("CA7", Status.COMPLETED)
    again = await harness.agent.registrations.register(SPEC)
    twiml = await harness.answer(again.call_id, "CA9")
    assert harness.lines == 1
    socket, streaming = harness.connect(twiml, "CA9")
    await until(lambda: bool(QuietCall.made))
    await harness.agent.hang_ups.hang_up(again.call_id)
    await streaming
    record = await harness.record(again.call_id)
    assert (record.call_sid, record.status) == ("CA9", Status.COMPLETED)
    assert socket.closed_with is not None or harness.carrier.hung_up == ["CA9"]


async def test_a_registered_call_is_held_to_its_consent(harness: AgentHarness) -> None:
    register, consents = harness.agent.registrations.register, harness.agent.consents
    offer, spec = Terms(purpose=CallPurpose.MARKETING), replace(SPEC, scenario="offer")
    with pytest.raises(RequestError) as refused:
        await register(spec, offer)
    assert (refused.value.code, refused.value.field) == ("consent_missing", "consent")
    assert await consents.of_number(SPEC.phone_number) == []
    agreed = replace(offer, consent=CallConsent("web_form", "2026-01-01", "form 17"))
    registered = await register(spec, agreed)
    kept = await consents.of_number(SPEC.phone_number)
    assert [(one.call_id, one.kind, one.source) for one in kept] == [(registered.call_id, "web_form", "form 17")]


async def test_a_registered_call_that_nobody_dials_expires(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    at_once(harness, monkeypatch, waits)
    registered = await harness.agent.registrations.register(SPEC)
    await until(lambda: not harness.agent.active_calls.slots)
    assert waits == [REGISTRATION_SECONDS]

    async def canceled() -> bool:
        return (await harness.record(registered.call_id)).status is Status.CANCELED

    while not await canceled():  # noqa: ASYNC110  # written by the slot's own task
        await asyncio.sleep(0.002)
    assert "<Hangup" in await harness.answer(registered.call_id, "CA9"), "too late"


# -- hang-ups ---------------------------------------------------------------------------------------------


async def test_a_hang_up_while_it_rings(harness: AgentHarness) -> None:
    call = await harness.agent.placing.place(SPEC)
    record = await harness.agent.hang_ups.hang_up(call.call_id)
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.CANCELED)
    assert harness.carrier.hung_up == ["CA1"]
    assert harness.agent.active_calls.slots == []
    with pytest.raises(ConflictError):
        await harness.agent.hang_ups.hang_up(call.call_id)
    assert "<Hangup" in await harness.answer(call.call_id, "CA1"), "it was picked up all the same"


async def test_a_hang_up_that_the_carrier_refuses_can_be_repeated(harness: AgentHarness) -> None:
    call = await harness.agent.placing.place(SPEC)
    harness.carrier.failures["hang_up"] = refusal()
    for _ in range(2):
        with pytest.raises(CarrierError):
            await harness.agent.hang_ups.hang_up(call.call_id)
        assert not (await harness.record(call.call_id)).status.final, "its phone rings on"
    harness.carrier.failures.clear()
    record = await harness.agent.hang_ups.hang_up(call.call_id)
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.CANCELED)
    assert harness.carrier.hung_up == ["CA1"] * 3
    assert harness.agent.active_calls.slots == []


async def test_a_hang_up_while_the_carrier_is_asked(harness: AgentHarness) -> None:
    harness.carrier.may_answer.clear()
    placing = asyncio.create_task(harness.agent.placing.place(SPEC))
    await harness.carrier.dialling.wait()
    await harness.agent.hang_ups.hang_up((await harness.the_record()).call_id)
    harness.carrier.may_answer.set()
    record = await placing
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.CANCELED)
    assert harness.carrier.hung_up == ["CA1"]
    assert harness.agent.active_calls.slots == []


async def test_a_hang_up_while_the_carrier_is_asked_is_repeated_until_it_is_done(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialler_module, "HANG_UP_AGAIN_SECONDS", 0.01)
    harness.carrier.failures["hang_up"] = refusal()
    harness.carrier.may_answer.clear()
    placing = asyncio.create_task(harness.agent.placing.place(SPEC))
    await harness.carrier.dialling.wait()
    await harness.agent.hang_ups.hang_up((await harness.the_record()).call_id)
    harness.carrier.may_answer.set()
    await until(lambda: len(harness.carrier.hung_up) == 2)
    harness.carrier.failures.clear()
    tried = len(harness.carrier.hung_up)
    record = await placing
    assert record.status is Status.CANCELED
    assert len(harness.carrier.hung_up) <= tried + 1, "once it is done it is not asked again"


@pytest.mark.parametrize("moment", ["cancel", "advance"])
async def test_a_hang_up_in_the_moment_in_which_the_carrier_takes_the_call(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """It found the call without a carrier's id, and that came before its own writing."""
    harness.carrier.may_answer.clear()
    placing = asyncio.create_task(harness.agent.placing.place(SPEC))
    await harness.carrier.dialling.wait()
    owner = harness.agent.hang_ups.queue if moment == "cancel" else harness.store
    method = getattr(owner, moment)

    async def late(*given: Any, **named: Any) -> Any:
        if moment == "cancel" or Status.CANCELED in given:
            harness.carrier.may_answer.set()
            assert (await placing).status is Status.INITIATED
        return await method(*given, **named)

    monkeypatch.setattr(owner, moment, late)
    record = await harness.agent.hang_ups.hang_up((await harness.the_record()).call_id)
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.CANCELED)
    assert harness.carrier.hung_up == ["CA1"], "its phone does not ring on"
    assert harness.agent.active_calls.slots == []


async def test_a_hang_up_between_the_answer_and_the_media_socket(harness: AgentHarness) -> None:
    call = await harness.agent.placing.place(SPEC)
    twiml = await harness.answer(call.call_id, "CA1")
    record = await harness.agent.hang_ups.hang_up(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.API_HANGUP)
    assert harness.carrier.hung_up == ["CA1"]
    assert harness.lines == 0
    socket, streaming = harness.connect(twiml, "CA1")
    await streaming
    assert socket.closed_with == UNAUTHORIZED_CLOSE, "the call is over"
    assert QuietCall.made == []


async def test_a_hang_up_while_the_call_is_prepared(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    board, may_go = harness.agent.active_calls, asyncio.Event()
    prepared = board.prepared

    async def slow(*given: Any) -> Any:
        await may_go.wait()
        return await prepared(*given)

    monkeypatch.setattr(board, "prepared", slow)
    call = await harness.agent.placing.place(SPEC)
    _, streaming = harness.connect(await harness.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: any(slot.holding is not None for slot in board.slots))
    await harness.agent.hang_ups.hang_up(call.call_id)
    may_go.set()
    await streaming
    record = await harness.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.API_HANGUP)
    assert harness.carrier.hung_up == ["CA1"]
    assert harness.lines == 0


async def test_a_hang_up_on_the_line(harness: AgentHarness) -> None:
    call = await harness.agent.placing.place(SPEC)
    _, streaming = harness.connect(await harness.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    await harness.agent.hang_ups.hang_up(call.call_id)
    await streaming
    record = await harness.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.API_HANGUP)
    assert harness.carrier.hung_up == ["CA1"]
    assert harness.agent.active_calls.slots == []


async def test_a_second_media_socket_does_not_take_over_a_call(harness: AgentHarness) -> None:
    """A voice webhook that the carrier sends twice gives two tokens."""
    call = await harness.agent.placing.place(SPEC)
    first, second = await harness.answer(call.call_id, "CA1"), await harness.answer(call.call_id, "CA1")
    _, streaming = harness.connect(first, "CA1")
    await until(lambda: bool(QuietCall.made))
    socket, late = harness.connect(second, "CA1")
    await until(lambda: socket.closed_with is not None or len(QuietCall.made) > 1)
    assert len(QuietCall.made) == 1
    assert socket.closed_with == UNAUTHORIZED_CLOSE
    await late
    await harness.agent.hang_ups.hang_up(call.call_id)
    await streaming


async def on_the_line(harness: AgentHarness) -> tuple[CallRecord, QuietCall, asyncio.Task[None]]:
    """A call that was answered and is held, and its media stream."""
    call = await harness.agent.placing.place(SPEC)
    _, streaming = harness.connect(await harness.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    (held,) = QuietCall.made
    return call, held, streaming


async def test_a_call_that_expects_a_stream_goes_on_on_it(harness: AgentHarness) -> None:
    call, held, streaming = await on_the_line(harness)
    held.expects_stream = True
    address = await harness.agent._ingress.stream(call.call_id, 10)
    assert address.url == f"{ORIGIN.replace('http', 'ws', 1)}{MEDIA_PATH}"
    socket, again = harness.connect(twiml.render(ConnectStream(address)), "CA1")
    await until(lambda: bool(held.attached))
    assert not again.done(), "the socket is held open until the stream is over"
    await harness.agent.hang_ups.hang_up(call.call_id)
    await asyncio.gather(streaming, again)
    assert socket.closed_with is None, "the route closes it"
    assert len(QuietCall.made) == 1


async def test_a_final_word_of_the_carrier_reaches_a_call_between_two_streams(harness: AgentHarness) -> None:
    call, held, streaming = await on_the_line(harness)
    await harness.tell("CA1", Status.IN_PROGRESS)
    assert not held.told_over
    await harness.tell("CA1", Status.COMPLETED)
    assert held.told_over
    await harness.agent.hang_ups.hang_up(call.call_id)
    await streaming


async def test_a_callee_who_hung_up_while_they_were_dialled_on_is_known_without_a_status(
    harness: AgentHarness,
) -> None:
    call, held, streaming = await on_the_line(harness)
    for form in ({"CallSid": "CA1", "CallStatus": "in-progress"}, {"CallSid": "CA2", "CallStatus": "completed"}):
        await harness.agent.carrier_events.handle(webhook("/transfer/t/dialled", form))
        assert not held.told_over
    form = {"CallSid": "CA1", "CallStatus": "completed"}
    await harness.agent.carrier_events.handle(webhook("/transfer/t/dialled", form))
    assert held.told_over
    await harness.agent.hang_ups.hang_up(call.call_id)
    await streaming


async def test_webhooks_of_a_transfer_are_signed_and_an_unknown_one_is_hung_up(harness: AgentHarness) -> None:
    handle = harness.agent.carrier_events.handle
    with pytest.raises(ForbiddenError):
        await handle(webhook("/transfer/nobody/answered", {}, "forged"))
    assert "<Hangup" in (await handle(webhook("/transfer/nobody/answered", {}))).body
    assert not (await handle(webhook("/transfer/nobody/status", {}))).body


# -- its plan ---------------------------------------------------------------------------------------------


async def test_the_plan_of_a_call_is_made_once(harness: AgentHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    planner = harness.agent.planner
    make, made = planner._plan, list[str]()

    def note(record: CallRecord) -> Plan:
        made.append(record.call_id)
        return make(record)

    monkeypatch.setattr(planner, "_plan", note)
    call = await harness.agent.placing.place(SPEC)
    _, streaming = harness.connect(await harness.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    await harness.agent.hang_ups.hang_up(call.call_id)
    await streaming
    async with asyncio.timeout(20):
        while call.call_id in planner._plans:  # noqa: ASYNC110  # until the workflow after it is done
            await asyncio.sleep(0.02)
    assert made == [call.call_id]
