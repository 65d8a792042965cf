"""A call as it is asked for: dialled once, queued, refused, adopted; and who may ask."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.calls import ingress
from bot.calls import placing as module
from bot.calls.carrier_events import REGISTERED
from bot.calls.idempotency import Asked
from bot.errors import BusyError, CarrierError, ConflictError, DialUnconfirmedError, SettingsError
from bot.policy import HoursTerms, Terms, Weekday
from bot.records import CallRecord, EndedReason, Status
from bot.settings import Settings
from bot.store import CallChange
from bot.telephony.carrier import CarrierCall
from tests.unit.calls.agent.agents import SPEC, AgentHarness, build, record_of
from tests.unit.calls.calls_in_memory import refusal
from tests.unit.pipeline.conversation import until

# -- dialling ---------------------------------------------------------------------------------------------


async def test_a_store_that_keeps_nothing_places_no_call(harness: AgentHarness) -> None:
    harness.store.failures = {"add": OSError("disk full")}
    with pytest.raises(OSError, match="disk full"):
        await harness.agent.placing.place(SPEC)
    assert harness.carrier.dialled == []
    assert harness.agent.active_calls.slots == []


@pytest.mark.parametrize(
    ("error", "shown"), [(refusal("unverified number"), CarrierError), (RuntimeError("a bug"), ConflictError)]
)
async def test_a_dial_that_fails_frees_the_line_and_closes_the_record(
    harness: AgentHarness, error: Exception, shown: type[Exception]
) -> None:
    harness.carrier.failures["dial"] = error
    with pytest.raises(shown):
        await harness.agent.placing.place(SPEC)
    assert harness.agent.active_calls.slots == []
    record = await harness.the_record()
    assert (record.status, record.ended_reason) == (Status.FAILED, EndedReason.DIAL_FAILED)
    assert record.error


async def test_a_store_that_fails_after_the_dial_dials_no_second_time(harness: AgentHarness) -> None:
    update = harness.store.update

    async def shaky(call_id: str, change: CallChange) -> bool:
        if change.call_sid is not None and not harness.carrier.recent:
            harness.carrier.recent = [CarrierCall("CA1", Status.RINGING)]
            raise OSError("disk full")
        return await update(call_id, change)

    harness.store.update = shaky  # type: ignore[method-assign]
    record = await harness.agent.placing.place(SPEC)
    assert (record.call_sid, record.status) == ("CA1", Status.INITIATED)
    assert len(harness.carrier.dialled) == 1
    assert harness.lines == 1


async def test_an_unconfirmed_dial_adopts_the_call_it_made(harness: AgentHarness) -> None:
    harness.carrier.failures["dial"] = DialUnconfirmedError("no answer", provider="twilio")
    taken = record_of("call-old", call_sid="CA70", followed_by=REGISTERED)
    await harness.store.add(taken)
    harness.carrier.recent = [CarrierCall("CA70", Status.RINGING), CarrierCall("CA71", Status.RINGING)]
    record = await harness.agent.placing.place(SPEC)
    assert (record.call_sid, record.status) == ("CA71", Status.INITIATED)
    assert harness.lines == 1
    assert len(harness.carrier.dialled) == 1, "never twice"


async def test_an_unconfirmed_dial_without_a_call_fails(harness: AgentHarness) -> None:
    harness.carrier.failures["dial"] = DialUnconfirmedError("no answer", provider="twilio")
    with pytest.raises(DialUnconfirmedError):
        await harness.agent.placing.place(SPEC)
    assert harness.lines == 0
    assert (await harness.the_record()).status is Status.FAILED


async def test_an_outage_of_the_carrier_is_its_own_error_and_no_second_dialling(harness: AgentHarness) -> None:
    """It answers 500 to the dial, and its list of calls is refused, too."""
    harness.carrier.failures["dial"] = DialUnconfirmedError("HTTP 500", provider="twilio", status=500)
    harness.carrier.failures["recent_calls"] = CarrierError("HTTP 405", provider="twilio", status=405)
    with pytest.raises(DialUnconfirmedError) as caught:
        await harness.agent.placing.place(SPEC)
    assert (caught.value.status, caught.value.retryable) == (500, True)
    assert len(harness.carrier.dialled) == 1
    assert (await harness.the_record()).status is Status.FAILED


async def test_all_lines_taken_queues_the_call_or_refuses_who_does_not_wait(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESULT_SECONDS", 0.5)
    first = await harness.agent.placing.place(SPEC)
    with pytest.raises(BusyError):
        await harness.agent.placing.place(SPEC, Terms(wait=False))
    waits = await harness.agent.placing.place(SPEC)
    assert waits.status is Status.QUEUED
    assert len(harness.carrier.dialled) == 1
    await harness.tell(first.call_sid or "", Status.NO_ANSWER)
    await until(lambda: len(harness.carrier.dialled) == 2)
    assert (await harness.agent.store.find(waits.call_id)).attempt == 1


async def test_who_does_not_wait_is_told_that_it_is_outside_of_the_calling_hours(harness: AgentHarness) -> None:
    now = datetime.now(UTC)
    hours = HoursTerms(days=tuple(day for n, day in enumerate(Weekday) if n == (now.weekday() + 3) % 7))
    with pytest.raises(BusyError) as refused:
        await harness.agent.placing.place(SPEC, Terms(wait=False, hours=hours, time_zone="UTC"))
    assert refused.value.code == "outside_calling_hours"
    assert refused.value.retry_after_seconds > 86_400
    assert harness.carrier.dialled == []


async def test_an_idempotency_key_is_one_call(harness: AgentHarness) -> None:
    first = await harness.agent.placing.place(SPEC, asked=Asked("k", "a", "1"))
    again = await harness.agent.placing.place(SPEC, asked=Asked("k", "a", "1"))
    assert (again.call_id, again.call_sid) == (first.call_id, "CA1")
    with pytest.raises(ConflictError) as caught:
        await harness.agent.placing.place(SPEC, asked=Asked("k", "a", "2"))
    assert caught.value.code == "idempotency_key_reused"
    assert len(harness.carrier.dialled) == 1
    await harness.tell("CA1", Status.NO_ANSWER)
    other = await harness.agent.placing.place(SPEC, asked=Asked("another", "a", "2"))
    assert other.call_id != first.call_id


async def test_one_key_asked_at_once_from_many_sides_is_one_call(harness: AgentHarness) -> None:
    sent = [harness.agent.placing.place(SPEC, asked=Asked(None, "a", "1" if n % 2 else "2")) for n in range(6)]
    found = await asyncio.gather(*sent, return_exceptions=True)
    placed = [each for each in found if isinstance(each, CallRecord)]
    refused = [each for each in found if isinstance(each, ConflictError)]
    assert (len(placed), len(refused)) == (3, 3)
    assert len({call.call_id for call in placed}) == 1
    assert len(harness.carrier.dialled) == 1


async def test_a_refusal_of_the_carrier_is_repeated_with_the_key(harness: AgentHarness) -> None:
    harness.carrier.failures["dial"] = refusal("unverified number")
    for _ in range(2):
        with pytest.raises(CarrierError, match="unverified number"):
            await harness.agent.placing.place(SPEC, asked=Asked(None, "a", "1"))
    assert len(harness.carrier.dialled) == 1


# -- the way to us -----------------------------------------------------------------------------------------------


async def test_a_tunnel_that_appears_later_does_not_open_the_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = build(tmp_path, api_keys=(), public_host=None)
    tunnel: list[str] = []

    async def find(_: Settings) -> str | None:
        return tunnel[-1] if tunnel else None

    monkeypatch.setattr(ingress, "find_public_url", find)
    await harness.agent.open()
    with pytest.raises(SettingsError, match="PUBLIC_HOST"):
        await harness.agent.placing.place(SPEC)
    tunnel.append("https://abc.ngrok.app")
    for _ in range(3):
        with pytest.raises(SettingsError, match="API_KEYS"):
            await harness.agent.placing.place(SPEC)
        with pytest.raises(SettingsError, match="API_KEYS"):
            await harness.answer(None, "CA1")
    assert harness.carrier.dialled == []
    await harness.agent.close()


async def test_an_open_door_without_keys_keeps_the_server_from_starting(tmp_path: Path) -> None:
    harness = build(tmp_path, api_keys=())
    with pytest.raises(SettingsError, match="API_KEYS"):
        await harness.agent.open()
