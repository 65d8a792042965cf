"""The durable life of a call on its real engine: retried, canceled, scheduled, and lost by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from bot.calls import placing as module
from bot.calls.dialling import dialler as dialler_module
from bot.calls.idempotency import Asked
from bot.conversation.scenario.parts import Limits
from bot.errors import BusyError, ConflictError
from bot.policy import RetryOn, RetryTerms, Terms
from bot.records import AnsweredBy, CallRecord, Direction, EndedReason, Speaker, Status, ToolUse, Turn
from bot.store import CallChange
from bot.telemetry.metrics import Depth
from bot.telephony.carrier import CarrierCall
from tests.unit.calls.calls_in_memory import refusal
from tests.unit.calls.dialling.dialling import INBOUND, SPEC, House, build, opened

AGAIN = Terms(retry=RetryTerms(attempts=2, delay_seconds=3600, on=(RetryOn.NO_ANSWER,)))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(build(tmp_path)) as house:
        yield house


@pytest.fixture
def heard_logs() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(line.record["message"]))
    yield lines
    logger.remove(sink)


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def left_behind(call_id: str, **fields: Any) -> CallRecord:
    """A call as a process that died left it."""
    now = datetime.now(UTC)
    record = CallRecord(call_id, SPEC, Direction.OUTBOUND, Status.QUEUED, now, dialling_at=now)
    return replace(record, **fields)


# -- to an end, every one of them --------------------------------------------------------------------------


async def test_a_call_that_is_turned_away_is_told_of(tmp_path: Path) -> None:
    async with opened(build(tmp_path, max_calls=1)) as house:
        await house.answer(None, "CA90")
        assert "<Stream" not in await house.answer(None, "CA91")
        turned_away = await house.store.get_by_sid("CA91")
        assert turned_away is not None
        assert (await house.is_over(turned_away.call_id)).status is Status.BUSY


async def test_a_registered_call_that_is_never_answered_is_told_of(house: House) -> None:
    registered = await house.agent.registrations.register(SPEC)
    await house.tell("CA90", Status.BUSY, registered.call_id)
    over = await house.is_over(registered.call_id)
    assert (over.status, over.ended_reason, over.call_sid) == (Status.BUSY, EndedReason.DIAL_BUSY, "CA90")


async def test_the_end_of_another_call_under_the_same_url_is_not_this_one_s(house: House) -> None:
    """A registered call that its owner dialled twice."""
    registered = await house.agent.registrations.register(SPEC)
    await house.answer(registered.call_id, "CA90")
    await house.tell("CA91", Status.COMPLETED, registered.call_id)
    assert (await house.record(registered.call_id)).status is Status.IN_PROGRESS
    await house.tell("CA90", Status.COMPLETED, registered.call_id)
    assert (await house.is_over(registered.call_id)).status is Status.COMPLETED


async def test_a_voice_webhook_that_comes_twice_at_once_is_one_call(house: House) -> None:
    both = await asyncio.gather(house.answer(None, "CA90"), house.answer(None, "CA90"))
    assert all("<Stream" in twiml for twiml in both)
    assert len((await house.store.page()).calls) == 1


async def test_a_database_that_is_away_while_a_call_is_followed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = await house.agent.placing.place(SPEC)
    get, failed = house.store.get, [0]

    async def shaky(call_id: str) -> CallRecord | None:
        if failed[0] < 2:
            failed[0] += 1
            raise OSError("the database is away")
        return await get(call_id)

    monkeypatch.setattr("bot.store.connections.FIRST_PAUSE_SECONDS", 0.05)
    await house.store.advance(call.call_id, Status.NO_ANSWER, at=datetime.now(UTC))
    house.store.get = shaky  # type: ignore[method-assign]
    await house.agent.engine.send(f"{call.call_id}:1", "over", "news")
    assert (await house.is_over(call.call_id)).status is Status.NO_ANSWER
    assert failed == [2]


async def test_a_workflow_that_breaks_loses_no_call(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    limits, broken = house.agent.planner.limits, [False]

    def break_once(record: CallRecord) -> Limits:
        if not broken[0]:
            broken[0] = True
            raise RuntimeError("a bug")
        return limits(record)

    monkeypatch.setattr(house.agent.planner, "limits", break_once)
    monkeypatch.setattr("bot.calls.dialling.following.HOLDER_SECONDS", 0.1)
    call = await house.agent.placing.place(SPEC)
    await house.until(lambda: broken[0])
    await house.tell("CA1", Status.NO_ANSWER)
    assert (await house.is_over(call.call_id)).status is Status.NO_ANSWER


async def test_what_is_due_after_a_call_is_not_stopped_by_a_part_of_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    async def note(record: CallRecord) -> None:
        done.append(record.call_id)

    async def fail(_record: CallRecord) -> None:
        raise RuntimeError("a bug")

    house.agent.campaigns.contact_done = note  # type: ignore[method-assign]
    house.agent.do_not_call.keep_promise = fail  # type: ignore[method-assign,assignment]
    call = await house.agent.placing.place(SPEC)
    await house.tell("CA1", Status.NO_ANSWER)
    await house.until(lambda: done == [call.call_id])


async def test_a_carrier_that_breaks_us_frees_the_line(house: House) -> None:
    house.carrier.failures["dial"] = RuntimeError("a bug")
    with pytest.raises(ConflictError):
        await house.agent.placing.place(SPEC)
    assert house.agent.active_calls.slots == []
    (call,) = (await house.store.page()).calls
    assert (await house.is_over(call.call_id)).status is Status.FAILED


# -- processes that die, or seem to ------------------------------------------------------------------------


async def test_a_call_whose_media_stream_is_just_to_open_is_not_cut_by_who_takes_it_up(tmp_path: Path) -> None:
    house = build(tmp_path)
    call = left_behind("call-1", call_sid="CA7")
    house.carrier.known["CA7"] = CarrierCall("CA7", Status.IN_PROGRESS)
    await house.store.open()
    await house.store.add(call)
    await house.store.advance("call-1", Status.IN_PROGRESS, at=datetime.now(UTC))
    await house.store.close()
    async with opened(house):
        left = await house.agent._dialler._following.look("call-1", None)
        assert left is not None
        assert 0 < left <= 5 + 4
        assert house.carrier.hung_up == []
        house.carrier.known["CA7"] = CarrierCall("CA7", Status.COMPLETED)
        assert await house.agent._dialler._following.look("call-1", None) is None, "the carrier knows of its end"


async def test_a_holder_that_only_lost_its_database_keeps_its_call(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = [1.0]

    async def seconds(_name: str) -> float:
        return absent[0]

    monkeypatch.setattr(house.agent.engine, "absent_seconds", seconds)
    await house.store.add(left_behind("call-1", call_sid="CA7", held_by="process_far", followed_by="call-1:1"))
    await house.store.advance("call-1", Status.IN_PROGRESS, at=datetime.now(UTC))
    house.carrier.known["CA7"] = CarrierCall("CA7", Status.IN_PROGRESS)
    look = house.agent._dialler._following.look
    assert await look("call-1", None) == 15.0
    assert house.carrier.hung_up == []
    absent[0] = 31.0
    assert await look("call-1", None) is None
    assert house.carrier.hung_up == ["CA7"]


async def test_a_holder_that_died_with_the_news_of_the_end_is_noticed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is followed here, by a wait as long as a call may be."""
    call = await house.agent.placing.place(SPEC)
    await house.store.advance(call.call_id, Status.IN_PROGRESS, at=datetime.now(UTC))
    await house.store.update(call.call_id, CallChange(held_by="process_far"))
    absent = [0.0]

    async def seconds(_name: str) -> float:
        return absent[0]

    monkeypatch.setattr(house.agent.engine, "absent_seconds", seconds)
    house.carrier.known["CA1"] = CarrierCall("CA1", Status.COMPLETED)
    await house.agent._dialler.adopt_orphans()
    assert (await house.record(call.call_id)).status is Status.IN_PROGRESS, "its holder is there"
    absent[0] = 1.0
    await house.agent._dialler.adopt_orphans()
    over = await house.is_over(call.call_id)
    assert (over.status, over.ended_reason) == (Status.COMPLETED, EndedReason.SERVER_SHUTDOWN)


async def test_a_killed_process_leaves_what_was_said_and_promised(
    house: House, monkeypatch: pytest.MonkeyPatch, heard_logs: list[str]
) -> None:
    async def seconds(_name: str) -> float:
        return 31.0

    monkeypatch.setattr(house.agent.engine, "absent_seconds", seconds)
    answered = datetime.now(UTC) - timedelta(minutes=5)
    await house.store.add(left_behind("call-1", call_sid="CA7", held_by="process_far", followed_by="call-1:1"))
    await house.store.advance("call-1", Status.IN_PROGRESS, at=answered)
    asked = ToolUse("do_not_call", {}, {"error": "do_not_call failed: OSError"}, 9000)
    said = Turn(0, Speaker.CALLEE, "Never call me again.", answered, 0, 7000)
    await house.store.put_turn("call-1", said)
    bye = Turn(1, Speaker.AGENT, "I won't.", answered + timedelta(seconds=8), 8000, 9500, tools=(asked,))
    await house.store.put_turn("call-1", bye)
    promised: list[CallRecord] = []

    async def note(record: CallRecord) -> None:
        promised.append(record)

    house.agent.do_not_call.keep_promise = note  # type: ignore[method-assign]
    assert await house.agent._dialler._following.look("call-1", None) is None
    over = await house.record("call-1")
    assert (over.status, over.ended_reason) == (Status.COMPLETED, EndedReason.SERVER_SHUTDOWN)
    assert (over.ended_at, over.duration_seconds) == (answered + timedelta(seconds=9.5), 9.5)
    assert over.answered_by is AnsweredBy.PERSON
    assert "was on the line when its server died; recorded as server_shutdown" in heard_logs
    await house.agent._after_call._settle("call-1")
    (told,) = promised
    assert told.outcome is not None
    assert (told.outcome.source, told.outcome.fields["do_not_call"]) == ("tools", True)


async def test_two_that_take_up_a_decision_dial_once(house: House) -> None:
    """One is recovered from a process that only lost its database, and has it again."""
    record = left_behind("call-1", followed_by="call-1:1")
    await house.store.add(record)
    once = house.agent._dialler._once
    plan = house.agent.planner.plan(record)
    order = house.agent.planner.order(plan, "https://bot.example.com")
    looked, recent = [0], house.carrier.recent_calls

    async def both_look_first(to: str, since: datetime) -> Any:
        looked[0] += 1
        await house.until(lambda: looked[0] >= 2)
        return await recent(to, since)

    house.carrier.recent_calls = both_look_first  # type: ignore[method-assign]
    dialled = await asyncio.gather(
        *(once.dial(record, order, CallChange(followed_by="call-1:1")) for _ in range(2)), return_exceptions=True
    )
    assert len(house.carrier.dialled) == 1
    assert [each for each in dialled if isinstance(each, str)] == ["CA1"]


async def test_a_decision_that_stood_still_is_not_acted_upon(house: House) -> None:
    """The process slept between deciding and asking: somebody else may have asked since."""
    record = left_behind("call-1", dialling_at=None)
    await house.store.add(record)
    plan = house.agent.planner.plan(record)
    order = house.agent.planner.order(plan, "https://bot.example.com")
    began = datetime.now(UTC)
    clock = iter([began, began + timedelta(seconds=60)])
    once = replace(house.agent._dialler._once, now=lambda: next(clock))
    with pytest.raises(Exception, match="begun"):
        await once.dial(record, order, CallChange(followed_by="call-1:1"))
    assert house.carrier.dialled == []


async def test_who_follows_a_later_hop_is_not_forgotten(house: House) -> None:
    """Placed again by somebody who knows of the first hop only."""
    record = left_behind("call-1", dialling_at=None, scheduled_at=soon())
    await house.agent._queue.place(record)
    await house.store.update("call-1", CallChange(followed_by="call-1:3"))
    await house.agent._queue.begin(record)
    assert (await house.record("call-1")).followed_by == "call-1:3"


async def test_a_call_that_came_in_and_was_followed_by_nobody_is_followed(tmp_path: Path) -> None:
    house = build(tmp_path)
    spec = replace(SPEC, scenario=INBOUND)
    created = datetime.now(UTC) - timedelta(seconds=60)
    await house.store.open()
    await house.store.add(CallRecord("call-1", spec, Direction.INBOUND, Status.QUEUED, created, call_sid="CA7"))
    await house.store.close()
    house.carrier.known["CA7"] = CarrierCall("CA7", Status.COMPLETED)
    async with opened(house):
        over = await house.is_over("call-1")
    assert over.status is Status.COMPLETED
    assert over.followed_by == "call-1:line"


# -- retries -----------------------------------------------------------------------------------------------


async def test_a_next_attempt_can_be_canceled_as_soon_as_it_is_named(house: House) -> None:
    placing = asyncio.Event()

    async def never(_record: CallRecord) -> CallRecord:
        placing.set()
        await asyncio.Event().wait()
        raise AssertionError

    call = await house.agent.placing.place(SPEC, AGAIN)
    house.agent._queue.place = never  # type: ignore[assignment, method-assign]
    await house.tell("CA1", Status.NO_ANSWER)
    await asyncio.wait_for(placing.wait(), 20)
    canceled = await house.agent.placing.cancel(call.call_id)
    assert (canceled.call_id, canceled.attempt, canceled.status) == (f"{call.call_id}_2", 2, Status.CANCELED)
    await house.is_over(canceled.call_id)


async def test_a_call_that_just_ended_can_be_canceled_before_its_next_attempt_is_planned(house: House) -> None:
    after = house.agent._queue.after_calls.begin
    house.agent._queue.after_calls.begin = nothing_yet  # type: ignore[method-assign,assignment]
    call = await house.agent.placing.place(SPEC, AGAIN)
    await house.tell("CA1", Status.NO_ANSWER)
    await ended(house, call.call_id)
    canceled = await house.agent.placing.cancel(call.call_id)
    assert (canceled.attempt, canceled.status) == (2, Status.CANCELED)
    with pytest.raises(ConflictError):
        await house.agent.placing.cancel(call.call_id)
    for call_id in (call.call_id, canceled.call_id):
        await after(call_id)
        await house.is_over(call_id)
    assert (await house.record(call.call_id)).retried_as == canceled.call_id
    assert len(house.carrier.dialled) == 1


async def test_a_call_that_is_not_tried_again_has_nothing_to_cancel(house: House) -> None:
    house.agent._queue.after_calls.begin = nothing_yet  # type: ignore[method-assign,assignment]
    call = await house.agent.placing.place(SPEC, AGAIN)
    await house.tell("CA1", Status.BUSY)
    await ended(house, call.call_id)
    with pytest.raises(ConflictError, match="over already"):
        await house.agent.placing.cancel(call.call_id)
    assert (await house.record(call.call_id)).retried_as is None


async def nothing_yet(_call_id: str) -> None:
    return


async def ended(house: House, call_id: str) -> None:
    async with asyncio.timeout(20):
        while not (await house.record(call_id)).status.final:  # noqa: ASYNC110  # a store has no event
            await asyncio.sleep(0.02)


async def test_an_attempt_that_was_named_is_dialled_by_the_next_process(tmp_path: Path) -> None:
    first = build(tmp_path)
    async with opened(first):
        terms = replace(AGAIN, retry=RetryTerms(attempts=2, delay_seconds=1, on=(RetryOn.NO_ANSWER,)))
        call = await first.agent.placing.place(SPEC, terms)
        stuck = asyncio.Event()

        async def never(_record: CallRecord) -> CallRecord:
            stuck.set()
            await asyncio.Event().wait()
            raise AssertionError

        first.agent._queue.place = never  # type: ignore[assignment, method-assign]
        await first.tell("CA1", Status.NO_ANSWER)
        await asyncio.wait_for(stuck.wait(), 20)
    async with opened(build(tmp_path)) as second:
        await second.until(lambda: len(second.carrier.dialled) == 1)
        again = await second.record(f"{call.call_id}_2")
        assert (again.attempt, again.first_call_id) == (2, call.call_id)
        await second.tell("CA1", Status.NO_ANSWER, again.call_id)
        assert (await second.is_over(again.call_id)).retried_as is None, "two attempts, no third"
    assert len(first.carrier.dialled) == 1


# -- canceled, scheduled, in a hurry -----------------------------------------------------------------------


async def test_a_scheduled_call_waits_and_is_canceled(house: House) -> None:
    call = await house.agent.placing.place(SPEC, Terms(schedule_at=soon()))
    assert (call.status, call.dialling_at) == (Status.QUEUED, None)
    again = await house.agent.placing.cancel(call.call_id)
    assert again.status is Status.CANCELED
    assert (await house.is_over(call.call_id)).ended_reason is EndedReason.CANCELED
    with pytest.raises(ConflictError):
        await house.agent.placing.cancel(call.call_id)
    assert house.carrier.dialled == []


async def test_a_scheduled_call_is_one_for_its_key(house: House) -> None:
    terms = Terms(schedule_at=soon())
    calls = [await house.agent.placing.place(SPEC, terms, Asked(None, "a", "1")) for _ in range(2)]
    assert calls[0].call_id == calls[1].call_id
    assert (await house.agent.engine.waiting())["lines"] == Depth(delayed=1)


async def test_a_time_far_away_is_no_error(house: House) -> None:
    call = await house.agent.placing.place(SPEC, Terms(schedule_at=datetime.now(UTC) + timedelta(days=3650)))
    assert call.status is Status.QUEUED


async def test_canceled_or_dialled_but_never_both(house: House) -> None:
    """At every moment of its first second."""
    for wait in (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.4):
        placing = asyncio.create_task(house.agent.placing.place(replace(SPEC, phone_number="+12025550177")))
        while not [c for c in (await house.store.page()).calls if not c.status.final]:  # noqa: ASYNC110
            await asyncio.sleep(0)
        (call,) = [c for c in (await house.store.page()).calls if not c.status.final]
        await asyncio.sleep(wait)
        dialled = len(house.carrier.dialled)
        try:
            await house.agent.placing.cancel(call.call_id)
            canceled = True
        except ConflictError:
            canceled = False
        await asyncio.gather(placing, return_exceptions=True)
        if canceled:
            assert len(house.carrier.dialled) == dialled
        else:
            await house.agent.hang_ups.hang_up(call.call_id)
        over = await house.is_over(call.call_id)
        assert over.status is Status.CANCELED


async def test_who_does_not_wait_is_not_queued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of its number are taken, which nobody knows before its turn should come."""
    monkeypatch.setattr(module, "RESULT_SECONDS", 0.5)
    async with opened(build(tmp_path, max_lines_per_number=1)) as house:
        await house.agent.placing.place(SPEC)
        for _ in range(2):
            with pytest.raises(BusyError):
                await house.agent.placing.place(SPEC, Terms(wait=False), Asked(None, "a", "1"))
        assert len(house.carrier.dialled) == 1
        calls = (await house.store.page(status=Status.CANCELED)).calls
        assert len(calls) == 1


async def test_a_refusal_is_remembered_longer_than_its_workflow(house: House) -> None:
    house.carrier.failures["dial"] = refusal("unverified number")
    asked = Asked(None, "a", "1")
    with pytest.raises(Exception, match="unverified"):
        await house.agent.placing.place(SPEC, asked=asked)
    (call,) = (await house.store.page()).calls
    await house.is_over(call.call_id)
    async with asyncio.timeout(20):
        while not await house.agent.engine.forget(datetime.now(UTC) + timedelta(days=1)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    async with asyncio.timeout(3):
        again = await house.agent.placing.place(SPEC, asked=asked)
    assert (again.call_id, again.status, again.error) == (call.call_id, Status.FAILED, "unverified number")
    assert len(house.carrier.dialled) == 1


def test_a_wait_for_a_line_grows() -> None:
    waits = [dialler_module._waits(hop)["again_seconds"] for hop in range(1, 40)]
    assert waits[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert max(waits) == 30.0
