"""What is kept comes back as it was, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from bot.errors import ConflictError, NotFoundError, RequestError
from bot.records import Counts, EndedReason, Outcome, Status
from bot.store import CallChange, SqlCallStore
from tests.unit.store.examples import NOON, a_call, a_turn


async def test_a_call_comes_back_as_it_was(store: SqlCallStore) -> None:
    record = a_call(turns=(a_turn(0), a_turn(1, complete=False, end_ms=None, latency=None, tools=())))
    await store.add(record)
    assert await store.get("call-1") == record
    assert list(record.spec.metadata) == list((await store.get("call-1") or record).spec.metadata)


async def test_an_unknown_call_is_none(store: SqlCallStore) -> None:
    assert await store.get("nobody") is None
    assert await store.get_by_sid("CA0") is None
    assert not await store.update("nobody", CallChange(counts=Counts(1)))
    assert not await store.advance("nobody", Status.RINGING, at=NOON)


async def test_ids_and_sids_are_taken_once(store: SqlCallStore) -> None:
    await store.add(a_call("one", call_sid="CA1"))
    await store.add(a_call("two"))
    with pytest.raises(ConflictError):
        await store.add(a_call("one"))
    with pytest.raises(ConflictError):
        await store.update("two", CallChange(call_sid="CA1"))
    found = await store.get_by_sid("CA1")
    assert found is not None
    assert found.call_id == "one"


async def test_times_of_other_zones_are_kept_in_utc(store: SqlCallStore) -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-7)))
    await store.add(a_call(created_at=elsewhere))
    kept = await store.get("call-1")
    assert kept is not None
    assert kept.created_at == NOON
    assert kept.created_at.utcoffset() == timedelta(0)


async def test_a_change_writes_only_what_it_says(store: SqlCallStore) -> None:
    await store.add(a_call(vendors={"stt": "deepgram"}, counts=Counts(2, 3, 1)))
    outcome = Outcome(reached_goal=True, summary="Confirmed.", fields={"time": "2pm"}, source="claude")
    assert await store.update("call-1", CallChange(outcome=outcome, recording="call-1.wav"))
    assert await store.get("call-1") == a_call(
        vendors={"stt": "deepgram"}, counts=Counts(2, 3, 1), outcome=outcome, recording="call-1.wav"
    )
    assert await store.update("call-1", CallChange())


async def test_the_first_reason_for_the_end_stands(store: SqlCallStore) -> None:
    await store.add(a_call())
    first = CallChange(ended_reason=EndedReason.AGENT_HANGUP, ended_at=NOON, duration_seconds=30.5)
    late = CallChange(ended_reason=EndedReason.CALLEE_HANGUP, ended_at=NOON + timedelta(seconds=5), error="x")
    assert await store.update("call-1", first)
    assert await store.advance("call-1", Status.COMPLETED, at=NOON + timedelta(seconds=4), change=late)
    assert await store.get("call-1") == a_call(
        status=Status.COMPLETED,
        ended_reason=EndedReason.AGENT_HANGUP,
        ended_at=NOON,
        duration_seconds=30.5,
        error="x",
    )


async def test_each_status_brings_its_time_once(store: SqlCallStore) -> None:
    await store.add(a_call())
    seconds = [NOON + timedelta(seconds=n) for n in range(4)]
    assert await store.advance("call-1", Status.INITIATED, at=seconds[0])
    assert await store.advance("call-1", Status.RINGING, at=seconds[1])
    assert await store.advance("call-1", Status.IN_PROGRESS, at=seconds[2])
    assert not await store.advance("call-1", Status.RINGING, at=seconds[3])
    assert await store.advance("call-1", Status.COMPLETED, at=seconds[3])
    assert not await store.advance("call-1", Status.FAILED, at=seconds[3], change=CallChange(error="late"))
    assert await store.get("call-1") == a_call(
        status=Status.COMPLETED, started_at=seconds[0], answered_at=seconds[2], ended_at=seconds[3]
    )


async def test_an_open_turn_is_rewritten_and_a_complete_one_not_reopened(store: SqlCallStore) -> None:
    await store.add(a_call())
    await store.put_turn("call-1", a_turn(0, "Good", complete=False))
    await store.put_turn("call-1", a_turn(0, "Good morning", complete=False))
    await store.put_turn("call-1", a_turn(0, "Good morning, Alex"))
    await store.put_turn("call-1", a_turn(0, "Good morning", complete=False))
    await store.put_turn("call-1", a_turn(1, "Hi", interrupted=True))
    kept = await store.get("call-1")
    assert kept is not None
    assert kept.turns == (a_turn(0, "Good morning, Alex"), a_turn(1, "Hi", interrupted=True))
    with pytest.raises(NotFoundError):
        await store.put_turn("nobody", a_turn())


async def test_words_no_database_can_hold_do_not_lose_the_turn(store: SqlCallStore) -> None:
    await store.add(a_call())
    tool = replace(a_turn().tools[0], result={"score": float("nan"), "what": object})
    await store.put_turn("call-1", a_turn(0, "a\x00b\ud800", tools=(tool,)))
    kept = await store.get("call-1")
    assert kept is not None
    assert kept.turns[0].text == "ab?"
    assert kept.turns[0].tools[0].result == {"score": None, "what": "<class 'object'>"}


async def test_unfinished_calls_are_those_without_a_final_status(store: SqlCallStore) -> None:
    for number, status in enumerate(Status):
        await store.add(a_call(status.value, minutes=-number, status=status))
    await store.put_turn("ringing", a_turn())
    unfinished = await store.unfinished()
    assert [call.call_id for call in unfinished] == ["in-progress", "ringing", "initiated", "queued"]
    assert unfinished[1].turns == (a_turn(),)


class TestPages:
    async def test_newest_first_and_stable_while_calls_come_in(self, store: SqlCallStore) -> None:
        for minute in range(5):
            await store.add(a_call(f"call-{minute}", minutes=minute, turns=(a_turn(),)))
        await store.add(a_call("twin", minutes=2))
        seen: list[str] = []
        cursor: str | None = None
        for number in range(10):
            page = await store.page(limit=2, cursor=cursor)
            seen += [call.call_id for call in page.calls]
            assert all(call.turns == () for call in page.calls)
            await store.add(a_call(f"new-{number}", minutes=60 + number))
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == ["call-4", "call-3", "twin", "call-2", "call-1", "call-0"]

    async def test_by_status(self, store: SqlCallStore) -> None:
        await store.add(a_call("a"))
        await store.add(a_call("b", status=Status.BUSY))
        page = await store.page(status=Status.BUSY)
        assert [call.call_id for call in page.calls] == ["b"]
        assert page.next_cursor is None

    @pytest.mark.parametrize("cursor", ["", "x", "!!!", "é", "MjAyNnxh", "MjAyNi0wMS0wMVQwMDowMDowMHxh", "fA"])
    async def test_a_foreign_cursor_is_refused(self, cursor: str, store: SqlCallStore) -> None:
        with pytest.raises(RequestError) as caught:
            await store.page(cursor=cursor)
        assert caught.value.field == "cursor"
