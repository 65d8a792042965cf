"""What is kept comes back as it was, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta, timezone

import pytest

from bot.errors import ConflictError, NotFoundError
from bot.records import CostItem, CostPart, Counts, EndedReason, Outcome, PricedItems, Sentiment, Status
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


async def test_a_call_goes_on_until_its_end(store: SqlCallStore) -> None:
    await store.add(a_call())
    assert await store.goes_on("call-1")
    await store.advance("call-1", Status.NO_ANSWER, at=NOON)
    assert not await store.goes_on("call-1")
    assert not await store.goes_on("nobody")


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


async def test_each_part_of_the_costs_is_written_by_itself(store: SqlCallStore) -> None:
    priced = PricedItems(
        (
            CostItem("anthropic", "claude-haiku-5-5", 1234.0, "input_tokens", 0.0001234),
            CostItem("twilio", "transfer", None, "minutes", None),
        ),
        date(2026, 11, 22),
    )
    other = PricedItems((), date(2026, 11, 23))
    await store.add(a_call(costs={CostPart.OPENING: other}))
    await store.update("call-1", CallChange(costs={CostPart.ANALYSIS: priced}))
    await store.update("call-1", CallChange(costs={CostPart.CALL: other}))
    expected = {CostPart.OPENING: other, CostPart.CALL: other, CostPart.ANALYSIS: priced}
    assert await store.get("call-1") == a_call(costs=expected)


async def test_an_outcome_is_kept_with_its_evidence(store: SqlCallStore) -> None:
    outcome = Outcome(
        False, "S.", {"a": None}, "claude", Sentiment.NEGATIVE, {"a": ["quote"]}, ["reached_goal"], "busy"
    )
    await store.add(a_call(outcome=outcome))
    assert await store.get("call-1") == a_call(outcome=outcome)


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


async def test_orphans_are_open_calls_that_nothing_follows(store: SqlCallStore) -> None:
    for number, status in enumerate(Status):
        await store.add(a_call(f"call-{status}", minutes=number, status=status))
    await store.update("call-ringing", CallChange(followed_by="call-ringing:1"))
    assert set(await store.orphans(NOON + timedelta(hours=1))) == {
        "call-queued",
        "call-initiated",
        "call-in-progress",
    }
    assert await store.orphans(NOON) == ()
    assert await store.lines_taken() == 3


async def test_calls_whose_dialling_was_decided_and_not_told_of(store: SqlCallStore) -> None:
    for name in ("waits", "decided", "dialled"):
        await store.add(a_call(name))
    for name in ("decided", "dialled"):
        await store.update(name, CallChange(dialling_at=NOON))
    await store.update("dialled", CallChange(call_sid="CA1"))
    assert await store.dialling(a_call().spec.phone_number) == ("decided",)
    assert await store.dialling("+12025550199") == ()
    assert await store.lines_taken() == 2
