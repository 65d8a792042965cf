"""A line while its call is on its way, rings or is hung up: wherever that is cut short, it is free again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.calls.dialling import dialler as dialler_module
from bot.calls.dialling import following as following_module
from bot.calls.ingress import HANDSHAKE_SECONDS, MEDIA_PATH, UNAUTHORIZED_CLOSE
from bot.calls.registrations import REGISTRATION_SECONDS
from bot.errors import CarrierError, ConflictError, ForbiddenError
from bot.records import CallRecord, EndedReason, Status
from bot.telephony.carrier import CarrierCall, ConnectStream
from bot.telephony.twilio import twiml
from tests.unit.calls.agent.agents import ORIGIN, SPEC, House, Listening, ended, record_of
from tests.unit.calls.calls_in_memory import QuietCall, refusal, webhook
from tests.unit.pipeline.conversation import until

# -- a line that nobody comes to --------------------------------------------------------------------------


async def test_an_answered_call_whose_media_never_comes_frees_its_line(
    house: House, listener: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = listener.ended
    waits: list[float] = []
    at_once(house, monkeypatch, waits)
    await house.answer(None, "CA9")
    await until(lambda: bool(ended))
    record = await house.the_record()
    assert waits == [5 + HANDSHAKE_SECONDS], "the life of the token, and the socket's own patience"
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.ERROR_LINE)
    assert ended == [record.call_id]
    assert house.agent.active_calls.slots == []


async def test_an_answer_that_the_store_refuses_does_not_keep_the_line(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(house, monkeypatch, [])
    house.store.failures = {"issue_token": OSError("disk full")}
    with pytest.raises(OSError, match="disk full"):
        await house.answer(None, "CA9")
    await until(lambda: not house.agent.active_calls.slots)


async def test_an_answer_that_nobody_can_be_notified_of_does_not_keep_the_line(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process dialled; the word that it was answered fails right after the line was taken."""
    at_once(house, monkeypatch, [])

    async def away(*_: Any) -> None:
        raise ConnectionError("the database is away")

    record = record_of("c1", call_sid="CA1", followed_by="c1:1", dialling_at=datetime.now(UTC))
    await house.store.add(record)
    monkeypatch.setattr(house.agent._dialler, "news", away)
    with pytest.raises(ConnectionError):
        await house.answer("c1", "CA1")
    await until(lambda: not house.agent.active_calls.slots)


async def test_a_line_that_is_held_outlives_its_token(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    twiml = await house.answer(None, "CA9")
    _, streaming = house.connect(twiml, "CA9")
    await until(lambda: bool(QuietCall.made))
    (slot,) = house.agent.active_calls.slots

    async def never() -> None:
        raise AssertionError("the call is on the line")

    house.agent.active_calls.release_after(slot, 0.0, never)
    assert slot.expiry is not None
    await slot.expiry
    assert house.lines == 1
    await house.agent.hang_ups.hang_up(slot.plan.call_id)
    await streaming
    assert house.lines == 0


async def test_a_ring_that_nobody_tells_the_end_of_is_asked_about(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The carrier's callbacks are lost: the tunnel was down."""
    monkeypatch.setattr(following_module, "LOST_CALLBACK_SECONDS", -4.9)
    house.carrier.known = {"CA1": CarrierCall("CA1", Status.NO_ANSWER)}
    call = await house.agent.placing.place(SPEC)
    record = await ended(house, call.call_id)
    assert (record.status, record.ended_reason) == (Status.NO_ANSWER, EndedReason.DIAL_NO_ANSWER)
    await until(lambda: house.lines == 0)


def at_once(house: House, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    """Every wait of a slot is over at once."""
    board = house.agent.active_calls
    release_after = board.release_after

    def soon(slot: Any, seconds: float, then: Callable[[], Awaitable[None]]) -> None:
        waits.append(seconds)
        release_after(slot, 0.0, then)

    monkeypatch.setattr(board, "release_after", soon)


# -- registered calls -------------------------------------------------------------------------------------


async def test_a_registered_call_takes_a_line_when_it_is_answered(house: House) -> None:
    registered = await house.agent.registrations.register(SPEC)
    assert house.lines == 0
    placed = [await house.agent.placing.place(SPEC)]
    also = await house.agent.registrations.register(SPEC)
    await house.answer(also.call_id, "CA7")
    assert house.lines == 2, "a call that was answered may exceed the lines for new ones, up to the ceiling"
    turned_away = await house.answer(registered.call_id, "CA8")
    assert "<Hangup" in turned_away
    assert (await house.record(registered.call_id)).status is Status.BUSY
    await house.tell(placed[0].call_sid or "", Status.NO_ANSWER)
    await house.tell("CA7", Status.COMPLETED)
    again = await house.agent.registrations.register(SPEC)
    twiml = await house.answer(again.call_id, "CA9")
    assert house.lines == 1
    socket, streaming = house.connect(twiml, "CA9")
    await until(lambda: bool(QuietCall.made))
    await house.agent.hang_ups.hang_up(again.call_id)
    await streaming
    record = await house.record(again.call_id)
    assert (record.call_sid, record.status) == ("CA9", Status.COMPLETED)
    assert socket.closed_with is not None or house.carrier.hung_up == ["CA9"]


async def test_a_registered_call_that_nobody_dials_expires(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    at_once(house, monkeypatch, waits)
    registered = await house.agent.registrations.register(SPEC)
    await until(lambda: not house.agent.active_calls.slots)
    assert waits == [REGISTRATION_SECONDS]

    async def canceled() -> bool:
        return (await house.record(registered.call_id)).status is Status.CANCELED

    while not await canceled():  # noqa: ASYNC110  # written by the slot's own task
        await asyncio.sleep(0.002)
    assert "<Hangup" in await house.answer(registered.call_id, "CA9"), "too late"


# -- hang-ups ---------------------------------------------------------------------------------------------


async def test_a_hang_up_while_it_rings(house: House) -> None:
    call = await house.agent.placing.place(SPEC)
    record = await house.agent.hang_ups.hang_up(call.call_id)
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.CANCELED)
    assert house.carrier.hung_up == ["CA1"]
    assert house.agent.active_calls.slots == []
    with pytest.raises(ConflictError):
        await house.agent.hang_ups.hang_up(call.call_id)
    assert "<Hangup" in await house.answer(call.call_id, "CA1"), "it was picked up all the same"


async def test_a_hang_up_that_the_carrier_refuses_can_be_repeated(house: House) -> None:
    call = await house.agent.placing.place(SPEC)
    house.carrier.failures["hang_up"] = refusal()
    for _ in range(2):
        with pytest.raises(CarrierError):
            await house.agent.hang_ups.hang_up(call.call_id)
        assert not (await house.record(call.call_id)).status.final, "its phone rings on"
    house.carrier.failures.clear()
    record = await house.agent.hang_ups.hang_up(call.call_id)
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.CANCELED)
    assert house.carrier.hung_up == ["CA1"] * 3
    assert house.agent.active_calls.slots == []


async def test_a_hang_up_while_the_carrier_is_asked(house: House) -> None:
    house.carrier.may_answer.clear()
    placing = asyncio.create_task(house.agent.placing.place(SPEC))
    await house.carrier.dialling.wait()
    await house.agent.hang_ups.hang_up((await house.the_record()).call_id)
    house.carrier.may_answer.set()
    record = await placing
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.CANCELED)
    assert house.carrier.hung_up == ["CA1"]
    assert house.agent.active_calls.slots == []


async def test_a_hang_up_while_the_carrier_is_asked_is_repeated_until_it_is_done(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialler_module, "HANG_UP_AGAIN_SECONDS", 0.01)
    house.carrier.failures["hang_up"] = refusal()
    house.carrier.may_answer.clear()
    placing = asyncio.create_task(house.agent.placing.place(SPEC))
    await house.carrier.dialling.wait()
    await house.agent.hang_ups.hang_up((await house.the_record()).call_id)
    house.carrier.may_answer.set()
    await until(lambda: len(house.carrier.hung_up) == 2)
    house.carrier.failures.clear()
    tried = len(house.carrier.hung_up)
    record = await placing
    assert record.status is Status.CANCELED
    assert len(house.carrier.hung_up) <= tried + 1, "once it is done it is not asked again"


async def test_a_hang_up_between_the_answer_and_the_media_socket(house: House) -> None:
    call = await house.agent.placing.place(SPEC)
    twiml = await house.answer(call.call_id, "CA1")
    record = await house.agent.hang_ups.hang_up(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.AGENT_HANGUP)
    assert house.carrier.hung_up == ["CA1"]
    assert house.lines == 0
    socket, streaming = house.connect(twiml, "CA1")
    await streaming
    assert socket.closed_with == UNAUTHORIZED_CLOSE, "the call is over"
    assert QuietCall.made == []


async def test_a_hang_up_while_the_call_is_prepared(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    board, may_go = house.agent.active_calls, asyncio.Event()
    prepared = board.prepared

    async def slow(*given: Any) -> Any:
        await may_go.wait()
        return await prepared(*given)

    monkeypatch.setattr(board, "prepared", slow)
    call = await house.agent.placing.place(SPEC)
    _, streaming = house.connect(await house.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: any(slot.holding is not None for slot in board.slots))
    await house.agent.hang_ups.hang_up(call.call_id)
    may_go.set()
    await streaming
    record = await house.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.AGENT_HANGUP)
    assert house.carrier.hung_up == ["CA1"]
    assert house.lines == 0


async def test_a_hang_up_on_the_line(house: House) -> None:
    call = await house.agent.placing.place(SPEC)
    _, streaming = house.connect(await house.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    await house.agent.hang_ups.hang_up(call.call_id)
    await streaming
    record = await house.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.AGENT_HANGUP)
    assert house.carrier.hung_up == ["CA1"]
    assert house.agent.active_calls.slots == []


async def test_a_second_media_socket_does_not_take_over_a_call(house: House) -> None:
    """A voice webhook that the carrier sends twice gives two tokens."""
    call = await house.agent.placing.place(SPEC)
    first, second = await house.answer(call.call_id, "CA1"), await house.answer(call.call_id, "CA1")
    _, streaming = house.connect(first, "CA1")
    await until(lambda: bool(QuietCall.made))
    socket, late = house.connect(second, "CA1")
    await until(lambda: socket.closed_with is not None or len(QuietCall.made) > 1)
    assert len(QuietCall.made) == 1
    assert socket.closed_with == UNAUTHORIZED_CLOSE
    await late
    await house.agent.hang_ups.hang_up(call.call_id)
    await streaming


async def on_the_line(house: House) -> tuple[CallRecord, QuietCall, asyncio.Task[None]]:
    """A call that was answered and is held, and its media stream."""
    call = await house.agent.placing.place(SPEC)
    _, streaming = house.connect(await house.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    (held,) = QuietCall.made
    return call, held, streaming


async def test_a_call_that_expects_a_stream_goes_on_on_it(house: House) -> None:
    call, held, streaming = await on_the_line(house)
    held.expects_stream = True
    address = await house.agent._ingress.stream(call.call_id, 10)
    assert address.url == f"{ORIGIN.replace('http', 'ws', 1)}{MEDIA_PATH}"
    socket, again = house.connect(twiml.render(ConnectStream(address)), "CA1")
    await until(lambda: bool(held.attached))
    assert not again.done(), "the socket is held open until the stream is over"
    await house.agent.hang_ups.hang_up(call.call_id)
    await asyncio.gather(streaming, again)
    assert socket.closed_with is None, "the route closes it"
    assert len(QuietCall.made) == 1


async def test_a_final_word_of_the_carrier_reaches_a_call_between_two_streams(house: House) -> None:
    call, held, streaming = await on_the_line(house)
    await house.tell("CA1", Status.IN_PROGRESS)
    assert not held.told_over
    await house.tell("CA1", Status.COMPLETED)
    assert held.told_over
    await house.agent.hang_ups.hang_up(call.call_id)
    await streaming


async def test_a_callee_who_hung_up_while_they_were_dialled_on_is_known_without_a_status(house: House) -> None:
    call, held, streaming = await on_the_line(house)
    for form in ({"CallSid": "CA1", "CallStatus": "in-progress"}, {"CallSid": "CA2", "CallStatus": "completed"}):
        await house.agent.carrier_events.handle(webhook("/transfer/t/dialled", form))
        assert not held.told_over
    form = {"CallSid": "CA1", "CallStatus": "completed"}
    await house.agent.carrier_events.handle(webhook("/transfer/t/dialled", form))
    assert held.told_over
    await house.agent.hang_ups.hang_up(call.call_id)
    await streaming


async def test_webhooks_of_a_transfer_are_signed_and_an_unknown_one_is_hung_up(house: House) -> None:
    handle = house.agent.carrier_events.handle
    with pytest.raises(ForbiddenError):
        await handle(webhook("/transfer/nobody/answered", {}, "forged"))
    assert "<Hangup" in (await handle(webhook("/transfer/nobody/answered", {}))).body
    assert not (await handle(webhook("/transfer/nobody/status", {}))).body
