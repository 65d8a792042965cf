"""A call that one process cannot take is sent on to the others before it is turned away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.records import CallRecord, Direction, EndedReason, Status
from bot.telephony.simulated import twiml_reader as verbs
from tests.unit.calls.calls_in_memory import webhook
from tests.unit.calls.dialling.dialling import SPEC, DiallingHarness, build, opened

ORIGIN, BELOW = "https://bot.example.com", "/api/phone/twilio"
VOICE = "/voice"


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DiallingHarness]:
    """Of one line, and not alone at its address."""
    async with opened(build(tmp_path, max_calls=1)) as harness:
        harness.agent._others.exist = others
        yield harness


async def others() -> bool:
    return True


async def ask(harness: DiallingHarness, url: str, call_sid: str) -> str:
    fields = {"CallSid": call_sid, "From": "+12025550199", "To": "+12025550100"}
    return (await harness.agent.carrier_events.handle(webhook(url, fields))).body


def sent_to(twiml: str) -> str:
    """The path and query that the TwiML sends the call to, at our own address."""
    (redirect,) = verbs.read(twiml)
    assert isinstance(redirect, verbs.Redirect), twiml
    assert redirect.url.startswith(f"{ORIGIN}{BELOW}/"), "the carrier signs the whole of it"
    return redirect.url.removeprefix(f"{ORIGIN}{BELOW}")


async def test_a_call_that_is_sent_on_is_taken_where_a_line_is_free(harness: DiallingHarness) -> None:
    assert "<Stream" in await ask(harness, VOICE, "CA90")
    again = sent_to(await ask(harness, VOICE, "CA91"))
    waiting = await harness.store.get_by_sid("CA91")
    assert waiting is not None
    assert waiting.status is Status.QUEUED
    await harness.tell("CA90", Status.COMPLETED)
    told: list[str] = []
    news = harness.agent._dialler.news

    async def note(record: CallRecord, kind: str) -> None:
        told.append(kind)
        await news(record, kind)

    harness.agent._dialler.news = note  # type: ignore[method-assign]
    assert "<Stream" in await ask(harness, again, "CA91")
    assert len((await harness.store.page()).items) == 2, "one record, however often the carrier asks"
    taken = await harness.record(waiting.call_id)
    assert (taken.status, taken.direction) == (Status.IN_PROGRESS, Direction.INBOUND)
    assert told == [], "who follows it would give up its slot, and is this process"
    await harness.tell("CA91", Status.COMPLETED)
    assert (await harness.is_over(taken.call_id)).status is Status.COMPLETED


async def test_it_is_turned_away_in_the_end(harness: DiallingHarness) -> None:
    await ask(harness, VOICE, "CA90")
    url = VOICE
    for _ in range(2):
        url = sent_to(await ask(harness, url, "CA91"))
    assert verbs.read(await ask(harness, url, "CA91")) == (verbs.Reject("busy"),)
    (call,) = [call for call in (await harness.store.page()).items if call.call_sid == "CA91"]
    over = await harness.is_over(call.call_id)
    assert (over.status, over.ended_reason) == (Status.BUSY, EndedReason.DIAL_BUSY)


async def test_a_process_that_is_alone_turns_it_away_at_once(harness: DiallingHarness) -> None:
    async def nobody() -> bool:
        return False

    async def away() -> bool:
        raise ConnectionError("nobody can tell")

    await ask(harness, VOICE, "CA90")
    for number, answer in enumerate((nobody, away)):
        harness.agent._others.exist = answer
        assert verbs.read(await ask(harness, VOICE, f"CA9{number + 1}")) == (verbs.Reject("busy"),)


async def test_where_all_lines_of_all_are_taken_nobody_else_is_asked(tmp_path: Path) -> None:
    async with opened(build(tmp_path, max_calls=5, max_lines=1)) as harness:
        harness.agent._others.exist = others
        assert "<Stream" in await ask(harness, VOICE, "CA90")
        assert verbs.read(await ask(harness, VOICE, "CA91")) == (verbs.Reject("busy"),)


async def test_an_answered_call_of_ours_goes_where_its_slot_is(harness: DiallingHarness) -> None:
    """Who dialled it keeps its slot until another process has one for it."""
    call = CallRecord(
        "call-1",
        SPEC,
        Direction.OUTBOUND,
        Status.RINGING,
        datetime.now(UTC),
        call_sid="CA90",
        followed_by="call-1:1",
        dialling_at=datetime.now(UTC),
    )
    await harness.store.add(call)
    told: list[str] = []

    async def news(_record: CallRecord, kind: str) -> None:
        told.append(kind)

    harness.agent._dialler.news = news  # type: ignore[assignment, method-assign]
    for number in (1, 2):  # a quarter more than one line
        await ask(
            harness,
            f"{VOICE}?call_id={(await harness.agent.registrations.register(SPEC)).call_id}",
            f"CA{number}",
        )
    again = sent_to(await ask(harness, f"{VOICE}?call_id=call-1", "CA90"))
    assert told == []
    assert (await harness.record("call-1")).status is Status.RINGING
    await harness.tell("CA1", Status.COMPLETED)
    told.clear()
    assert "<Stream" in await ask(harness, again, "CA90")
    assert told == ["answered"]


async def test_who_only_follows_a_call_keeps_the_slot_of_its_answer(harness: DiallingHarness) -> None:
    """The process that dialled it died; this one took it up, and then got its webhook."""
    board, following = harness.agent.active_calls, harness.agent._dialler._following
    registered = await harness.agent.registrations.register(SPEC)
    await ask(harness, f"{VOICE}?call_id={registered.call_id}", "CA90")
    following.known_here.discard(registered.call_id)
    await following.look(registered.call_id, "answered")
    assert board.slot_of(registered.call_id) is not None
    following.known_here.add(registered.call_id)
    await following.look(registered.call_id, "answered")
    assert board.slot_of(registered.call_id) is None
