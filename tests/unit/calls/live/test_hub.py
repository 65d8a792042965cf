"""The hub: ids, the log of a call, readers who are too slow."""

from __future__ import annotations

import pytest

from bot.calls.live.events import AgentWords, CalleeWords, StatusChanged
from bot.calls.live.hub import LOG_EVENTS, LOG_SECONDS, QUEUE_EVENTS, EventHub, EventId
from bot.records import Status

NOW = "2026-03-02T12:00:00.123Z"


def words(text: str, turn: int = 0, call_id: str = "call-1") -> CalleeWords:
    return CalleeWords(call_id=call_id, turn=turn, text=text, start_ms=0)


def status(value: Status = Status.RINGING, call_id: str = "call-1") -> StatusChanged:
    return StatusChanged(call_id=call_id, status=value)


def test_an_id_is_read_as_it_is_written() -> None:
    hub = EventHub()
    hub.publish(StatusChanged(call_id="call-1", at=NOW, status=Status.RINGING))
    known = hub.log_of("call-1")[0].id
    assert EventId.read(str(known)) == known
    assert known.ms == 1772452800123


@pytest.mark.parametrize("text", ["", "1", "1-2", "a-1-b", "1-2-3-4", "1-x-b", "²-1-b", "-1-2-a"])
def test_what_is_no_id_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        EventId.read(text)


def test_one_origin_is_resumed_exactly_and_others_with_some_slack() -> None:
    seen = EventId(5000, 7, "a")
    assert not EventId(5000, 7, "a").is_after(seen)
    assert EventId(5000, 8, "a").is_after(seen)
    assert EventId(4500, 1, "b").is_after(seen)
    assert not EventId(3000, 1, "b").is_after(seen)


def test_growing_words_take_one_place_of_the_log() -> None:
    hub = EventHub()
    for text in ("yes", "yes I", "yes I can"):
        hub.publish(words(text))
    hub.publish(AgentWords(call_id="call-1", turn=1, text="Great.", start_ms=900))
    hub.publish(words("bye", turn=2))
    assert [entry.event.text for entry in hub.log_of("call-1")] == ["yes I can", "Great.", "bye"]  # type: ignore[attr-defined]


def test_a_log_is_bounded_and_forgotten_after_a_while() -> None:
    now = [0.0]
    hub = EventHub(clock=lambda: now[0])
    for turn in range(LOG_EVENTS + 10):
        hub.publish(words("x", turn))
    assert len(hub.log_of("call-1")) == LOG_EVENTS
    now[0] = LOG_SECONDS + 1
    hub.publish(status(call_id="call-2"))
    assert hub.log_of("call-1") == []


def test_a_log_says_how_far_back_it_reaches() -> None:
    hub = EventHub()
    hub.publish(status())
    hub.publish(status(Status.IN_PROGRESS))
    first, second = (entry.id for entry in hub.log_of("call-1"))
    assert hub.reaches("call-1", first)
    assert [entry.id for entry in hub.logged("call-1", first)] == [second]
    assert not hub.reaches("call-1", EventId(first.ms - 60_000, 1, "record"))
    assert not hub.reaches("call-2", first)


async def test_a_reader_gets_what_it_asked_for() -> None:
    hub = EventHub()
    one, some = hub.subscribe("call-1", None), hub.subscribe(None, frozenset({"status_changed"}))
    hub.publish(words("hello"))
    hub.publish(status(call_id="call-2"))
    assert [entry.event.event for entry in one.drain()] == ["callee_words"]
    assert [entry.event.call_id for entry in some.drain()] == ["call-2"]
    hub.unsubscribe(one)
    hub.publish(words("hello again"))
    assert await one.next(0.0) is None


async def test_a_slow_reader_is_dropped_and_keeps_what_was_waiting() -> None:
    hub = EventHub()
    slow, quick = hub.subscribe("call-1", None), hub.subscribe("call-1", None)
    for turn in range(QUEUE_EVENTS + 5):
        hub.publish(words("x", turn))
        assert await quick.next(0.0) is not None
    assert slow.closed
    assert not quick.closed
    assert len(slow.drain()) == QUEUE_EVENTS
    assert await slow.next(60.0) is None  # at once: it is over


def test_one_serialisation_serves_all_readers() -> None:
    hub = EventHub()
    readers = [hub.subscribe(None, None) for _ in range(3)]
    hub.publish(words("hello"))
    got = [reader.drain()[0] for reader in readers]
    assert got[0].json is got[2].json


async def test_a_hub_that_closes_ends_its_streams() -> None:
    hub = EventHub()
    reader = hub.subscribe(None, None)
    hub.close()
    assert await reader.next(60.0) is None
    assert hub.subscribe(None, None).closed
