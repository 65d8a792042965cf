"""How a process leaves: what waits, what rings, what talks; and nothing keeps it from leaving."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import cast

import pytest

from bot.calls.active_calls import ActiveCalls, CallSlot
from bot.calls.shutdown import Shutdown
from bot.errors import CarrierError
from bot.pipeline.resources import Resources
from bot.records import EndedReason, Status
from bot.settings import Settings
from bot.store import CallChange, SqlCallStore
from bot.telephony.carrier import Carrier
from tests.unit.calls.test_active_calls import answered, plan


class ShutdownHarness:
    """Keeps what is asked of the carrier, the store and the queues; each may fail."""

    def __init__(self) -> None:
        self.board = ActiveCalls(4, Resources(Settings(_env_file=None)))
        self.events: list[str] = []
        self.fails = False
        self.shutdown = Shutdown(
            self.board,
            cast(SqlCallStore, self),
            cast(Carrier, self),
            drain_seconds=60,
            stop_taking=self.stop_taking,
        )

    async def stop_taking(self) -> None:
        self.events.append("stop taking")
        if self.fails:
            raise RuntimeError("no queue")

    async def hang_up(self, call_sid: str) -> None:
        self.events.append(f"hang up {call_sid}")
        if self.fails:
            raise CarrierError("no", provider="twilio", status=500)

    async def advance(
        self, call_id: str, status: Status, *, at: datetime, change: CallChange | None = None
    ) -> bool:
        assert change is not None
        assert change.ended_reason is EndedReason.SERVER_SHUTDOWN
        self.events.append(f"{call_id} {status}")
        if self.fails:
            raise OSError("disk full")
        return True

    def rings(self, number: int) -> CallSlot:
        slot = self.board.take_line(plan(number))
        slot.call_sid = f"CA{number}"
        return slot


@pytest.fixture
def harness() -> ShutdownHarness:
    return ShutdownHarness()


async def test_a_process_without_calls_does_not_wait(harness: ShutdownHarness) -> None:
    async with asyncio.timeout(1):
        await harness.shutdown.drain()
        await harness.shutdown.end(apologise=True)
    assert harness.board.draining
    assert set(harness.events) == {"stop taking"}


async def test_a_drain_touches_no_call(harness: ShutdownHarness) -> None:
    _, call = await answered(harness.board, 1)
    harness.rings(2)
    draining = asyncio.create_task(harness.shutdown.drain())
    await asyncio.sleep(0.01)
    assert not draining.done()
    assert (harness.events, call.reason, call.left) == (["stop taking"], None, None)
    await harness.board.release("call-2")
    await call.hang_up(EndedReason.AGENT_HANGUP)
    async with asyncio.timeout(1):
        await draining


@pytest.mark.parametrize("fails", [False, True])
async def test_phones_stop_ringing_and_who_talks_is_hung_up_on(harness: ShutdownHarness, fails: bool) -> None:
    _, call = await answered(harness.board, 1)
    harness.rings(2)
    harness.board.expect(plan(3))
    harness.fails = fails
    async with asyncio.timeout(5):
        await harness.shutdown.end()
    assert call.reason is EndedReason.SERVER_SHUTDOWN
    assert harness.events == ["stop taking", "hang up CA2", "call-2 canceled"], (
        "a registered call is left as it is"
    )
    assert harness.board.slots == []
    await harness.shutdown.end()


async def test_phones_stop_ringing_while_others_hear_an_apology(harness: ShutdownHarness) -> None:
    _, call = await answered(harness.board, 1)
    harness.rings(2)
    ending = asyncio.create_task(harness.shutdown.end(apologise=True))
    await call.apologising.wait()
    while harness.board.slot_of("call-2") is not None or len(harness.events) < 3:  # noqa: ASYNC110  # its own task
        await asyncio.sleep(0.001)
    assert call.reason is None
    call.ended.set()
    async with asyncio.timeout(5):
        await ending
