"""What a former process left open, and the end of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from loguru import logger

from bot.calls import agent as agent_module
from bot.calls.carrier_events import REGISTERED
from bot.conversation.scenario.parts import Pickup
from bot.errors import ForbiddenError
from bot.records import CallRecord, EndedReason, Status
from bot.telephony.carrier import CarrierCall, Detection
from tests.unit.calls.agent.agents import SCENARIOS, SPEC, AgentHarness, build, ended, record_of
from tests.unit.calls.calls_in_memory import NotingCarrier, QuietCall, refusal, webhook
from tests.unit.pipeline.conversation import until

# -- what a former process left open ----------------------------------------------------------------------


async def restarted(tmp_path: Path, carrier: Callable[[NotingCarrier], None], *left: CallRecord) -> AgentHarness:
    """A server that starts with these calls in its database, which a process left that died at once."""
    harness = build(tmp_path)
    carrier(harness.carrier)
    await harness.store.open()
    for record in left:
        await harness.store.add(replace(record, status=Status.QUEUED))
        if record.status is not Status.QUEUED:
            await harness.store.advance(record.call_id, record.status, at=record.created_at)
    await harness.store.close()
    await harness.agent.open()
    return harness


async def test_a_carrier_that_refuses_does_not_stop_the_start(tmp_path: Path) -> None:
    def refuses(carrier: NotingCarrier) -> None:
        carrier.failures["fetch"] = refusal()

    left = [replace(record_of(f"call-{n}", call_sid=f"CA{n}"), status=Status.RINGING) for n in range(20)]
    harness = await restarted(tmp_path, refuses, *left)
    assert harness.agent.health().ready
    assert (await harness.record("call-1")).status is Status.RINGING, "still to be settled"
    harness.carrier.failures.clear()
    await harness.agent.close()


async def test_a_database_that_is_away_is_a_line_in_the_log_at_each_look_for_orphans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "ORPHAN_LOOK_SECONDS", 0.01)
    lines: list[tuple[str, str]] = []
    sink = logger.add(lambda line: lines.append((line.record["level"].name, line.record["message"])))
    harness = build(tmp_path)
    harness.store.failures = {"orphans": ConnectionError("the database is away")}
    await harness.agent.open()
    await until(lambda: sum("cannot be looked for" in words for _, words in lines) > 1)
    harness.store.failures = {}
    await harness.agent.close()
    logger.remove(sink)
    assert [words for level, words in lines if level == "ERROR"] == []


async def test_a_registered_call_outlives_a_restart_while_it_is_young(tmp_path: Path) -> None:
    harness = await restarted(tmp_path, lambda _: None, record_of("call-young", followed_by=REGISTERED))
    assert (await harness.record("call-young")).status is Status.QUEUED
    assert harness.carrier.dialled == []
    assert "<Connect" in await harness.answer("call-young", "CA5")
    await harness.agent.close()


async def test_a_call_that_was_on_the_line_is_hung_up_and_completed(tmp_path: Path) -> None:
    def knows(carrier: NotingCarrier) -> None:
        carrier.known = {
            "CA1": CarrierCall("CA1", Status.IN_PROGRESS),
            "CA2": CarrierCall("CA2", Status.NO_ANSWER),
            "CA3": CarrierCall("CA3", Status.COMPLETED, duration_seconds=31.0),
        }

    harness = await restarted(
        tmp_path,
        knows,
        replace(record_of("call-1", call_sid="CA1"), status=Status.IN_PROGRESS),
        replace(record_of("call-2", call_sid="CA2"), status=Status.RINGING),
        replace(record_of("call-3", call_sid="CA3"), status=Status.IN_PROGRESS),
    )
    first, second, third = [await ended(harness, f"call-{n}") for n in (1, 2, 3)]
    assert harness.carrier.hung_up == ["CA1"]
    assert (first.status, first.ended_reason) == (Status.COMPLETED, EndedReason.SERVER_SHUTDOWN)
    assert (second.status, second.ended_reason) == (Status.NO_ANSWER, EndedReason.DIAL_NO_ANSWER)
    assert (third.status, third.duration_seconds) == (Status.COMPLETED, 31.0)
    await harness.agent.close()


# -- the end of the server --------------------------------------------------------------------------------


@pytest.mark.parametrize("refused", [False, True])
async def test_the_end_of_the_server_stops_the_ringing(harness: AgentHarness, refused: bool) -> None:
    call = await harness.agent.placing.place(SPEC)
    if refused:
        harness.carrier.failures["hang_up"] = refusal()
    async with asyncio.timeout(5):
        await harness.agent.stop_calls()
    assert harness.carrier.hung_up == ["CA1"]
    record = await harness.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.SERVER_SHUTDOWN)
    kept = await harness.agent.placing.place(SPEC)
    assert (kept.status, len(harness.carrier.dialled)) == (Status.QUEUED, 1), "for the next start"
    assert harness.agent.health().why_not_ready == "shutting down"


async def test_a_call_that_is_being_dialled_at_the_end_does_not_ring_on(harness: AgentHarness) -> None:
    harness.carrier.may_answer.clear()
    placing = asyncio.create_task(harness.agent.placing.place(SPEC))
    await harness.carrier.dialling.wait()
    await harness.agent.stop_calls()
    harness.carrier.may_answer.set()
    record = await placing
    assert (record.status, record.ended_reason) == (Status.CANCELED, EndedReason.SERVER_SHUTDOWN)
    assert harness.carrier.hung_up == ["CA1"]


async def test_the_server_ends_although_its_store_is_away(harness: AgentHarness) -> None:
    await harness.agent.placing.place(SPEC)
    harness.store.failures = {"advance": OSError("disk full")}
    async with asyncio.timeout(5):
        await harness.agent.stop_calls()
    assert harness.carrier.hung_up == ["CA1"]
    assert harness.agent.active_calls.slots == []


async def test_the_end_of_the_server_ends_the_call_on_the_line(harness: AgentHarness) -> None:
    call = await harness.agent.placing.place(SPEC)
    _, streaming = harness.connect(await harness.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    async with asyncio.timeout(5):
        await harness.agent.stop_calls()
    await streaming
    record = await harness.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.SERVER_SHUTDOWN)
    assert cast(Any, QuietCall.made[0]).reason is EndedReason.SERVER_SHUTDOWN


async def test_an_end_that_cannot_be_kept_at_once_is_kept_later(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.connections.FIRST_PAUSE_SECONDS", 0.05)
    call = await harness.agent.placing.place(SPEC)
    _, streaming = harness.connect(await harness.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    tried: list[int] = []
    advance = harness.store.advance

    async def away(*given: Any, **named: Any) -> bool:
        tried.append(1)
        if len(tried) < 3:
            raise OSError("the database is away")
        return await advance(*given, **named)

    harness.store.advance = away  # type: ignore[method-assign]
    await harness.agent.hang_ups.hang_up(call.call_id)
    await streaming
    record = await harness.record(call.call_id)
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.API_HANGUP)
    assert len(tried) == 3


async def test_an_end_that_is_never_kept_is_asked_of_the_carrier(
    harness: AgentHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.calls.finish.KEPT_WITHIN_SECONDS", -1.0)
    call = await harness.agent.placing.place(SPEC)
    _, streaming = harness.connect(await harness.answer(call.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    harness.carrier.known = {"CA1": CarrierCall("CA1", Status.COMPLETED, duration_seconds=7.0)}
    failed: list[int] = []
    advance = harness.store.advance

    async def away_once(*given: Any, **named: Any) -> bool:
        if not failed:
            failed.append(1)
            raise OSError("the database is away")
        return await advance(*given, **named)

    harness.store.advance = away_once  # type: ignore[method-assign]
    await harness.agent.hang_ups.hang_up(call.call_id)
    await streaming
    assert (await ended(harness, call.call_id)).duration_seconds == 7.0


async def test_the_carrier_s_detection_reaches_its_call_also_when_it_comes_first(harness: AgentHarness) -> None:
    record = await harness.agent.placing.place(SPEC)
    assert harness.carrier.dialled[0].detect
    handle, path = harness.agent.carrier_events.handle, f"/amd?call_id={record.call_id}"
    with pytest.raises(ForbiddenError):
        await handle(webhook(path, {"AnsweredBy": "human"}, "forged"))
    await handle(webhook(path, {"CallSid": "CA1", "AnsweredBy": "machine_start"}))
    _socket, serving = harness.connect(await harness.answer(record.call_id, "CA1"), "CA1")
    await until(lambda: bool(QuietCall.made))
    (call,) = QuietCall.made
    assert call.heard == [Detection.MACHINE]
    await handle(webhook("/amd", {"CallSid": "CA1", "AnsweredBy": "machine_end_beep"}))
    assert call.heard == [Detection.MACHINE, Detection.BEEP]
    await call.hang_up(EndedReason.AGENT_HANGUP)
    await serving
    await handle(webhook(path, {"CallSid": "CA1", "AnsweredBy": "human"}))
    await handle(webhook("/amd", {}))
    assert len(call.heard) == 2, "late, and of no call"


async def test_nobody_is_asked_who_answers_where_the_scenario_does_not_want_to_know(tmp_path: Path) -> None:
    quiet = tuple(s.model_copy(update={"pickup": Pickup(amd=False)}) for s in SCENARIOS)
    harness = build(tmp_path, scenarios=quiet)
    await harness.agent.open()
    await harness.agent.placing.place(SPEC)
    assert not harness.carrier.dialled[0].detect
    await harness.agent.close()


# -- opening and closing ----------------------------------------------------------------------------------


def noted(harness: AgentHarness, monkeypatch: pytest.MonkeyPatch, *failing: str) -> list[str]:
    """Which parts were closed; those named fail at it."""
    closed: list[str] = []
    parts: dict[str, Any] = {
        "resources": harness.agent._resources,
        "store": harness.store,
        "carrier": harness.carrier,
    }
    for name, part in parts.items():
        close = part.close

        async def note(name: str = name, close: Any = close) -> None:
            closed.append(name)
            await close()
            if name in failing:
                raise RuntimeError(f"{name} does not close")

        monkeypatch.setattr(part, "close", note)
    return closed


async def test_a_part_that_fails_to_close_leaves_no_other_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = build(tmp_path)
    closed = noted(harness, monkeypatch, "carrier")
    await harness.agent.open()
    with pytest.raises(RuntimeError, match="carrier does not close"):
        await harness.agent.close()
    assert closed == ["carrier", "store", "resources"]
    await harness.agent.close()


async def test_what_was_opened_is_closed_when_a_later_part_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        raise RuntimeError("no engine")

    harness = build(tmp_path)
    closed = noted(harness, monkeypatch)
    monkeypatch.setattr(harness.agent.engine, "open", fails)
    with pytest.raises(RuntimeError, match="no engine"):
        await harness.agent.open()
    assert closed == ["carrier", "store", "resources"]
    assert not harness.agent.health().ready
