"""Calls of other processes: who is told, who answers, and what a process does that is told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from bot.calls.active_calls import ActiveCalls, CallSlot
from bot.calls.cluster.other_processes import OtherProcesses
from bot.calls.ingress import Ingress
from bot.conversation.call import Call
from bot.conversation.transfers.transfers import Transfers
from bot.pipeline.resources import Resources
from bot.records import EndedReason, Status
from bot.settings import Settings
from bot.store.notify import Handler, News
from bot.telephony.carrier import (
    Detection,
    EndCall,
    Instruction,
    LegEvent,
    LegStep,
    PressKeys,
    StreamAddress,
)
from tests.unit.calls.test_active_calls import plan


@dataclass
class Post:
    """Between the processes of a test: what one says, all others hear at once."""

    processes: list[OneNews] = field(default_factory=list)


@dataclass
class OneNews(News):
    post: Post
    handlers: dict[str, Handler] = field(default_factory=dict)
    process: str = "p"

    def on(self, kind: str, handler: Handler) -> None:
        self.handlers[kind] = handler

    async def open(self) -> None:
        self.post.processes.append(self)

    async def close(self) -> None:
        self.post.processes.remove(self)

    async def send(self, call_id: str, kind: str, data: Any = None, *, to: str | None = None) -> None:
        await self.ask(call_id, kind, data, timeout_seconds=0)

    async def ask(self, call_id: str, kind: str, data: Any = None, *, timeout_seconds: float) -> Any:
        others = [other for other in self.post.processes if other is not self]
        # As between processes: what is said, and answered, is JSON.
        heard = json.loads(json.dumps(data))
        answers = [json.loads(json.dumps(await other.handlers[kind](call_id, heard))) for other in others]
        return next((answer for answer in answers if answer is not None), None)


class KnownTransfers:
    """The transfers of one process: those whose tokens it knows."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = tokens
        self.over: list[str] = []

    def knows(self, token: str) -> bool:
        return token in self.tokens

    async def leg_event(self, event: LegEvent) -> Instruction | None:
        if event.step is LegStep.STATUS:
            return None
        return PressKeys(event.keys, BACK) if self.knows(event.transfer) else EndCall()

    async def call_over(self, call_sid: str) -> None:
        self.over.append(call_sid)


class OnLine:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def carrier_ended(self) -> None:
        self.heard.append("over")

    async def hang_up(self, reason: EndedReason) -> None:
        self.heard.append(reason.value)


@dataclass
class Process:
    elsewhere: OtherProcesses
    board: ActiveCalls
    transfers: KnownTransfers
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def slot(self) -> CallSlot:
        return self.board.take_line(plan())

    def on_line(self) -> OnLine:
        slot, call = self.slot(), OnLine()
        slot.call, slot.call_sid = cast(Call, call), "CA1"
        slot.plan.detections.listen(call.heard.append)
        slot.holding = asyncio.create_task(asyncio.sleep(60))
        return call


@pytest.fixture
async def processes() -> Any:
    post, made = Post(), []
    for token in ("mine", "theirs"):
        board = ActiveCalls(2, Resources(Settings(_env_file=None)))
        transfers = KnownTransfers(token)
        one = OtherProcesses(OneNews(post), board, cast(Transfers, transfers), cast(Ingress, object()))
        await one.open()
        made.append(Process(one, board, transfers))
    yield made
    for each in made:
        for slot in each.board.slots:
            if slot.holding is not None:
                slot.holding.cancel()
                await asyncio.gather(slot.holding, return_exceptions=True)
        await each.elsewhere.close()


async def test_who_prepared_lets_go_and_who_holds_does_not(processes: list[Process]) -> None:
    here, there = processes
    there.slot()
    await here.elsewhere.taken("call-1")
    assert there.board.slots == []
    there.on_line()
    await here.elsewhere.taken("call-1")
    assert len(there.board.slots) == 1


async def test_the_holder_is_told_what_the_carrier_says(processes: list[Process]) -> None:
    here, there = processes
    call = there.on_line()
    await here.elsewhere.detected("call-1", Detection.FAX)
    await here.elsewhere.over("call-1", "CA1")
    await here.elsewhere.over("call-2", "CA2")
    assert call.heard == [Detection.FAX, "over"]
    assert there.transfers.over == ["CA1", "CA2"]


async def test_a_phone_that_rings_no_more_frees_its_line(processes: list[Process]) -> None:
    here, there = processes
    there.slot()
    await here.elsewhere.over("call-1", None)
    assert there.board.slots == []


async def test_only_the_holder_hangs_up(processes: list[Process]) -> None:
    here, there = processes
    assert not await here.elsewhere.hang_up("call-1", EndedReason.AGENT_HANGUP)
    call = there.on_line()
    assert await here.elsewhere.hang_up("call-1", EndedReason.AGENT_HANGUP)
    assert call.heard == ["agent_hangup"]


BACK = StreamAddress("wss://a.example/media", "t")


@pytest.mark.parametrize(
    ("token", "step", "answer"),
    [
        ("mine", LegStep.ANSWERED, PressKeys("1", BACK)),
        ("theirs", LegStep.REPLY, PressKeys("1", BACK)),
        ("nobodys", LegStep.DIALLED, EndCall()),
        ("theirs", LegStep.STATUS, None),
    ],
)
async def test_a_transfer_is_asked_for_where_it_is(
    processes: list[Process], token: str, step: LegStep, answer: Instruction | None
) -> None:
    event = LegEvent(token, step, "CA1", status=Status.IN_PROGRESS, keys="1")
    assert await processes[0].elsewhere.transfer(event) == answer


async def test_a_callee_who_leaves_while_it_rings_ends_the_call_there(processes: list[Process]) -> None:
    here, there = processes
    call = there.on_line()
    await here.elsewhere.transfer(LegEvent("theirs", LegStep.DIALLED, "CA1", call_over=True))
    assert call.heard == ["over"]
