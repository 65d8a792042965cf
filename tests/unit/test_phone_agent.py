"""The life of a call at the carrier, the store and the switchboard, wherever it is cut short."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from bot import front_desk as module
from bot import hold as hold_module
from bot import opening
from bot import public_url as public
from bot import switchboard as switchboard_module
from bot.api.answers import as_event
from bot.audio import Speech
from bot.carrier_news import REGISTERED
from bot.dialling import following as following_module
from bot.doors import AMD_PATH, HANDSHAKE_SECONDS, MEDIA_PATH, UNAUTHORIZED_CLOSE, VOICE_PATH
from bot.errors import BusyError, CarrierError, ConflictError, DialUnconfirmedError, ForbiddenError, SettingsError
from bot.idempotency import Asked
from bot.phone_agent import PhoneAgent
from bot.records import CallRecord, CallSpec, Direction, EndedReason, Status
from bot.scenario import Scenario, Scenarios
from bot.scenario_parts import Limits, Opening, Pickup
from bot.settings import Settings
from bot.stages.resources import Resources
from bot.store import CallChange, Database
from bot.store.address import SqliteAddress
from bot.telephony import twiml
from bot.telephony.carrier import CarrierCall
from bot.terms import HoursTerms, Terms, Weekday
from tests.busy import ANY_LAG_MS
from tests.unit.calls_in_memory import SIGNED, NotingCarrier, QuietCall, ShakyStore, media_socket, refusal
from tests.unit.stages.conversation import until
from tests.unit.stages.memory_socket import MemorySocket

TO = "+12025550123"
SPEC = CallSpec(TO, "appointment_confirmation")
ORIGIN = "https://bot.example.com"
SCENARIOS = tuple(
    Scenario(
        name=name, description="d", instructions="i", opening=Opening(text="Hi."), limits=Limits(ring_seconds=5)
    )
    for name in ("appointment_confirmation", "inbound_reception")
)


class QuietResources(Resources):
    """Loads nothing."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class House:
    agent: PhoneAgent
    carrier: NotingCarrier
    store: ShakyStore

    async def record(self, call_id: str) -> CallRecord:
        record = await self.store.get(call_id)
        assert record is not None
        return record

    async def the_record(self) -> CallRecord:
        (call,) = (await self.store.page()).calls
        return await self.record(call.call_id)

    async def answer(self, call_id: str | None, call_sid: str, **form: str) -> str:
        """The voice webhook's TwiML."""
        query = f"?call_id={call_id}" if call_id else ""
        fields = {"CallSid": call_sid, "From": "+12025550199", "To": "+12025550100", **form}
        return await self.agent.voice_webhook(f"{VOICE_PATH}{query}", fields, SIGNED)

    async def tell(self, call_sid: str, status: Status) -> None:
        form = {"CallSid": call_sid, "CallStatus": status.value}
        await self.agent.status_webhook("/api/phone/twilio/status", form, SIGNED)

    def connect(self, twiml: str, call_sid: str) -> tuple[MemorySocket, asyncio.Task[None]]:
        """The media stream that the TwiML asks for."""
        socket = media_socket(token_of(twiml), call_sid)
        return socket, asyncio.create_task(self.agent.media_stream(socket, MEDIA_PATH, SIGNED, None))

    @property
    def lines(self) -> int:
        return self.agent.switchboard.lines_taken


def token_of(twiml: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', twiml)
    assert found is not None, twiml
    return found.group(1)


def settings(tmp_path: Path, **changes: Any) -> Settings:
    fields: dict[str, Any] = {
        "twilio_account_sid": "AC1",
        "twilio_auth_token": SecretStr("secret"),
        "deepgram_api_key": SecretStr("d"),
        "anthropic_api_key": SecretStr("a"),
        "elevenlabs_api_key": SecretStr("e"),
        "elevenlabs_voice_id": "v",
        "public_host": ORIGIN,
        "api_keys": (SecretStr("key"),),
        "data_dir": tmp_path,
        "max_calls": 1,
        "max_loop_lag_ms": ANY_LAG_MS,
        "host": "127.0.0.1",
        **changes,
    }
    return Settings(_env_file=None, **fields)


def build(tmp_path: Path, scenarios: tuple[Scenario, ...] = SCENARIOS, **changes: Any) -> House:
    chosen = settings(tmp_path, **changes)
    store, carrier = ShakyStore(Database(SqliteAddress(tmp_path / "calls.db"))), NotingCarrier()
    agent = PhoneAgent(chosen, Scenarios(scenarios), QuietResources(chosen), store, carrier, present=as_event)
    return House(agent, carrier, store)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    async def speak(*_: Any, recital: opening.Recital | None = None, **__: Any) -> Speech:
        recital = recital or opening.Recital()
        recital.add(Speech("Hi.", bytes(160)))
        return recital.speech()

    monkeypatch.setattr(opening, "speak", speak)
    monkeypatch.setattr(switchboard_module, "build_services", lambda *_: object())
    monkeypatch.setattr(QuietCall, "made", [], raising=False)
    monkeypatch.setattr(hold_module, "Call", QuietCall)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = build(tmp_path)
    await house.agent.open()
    yield house
    house.store.failures = {}
    house.carrier.failures = {}
    async with asyncio.timeout(10):
        await house.agent.close()


# -- a line that nobody comes to --------------------------------------------------------------------------


async def test_an_answered_call_whose_media_never_comes_frees_its_line(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    house.agent.on_ended = ended.append
    waits: list[float] = []
    at_once(house, monkeypatch, waits)
    await house.answer(None, "CA9")
    await until(lambda: bool(ended))
    record = await house.the_record()
    assert waits == [5 + HANDSHAKE_SECONDS], "the life of the token, and the socket's own patience"
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.ERROR_LINE)
    assert ended == [record.call_id]
    assert house.agent.switchboard.seats == []


async def test_an_answer_that_the_store_refuses_does_not_keep_the_line(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(house, monkeypatch, [])
    house.store.failures = {"issue_token": OSError("disk full")}
    with pytest.raises(OSError, match="disk full"):
        await house.answer(None, "CA9")
    await until(lambda: not house.agent.switchboard.seats)


async def test_a_line_that_is_held_outlives_its_token(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    twiml = await house.answer(None, "CA9")
    _, streaming = house.connect(twiml, "CA9")
    await until(lambda: bool(QuietCall.made))
    (seat,) = house.agent.switchboard.seats

    async def never() -> None:
        raise AssertionError("the call is on the line")

    house.agent.switchboard.release_after(seat, 0.0, never)
    assert seat.expiry is not None
    await seat.expiry
    assert house.lines == 1
    await house.agent.hang_up(seat.plan.call_id)
    await streaming
    assert house.lines == 0


async def test_a_ring_that_nobody_tells_the_end_of_is_asked_about(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The carrier's callbacks are lost: the tunnel was down."""
    monkeypatch.setattr(following_module, "LOST_CALLBACK_SECONDS", -4.9)
    house.carrier.known = {"CA1": CarrierCall("CA1", Status.NO_ANSWER)}
    call = await house.agent.place_call(SPEC)
    record = await ended(house, call.call_id)
    assert (record.status, record.ended_reason) == (Status.NO_ANSWER, EndedReason.DIAL_NO_ANSWER)
    await until(lambda: house.lines == 0)


async def ended(house: House, call_id: str) -> CallRecord:
    """The record once it has a final status."""
    async with asyncio.timeout(10):
        while not (record := await house.record(call_id)).status.final:  # noqa: ASYNC110  # a store has no event
            await asyncio.sleep(0.02)
    return record


def at_once(house: House, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    """Every wait of a seat is over at once."""
    board = house.agent.switchboard
    release_after = board.release_after

    def soon(seat: Any, seconds: float, then: Callable[[], Awaitable[None]]) -> None:
        waits.append(seconds)
        release_after(seat, 0.0, then)

    monkeypatch.setattr(board, "release_after", soon)


# -- registered calls -------------------------------------------------------------------------------------


async def test_a_registered_call_takes_a_line_when_it_is_answered(house: House) -> None:
    registered = await house.agent.register_call(SPEC)
    assert house.lines == 0
    placed = [await house.agent.place_call(SPEC)]
    also = await house.agent.register_call(SPEC)
    await house.answer(also.call_id, "CA7")
    assert house.lines == 2, "a call that was answered may exceed the lines for new ones, up to the ceiling"
    turned_away = await house.answer(registered.call_id, "CA8")
    assert "<Hangup" in turned_away
    assert (await house.record(registered.call_id)).status is Status.BUSY
    await house.tell(placed[0].call_sid or "", Status.NO_ANSWER)
    await house.tell("CA7", Status.COMPLETED)
    again = await house.agent.register_call(SPEC)
    twiml = await house.answer(again.call_id, "CA9")
    assert house.lines == 1
    socket, streaming = house.connect(twiml, "CA9")
    await until(lambda: bool(QuietCall.made))
    await house.agent.hang_up(again.call_id)
    await streaming
    record = await house.record(again.call_id)
    assert (record.call_sid, record.status) == ("CA9", Status.COMPLETED)
    assert socket.closed_with is not None or house.carrier.hung_up == ["CA9"]


async def test_a_registered_call_that_nobody_dials_expires(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    at_once(house, monkeypatch, waits)
    registered = await house.agent.register_call(SPEC)
    await until(lambda: not house.agent.switchboard.seats)
    assert waits == [module.REGISTRATION_SECONDS]

    async def canceled() -> bool:
        return (await house.record(registered.call_id)).status is Status.CANCELED

    while not await canceled():  # noqa: ASYNC110  # written by the seat's own task
        await asyncio.sleep(0.002)
    assert "<Hangup" in await house.answer(registered.call_id, "CA9"), "too late"


# -- hang-ups ---------------------------------------------------------------------------------------------


async def test_a_hang_up_while_it_rings(house: House) -> None:
    call = await house.agent.place_call(SPEC)
    record = await house.agent.hang_up(call.call_id)
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.CANCELED)
    assert house.carrier.hung_up == ["CA1"]
    assert house.agent.switchboard.seats == []
    with pytest.raises(ConflictError):
        await house.agent.hang_up(call.call_id)
    assert "<Hangup" in await house.answer(call.call_id, "CA1"), "it was picked up all the same"


async def test_a_hang_up_that_the_carrier_refuses_frees_the_line(house: House) -> None:
    call = await house.agent.place_call(SPEC)
    house.carrier.failures["hang_up"] = refusal()
    with pytest.raises(CarrierError):
        await house.agent.hang_up(call.call_id)
    assert house.agent.switchboard.seats == []
    assert (await house.record(call.call_id)).status is Status.CANCELED


async def test_a_hang_up_while_the_carrier_is_asked(house: House) -> None:
    house.carrier.may_answer.clear()
    placing = asyncio.create_task(house.agent.place_call(SPEC))
    await house.carrier.dialling.wait()
    await house.agent.hang_up((await house.the_record()).call_id)
    house.carrier.may_answer.set()
    record = await placing
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.CANCELED)
    assert house.carrier.hung_up == ["CA1"]
    assert house.agent.switchboard.seats == []


async def test_a_hang_up_between_the_answer_and_the_media_socket(house: House) -> None:
    call = await house.agent.place_call(SPEC)
    twiml = await house.answer(call.call_id, "CA1")
    record = await house.agent.hang_up(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.AGENT_HANGUP)
    assert house.carrier.hung_up == ["CA1"]
    assert house.lines == 0
    socket, streaming = house.connect(twiml, "CA1")
    await streaming
    assert socket.closed_with == UNAUTHORIZED_CLOSE, "the call is over"
    assert QuietCall.made == []


async def test_a_hang_up_while_the_call_is_prepared(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    board, may_go = house.agent.switchboard, asyncio.Event()
    prepared = board.prepared

    async def slow(*given: Any) -> Any:
        await may_go.wait()
        return await prepared(*given)

    monkeypatch.setattr(board, "prepared", slow)
    call = await house.agent.place_call(SPEC)
    _, streaming = house.connect(await house.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: any(seat.holding is not None for seat in board.seats))
    await house.agent.hang_up(call.call_id)
    may_go.set()
    await streaming
    record = await house.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.AGENT_HANGUP)
    assert house.carrier.hung_up == ["CA1"]
    assert house.lines == 0


async def test_a_hang_up_on_the_line(house: House) -> None:
    call = await house.agent.place_call(SPEC)
    _, streaming = house.connect(await house.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    await house.agent.hang_up(call.call_id)
    await streaming
    record = await house.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.AGENT_HANGUP)
    assert house.carrier.hung_up == ["CA1"]
    assert house.agent.switchboard.seats == []


async def test_a_second_media_socket_does_not_take_over_a_call(house: House) -> None:
    """A voice webhook that the carrier sends twice gives two tokens."""
    call = await house.agent.place_call(SPEC)
    first, second = await house.answer(call.call_id, "CA1"), await house.answer(call.call_id, "CA1")
    _, streaming = house.connect(first, "CA1")
    await until(lambda: bool(QuietCall.made))
    socket, late = house.connect(second, "CA1")
    await until(lambda: socket.closed_with is not None or len(QuietCall.made) > 1)
    assert len(QuietCall.made) == 1
    assert socket.closed_with == UNAUTHORIZED_CLOSE
    await late
    await house.agent.hang_up(call.call_id)
    await streaming


async def test_a_call_that_expects_a_stream_goes_on_on_it(house: House) -> None:
    call = await house.agent.place_call(SPEC)
    _, streaming = house.connect(await house.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    (held,) = QuietCall.made
    held.expects_stream = True
    door = await house.agent._doors.stream(call.call_id, 10)
    assert door.url == f"{ORIGIN.replace('http', 'ws', 1)}{MEDIA_PATH}"
    socket, again = house.connect(twiml.connect_stream(door.url, door.parameters), "CA1")
    await until(lambda: bool(held.attached))
    assert not again.done(), "the socket is held open until the stream is over"
    await house.agent.hang_up(call.call_id)
    await asyncio.gather(streaming, again)
    assert socket.closed_with is None, "the door closes it behind us"
    assert len(QuietCall.made) == 1


async def test_a_final_word_of_the_carrier_reaches_a_call_between_two_streams(house: House) -> None:
    call = await house.agent.place_call(SPEC)
    _, streaming = house.connect(await house.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    (held,) = QuietCall.made
    await house.tell("CA1", Status.IN_PROGRESS)
    assert not held.told_over
    await house.tell("CA1", Status.COMPLETED)
    assert held.told_over
    await house.agent.hang_up(call.call_id)
    await streaming


async def test_a_callee_who_hung_up_while_they_were_dialled_on_is_known_without_a_status(house: House) -> None:
    call = await house.agent.place_call(SPEC)
    _, streaming = house.connect(await house.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    (held,) = QuietCall.made
    path = urlsplit(await house.agent._doors.transfer_url("t", "dialled")).path
    for form in ({"CallSid": "CA1", "CallStatus": "in-progress"}, {"CallSid": "CA2", "CallStatus": "completed"}):
        await house.agent.transfer_webhook(path, form, SIGNED, token="t", step="dialled")
        assert not held.told_over
    form = {"CallSid": "CA1", "CallStatus": "completed"}
    await house.agent.transfer_webhook(path, form, SIGNED, token="t", step="dialled")
    assert held.told_over
    await house.agent.hang_up(call.call_id)
    await streaming


async def test_webhooks_of_a_transfer_are_signed_and_an_unknown_one_is_hung_up(house: House) -> None:
    path = urlsplit(await house.agent._doors.transfer_url("nobody", "answered")).path
    with pytest.raises(ForbiddenError):
        await house.agent.transfer_webhook(path, {}, "forged", token="nobody", step="answered")
    answer = await house.agent.transfer_webhook(path, {}, SIGNED, token="nobody", step="answered")
    assert "<Hangup" in answer
    assert not await house.agent.transfer_webhook(path, {}, SIGNED, token="nobody", step="status")


# -- dialling ---------------------------------------------------------------------------------------------


async def test_a_store_that_keeps_nothing_places_no_call(house: House) -> None:
    house.store.failures = {"add": OSError("disk full")}
    with pytest.raises(OSError, match="disk full"):
        await house.agent.place_call(SPEC)
    assert house.carrier.dialled == []
    assert house.agent.switchboard.seats == []


@pytest.mark.parametrize(
    ("error", "shown"), [(refusal("unverified number"), CarrierError), (RuntimeError("a bug"), ConflictError)]
)
async def test_a_dial_that_fails_frees_the_line_and_closes_the_record(
    house: House, error: Exception, shown: type[Exception]
) -> None:
    house.carrier.failures["dial"] = error
    with pytest.raises(shown):
        await house.agent.place_call(SPEC)
    assert house.agent.switchboard.seats == []
    record = await house.the_record()
    assert (record.status, record.ended_reason) == (Status.FAILED, EndedReason.DIAL_FAILED)
    assert record.error


async def test_a_store_that_fails_after_the_dial_dials_no_second_time(house: House) -> None:
    update = house.store.update

    async def shaky(call_id: str, change: CallChange) -> bool:
        if change.call_sid is not None and not house.carrier.recent:
            house.carrier.recent = [CarrierCall("CA1", Status.RINGING)]
            raise OSError("disk full")
        return await update(call_id, change)

    house.store.update = shaky  # type: ignore[method-assign]
    record = await house.agent.place_call(SPEC)
    assert (record.call_sid, record.status) == ("CA1", Status.INITIATED)
    assert len(house.carrier.dialled) == 1
    assert house.lines == 1


async def test_an_unconfirmed_dial_adopts_the_call_it_made(house: House) -> None:
    house.carrier.failures["dial"] = DialUnconfirmedError("no answer", provider="twilio")
    taken = record_of("call-old", call_sid="CA70", followed_by=REGISTERED)
    await house.store.add(taken)
    house.carrier.recent = [CarrierCall("CA70", Status.RINGING), CarrierCall("CA71", Status.RINGING)]
    record = await house.agent.place_call(SPEC)
    assert (record.call_sid, record.status) == ("CA71", Status.INITIATED)
    assert house.lines == 1
    assert len(house.carrier.dialled) == 1, "never twice"


async def test_an_unconfirmed_dial_without_a_call_fails(house: House) -> None:
    house.carrier.failures["dial"] = DialUnconfirmedError("no answer", provider="twilio")
    with pytest.raises(DialUnconfirmedError):
        await house.agent.place_call(SPEC)
    assert house.lines == 0
    assert (await house.the_record()).status is Status.FAILED


async def test_all_lines_taken_queues_the_call_or_refuses_who_does_not_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOLD_SECONDS", 0.5)
    first = await house.agent.place_call(SPEC)
    with pytest.raises(BusyError):
        await house.agent.place_call(SPEC, Terms(wait=False))
    waits = await house.agent.place_call(SPEC)
    assert waits.status is Status.QUEUED
    assert len(house.carrier.dialled) == 1
    await house.tell(first.call_sid or "", Status.NO_ANSWER)
    await until(lambda: len(house.carrier.dialled) == 2)
    assert (await house.agent.get_call(waits.call_id)).attempt == 1


async def test_who_does_not_wait_is_told_that_it_is_outside_of_the_calling_hours(house: House) -> None:
    now = datetime.now(UTC)
    hours = HoursTerms(days=tuple(day for n, day in enumerate(Weekday) if n == (now.weekday() + 3) % 7))
    with pytest.raises(BusyError) as refused:
        await house.agent.place_call(SPEC, Terms(wait=False, hours=hours, time_zone="UTC"))
    assert refused.value.code == "outside_calling_hours"
    assert refused.value.retry_after_seconds > 86_400
    assert house.carrier.dialled == []


async def test_an_idempotency_key_is_one_call(house: House) -> None:
    first = await house.agent.place_call(SPEC, asked=Asked("k", "a", "1"))
    again = await house.agent.place_call(SPEC, asked=Asked("k", "a", "1"))
    assert (again.call_id, again.call_sid) == (first.call_id, "CA1")
    with pytest.raises(ConflictError) as caught:
        await house.agent.place_call(SPEC, asked=Asked("k", "a", "2"))
    assert caught.value.code == "idempotency_key_reused"
    assert len(house.carrier.dialled) == 1
    await house.tell("CA1", Status.NO_ANSWER)
    other = await house.agent.place_call(SPEC, asked=Asked("another", "a", "2"))
    assert other.call_id != first.call_id


async def test_one_key_asked_at_once_from_many_sides_is_one_call(house: House) -> None:
    sent = [house.agent.place_call(SPEC, asked=Asked(None, "a", "1" if n % 2 else "2")) for n in range(6)]
    found = await asyncio.gather(*sent, return_exceptions=True)
    placed = [each for each in found if isinstance(each, CallRecord)]
    refused = [each for each in found if isinstance(each, ConflictError)]
    assert (len(placed), len(refused)) == (3, 3)
    assert len({call.call_id for call in placed}) == 1
    assert len(house.carrier.dialled) == 1


async def test_a_refusal_of_the_carrier_is_repeated_with_the_key(house: House) -> None:
    house.carrier.failures["dial"] = refusal("unverified number")
    for _ in range(2):
        with pytest.raises(CarrierError, match="unverified number"):
            await house.agent.place_call(SPEC, asked=Asked(None, "a", "1"))
    assert len(house.carrier.dialled) == 1


# -- doors ------------------------------------------------------------------------------------------------


async def test_a_tunnel_that_appears_later_does_not_open_the_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(tmp_path, api_keys=(), public_host=None)
    tunnel: list[str] = []

    async def find(_: Settings) -> str | None:
        return tunnel[-1] if tunnel else None

    monkeypatch.setattr(public, "find", find)
    await house.agent.open()
    with pytest.raises(SettingsError, match="PUBLIC_HOST"):
        await house.agent.place_call(SPEC)
    tunnel.append("https://abc.ngrok.app")
    for _ in range(3):
        with pytest.raises(SettingsError, match="API_KEYS"):
            await house.agent.place_call(SPEC)
        with pytest.raises(SettingsError, match="API_KEYS"):
            await house.answer(None, "CA1")
    assert house.carrier.dialled == []
    await house.agent.close()


async def test_an_open_door_without_keys_keeps_the_server_from_starting(tmp_path: Path) -> None:
    house = build(tmp_path, api_keys=())
    with pytest.raises(SettingsError, match="API_KEYS"):
        await house.agent.open()


# -- what a former process left open ----------------------------------------------------------------------


def record_of(call_id: str, *, age: float = 60.0, **fields: Any) -> CallRecord:
    created = datetime.now(UTC) - timedelta(seconds=age)
    return CallRecord(call_id, SPEC, Direction.OUTBOUND, Status.QUEUED, created, **fields)


async def restarted(tmp_path: Path, carrier: Callable[[NotingCarrier], None], *left: CallRecord) -> House:
    """A server that starts with these calls in its database, which a process left that died at once."""
    house = build(tmp_path)
    carrier(house.carrier)
    await house.store.open()
    for record in left:
        await house.store.add(replace(record, status=Status.QUEUED))
        if record.status is not Status.QUEUED:
            await house.store.advance(record.call_id, record.status, at=record.created_at)
    await house.store.close()
    await house.agent.open()
    return house


async def test_a_carrier_that_refuses_does_not_stop_the_start(tmp_path: Path) -> None:
    def refuses(carrier: NotingCarrier) -> None:
        carrier.failures["fetch"] = refusal()

    left = [replace(record_of(f"call-{n}", call_sid=f"CA{n}"), status=Status.RINGING) for n in range(20)]
    house = await restarted(tmp_path, refuses, *left)
    assert house.agent.health().ready
    assert (await house.record("call-1")).status is Status.RINGING, "still to be settled"
    house.carrier.failures.clear()
    await house.agent.close()


async def test_a_registered_call_outlives_a_restart_while_it_is_young(tmp_path: Path) -> None:
    house = await restarted(tmp_path, lambda _: None, record_of("call-young", followed_by=REGISTERED))
    assert (await house.record("call-young")).status is Status.QUEUED
    assert house.carrier.dialled == []
    assert "<Connect" in await house.answer("call-young", "CA5")
    await house.agent.close()


async def test_a_call_that_was_on_the_line_is_hung_up_and_completed(tmp_path: Path) -> None:
    def knows(carrier: NotingCarrier) -> None:
        carrier.known = {
            "CA1": CarrierCall("CA1", Status.IN_PROGRESS),
            "CA2": CarrierCall("CA2", Status.NO_ANSWER),
            "CA3": CarrierCall("CA3", Status.COMPLETED, duration_seconds=31.0),
        }

    house = await restarted(
        tmp_path,
        knows,
        replace(record_of("call-1", call_sid="CA1"), status=Status.IN_PROGRESS),
        replace(record_of("call-2", call_sid="CA2"), status=Status.RINGING),
        replace(record_of("call-3", call_sid="CA3"), status=Status.IN_PROGRESS),
    )
    first, second, third = [await ended(house, f"call-{n}") for n in (1, 2, 3)]
    assert house.carrier.hung_up == ["CA1"]
    assert (first.status, first.ended_reason) == (Status.COMPLETED, EndedReason.SERVER_SHUTDOWN)
    assert (second.status, second.ended_reason) == (Status.NO_ANSWER, EndedReason.DIAL_NO_ANSWER)
    assert (third.status, third.duration_seconds) == (Status.COMPLETED, 31.0)
    await house.agent.close()


# -- the end of the server --------------------------------------------------------------------------------


@pytest.mark.parametrize("refused", [False, True])
async def test_the_end_of_the_server_stops_the_ringing(house: House, refused: bool) -> None:
    call = await house.agent.place_call(SPEC)
    if refused:
        house.carrier.failures["hang_up"] = refusal()
    async with asyncio.timeout(5):
        await house.agent.stop_calls()
    assert house.carrier.hung_up == ["CA1"]
    record = await house.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.SERVER_SHUTDOWN)
    kept = await house.agent.place_call(SPEC)
    assert (kept.status, len(house.carrier.dialled)) == (Status.QUEUED, 1), "for the next start"
    assert house.agent.health().why_not_ready == "shutting down"


async def test_a_call_that_is_being_dialled_at_the_end_does_not_ring_on(house: House) -> None:
    house.carrier.may_answer.clear()
    placing = asyncio.create_task(house.agent.place_call(SPEC))
    await house.carrier.dialling.wait()
    await house.agent.stop_calls()
    house.carrier.may_answer.set()
    record = await placing
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.SERVER_SHUTDOWN)
    assert house.carrier.hung_up == ["CA1"]


async def test_the_server_ends_although_its_store_is_away(house: House) -> None:
    await house.agent.place_call(SPEC)
    house.store.failures = {"advance": OSError("disk full")}
    async with asyncio.timeout(5):
        await house.agent.stop_calls()
    assert house.carrier.hung_up == ["CA1"]
    assert house.agent.switchboard.seats == []


async def test_the_end_of_the_server_ends_the_call_on_the_line(house: House) -> None:
    call = await house.agent.place_call(SPEC)
    _, streaming = house.connect(await house.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    async with asyncio.timeout(5):
        await house.agent.stop_calls()
    await streaming
    record = await house.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.SERVER_SHUTDOWN)
    assert cast(Any, QuietCall.made[0]).reason is EndedReason.SERVER_SHUTDOWN


async def test_an_end_that_cannot_be_kept_at_once_is_kept_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.wrap_up.KEPT_AGAIN_SECONDS", 0.05)
    call = await house.agent.place_call(SPEC)
    _, streaming = house.connect(await house.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    tried: list[int] = []
    advance = house.store.advance

    async def away(*given: Any, **named: Any) -> bool:
        tried.append(1)
        if len(tried) < 3:
            raise OSError("the database is away")
        return await advance(*given, **named)

    house.store.advance = away  # type: ignore[method-assign]
    await house.agent.hang_up(call.call_id)
    await streaming
    record = await house.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.AGENT_HANGUP)
    assert len(tried) == 3


async def test_an_end_that_is_never_kept_is_asked_of_the_carrier(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.wrap_up.KEPT_WITHIN_SECONDS", -1.0)
    call = await house.agent.place_call(SPEC)
    _, streaming = house.connect(await house.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    house.carrier.known = {"CA1": CarrierCall("CA1", Status.COMPLETED, duration_seconds=7.0)}
    failed: list[int] = []
    advance = house.store.advance

    async def away_once(*given: Any, **named: Any) -> bool:
        if not failed:
            failed.append(1)
            raise OSError("the database is away")
        return await advance(*given, **named)

    house.store.advance = away_once  # type: ignore[method-assign]
    await house.agent.hang_up(call.call_id)
    await streaming
    assert (await ended(house, call.call_id)).duration_seconds == 7.0


async def test_the_carrier_s_detection_reaches_its_call_also_when_it_comes_first(house: House) -> None:
    record = await house.agent.place_call(SPEC)
    order = house.carrier.dialled[0]
    assert order.amd_url is not None
    path = order.amd_url.removeprefix(ORIGIN)
    assert path == f"{AMD_PATH}?call_id={record.call_id}"
    with pytest.raises(ForbiddenError):
        await house.agent.amd_webhook(path, {"AnsweredBy": "human"}, "forged")
    await house.agent.amd_webhook(path, {"CallSid": "CA1", "AnsweredBy": "machine_start"}, SIGNED)
    _socket, serving = house.connect(await house.answer(record.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    (call,) = QuietCall.made
    assert call.answered_by == ["machine_start"]
    await house.agent.amd_webhook(AMD_PATH, {"CallSid": "CA1", "AnsweredBy": "machine_end_beep"}, SIGNED)
    assert call.answered_by == ["machine_start", "machine_end_beep"]
    await call.hang_up(EndedReason.AGENT_HANGUP)
    await serving
    await house.agent.amd_webhook(path, {"CallSid": "CA1", "AnsweredBy": "human"}, SIGNED)
    await house.agent.amd_webhook(AMD_PATH, {}, SIGNED)
    assert len(call.answered_by) == 2, "late, and of nobody"


async def test_nobody_is_asked_who_answers_where_the_scenario_does_not_want_to_know(tmp_path: Path) -> None:
    quiet = tuple(s.model_copy(update={"pickup": Pickup(amd=False)}) for s in SCENARIOS)
    house = build(tmp_path, scenarios=quiet)
    await house.agent.open()
    await house.agent.place_call(SPEC)
    assert house.carrier.dialled[0].amd_url is None
    await house.agent.close()
