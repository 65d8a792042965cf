"""Holding a call: whatever breaks, the slot is freed, the carrier told and the record completed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.calls import active_calls as active_calls_module
from bot.calls import media_streams as module
from bot.calls.active_calls import ActiveCalls, CallSlot
from bot.calls.carrier_events import CarrierEvents
from bot.calls.cluster.other_processes import OtherProcesses
from bot.calls.ingress import Ingress
from bot.calls.media_streams import MediaStreams
from bot.calls.planner import Planner
from bot.calls.process import Process
from bot.conversation.call_plan import Plan, choose
from bot.conversation.scenario.compliance import Compliance
from bot.conversation.scenario.parts import Opening
from bot.conversation.scenario.scenario import Scenario
from bot.pipeline.line.recording import Recording
from bot.pipeline.resources import Resources
from bot.records import CallRecord, CallSpec, Direction, EndedReason, Status
from bot.settings import Settings
from bot.store import Database
from bot.store.address import SqliteAddress
from bot.store.durable.engine import DurableEngine
from bot.telephony.browser.carrier import WithClients
from tests.unit.calls.calls_in_memory import NotingCarrier, QuietCall, ShakyStore, hold_quietly, refusal
from tests.unit.pipeline.conversation import until
from tests.unit.pipeline.memory_socket import MemorySocket, stream_on

SETTINGS = Settings(_env_file=None)
SCENARIO = Scenario(
    compliance=Compliance(profile="none"),
    name="s",
    description="d",
    instructions="i",
    opening=Opening(text="Hi."),
)


class _NoEvents:
    async def ended(self, call_id: str) -> None: ...


@dataclass
class Stage:
    """One call that is about to be held."""

    board: ActiveCalls
    holder: MediaStreams
    store: ShakyStore
    carrier: NotingCarrier
    slot: CallSlot
    socket: MemorySocket

    async def hold(self) -> None:
        async with asyncio.timeout(10):
            await self.board.hold(self.slot, self.holder.hold(self.slot, stream_on(self.socket)))

    async def record(self) -> CallRecord:
        record = await self.store.get("call-1")
        assert record is not None
        return record


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    hold_quietly(monkeypatch)
    store = ShakyStore(Database(SqliteAddress(tmp_path / "calls.db")))
    await store.open()
    spec = CallSpec("+12025550123", "s")
    record = CallRecord("call-1", spec, Direction.OUTBOUND, Status.QUEUED, datetime.now(UTC), call_sid="CA1")
    await store.add(record)
    await store.advance("call-1", Status.IN_PROGRESS, at=datetime.now(UTC))
    resources, carrier = Resources(SETTINGS), NotingCarrier()
    board = ActiveCalls(1, resources)
    slots = choose(SCENARIO, SETTINGS, simulated_line=True)
    slot = board.take_line(Plan("call-1", spec, Direction.OUTBOUND, SCENARIO, slots))
    settings = Settings(_env_file=None, data_dir=tmp_path)
    engine = cast(DurableEngine, SimpleNamespace(name=None))
    process = Process(
        settings, store, engine, carrier, cast(Planner, SimpleNamespace(is_simulated=lambda number: True)), board
    )
    others = cast(OtherProcesses, SimpleNamespace(transfers=None))
    holder = MediaStreams(
        process, cast(Ingress, None), others, cast(CarrierEvents, _NoEvents()), None, cast(WithClients, None)
    )
    before = asyncio.all_tasks()
    yield Stage(board, holder, store, carrier, slot, MemorySocket())
    store.failures = {}
    await store.close()
    assert not [t for t in asyncio.all_tasks() - before if "call-1" in t.get_name() or "CA1" in t.get_name()]


def unusable_recordings(stage: Stage, _: pytest.MonkeyPatch) -> None:
    stage.holder.process.recordings.folder.write_text("a file where the folder should be")


def services_that_cannot_be_built(_: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no such model")

    monkeypatch.setattr(active_calls_module, "build_services", fail)


def a_store_that_takes_no_change(stage: Stage, _: pytest.MonkeyPatch) -> None:
    stage.store.failures = {"update": OSError("disk full")}


def a_pipeline_that_breaks(_: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuietCall, "failure", ValueError("a bug"))


def a_call_that_cannot_be_made(_: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(module, "Call", fail)


BREAKS = [
    services_that_cannot_be_built,
    a_store_that_takes_no_change,
    a_pipeline_that_breaks,
    a_call_that_cannot_be_made,
]
Break = Callable[[Stage, pytest.MonkeyPatch], None]


@pytest.mark.parametrize("breaks", BREAKS)
@pytest.mark.parametrize("carrier_refuses", [False, True])
async def test_a_call_that_breaks_ends_everywhere(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, breaks: Break, carrier_refuses: bool
) -> None:
    breaks(stage, monkeypatch)
    if carrier_refuses:
        stage.carrier.failures["hang_up"] = refusal()
    await stage.hold()
    assert stage.board.slots == []
    assert stage.carrier.hung_up == ["CA1"]
    assert stage.socket.closed_with is not None
    record = await stage.record()
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.ERROR_LINE)
    assert record.error
    assert record.ended_at is not None
    stage.board.take_line(stage.slot.plan)


async def test_a_call_that_cannot_begin_frees_its_line(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Recording) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Recording, "open", fail)
    with pytest.raises(RuntimeError):
        await stage.hold()
    assert stage.board.slots == []


async def test_a_call_whose_recording_fails_is_held_unrecorded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    unusable_recordings(stage, monkeypatch)
    holding = asyncio.create_task(stage.hold())
    await until(lambda: stage.slot.call is not None)
    await stage.slot.hang_up(EndedReason.AGENT_HANGUP)
    await holding
    record = await stage.record()
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.AGENT_HANGUP)
    assert record.recording is None
    assert record.error is None
    assert stage.board.slots == []


async def test_a_recording_that_fails_in_mid_call_does_not_keep_the_line(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Recording, "_append", staticmethod(full))
    holding = asyncio.create_task(stage.hold())
    await until(lambda: stage.slot.call is not None)
    recording = cast(QuietCall, stage.slot.call).line.recording
    assert recording is not None
    recording.callee(bytes(800), 0)
    await stage.slot.hang_up(EndedReason.AGENT_HANGUP)
    await holding
    assert stage.board.slots == []
    record = await stage.record()
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.AGENT_HANGUP)


async def test_a_record_that_cannot_be_completed_does_not_keep_the_line(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried for so long, then the line is free."""
    monkeypatch.setattr("bot.calls.finish.KEPT_WITHIN_SECONDS", 0.1)
    monkeypatch.setattr("bot.store.connections.FIRST_PAUSE_SECONDS", 0.02)
    stage.store.failures = {"advance": OSError("disk full")}
    holding = asyncio.create_task(stage.hold())
    await until(lambda: stage.slot.call is not None)
    await stage.slot.hang_up(EndedReason.AGENT_HANGUP)
    await holding
    assert stage.board.slots == []
    assert stage.carrier.hung_up == ["CA1"]


@pytest.mark.parametrize("breaks", [unusable_recordings, *BREAKS])
async def test_the_server_ends_with_a_broken_call_on_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, breaks: Break
) -> None:
    breaks(stage, monkeypatch)
    holding = asyncio.create_task(stage.hold())
    await until(lambda: stage.slot.holding is not None)
    async with asyncio.timeout(5):
        await stage.board.end_all(EndedReason.SERVER_SHUTDOWN, within_seconds=3)
    assert stage.board.slots == []
    assert holding.done()
    assert not holding.cancelled(), "it ends, it is not cut"
    await holding
    assert (await stage.record()).status is Status.COMPLETED


async def test_a_call_that_does_not_end_is_completed_when_it_is_cut(stage: Stage) -> None:
    holding = asyncio.create_task(stage.hold())
    await until(lambda: stage.slot.call is not None)

    async def deaf(_: EndedReason) -> None:
        return

    cast(Any, stage.slot.call).hang_up = deaf
    async with asyncio.timeout(5):
        await stage.board.end_all(EndedReason.SERVER_SHUTDOWN, within_seconds=0.05)
    with pytest.raises(asyncio.CancelledError):
        await holding
    record = await stage.record()
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.SERVER_SHUTDOWN)
    assert stage.board.slots == []


async def test_a_hang_up_while_the_services_are_built_ends_the_call_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = asyncio.Event()

    async def prepared(_: ActiveCalls, slot: CallSlot, call_sid: str) -> tuple[Plan, object]:
        await built.wait()
        return slot.plan, object()

    monkeypatch.setattr(ActiveCalls, "prepared", prepared)
    holding = asyncio.create_task(stage.hold())
    await until(lambda: stage.slot.holding is not None)
    await stage.slot.hang_up(EndedReason.AGENT_HANGUP)
    built.set()
    await holding
    record = await stage.record()
    assert (record.status, record.ended_reason) == (Status.COMPLETED, EndedReason.AGENT_HANGUP)
    assert stage.carrier.hung_up == ["CA1"]
