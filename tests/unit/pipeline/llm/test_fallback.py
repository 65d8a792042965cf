"""Who is asked when, decided on a clock that a test holds; and the asking itself, with models of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from bot.pipeline.llm.events import Event, ReplyEnd, Stopped, Text, Thought, Tokens
from bot.pipeline.llm.fallback import AttemptError, Attempts, Candidate, Steps, Waits
from bot.pipeline.vendor import CIRCUIT_SECONDS, Circuit

pytestmark = pytest.mark.virtual_time

# -- the steps, without a clock -----------------------------------------------------------------------


def test_a_slow_request_goes_on_while_the_next_are_made() -> None:
    steps = Steps([0, 0, 1], first_seconds=3.0)
    assert steps.due(10.0) == 0
    assert steps.due(12.9) is None
    assert steps.wake_in(12.9) == pytest.approx(0.1)
    assert steps.due(13.0) == 1
    assert steps.due(16.0) == 2
    assert (steps.candidate_of, steps.running, steps.wake_in(16.0)) == ([0, 0, 1], [0, 1, 2], None)


def test_a_refused_request_is_made_again_at_once_and_then_the_next_model_is_asked() -> None:
    steps = Steps([0, 0, 1, 1], first_seconds=3.0)
    assert steps.due(10.0) == 0
    steps.failed(0, 10.1, retryable=True)
    assert steps.due(10.1) == 1
    steps.failed(1, 10.2, retryable=True)
    assert steps.due(10.2) == 2
    assert steps.candidate_of == [0, 0, 1]


def test_what_cannot_work_is_not_tried_again() -> None:
    steps = Steps([0, 0, 1, 1], first_seconds=3.0)
    steps.due(10.0)
    steps.failed(0, 10.1, retryable=False)
    assert steps.due(10.1) == 1
    assert steps.candidate_of == [0, 1]


@pytest.mark.parametrize(
    ("retry_after", "pause"), [(0.5, 0.5), (1.0, 0.0), (30.0, 0.0), (None, 0.0), (-1.0, 0.0)]
)
def test_a_short_retry_after_is_waited_for_and_a_long_one_is_not(retry_after: float | None, pause: float) -> None:
    steps = Steps([0, 0, 1, 1], first_seconds=3.0)
    steps.due(10.0)
    steps.failed(0, 10.0, retryable=True, retry_after=retry_after)
    assert steps.wake_in(10.0) == pytest.approx(pause)


def test_the_last_attempt_of_all_takes_a_breath() -> None:
    steps = Steps([0, 0], first_seconds=3.0, last_pause=1.0)
    steps.due(10.0)
    steps.failed(0, 10.0, retryable=True)
    assert steps.wake_in(10.0) == 1.0


def test_an_old_request_that_fails_leaves_the_newer_one_its_time() -> None:
    steps = Steps([0, 0, 1], first_seconds=3.0)
    steps.due(10.0)
    steps.due(13.0)
    steps.failed(0, 14.0, retryable=True)
    assert steps.wake_in(14.0) == pytest.approx(2.0)


def test_nothing_is_left_when_all_have_failed() -> None:
    steps = Steps([0], first_seconds=3.0)
    steps.due(10.0)
    assert not steps.exhausted
    steps.failed(0, 10.0, retryable=True)
    assert steps.exhausted


def test_a_model_that_failed_is_last_for_a_while() -> None:
    now = 100.0
    circuit = Circuit(clock=lambda: now)
    circuit.trip("a")
    assert circuit.is_open("a")
    assert not circuit.is_open("b")
    now += CIRCUIT_SECONDS
    assert not circuit.is_open("a")
    circuit.trip("a")
    circuit.close("a")
    assert not circuit.is_open("a")


# -- the asking ---------------------------------------------------------------------------------------

END = "."
"""The event that ends a reply; "~" is one before its first word."""
Act = str | float | AttemptError


class Model:
    """Does one list of acts a request: an event, a wait in seconds, an error. The last list stays."""

    def __init__(self, name: str, *requests: list[Act]) -> None:
        self.name = name
        self.requests = requests
        self.asked = self.closed = 0

    async def ask(self) -> AsyncGenerator[Event, None]:
        acts = self.requests[min(self.asked, len(self.requests) - 1)]
        self.asked += 1
        try:
            for act in acts:
                if isinstance(act, AttemptError):
                    raise act
                if isinstance(act, float):
                    await asyncio.sleep(act)
                else:
                    yield _event(act)
        finally:
            self.closed += 1


def _event(act: str) -> Event:
    match act:
        case "~":
            return Thought(act)
        case ".":
            return Stopped(act, Tokens())
        case "#":
            return Stopped("refusal", Tokens(), ReplyEnd.REFUSED)
    return Text(act)


def _text(event: Event) -> str:
    match event:
        case Text(text) | Thought(text):
            return text
        case Stopped():
            return END
    return ""


NEVER = 3600.0
DOWN = AttemptError("529")


async def reply_of(*models: Model, circuit: Circuit | None = None, first: float = 3.0, stall: float = 5.0) -> str:
    """The reply, and "!" where it breaks off."""
    attempts = Attempts(
        [Candidate(model.name, model.ask) for model in models],
        circuit or Circuit(),
        waits=Waits(first, stall, last_pause=0.0),
    )
    said = ""
    try:
        async with aclosing(attempts.reply()) as events:
            async for event in events:
                said += _text(event)
    except AttemptError:
        said += "!"
    assert all(model.closed == model.asked for model in models), "a request was left open"
    return said


async def test_a_healthy_model_is_asked_once() -> None:
    first, second = Model("a", ["~", "yes", END]), Model("b", ["no", END])
    assert await reply_of(first, second) == "~yes."
    assert (first.asked, second.asked) == (1, 0)


async def test_a_refusal_is_asked_again_and_nobody_notices() -> None:
    first, second = Model("a", [DOWN], ["yes", END]), Model("b", ["no", END])
    assert await reply_of(first, second) == "yes."
    assert (first.asked, second.asked) == (2, 0)


async def test_the_second_answers_for_a_first_that_is_down_and_is_asked_first_from_then_on() -> None:
    first, second, circuit = Model("a", [DOWN]), Model("b", ["yes", END]), Circuit()
    assert await reply_of(first, second, circuit=circuit) == "yes."
    assert (first.asked, second.asked) == (2, 1)
    assert await reply_of(first, second, circuit=circuit) == "yes."
    assert (first.asked, second.asked) == (2, 2)


async def test_all_down_is_an_error_after_two_requests_each() -> None:
    first, second = Model("a", [DOWN]), Model("b", [DOWN])
    assert await reply_of(first, second) == "!"
    assert (first.asked, second.asked) == (2, 2)


async def test_a_model_that_says_nothing_at_all_gives_way() -> None:
    first, second = Model("a", [NEVER]), Model("b", ["yes", END])
    assert await reply_of(first, second) == "yes."
    assert (first.asked, second.asked) == (2, 1)


async def test_a_model_that_is_only_slow_answers_its_first_request() -> None:
    first, second = Model("a", [5.0, "yes", END], [NEVER]), Model("b", ["no", END])
    circuit = Circuit()
    assert await reply_of(first, second, circuit=circuit) == "yes."
    assert (first.asked, second.asked) == (2, 0)
    assert not circuit.is_open("a")


async def test_what_comes_before_the_first_word_does_not_count_as_one() -> None:
    first, second = Model("a", ["~", NEVER]), Model("b", ["~", "yes", END])
    assert await reply_of(first, second) == "~yes."


async def test_a_stream_that_ends_before_a_word_is_a_failure() -> None:
    assert await reply_of(Model("a", ["~"], ["yes", END])) == "yes."


@pytest.mark.parametrize("trouble", [[NEVER], [DOWN], []])
async def test_a_reply_that_breaks_off_says_so_and_trips_the_circuit(trouble: list[Act]) -> None:
    circuit = Circuit()
    assert await reply_of(Model("a", ["ye", *trouble]), circuit=circuit) == "ye!"
    assert circuit.is_open("a")


@pytest.mark.parametrize("tail", [[NEVER], [DOWN], []])
async def test_a_reply_that_is_whole_does_not_mind_its_stream(tail: list[Act]) -> None:
    assert await reply_of(Model("a", ["yes", END, *tail])) == "yes."


async def test_an_interruption_closes_every_request() -> None:
    first, second = Model("a", [NEVER]), Model("b", [NEVER])
    task = asyncio.create_task(reply_of(first, second))
    await _until(lambda: second.asked == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (first.closed, second.closed) == (2, 2)


async def test_a_mistake_of_ours_is_not_taken_for_the_vendors() -> None:
    async def ask() -> AsyncGenerator[Event, None]:
        yield Thought("~")
        raise ZeroDivisionError

    attempts = Attempts(
        [Candidate("a", ask)],
        Circuit(),
        waits=Waits(1, 1),
    )
    with pytest.raises(ZeroDivisionError):
        async with aclosing(attempts.reply()) as events:
            async for _ in events:
                pass


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # bounded by the test's timeout
        await asyncio.sleep(0.001)
