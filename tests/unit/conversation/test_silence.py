"""Silence: asked about so many times, then given up; and never while somebody speaks."""

from __future__ import annotations

import pytest

from bot.conversation.silence import OWED_SECONDS, Silence, SilenceWatch


def watch(prompts: int = 2) -> SilenceWatch:
    return SilenceWatch(seconds=10.0, prompts=prompts, quiet_since=0.0)


def test_prompts_then_goodbye() -> None:
    silence = watch()
    assert silence.decide(9.9) is Silence.NOTHING
    assert silence.wake_in(9.9) == pytest.approx(0.1)
    assert silence.decide(10.0) is Silence.PROMPT
    assert silence.decide(10.1) is Silence.NOTHING
    assert silence.decide(20.0) is Silence.PROMPT
    assert silence.decide(30.0) is Silence.GOODBYE


def test_no_prompts_means_goodbye_at_once() -> None:
    assert watch(prompts=0).decide(10.0) is Silence.GOODBYE


@pytest.mark.parametrize("who", ["agent", "callee"])
def test_nobody_is_asked_while_somebody_speaks(who: str) -> None:
    silence = watch()
    tell = silence.agent_speaks if who == "agent" else silence.callee_speaks
    tell(True, 5.0)
    assert silence.decide(60.0) is Silence.NOTHING
    assert silence.wake_in(60.0) == 10.0
    tell(False, 60.0)
    assert silence.decide(69.9) is Silence.NOTHING
    assert silence.decide(70.0) is Silence.PROMPT


def test_silence_counts_from_the_end_of_a_prompts_playback() -> None:
    silence = watch()
    assert silence.decide(10.0) is Silence.PROMPT
    silence.agent_speaks(True, 10.5)
    silence.agent_speaks(False, 12.0)
    assert silence.decide(21.9) is Silence.NOTHING
    assert silence.decide(22.0) is Silence.PROMPT


def test_words_start_the_count_over_and_noise_does_not() -> None:
    silence = watch()
    assert silence.decide(10.0) is Silence.PROMPT
    silence.callee_speaks(True, 11.0)
    silence.callee_speaks(False, 11.5)
    assert silence.asked == 1
    assert silence.decide(21.5) is Silence.PROMPT
    silence.callee_said_something()
    assert silence.decide(31.5) is Silence.PROMPT
    assert silence.asked == 1


def test_nobody_is_asked_while_they_wait_for_our_reply() -> None:
    silence = watch()
    silence.callee_speaks(False, 4.0)
    silence.owe_reply(5.0)
    assert silence.decide(20.0) is Silence.NOTHING
    assert silence.wake_in(20.0) == 10.0
    silence.agent_speaks(True, 21.0)
    silence.agent_speaks(False, 23.0)
    assert silence.decide(32.9) is Silence.NOTHING
    assert silence.decide(33.0) is Silence.PROMPT, "the reply was given: their silence counts again"


def test_a_reply_that_never_comes_is_owed_only_so_long() -> None:
    silence = watch()
    silence.owe_reply(5.0)
    assert silence.decide(5.0 + OWED_SECONDS - 0.1) is Silence.NOTHING
    assert silence.decide(5.0 + OWED_SECONDS) is Silence.PROMPT


def test_a_silence_that_is_excused_counts_from_then_and_the_prompts_start_over() -> None:
    silence = watch()
    assert silence.decide(10.0) is Silence.PROMPT
    silence.excuse(15.0)
    assert silence.decide(24.9) is Silence.NOTHING
    assert silence.decide(25.0) is Silence.PROMPT
    assert silence.asked == 1
