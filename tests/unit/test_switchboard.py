"""The switchboard: so many lines and no more, one way out of a seat, an end that leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from bot import opening
from bot import switchboard as module
from bot.audio import Speech
from bot.call import Call, Plan, Services
from bot.errors import BusyError, VendorError
from bot.records import CallSpec, Direction, EndedReason
from bot.scenario import Opening, Scenario
from bot.settings import Settings
from bot.slots import choose
from bot.stages.resources import Resources
from bot.switchboard import Seat, Switchboard

SCENARIO = Scenario(
    name="s", description="d", instructions="i", opening=Opening(text="Hi {{callee_name|there}}.")
)
SERVICES = cast(Services, object())


def plan(number: int = 1, scenario: Scenario = SCENARIO, **spec: Any) -> Plan:
    slots = choose(scenario, Settings(_env_file=None), simulated_line=True)
    return Plan(f"call-{number}", CallSpec("+12025550123", "s", **spec), Direction.OUTBOUND, scenario, slots)


@pytest.fixture
def board() -> Switchboard:
    return Switchboard(2, Resources(Settings(_env_file=None)))


class Studio:
    """Stands in for the opening's vendors."""

    def __init__(self) -> None:
        self.spoken: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.failure: VendorError | None = None

    async def write(self, *_: Any) -> str:
        return "Written."

    async def speak(self, _resources: Any, _member: Any, text: str, *, language: str) -> Speech:
        self.spoken.append(text)
        await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        return Speech(text, bytes(160))


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    studio = Studio()
    monkeypatch.setattr(opening, "write", studio.write)
    monkeypatch.setattr(opening, "speak", studio.speak)
    monkeypatch.setattr(module, "build_services", lambda *_: SERVICES)
    yield studio


class OnLine:
    """A call on the line, as far as the switchboard knows one."""

    def __init__(self) -> None:
        self.reason: EndedReason | None = None
        self.ended = asyncio.Event()

    async def hang_up(self, reason: EndedReason) -> None:
        self.reason = reason
        self.ended.set()


async def answered(board: Switchboard, number: int) -> tuple[Seat, OnLine]:
    seat, call = board.take_line(plan(number)), OnLine()
    seat.call = cast(Call, call)

    async def hold() -> None:
        await call.ended.wait()
        await board.release(seat.plan.call_id)

    holding = asyncio.create_task(board.hold(seat, hold()))
    await asyncio.sleep(0)
    assert seat.holding is not None
    seat.holding.add_done_callback(lambda _: holding.cancel())
    return seat, call


async def test_lines_are_given_until_there_are_none(board: Switchboard) -> None:
    board.take_line(plan(1))
    board.take_line(plan(2))
    with pytest.raises(BusyError) as caught:
        board.take_line(plan(3))
    assert caught.value.retry_after_seconds > 0
    assert board.lines_taken == 2
    await board.release("call-1")
    board.take_line(plan(3))
    assert board.lines_taken == 2


async def test_a_call_takes_one_line_however_often_it_asks(board: Switchboard) -> None:
    first = board.take_line(plan(1))
    assert board.take_line(plan(1)) is first
    assert board.lines_taken == 1


async def test_an_expected_call_takes_a_line_only_when_it_comes(board: Switchboard) -> None:
    seat = board.expect(plan(1))
    assert seat is not None
    assert board.expect(plan(2)) is not None
    assert board.expect(plan(3)) is None, "a bound on what may be expected"
    assert board.lines_taken == 0
    assert board.take_line(plan(1)) is seat
    assert board.lines_taken == 1


async def test_releasing_twice_or_nothing_is_harmless(board: Switchboard) -> None:
    board.take_line(plan(1))
    await board.release("call-1")
    await board.release("call-1")
    await board.release("never")
    assert board.lines_taken == 0


async def test_the_opening_is_made_while_it_rings(board: Switchboard, studio: Studio) -> None:
    seat = board.take_line(plan(1, callee_name="John"))
    board.prepare(seat)
    board.prepare(seat)
    ready, services = await board.prepared(seat, "CA1")
    assert services is SERVICES
    assert ready.opening_text == "Hi John."
    assert ready.opening == Speech("Hi John.", bytes(160))
    assert studio.spoken == ["Hi John."]


async def test_an_opening_without_a_text_is_written(board: Switchboard, studio: Studio) -> None:
    seat = board.take_line(plan(1, SCENARIO.model_copy(update={"opening": Opening()})))
    ready, _ = await board.prepared(seat, "CA1")
    assert ready.opening_text == "Written."


async def test_a_spoken_opening_is_kept_for_the_next_call(board: Switchboard, studio: Studio) -> None:
    for number, name in enumerate(("John", "John", "Ann")):
        await board.prepared(board.expect(plan(number, callee_name=name)) or pytest.fail(), "CA1")
        await board.release(f"call-{number}")
    assert studio.spoken == ["Hi John.", "Hi Ann."]


async def test_kept_openings_have_a_bound(
    board: Switchboard, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_OPENINGS", 2)
    for number in range(4):
        await board.prepared(board.take_line(plan(number, callee_name=f"N{number}")), "CA1")
        await board.release(f"call-{number}")
    assert len(board._spoken) == 2


async def test_a_vendor_that_fails_leaves_the_opening_to_the_pipeline(board: Switchboard, studio: Studio) -> None:
    studio.failure = VendorError("no audio", provider="elevenlabs")
    ready, _ = await board.prepared(board.take_line(plan(1)), "CA1")
    assert (ready.opening, ready.opening_text) == (None, "Hi there.")


async def test_an_open_line_does_not_wait_for_a_slow_opening(
    board: Switchboard, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPENING_PATIENCE_SECONDS", 0.02)
    studio.hold.clear()
    seat = board.take_line(plan(1))
    ready, _ = await board.prepared(seat, "CA1")
    assert (ready.opening, ready.opening_text) == (None, "Hi there.")
    assert seat.opening is not None
    await board.release("call-1")
    assert seat.opening.cancelled()


async def test_a_call_that_is_forgotten_takes_its_tasks_along(board: Switchboard, studio: Studio) -> None:
    studio.hold.clear()
    before = asyncio.all_tasks()
    seat = board.take_line(plan(1))
    board.prepare(seat)
    board.build_ahead(seat, "CA1")
    board.release_after(seat, 60, _never)
    await asyncio.sleep(0.01)
    await board.release("call-1")
    assert asyncio.all_tasks() == before


async def _never() -> None:
    raise AssertionError("not now")


async def test_a_ring_nobody_answers_is_released_in_time(board: Switchboard) -> None:
    told = asyncio.Event()

    async def then() -> None:
        told.set()

    seat = board.take_line(plan(1))
    board.release_after(seat, 60, _never)
    board.release_after(seat, 0.01, then)
    await told.wait()
    assert board.lines_taken == 0


async def test_a_held_line_is_not_released_by_its_ring(board: Switchboard) -> None:
    seat, call = await answered(board, 1)
    board.release_after(seat, 0.0, _never)
    await asyncio.sleep(0.02)
    assert board.lines_taken == 1
    await call.hang_up(EndedReason.AGENT_HANGUP)
    while board.lines_taken:  # noqa: ASYNC110  # freed by the call's own task
        await asyncio.sleep(0.001)


async def test_a_cancelled_route_does_not_cut_the_call(board: Switchboard) -> None:
    seat = board.take_line(plan(1))
    go, done = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        await go.wait()
        done.set()

    route = asyncio.create_task(board.hold(seat, hold()))
    await asyncio.sleep(0)
    route.cancel()
    with pytest.raises(asyncio.CancelledError):
        await route
    go.set()
    await done.wait()


async def test_a_hang_up_before_the_answer_is_remembered(board: Switchboard) -> None:
    seat = board.take_line(plan(1))
    await seat.hang_up(EndedReason.CANCELED)
    await seat.hang_up(EndedReason.SERVER_SHUTDOWN)
    assert seat.wish is EndedReason.CANCELED


async def test_the_end_of_the_server_ends_all_calls(board: Switchboard) -> None:
    _, call = await answered(board, 1)
    ringing = board.take_line(plan(2))
    assert board.calls_on_line == 1
    waiting = await board.end_all(EndedReason.SERVER_SHUTDOWN, within_seconds=2)
    assert call.reason is EndedReason.SERVER_SHUTDOWN
    assert waiting == [ringing]
    assert (board.lines_taken, board.seats) == (0, [])
    with pytest.raises(BusyError):
        board.take_line(plan(3))
    assert board.expect(plan(4)) is None


async def test_a_call_that_does_not_end_is_cut_at_the_servers_end(board: Switchboard) -> None:
    seat = board.take_line(replace(plan(1)))
    cut = asyncio.Event()

    async def hold() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut.set()

    holding = asyncio.create_task(board.hold(seat, hold()))
    await asyncio.sleep(0)
    await board.end_all(EndedReason.SERVER_SHUTDOWN, within_seconds=0.02)
    assert cut.is_set()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert board.lines_taken == 0
