"""Streams of a call: its history, what happens, its end; and where a reader resumes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.calls.live import feed as feed_module
from bot.calls.live.events import CalleeWords, StatusChanged, TurnCompleted
from bot.calls.live.history import history
from bot.calls.live.hub import EventId
from bot.calls.live.reporting import LiveCall, LiveStore
from bot.calls.process import CallListener
from bot.errors import BusyError, NotFoundError
from bot.records import (
    AnsweredBy,
    EndedReason,
    Outcome,
    Speaker,
    Status,
    ToolUse,
    Turn,
    TurnLatency,
)
from bot.store import CallChange, Database, SqlCallStore
from bot.store.address import SqliteAddress
from tests.unit.calls.live.live import OneProcess, first, names, processes
from tests.unit.store.examples import a_call, a_turn

ENDED = CallChange(
    ended_reason=EndedReason.AGENT_HANGUP,
    answered_by=AnsweredBy.PERSON,
    outcome=Outcome(reached_goal=True, summary="Confirmed."),
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlCallStore]:
    made = SqlCallStore(Database(SqliteAddress(tmp_path / "calls.db")))
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def here(store: SqlCallStore) -> OneProcess:
    return processes(store)[0]


def a_live_call(here: OneProcess, call_id: str = "call-1") -> LiveCall:
    here.held.add(call_id)
    return LiveCall(call_id, here.hub, CallListener())


async def over(store: SqlCallStore, call_id: str = "call-1", *, seconds_ago: float = 60.0) -> None:
    at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    await store.advance(call_id, Status.IN_PROGRESS, at=at - timedelta(seconds=30))
    await store.advance(call_id, Status.COMPLETED, at=at, change=replace(ENDED, ended_at=at))


async def test_an_unknown_call_has_no_stream(here: OneProcess) -> None:
    with pytest.raises(NotFoundError):
        await here.feeds.of_call("nobody", None, None)
    assert not here.hub.subscriptions


async def test_a_finished_call_gives_its_history_and_ends(store: SqlCallStore, here: OneProcess) -> None:
    latency = TurnLatency(voice_to_voice_ms=800.0, llm_ms=300.0)
    agent = replace(a_turn(1, "Hi."), latency=latency, tools=(ToolUse("end_call", {}, {"ok": True}, 1500),))
    callee = replace(a_turn(), latency=None, tools=())
    await store.add(a_call(turns=(callee, agent)))
    await over(store)
    feed = await here.feeds.of_call("call-1", None, None)
    got = await first(feed, 99)
    assert names(got) == [
        "status_changed",
        "turn_completed",
        "reply_timed",
        "tool_used",
        "turn_completed",
        "status_changed",
        "status_changed",
        "status_changed",
        "outcome_written",
        "stream_ended",
    ]
    assert [one.event.text for one in got if isinstance(one.event, TurnCompleted)] == ["Hello?", "Hi."]
    assert not here.hub.subscriptions


async def test_a_call_is_followed_from_its_history_to_its_end(
    store: SqlCallStore, here: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "LINGER_SECONDS", 0.1)
    listened = SqlCallStore(store.database, LiveStore(here.hub))
    await listened.add(a_call(created_at=datetime.now(UTC)))
    feed = await here.feeds.of_call("call-1", None, None)
    call = a_live_call(here)
    await listened.advance("call-1", Status.IN_PROGRESS, at=datetime.now(UTC))
    turn = Turn(0, Speaker.CALLEE, "Hel", datetime.now(UTC), 100, complete=False)
    call.turn_passed(Speaker.CALLEE, speaking=True)
    call.turn_passed(Speaker.CALLEE, speaking=True)  # no news
    call.words_came(turn)
    call.answer_detected(AnsweredBy.PERSON, "no machine says “Hello”")
    call.turn_completed(replace(turn, text="Hello?", end_ms=600, complete=True))
    call.reply_timed(TurnLatency(voice_to_voice_ms=700.0))
    call.tool_used(ToolUse("record_outcome", {"a": 1}, {"ok": True}, 900))
    call.vendor_trouble("deepgram", "connection_lost")
    await listened.advance("call-1", Status.COMPLETED, at=datetime.now(UTC), change=ENDED)
    got = await first(feed, 99)
    assert names(got) == [
        "status_changed",
        "status_changed",
        "turn_passed",
        "callee_words",
        "answer_detected",
        "turn_completed",
        "reply_timed",
        "tool_used",
        "vendor_trouble",
        "status_changed",
        "outcome_written",
        "stream_ended",
    ]
    ended = got[-3].event
    assert isinstance(ended, StatusChanged)
    assert ended.ended_reason is EndedReason.AGENT_HANGUP


async def test_who_comes_late_gets_what_the_record_has_once_and_the_rest_from_the_log(
    store: SqlCallStore, here: OneProcess
) -> None:
    now = datetime.now(UTC)
    kept = Turn(0, Speaker.CALLEE, "Hello?", now, 0, 500)
    await store.add(a_call(created_at=now, turns=(kept,)))
    await store.advance("call-1", Status.IN_PROGRESS, at=now)
    call = a_live_call(here)
    call.words_came(replace(kept, text="Hel", complete=False))
    call.turn_completed(kept)
    call.answer_detected(AnsweredBy.PERSON, "nothing speaks for a machine")
    call.words_came(Turn(1, Speaker.AGENT, "Hi, this", now, 900, complete=False))
    feed = await here.feeds.of_call("call-1", None, None)
    got = names(await first(feed, 6))
    assert got.count("turn_completed") == 1
    assert got.count("status_changed") == 3
    assert got.count("answer_detected") == got.count("agent_words") == 1
    assert "callee_words" not in got


async def test_who_resumes_gets_what_came_after(store: SqlCallStore, here: OneProcess) -> None:
    await store.add(a_call(created_at=datetime.now(UTC)))
    call = a_live_call(here)
    for text in ("one", "two", "three"):
        call.answer_detected(AnsweredBy.PERSON, text)
    log = here.hub.log_of("call-1")
    feed = await here.feeds.of_call("call-1", None, log[0].id)
    assert [one.id for one in await first(feed, 2)] == [log[1].id, log[2].id]


async def test_who_resumes_from_before_the_log_gets_the_history_again(
    store: SqlCallStore, here: OneProcess
) -> None:
    await store.add(a_call(created_at=datetime.now(UTC)))
    a_live_call(here).answer_detected(AnsweredBy.PERSON, "late")
    feed = await here.feeds.of_call("call-1", None, EventId(1000, 5, "gone"))
    assert names(await first(feed, 2)) == ["status_changed", "answer_detected"]


async def test_only_the_names_that_were_asked_for_come_and_the_end_all_the_same(
    store: SqlCallStore, here: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "LINGER_SECONDS", 0.05)
    await store.add(a_call(created_at=datetime.now(UTC)))
    feed = await here.feeds.of_call("call-1", frozenset({"callee_words"}), None)
    here.hub.publish(CalleeWords(call_id="call-1", turn=0, text="x", start_ms=0))
    here.hub.publish(StatusChanged(call_id="call-1", status=Status.COMPLETED))
    assert names(await first(feed, 99)) == ["callee_words", "stream_ended"]


async def test_a_quiet_stream_beats(
    store: SqlCallStore, here: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "HEARTBEAT_SECONDS", 0.01)
    feed = await here.feeds.of_all(None, None)
    events = feed.events()
    assert await anext(events) is None
    await events.aclose()  # type: ignore[attr-defined]
    assert not here.hub.subscriptions


async def test_streams_are_bounded(here: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MOST_STREAMS", 1)
    feed = await here.feeds.of_all(None, None)
    with pytest.raises(BusyError):
        await here.feeds.of_all(None, None)
    feed.close()
    (await here.feeds.of_all(None, None)).close()


async def test_all_calls_are_resumed_over_their_logs(here: OneProcess) -> None:
    for call_id in ("call-1", "call-2", "call-1"):
        here.hub.publish(StatusChanged(call_id=call_id, status=Status.RINGING))
    start = here.hub.log_of("call-1")[0].id
    got = await first(await here.feeds.of_all(None, start), 2)
    assert [one.event.call_id for one in got] == ["call-2", "call-1"]


def test_history_of_an_open_turn_is_its_words() -> None:
    record = a_call(turns=(replace(a_turn(1, "Hi"), complete=False, end_ms=None, latency=None, tools=()),))
    assert names(history(record)) == ["status_changed", "agent_words"]


def test_events_cost_little_while_nobody_listens(here: OneProcess) -> None:
    call = a_live_call(here)
    turn: dict[str, Any] = {"speaker": Speaker.CALLEE, "started_at": datetime.now(UTC), "start_ms": 0}
    began = time.process_time()
    for index in range(2000):
        call.words_came(Turn(index, text="yes I can", complete=False, **turn))
    spent = (time.process_time() - began) / 2000
    assert spent < 0.0005  # ten a second are less than half a percent of a core; it is about 10 µs each
