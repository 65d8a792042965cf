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
from tests.unit.calls.dialling.dialling import INBOUND, SPEC, DiallingHarness, build, opened

AGAIN = Terms(retry=RetryTerms(attempts=2, delay_seconds=3600, on=(RetryOn.NO_ANSWER,)))


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DiallingHarness]:
    async with opened(build(tmp_path)) as harness:
        yield harness


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
    async with opened(build(tmp_path, max_calls=1)) as harness:
        await harness.answer(None, "CA90")
        assert "<Stream" not in await harness.answer(None, "CA91")
        turned_away = await harness.store.get_by_sid("CA91")
        assert turned_away is not None
        assert (await harness.is_over(turned_away.call_id)).status is Status.BUSY


async def test_a_registered_call_that_is_never_answered_is_told_of(harness: DiallingHarness) -> None:
    registered = await harness.agent.registrations.register(SPEC)
    await harness.tell("CA90", Status.BUSY, registered.call_id)
    over = await harness.is_over(registered.call_id)
    assert (over.status, over.ended_reason, over.call_sid) == (Status.BUSY, EndedReason.DIAL_BUSY, "CA90")


async def test_the_end_of_another_call_under_the_same_url_is_not_this_one_s(harness: DiallingHarness) -> None:
    """A registered call that its owner dialled twice."""
    registered = await harness.agent.registrations.register(SPEC)
    await harness.answer(registered.call_id, "CA90")
    await harness.tell("CA91", Status.COMPLETED, registered.call_id)
    assert (await harness.record(registered.call_id)).status is Status.IN_PROGRESS
    await harness.tell("CA90", Status.COMPLETED, registered.call_id)
    assert (await harness.is_over(registered.call_id)).status is Status.COMPLETED


async def test_a_voice_webhook_that_comes_twice_at_once_is_one_call(harness: DiallingHarness) -> None:
    both = await asyncio.gather(harness.answer(None, "CA90"), harness.answer(None, "CA90"))
    assert all("<Stream" in twiml for twiml in both)
    assert len((await harness.store.page()).items) == 1


async def test_a_database_that_is_away_while_a_call_is_followed(
    harness: DiallingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = await harness.agent.placing.place(SPEC)
    get, failed = harness.store.get, [0]

    async def shaky(call_id: str) -> CallRecord | None:
        if failed[0] < 2:
            failed[0] += 1
            raise OSError("the database is away")
        return await get(call_id)

    monkeypatch.setattr("bot.store.connections.FIRST_PAUSE_SECONDS", 0.05)
    await harness.store.advance(call.call_id, Status.NO_ANSWER, at=datetime.now(UTC))
    harness.store.get = shaky  # type: ignore[method-assign]
    await harness.agent.engine.send(f"{call.call_id}:1", "over", "news")
    assert (await harness.is_over(call.call_id)).status is Status.NO_ANSWER
    assert failed == [2]


async def test_a_workflow_that_breaks_loses_no_call(
    harness: DiallingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, broken = harness.agent.planner.limits, [False]

    def break_once(record: CallRecord) -> Limits:
        if not broken[0]:
            broken[0] = True
            raise RuntimeError("a bug")
        return limits(record)

    monkeypatch.setattr(harness.agent.planner, "limits", break_once)
    monkeypatch.setattr("bot.calls.dialling.following.HOLDER_SECONDS", 0.1)
    call = await harness.agent.placing.place(SPEC)
    await harness.until(lambda: broken[0])
    await harness.tell("CA1", Status.NO_ANSWER)
    assert (await harness.is_over(call.call_id)).status is Status.NO_ANSWER


async def test_what_is_due_after_a_call_is_not_stopped_by_a_part_of_it(
    harness: DiallingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    async def note(record: CallRecord) -> None:
        done.append(record.call_id)

    async def fail(_record: CallRecord) -> None:
        raise RuntimeError("a bug")

    harness.agent.campaigns.contact_done = note  # type: ignore[method-assign]
    harness.agent.do_not_call.keep_promise = fail  # type: ignore[method-assign,assignment]
    call = await harness.agent.placing.place(SPEC)
    await harness.tell("CA1", Status.NO_ANSWER)
    await harness.until(lambda: done == [call.call_id])


async def test_a_carrier_that_breaks_us_frees_the_line(harness: DiallingHarness) -> None:
    harness.carrier.failures["dial"] = RuntimeError("a bug")
    with pytest.raises(ConflictError):
        await harness.agent.placing.place(SPEC)
    assert harness.agent.active_calls.slots == []
    (call,) = (await harness.store.page()).items
    assert (await harness.is_over(call.call_id)).status is Status.FAILED


# -- processes that die, or seem to ------------------------------------------------------------------------


async def test_a_call_whose_media_stream_is_just_to_open_is_not_cut_by_who_takes_it_up(tmp_path: Path) -> None:
    harness = build(tmp_path)
    call = left_behind("call-1", call_sid="CA7")
    harness.carrier.known["CA7"] = CarrierCall("CA7", Status.IN_PROGRESS)
    await harness.store.open()
    await harness.store.add(call)
    await harness.store.advance("call-1", Status.IN_PROGRESS, at=datetime.now(UTC))
    await harness.store.close()
    async with opened(harness):
        left = await harness.agent._dialler._following.look("call-1", None)
        assert left is not None
        assert 0 < left <= 5 + 4
        assert harness.carrier.hung_up == []
        harness.carrier.known["CA7"] = CarrierCall("CA7", Status.COMPLETED)
        assert await harness.agent._dialler._following.look("call-1", None) is None, (
            "the carrier knows of its end"
        )


async def test_a_holder_that_only_lost_its_database_keeps_its_call(
    harness: DiallingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = [1.0]

    async def seconds(_name: str) -> float:
        return absent[0]

    monkeypatch.setattr(harness.agent.engine, "absent_seconds", seconds)
    await harness.store.add(left_behind("call-1", call_sid="CA7", held_by="process_far", followed_by="call-1:1"))
    await harness.store.advance("call-1", Status.IN_PROGRESS, at=datetime.now(UTC))
    harness.carrier.known["CA7"] = CarrierCall("CA7", Status.IN_PROGRESS)
    look = harness.agent._dialler._following.look
    assert await look("call-1", None) == 15.0
    assert harness.carrier.hung_up == []
    absent[0] = 31.0
    assert await look("call-1", None) is None
    assert harness.carrier.hung_up == ["CA7"]


async def test_a_holder_that_died_with_the_news_of_the_end_is_noticed(
    harness: DiallingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is followed here, by a wait as long as a call may be."""
    call = await harness.agent.placing.place(SPEC)
    await harness.store.advance(call.call_id, Status.IN_PROGRESS, at=datetime.now(UTC))
    await harness.store.update(call.call_id, CallChange(held_by="process_far"))
    absent = [0.0]

    async def seconds(_name: str) -> float:
        return absent[0]

    monkeypatch.setattr(harness.agent.engine, "absent_seconds", seconds)
    harness.carrier.known["CA1"] = CarrierCall("CA1", Status.COMPLETED)
    await harness.agent._dialler.adopt_orphans()
    assert (await harness.record(call.call_id)).status is Status.IN_PROGRESS, "its holder is there"
    absent[0] = 1.0
    await harness.agent._dialler.adopt_orphans()
    over = await harness.is_over(call.call_id)
    assert (over.status, over.ended_reason) == (Status.COMPLETED, EndedReason.SERVER_SHUTDOWN)


async def test_a_killed_process_leaves_what_was_said_and_promised(
    harness: DiallingHarness, monkeypatch: pytest.MonkeyPatch, heard_logs: list[str]
) -> None:
    async def seconds(_name: str) -> float:
        return 31.0

    monkeypatch.setattr(harness.agent.engine, "absent_seconds", seconds)
    answered = datetime.now(UTC) - timedelta(minutes=5)
    await harness.store.add(left_behind("call-1", call_sid="CA7", held_by="process_far", followed_by="call-1:1"))
    await harness.store.advance("call-1", Status.IN_PROGRESS, at=answered)
    asked = ToolUse("do_not_call", {}, {"error": "do_not_call failed: OSError"}, 9000)
    said = Turn(0, Speaker.CALLEE, "Never call me again.", answered, 0, 7000)
    await harness.store.put_turn("call-1", said)
    bye = Turn(1, Speaker.AGENT, "I won't.", answered + timedelta(seconds=8), 8000, 9500, tools=(asked,))
    await harness.store.put_turn("call-1", bye)
    promised: list[CallRecord] = []

    async def note(record: CallRecord) -> None:
        promised.append(record)

    harness.agent.do_not_call.keep_promise = note  # type: ignore[method-assign]
    assert await harness.agent._dialler._following.look("call-1", None) is None
    over = await harness.record("call-1")
    assert (over.status, over.ended_reason) == (Status.COMPLETED, EndedReason.SERVER_SHUTDOWN)
    assert (over.ended_at, over.duration_seconds) == (answered + timedelta(seconds=9.5), 9.5)
    assert over.answered_by is AnsweredBy.PERSON
    assert "was on the line when its server died; recorded as server_shutdown" in heard_logs
    await harness.agent._after_call._settle("call-1")
    (told,) = promised
    assert told.outcome is not None
    assert (told.outcome.source, told.outcome.fields["do_not_call"]) == ("tools", True)


async def test_two_that_take_up_a_decision_dial_once(harness: DiallingHarness) -> None:
    """One is recovered from a process that only lost its database, and has it again."""
    record = left_behind("call-1", followed_by="call-1:1")
    await harness.store.add(record)
    once = harness.agent._dialler._once
    plan = harness.agent.planner.plan(record)
    order = harness.agent.planner.order(plan, "https://bot.example.com")
    looked, recent = [0], harness.carrier.recent_calls

    async def both_look_first(to: str, since: datetime) -> Any:
        looked[0] += 1
        await harness.until(lambda: looked[0] >= 2)
        return await recent(to, since)

    harness.carrier.recent_calls = both_look_first  # type: ignore[method-assign]
    dialled = await asyncio.gather(
        *(once.dial(record, order, CallChange(followed_by="call-1:1")) for _ in range(2)), return_exceptions=True
    )
    assert len(harness.carrier.dialled) == 1
    assert [each for each in dialled if isinstance(each, str)] == ["CA1"]


async def test_a_decision_that_stood_still_is_not_acted_upon(harness: DiallingHarness) -> None:
    """The process slept between deciding and asking: somebody else may have asked since."""
    record = left_behind("call-1", dialling_at=None)
    await harness.store.add(record)
    plan = harness.agent.planner.plan(record)
    order = harness.agent.planner.order(plan, "https://bot.example.com")
    began = datetime.now(UTC)
    clock = iter([began, began + timedelta(seconds=60)])
    once = replace(harness.agent._dialler._once, now=lambda: next(clock))
    with pytest.raises(Exception, match="begun"):
        await once.dial(record, order, CallChange(followed_by="call-1:1"))
    assert harness.carrier.dialled == []


async def test_who_follows_a_later_hop_is_not_forgotten(harness: DiallingHarness) -> None:
    """Placed again by somebody who knows of the first hop only."""
    record = left_behind("call-1", dialling_at=None, scheduled_at=soon())
    await harness.agent._queue.place(record)
    await harness.store.update("call-1", CallChange(followed_by="call-1:3"))
    await harness.agent._queue.begin(record)
    assert (await harness.record("call-1")).followed_by == "call-1:3"


async def test_a_call_that_came_in_and_was_followed_by_nobody_is_followed(tmp_path: Path) -> None:
    harness = build(tmp_path)
    spec = replace(SPEC, scenario=INBOUND)
    created = datetime.now(UTC) - timedelta(seconds=60)
    await harness.store.open()
    await harness.store.add(CallRecord("call-1", spec, Direction.INBOUND, Status.QUEUED, created, call_sid="CA7"))
    await harness.store.close()
    harness.carrier.known["CA7"] = CarrierCall("CA7", Status.COMPLETED)
    async with opened(harness):
        over = await harness.is_over("call-1")
    assert over.status is Status.COMPLETED
    assert over.followed_by == "call-1:line"


# -- retries -----------------------------------------------------------------------------------------------


async def test_a_next_attempt_can_be_canceled_as_soon_as_it_is_named(harness: DiallingHarness) -> None:
    placing = asyncio.Event()

    async def never(_record: CallRecord) -> CallRecord:
        placing.set()
        await asyncio.Event().wait()
        raise AssertionError

    call = await harness.agent.placing.place(SPEC, AGAIN)
    harness.agent._queue.place = never  # type: ignore[assignment, method-assign]
    await harness.tell("CA1", Status.NO_ANSWER)
    await asyncio.wait_for(placing.wait(), 20)
    canceled = await harness.agent.placing.cancel(call.call_id)
    assert (canceled.call_id, canceled.attempt, canceled.status) == (f"{call.call_id}_2", 2, Status.CANCELED)
    await harness.is_over(canceled.call_id)


async def test_a_call_that_just_ended_can_be_canceled_before_its_next_attempt_is_planned(
    harness: DiallingHarness,
) -> None:
    after = harness.agent._queue.after_calls.begin
    harness.agent._queue.after_calls.begin = nothing_yet  # type: ignore[method-assign,assignment]
    call = await harness.agent.placing.place(SPEC, AGAIN)
    await harness.tell("CA1", Status.NO_ANSWER)
    await ended(harness, call.call_id)
    canceled = await harness.agent.placing.cancel(call.call_id)
    assert (canceled.attempt, canceled.status) == (2, Status.CANCELED)
    with pytest.raises(ConflictError):
        await harness.agent.placing.cancel(call.call_id)
    for call_id in (call.call_id, canceled.call_id):
        await after(call_id)
        await harness.is_over(call_id)
    assert (await harness.record(call.call_id)).retried_as == canceled.call_id
    assert len(harness.carrier.dialled) == 1


async def test_a_call_that_is_not_tried_again_has_nothing_to_cancel(harness: DiallingHarness) -> None:
    harness.agent._queue.after_calls.begin = nothing_yet  # type: ignore[method-assign,assignment]
    call = await harness.agent.placing.place(SPEC, AGAIN)
    await harness.tell("CA1", Status.BUSY)
    await ended(harness, call.call_id)
    with pytest.raises(ConflictError, match="over already"):
        await harness.agent.placing.cancel(call.call_id)
    assert (await harness.record(call.call_id)).retried_as is None


async def nothing_yet(_call_id: str) -> None:
    return


async def ended(harness: DiallingHarness, call_id: str) -> None:
    async with asyncio.timeout(20):
        while not (await harness.record(call_id)).status.final:  # noqa: ASYNC110  # a store has no event
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


async def test_a_scheduled_call_waits_and_is_canceled(harness: DiallingHarness) -> None:
    call = await harness.agent.placing.place(SPEC, Terms(schedule_at=soon()))
    assert (call.status, call.dialling_at) == (Status.QUEUED, None)
    again = await harness.agent.placing.cancel(call.call_id)
    assert again.status is Status.CANCELED
    assert (await harness.is_over(call.call_id)).ended_reason is EndedReason.CANCELED
    with pytest.raises(ConflictError):
        await harness.agent.placing.cancel(call.call_id)
    assert harness.carrier.dialled == []


async def test_a_scheduled_call_is_one_for_its_key(harness: DiallingHarness) -> None:
    terms = Terms(schedule_at=soon())
    calls = [await harness.agent.placing.place(SPEC, terms, Asked(None, "a", "1")) for _ in range(2)]
    assert calls[0].call_id == calls[1].call_id
    assert (await harness.agent.engine.waiting())["lines"] == Depth(delayed=1)


async def test_a_time_far_away_is_no_error(harness: DiallingHarness) -> None:
    call = await harness.agent.placing.place(SPEC, Terms(schedule_at=datetime.now(UTC) + timedelta(days=3650)))
    assert call.status is Status.QUEUED


async def test_canceled_or_dialled_but_never_both(harness: DiallingHarness) -> None:
    """At every moment of its first second."""
    for wait in (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.4):
        placing = asyncio.create_task(harness.agent.placing.place(replace(SPEC, phone_number="+12025550177")))
        while not [c for c in (await harness.store.page()).items if not c.status.final]:  # noqa: ASYNC110
            await asyncio.sleep(0)
        (call,) = [c for c in (await harness.store.page()).items if not c.status.final]
        await asyncio.sleep(wait)
        dialled = len(harness.carrier.dialled)
        try:
            await harness.agent.placing.cancel(call.call_id)
            canceled = True
        except ConflictError:
            canceled = False
        await asyncio.gather(placing, return_exceptions=True)
        if canceled:
            assert len(harness.carrier.dialled) == dialled
        else:
            await harness.agent.hang_ups.hang_up(call.call_id)
        over = await harness.is_over(call.call_id)
        assert over.status is Status.CANCELED


async def test_who_does_not_wait_is_not_queued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of its number are taken, which nobody knows before its turn should come."""
    monkeypatch.setattr(module, "RESULT_SECONDS", 0.5)
    async with opened(build(tmp_path, max_lines_per_number=1)) as harness:
        await harness.agent.placing.place(SPEC)
        for _ in range(2):
            with pytest.raises(BusyError):
                await harness.agent.placing.place(SPEC, Terms(wait=False), Asked(None, "a", "1"))
        assert len(harness.carrier.dialled) == 1
        calls = (await harness.store.page(status=Status.CANCELED)).items
        assert len(calls) == 1


async def test_a_refusal_is_remembered_longer_than_its_workflow(harness: DiallingHarness) -> None:
    harness.carrier.failures["dial"] = refusal("unverified number")
    asked = Asked(None, "a", "1")
    with pytest.raises(Exception, match="unverified"):
        await harness.agent.placing.place(SPEC, asked=asked)
    (call,) = (await harness.store.page()).items
    await harness.is_over(call.call_id)
    async with asyncio.timeout(20):
        while not await harness.agent.engine.forget(datetime.now(UTC) + timedelta(days=1)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    async with asyncio.timeout(3):
        again = await harness.agent.placing.place(SPEC, asked=asked)
    assert (again.call_id, again.status, again.error) == (call.call_id, Status.FAILED, "unverified number")
    assert len(harness.carrier.dialled) == 1


def test_a_wait_for_a_line_grows() -> None:
    waits = [dialler_module._waits(hop)["again_seconds"] for hop in range(1, 40)]
    assert waits[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert max(waits) == 30.0
