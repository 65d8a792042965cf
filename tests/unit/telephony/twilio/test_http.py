"""What is repeated towards Twilio, and when."""

from __future__ import annotations

import pytest

from bot.telephony.twilio.http import Failure, RequestBounds, retry_delay

RULES = RequestBounds(attempts=3, base_seconds=1.0, longest_seconds=5.0)


def delay(
    outcome: Failure | int,
    *,
    attempt: int = 1,
    repeatable: bool = True,
    retry_after: float | None = None,
    jitter: float = 0.0,
) -> float | None:
    return retry_delay(
        RULES, attempt=attempt, outcome=outcome, repeatable=repeatable, retry_after=retry_after, jitter=jitter
    )


@pytest.mark.parametrize("outcome", [Failure.UNREACHED, 429])
@pytest.mark.parametrize("repeatable", [True, False])
def test_what_twilio_has_not_acted_on_is_repeated(outcome: Failure | int, repeatable: bool) -> None:
    assert delay(outcome, repeatable=repeatable) == 0.5


@pytest.mark.parametrize("outcome", [Failure.UNANSWERED, 500, 502, 503, 504])
def test_what_it_may_have_acted_on_is_repeated_only_where_a_repeat_is_harmless(
    outcome: Failure | int,
) -> None:
    assert delay(outcome, repeatable=True) == 0.5
    assert delay(outcome, repeatable=False) is None


@pytest.mark.parametrize("outcome", [200, 201, 302, 400, 401, 404])
def test_an_answer_is_an_answer(outcome: int) -> None:
    assert delay(outcome) is None


def test_backoff_doubles_with_jitter_and_ends() -> None:
    assert delay(500, attempt=2) == 1.0
    assert delay(500, attempt=2, jitter=0.5) == 1.5
    assert delay(500, attempt=3) is None


def test_retry_after_is_kept_or_given_up() -> None:
    assert delay(429, retry_after=3.0) == 3.0
    assert delay(429, retry_after=0.1) == 0.5
    assert delay(429, retry_after=60.0) is None
