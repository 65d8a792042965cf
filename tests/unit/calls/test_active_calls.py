"""The active_calls: so many lines and no more, one way out of a slot, an end that leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from bot.audio import Speech, TimedWord
from bot.calls import active_calls as module
from bot.calls.active_calls import ActiveCalls, CallSlot
from bot.calls.capacity import LineRequest, Refusal
from bot.conversation import opening
from bot.conversation.call import Call
from bot.conversation.call_plan import Plan, Services, choose
from bot.conversation.opening import SpeechStream
from bot.conversation.scenario.compliance import Compliance
from bot.conversation.scenario.parts import Opening
from bot.conversation.scenario.scenario import Scenario
from bot.errors import BusyError, VendorError
from bot.pipeline.resources import Resources
from bot.pipeline.usage import NO_USAGE, Usage, Used
from bot.records import CallSpec, Direction, EndedReason
from bot.settings import Settings

SCENARIO = Scenario(
    compliance=Compliance(profile="none"),
    name="s",
    description="d",
    instructions="i",
    opening=Opening(text="Hi {{callee_name|there}}."),
)
SERVICES = cast(Services, object())


def plan(number: int = 1, scenario: Scenario = SCENARIO, **spec: Any) -> Plan:
    slots = choose(scenario, Settings(_env_file=None), simulated_line=True)
    return Plan(f"call-{number}", CallSpec("+12025550123", "s", **spec), Direction.OUTBOUND, scenario, slots)


@pytest.fixture
def active_calls() -> ActiveCalls:
    return ActiveCalls(2, Resources(Settings(_env_file=None)))


class Openings:
    """Stands in for the opening's vendors."""

    def __init__(self) -> None:
        self.spoken: list[str] = []
        self.phrases: list[str] = []
        """Spoken for a phrase book, not for an opening."""
        self.hold = asyncio.Event()
        self.hold.set()
        self.failure: Exception | None = None

    async def write(self, *_: Any, usage: Usage) -> str:
        usage.add("anthropic", "claude-haiku-5-5", "output_tokens", 2)
        return "Written."

    async def speak(
        self,
        _resources: Any,
        _member: Any,
        text: str,
        *,
        language: str,
        pronunciation: Mapping[str, str] | None = None,
        stream: SpeechStream | None = None,
        usage: Usage = NO_USAGE,
    ) -> Speech:
        speech = Speech(text, bytes(160))
        usage.add("elevenlabs", "eleven_flash_v2_5", "characters", len(text))
        if stream is None:
            self.phrases.append(text)
            return speech
        self.spoken.append(text)
        await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        stream.add(speech)
        return speech


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Openings]:
    openings = Openings()
    monkeypatch.setattr(opening, "write", openings.write)
    monkeypatch.setattr(opening, "speak", openings.speak)
    monkeypatch.setattr(module, "build_services", lambda *_: SERVICES)
    yield openings


async def made(slot: CallSlot) -> SpeechStream:
    """The slot's opening once nothing more comes of it; its task has ended without an error."""
    assert slot.opening is not None
    assert slot.making is not None
    await slot.making
    assert slot.opening.finished
    return slot.opening


class OnLine:
    """A call on the line, as far as the active calls know one. Its apology is heard when `heard` is set."""

    def __init__(self) -> None:
        self.reason: EndedReason | None = None
        self.ended = asyncio.Event()
        self.left: EndedReason | None = None
        self.apologising = asyncio.Event()

    async def take_leave(self, reason: EndedReason) -> None:
        self.left = reason
        self.apologising.set()

    async def hang_up(self, reason: EndedReason) -> None:
        self.reason = reason
        self.ended.set()


async def answered(active_calls: ActiveCalls, number: int) -> tuple[CallSlot, OnLine]:
    slot, call = active_calls.take_line(plan(number)), OnLine()
    slot.call = cast(Call, call)

    async def hold() -> None:
        await call.ended.wait()
        await active_calls.release(slot.plan.call_id)

    holding = asyncio.create_task(active_calls.hold(slot, hold()))
    await asyncio.sleep(0)
    assert slot.holding is not None
    slot.holding.add_done_callback(lambda _: holding.cancel())
    return slot, call


async def test_lines_are_given_until_there_are_none(active_calls: ActiveCalls) -> None:
    active_calls.take_line(plan(1))
    active_calls.take_line(plan(2))
    with pytest.raises(BusyError) as caught:
        active_calls.take_line(plan(3))
    assert caught.value.retry_after_seconds > 0
    assert active_calls.lines_taken == 2
    await active_calls.release("call-1")
    active_calls.take_line(plan(3))
    assert active_calls.lines_taken == 2


async def test_a_call_takes_one_line_however_often_it_asks(active_calls: ActiveCalls) -> None:
    first = active_calls.take_line(plan(1))
    assert active_calls.take_line(plan(1)) is first
    assert active_calls.lines_taken == 1


async def test_an_expected_call_takes_a_line_only_when_it_comes(active_calls: ActiveCalls) -> None:
    slot = active_calls.expect(plan(1))
    assert slot is not None
    assert active_calls.expect(plan(2)) is not None
    assert active_calls.expect(plan(3)) is None, "a bound on what may be expected"
    assert active_calls.lines_taken == 0
    assert active_calls.take_line(plan(1)) is slot
    assert active_calls.lines_taken == 1


async def test_releasing_twice_or_nothing_is_harmless(active_calls: ActiveCalls) -> None:
    active_calls.take_line(plan(1))
    await active_calls.release("call-1")
    await active_calls.release("call-1")
    await active_calls.release("never")
    assert active_calls.lines_taken == 0


async def test_the_opening_is_made_while_it_rings(active_calls: ActiveCalls, openings: Openings) -> None:
    slot = active_calls.take_line(plan(1, callee_name="John"))
    active_calls.prepare(slot)
    active_calls.prepare(slot)
    ready, services = await active_calls.prepared(slot, "CA1")
    assert services is SERVICES
    assert ready.opening_text == "Hi John."
    assert ready.opening is slot.opening
    assert (await made(slot)).speech() == Speech("Hi John.", bytes(160))
    assert openings.spoken == ["Hi John."]


async def test_an_opening_without_a_text_is_written(active_calls: ActiveCalls, openings: Openings) -> None:
    slot = active_calls.take_line(plan(1, SCENARIO.model_copy(update={"opening": Opening()})))
    ready, _ = await active_calls.prepared(slot, "CA1")
    assert ready.opening_text is None, "where it cannot be made, the model speaks for itself"
    assert (await made(slot)).speech() == Speech("Written.", bytes(160))
    assert openings.spoken == ["Written."]


async def test_a_spoken_opening_is_kept_for_the_next_call(active_calls: ActiveCalls, openings: Openings) -> None:
    said: list[Speech] = []
    for number, name in enumerate(("John", "John", "Ann")):
        slot = active_calls.expect(plan(number, callee_name=name)) or pytest.fail()
        active_calls.prepare(slot)
        said.append((await made(slot)).speech())
        await active_calls.release(f"call-{number}")
    assert openings.spoken == ["Hi John.", "Hi Ann."]
    assert said == [Speech(text, bytes(160)) for text in ("Hi John.", "Hi John.", "Hi Ann.")]


async def test_kept_openings_have_a_bound(
    active_calls: ActiveCalls, openings: Openings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_OPENINGS", 2)
    for number in range(4):
        slot = active_calls.take_line(plan(number, callee_name=f"N{number}"))
        active_calls.prepare(slot)
        await made(slot)
        await active_calls.release(f"call-{number}")
    assert len(active_calls._spoken) == 2


@pytest.mark.parametrize("failure", [VendorError("no audio", provider="elevenlabs"), RuntimeError("a bug")])
async def test_a_vendor_that_fails_leaves_the_opening_to_the_pipeline(
    active_calls: ActiveCalls, openings: Openings, failure: Exception
) -> None:
    openings.failure = failure
    slot = active_calls.take_line(plan(1))
    ready, _ = await active_calls.prepared(slot, "CA1")
    assert (await made(slot)).silent
    assert ready.opening_text == "Hi there."
    openings.failure = None
    again = active_calls.take_line(plan(2))
    active_calls.prepare(again)
    assert (await made(again)).pcm, "a failure is not kept for the next call"


async def test_a_model_that_cannot_write_leaves_the_languages_own_opening(
    active_calls: ActiveCalls, openings: Openings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(*_: Any, usage: Usage) -> str:
        raise VendorError("overloaded", provider="anthropic", retryable=True)

    monkeypatch.setattr(opening, "write", write)
    scenario = SCENARIO.model_copy(update={"opening": Opening(), "language": "es"})
    slot = active_calls.take_line(plan(1, scenario))
    await active_calls.prepared(slot, "CA1")
    assert (await made(slot)).pcm
    assert openings.spoken == ["Hola, le habla Alex. ¿En qué puedo ayudarle?"]
    # Nobody is greeted in English in a language that has no opening here: the model is asked once more.
    other = active_calls.take_line(plan(2, scenario.model_copy(update={"language": "fr"})))
    await active_calls.prepared(other, "CA2")
    assert (await made(other)).silent
    assert len(openings.spoken) == 1


async def test_an_open_line_does_not_wait_for_a_slow_opening(
    active_calls: ActiveCalls, openings: Openings
) -> None:
    openings.hold.clear()
    slot = active_calls.take_line(plan(1))
    async with asyncio.timeout(1):
        ready, _ = await active_calls.prepared(slot, "CA1")
    assert ready.opening is not None
    assert (ready.opening.finished, bytes(ready.opening.pcm)) == (False, b"")
    openings.hold.set()
    await made(slot)
    assert ready.opening.pcm, "what comes late is in the call's own stream"


async def test_a_call_that_ends_stops_the_making_of_its_opening(
    active_calls: ActiveCalls, openings: Openings
) -> None:
    openings.hold.clear()
    slot = active_calls.take_line(plan(1))
    ready, _ = await active_calls.prepared(slot, "CA1")
    await active_calls.release("call-1")
    assert slot.making is not None
    assert slot.making.cancelled()
    assert ready.opening is not None
    assert ready.opening.silent, "whoever listens is told that no more comes"


async def test_a_call_that_is_forgotten_takes_its_tasks_along(
    active_calls: ActiveCalls, openings: Openings
) -> None:
    openings.hold.clear()
    before = asyncio.all_tasks()
    slot = active_calls.take_line(plan(1))
    active_calls.prepare(slot)
    active_calls.build_ahead(slot, "CA1")
    active_calls.release_after(slot, 60, _never)
    await asyncio.sleep(0.01)
    await active_calls.release("call-1")
    assert asyncio.all_tasks() == before


async def _never() -> None:
    raise AssertionError("not now")


async def test_a_ring_nobody_answers_is_released_in_time(active_calls: ActiveCalls) -> None:
    told = asyncio.Event()

    async def then() -> None:
        told.set()

    slot = active_calls.take_line(plan(1))
    active_calls.release_after(slot, 60, _never)
    active_calls.release_after(slot, 0.01, then)
    await told.wait()
    assert active_calls.lines_taken == 0


async def test_what_follows_an_expiry_may_fail(active_calls: ActiveCalls) -> None:
    """The store is away when the line is freed: that is logged, by a task that ends without an error."""
    failed = asyncio.Event()

    async def then() -> None:
        failed.set()
        raise RuntimeError("the store is away")

    slot = active_calls.take_line(plan(1))
    active_calls.release_after(slot, 0.0, then)
    expiry = slot.expiry
    assert expiry is not None
    await failed.wait()
    await expiry
    assert active_calls.lines_taken == 0


async def test_a_held_line_is_not_released_by_its_ring(active_calls: ActiveCalls) -> None:
    slot, call = await answered(active_calls, 1)
    active_calls.release_after(slot, 0.0, _never)
    await asyncio.sleep(0.02)
    assert active_calls.lines_taken == 1
    await call.hang_up(EndedReason.AGENT_HANGUP)
    while active_calls.lines_taken:  # noqa: ASYNC110  # freed by the call's own task
        await asyncio.sleep(0.001)


async def test_a_cancelled_route_does_not_cut_the_call(active_calls: ActiveCalls) -> None:
    slot = active_calls.take_line(plan(1))
    go, done = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        await go.wait()
        done.set()

    route = asyncio.create_task(active_calls.hold(slot, hold()))
    await asyncio.sleep(0)
    route.cancel()
    with pytest.raises(asyncio.CancelledError):
        await route
    go.set()
    await done.wait()


async def test_a_hang_up_before_the_answer_is_remembered(active_calls: ActiveCalls) -> None:
    slot = active_calls.take_line(plan(1))
    await slot.hang_up(EndedReason.CANCELED)
    await slot.hang_up(EndedReason.SERVER_SHUTDOWN)
    assert slot.end_early is EndedReason.CANCELED


async def test_a_late_loop_keeps_new_calls_away_and_nobody_who_was_answered(active_calls: ActiveCalls) -> None:
    active_calls.take_line(plan(1))
    for _ in range(3):
        active_calls.lag.note(0.2)
    assert active_calls.refusal() is Refusal.LATE
    with pytest.raises(BusyError, match="limit"):
        active_calls.take_line(plan(2))
    assert active_calls.take_line(plan(2), LineRequest.ANSWERED).has_line
    assert active_calls.take_line(plan(3), LineRequest.ANSWERED).has_line, "beyond the lines of new calls"
    with pytest.raises(BusyError):
        active_calls.take_line(plan(4), LineRequest.ANSWERED)


async def test_a_drain_waits_for_what_rings_and_what_talks(active_calls: ActiveCalls) -> None:
    _, call = await answered(active_calls, 1)
    active_calls.take_line(plan(2))
    assert active_calls.expect(plan(5)) is not None
    draining = asyncio.create_task(active_calls.drain(within_seconds=60))
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        active_calls.take_line(plan(3))
    assert active_calls.expect(plan(4)) is None
    await call.hang_up(EndedReason.AGENT_HANGUP)
    while active_calls.lines_taken > 1:  # noqa: ASYNC110  # freed by the call's own task
        await asyncio.sleep(0.001)
    slot, second = await answered(active_calls, 2)
    assert not draining.done(), "what rang is held"
    await second.hang_up(EndedReason.AGENT_HANGUP)
    await draining
    assert (slot.end_early, active_calls.lines_taken, len(active_calls.slots)) == (None, 0, 1)


async def test_a_drain_takes_what_another_process_dialled(active_calls: ActiveCalls) -> None:
    await active_calls.drain(within_seconds=60)
    assert active_calls.take_line(plan(1), LineRequest.ANSWERED).has_line


@pytest.mark.parametrize("hurried", [True, False])
async def test_a_drain_ends_in_time_or_in_a_hurry(active_calls: ActiveCalls, hurried: bool) -> None:
    active_calls.take_line(plan(1))
    hurry = asyncio.Event()
    before = asyncio.all_tasks()
    draining = asyncio.create_task(active_calls.drain(within_seconds=60 if hurried else 0.01, hurry=hurry))
    await asyncio.sleep(0)
    if hurried:
        hurry.set()
    async with asyncio.timeout(5):
        await draining
    assert active_calls.lines_taken == 1
    assert asyncio.all_tasks() == before


async def test_those_on_the_line_are_taken_leave_of(active_calls: ActiveCalls) -> None:
    _, call = await answered(active_calls, 1)
    _, other = await answered(active_calls, 2)
    leaving = asyncio.create_task(active_calls.take_leave(EndedReason.SERVER_SHUTDOWN, within_seconds=60))
    await call.apologising.wait()
    await other.apologising.wait()
    assert (call.left, call.reason) == (EndedReason.SERVER_SHUTDOWN, None)
    call.ended.set()
    other.ended.set()
    await leaving
    assert active_calls.lines_taken == 0


async def test_an_apology_is_spoken_once_for_all_calls_of_a_voice(
    active_calls: ActiveCalls, openings: Openings
) -> None:
    calls = [await answered(active_calls, number) for number in (1, 2)]
    leaving = asyncio.create_task(active_calls.take_leave(EndedReason.SERVER_SHUTDOWN, within_seconds=60))
    for _, call in calls:
        await call.apologising.wait()
        call.ended.set()
    await leaving
    assert openings.phrases == [SCENARIO.phrases.trouble]


async def test_an_apology_may_be_cut_short(active_calls: ActiveCalls, openings: Openings) -> None:
    _, call = await answered(active_calls, 1)
    hurry = asyncio.Event()
    leaving = asyncio.create_task(
        active_calls.take_leave(EndedReason.SERVER_SHUTDOWN, within_seconds=60, hurry=hurry)
    )
    await call.apologising.wait()
    hurry.set()
    await leaving
    assert call.reason is None
    await active_calls.end_all(EndedReason.SERVER_SHUTDOWN, within_seconds=2)
    assert call.reason is EndedReason.SERVER_SHUTDOWN


async def test_an_apology_that_cannot_be_said_does_not_stop_the_others(
    active_calls: ActiveCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, broken = await answered(active_calls, 1)
    _, call = await answered(active_calls, 2)

    async def breaks(_: EndedReason) -> None:
        broken.ended.set()
        raise RuntimeError("a bug")

    monkeypatch.setattr(broken, "take_leave", breaks)
    leaving = asyncio.create_task(active_calls.take_leave(EndedReason.SERVER_SHUTDOWN, within_seconds=60))
    await call.apologising.wait()
    call.ended.set()
    await leaving
    assert active_calls.lines_taken == 0


async def test_slots_without_a_talk_are_left(active_calls: ActiveCalls) -> None:
    ringing = active_calls.take_line(plan(1))
    expected = active_calls.expect(plan(3))
    _, call = await answered(active_calls, 2)
    assert await active_calls.leave_waiting() == [ringing], (
        "nobody's phone rings for a call that is only expected"
    )
    assert ringing.end_early is EndedReason.SERVER_SHUTDOWN
    assert expected is not None
    assert [slot.plan.call_id for slot in active_calls.slots] == ["call-2"]
    assert call.reason is None


async def test_the_end_of_the_server_ends_all_calls(active_calls: ActiveCalls) -> None:
    _, call = await answered(active_calls, 1)
    active_calls.take_line(plan(2))
    assert active_calls.calls_on_line == 1
    await active_calls.end_all(EndedReason.SERVER_SHUTDOWN, within_seconds=2)
    assert call.reason is EndedReason.SERVER_SHUTDOWN
    assert (active_calls.lines_taken, active_calls.slots) == (0, [])
    for asking in LineRequest:
        with pytest.raises(BusyError):
            active_calls.take_line(plan(3), asking)
    assert active_calls.expect(plan(4)) is None


async def test_a_call_that_does_not_end_is_cut_at_the_servers_end(active_calls: ActiveCalls) -> None:
    slot = active_calls.take_line(replace(plan(1)))
    cut = asyncio.Event()

    async def hold() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut.set()

    holding = asyncio.create_task(active_calls.hold(slot, hold()))
    await asyncio.sleep(0)
    await active_calls.end_all(EndedReason.SERVER_SHUTDOWN, within_seconds=0.02)
    assert cut.is_set()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert active_calls.lines_taken == 0


async def test_an_opening_nobody_hears_is_paid_all_the_same(
    active_calls: ActiveCalls, openings: Openings
) -> None:
    told: list[tuple[Used, ...]] = []

    async def spent(of: Plan) -> None:
        told.append(of.opening_usage.items)

    active_calls.spent = spent
    slot = active_calls.take_line(plan(callee_name="John"))
    active_calls.prepare(slot)
    assert slot.making is not None
    await slot.making
    await active_calls.release(slot.plan.call_id)
    (used,) = told
    assert used[0].vendor == "elevenlabs"
    assert used[0].quantity is not None
    assert used[0].quantity >= len("Hi John.")


async def test_an_opening_made_again_by_who_answers_belongs_to_the_call(
    active_calls: ActiveCalls, openings: Openings
) -> None:
    slot = active_calls.take_line(plan(callee_name="John"))
    await active_calls.prepared(slot, "CA1")
    await made(slot)
    assert slot.plan.opening_usage.items == ()
    assert slot.plan.usage.items


class Shelf:
    """Keeps openings as a shared database does."""

    def __init__(self, **kept: Speech) -> None:
        self.kept = kept
        self.away = False

    async def put(self, call_id: str, speech: Speech) -> None:
        if self.away:
            raise OSError("away")
        self.kept[call_id] = speech

    async def get(self, call_id: str) -> Speech | None:
        if self.away:
            raise OSError("away")
        return self.kept.get(call_id)


async def test_who_dials_keeps_the_opening_for_others(active_calls: ActiveCalls, openings: Openings) -> None:
    active_calls.openings = shelf = Shelf()
    slot = active_calls.take_line(plan(1, callee_name="Ann"))
    active_calls.prepare(slot)
    stream = await made(slot)
    assert shelf.kept == {"call-1": stream.speech()}


async def test_who_answers_takes_the_opening_that_is_kept(active_calls: ActiveCalls, openings: Openings) -> None:
    active_calls.openings = Shelf(**{"call-1": Speech("Hi there.", bytes(320), (TimedWord("Hi", 0.0, 9.0),))})
    slot = active_calls.take_line(plan(1))
    active_calls.prepare(slot, answered=True)
    assert (await made(slot)).speech() == Speech("Hi there.", bytes(320), (TimedWord("Hi", 0.0, 9.0),))
    assert "Hi there." not in openings.spoken


@pytest.mark.parametrize("away", [False, True])
async def test_who_answers_makes_what_is_not_kept(
    active_calls: ActiveCalls, openings: Openings, away: bool
) -> None:
    active_calls.openings = shelf = Shelf()
    shelf.away = away
    slot = active_calls.take_line(plan(1, callee_name="Ann"))
    active_calls.prepare(slot, answered=True)
    assert (await made(slot)).text == "Hi Ann."
    assert shelf.kept == {}, "nobody else will ask for it"


async def test_an_opening_that_failed_is_not_kept(active_calls: ActiveCalls, openings: Openings) -> None:
    active_calls.openings = shelf = Shelf()
    openings.failure = VendorError("no voice", provider="elevenlabs")
    slot = active_calls.take_line(plan(1))
    active_calls.prepare(slot)
    await made(slot)
    assert shelf.kept == {}
