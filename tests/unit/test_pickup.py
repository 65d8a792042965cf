"""Who picked up, second by second; every wait has an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pickup import (
    DEAF_SECONDS,
    LONGEST_GREETING_SECONDS,
    MACHINE_WINDOW_SECONDS,
    Pickup,
    Verdict,
    sounds_like_a_machine,
)
from bot.records import Speaker


def pickup(first: Speaker = Speaker.CALLEE) -> Pickup:
    return Pickup(first, answered_at=100.0, wait_seconds=1.5, pause_seconds=0.25)


def test_the_agent_may_speak_at_once_where_it_speaks_first() -> None:
    assert pickup(Speaker.AGENT).decide(100.0) is Verdict.OPEN


def test_a_hello_is_answered_after_a_short_pause() -> None:
    watch = pickup()
    assert watch.decide(100.2) is Verdict.WAIT
    watch.speech_started()
    watch.words("Hello?")
    assert watch.decide(101.9) is Verdict.WAIT, "they are still speaking"
    watch.speech_stopped(102.0)
    assert watch.decide(102.1) is Verdict.WAIT
    assert watch.wake_in(102.1) == pytest.approx(0.15)
    assert watch.decide(102.25) is Verdict.OPEN


def test_a_silent_line_is_spoken_to() -> None:
    watch = pickup()
    assert watch.wake_in(100.0) == pytest.approx(1.5)
    assert watch.decide(101.4) is Verdict.WAIT
    assert watch.decide(101.5) is Verdict.OPEN


def test_a_line_that_never_falls_silent_is_spoken_to_as_well() -> None:
    watch = pickup()
    watch.speech_started()
    assert watch.decide(100 + LONGEST_GREETING_SECONDS - 0.1) is Verdict.WAIT
    assert watch.decide(100 + LONGEST_GREETING_SECONDS) is Verdict.OPEN


def test_the_opening_is_asked_for_once() -> None:
    watch = pickup()
    assert watch.decide(102.0) is Verdict.OPEN
    assert watch.decide(103.0) is Verdict.WAIT
    assert watch.wake_in(103.0) is None


def test_a_machine_that_pauses_is_recognised_after_the_opening() -> None:
    watch = pickup()
    assert watch.decide(102.0) is Verdict.OPEN
    watch.words("Hi, you've reached John. Please leave a message after the tone.")
    assert watch.decide(105.0) is Verdict.MACHINE


def test_a_talk_about_voicemail_later_is_conversation() -> None:
    watch = pickup()
    watch.words("You could have left a message on my voicemail.")
    assert watch.decide(100 + MACHINE_WINDOW_SECONDS + 1) is not Verdict.MACHINE


MACHINES = [
    "please leave a message after the beep",
    "You've reached Bob. Kindly leave me a brief message.",
    "leave your name and I'll call you back",
    "at the tone please record your message",
    "the mailbox is full",
    "your call has been forwarded to an automatic voice mail system",
    "Deje su mensaje después del tono",
]
PERSONS = [
    "",
    "Hello?",
    "John speaking.",
    "Yes, who is this?",
    "He is not available right now.",
    "You've reached the front desk of Downtown Dental.",
    "I can't take your call now, what is it about?",
    "Hold on",
]


@pytest.mark.parametrize("words", MACHINES)
def test_machines_say_so(words: str) -> None:
    assert sounds_like_a_machine(words)


@pytest.mark.parametrize("words", PERSONS)
def test_uncertain_means_person(words: str) -> None:
    assert not sounds_like_a_machine(words)


def test_a_receptionist_offers_to_take_a_message_once_spoken_to() -> None:
    offer = "He's out, would you like to leave a message?"
    assert not sounds_like_a_machine(offer, spoken_to=True)
    assert sounds_like_a_machine("leave it after the tone", spoken_to=True)
    watch = pickup()
    assert watch.decide(102.0) is Verdict.OPEN
    watch.words(offer)
    assert watch.decide(105.0) is Verdict.WAIT


def test_who_has_answered_the_opening_is_a_person() -> None:
    watch = pickup()
    assert watch.decide(102.0) is Verdict.OPEN
    watch.words("Yes, sure.")
    watch.conversation_began()
    watch.words("My voicemail told me you called.")
    assert watch.decide(106.0) is Verdict.WAIT


def test_a_greeting_does_not_begin_a_conversation() -> None:
    watch = pickup()
    assert watch.decide(102.0) is Verdict.OPEN
    watch.words("I'm out. Speak after the beep.")
    watch.conversation_began()
    assert watch.decide(106.0) is Verdict.MACHINE


def test_a_message_asked_for_before_anybody_spoke_is_a_machine_s_and_after_it_a_person_s() -> None:
    words = "Please leave your name."
    before, after = pickup(), pickup()
    before.words(words)
    assert before.decide(100.5) is Verdict.MACHINE
    assert after.decide(102.0) is Verdict.OPEN
    after.words(words)
    assert after.decide(103.0) is Verdict.WAIT
    after.words("Please leave it after the tone.")
    assert after.decide(104.0) is Verdict.MACHINE, "a tone is no receptionist"


def test_nobody_who_calls_us_is_a_machine() -> None:
    watch = Pickup(Speaker.AGENT, 100.0, 1.5, 0.25, may_be_machine=False)
    watch.words("leave a message after the tone")
    assert watch.decide(100.1) is Verdict.OPEN


def test_a_hello_that_nobody_could_hear_yet_is_waited_for() -> None:
    watch = pickup()
    watch.deaf()
    assert watch.decide(102.0) is Verdict.WAIT
    watch.listening(102.2)
    assert watch.decide(103.6) is Verdict.WAIT
    assert watch.decide(103.7) is Verdict.OPEN


def test_a_call_that_never_listens_speaks_all_the_same() -> None:
    watch = pickup()
    watch.deaf()
    assert watch.decide(100 + DEAF_SECONDS + 1.5) is Verdict.OPEN


events = st.lists(st.tuples(st.floats(0.0, 3.0), st.sampled_from(["start", "stop", "words"])), max_size=30)


@given(events, st.sampled_from(Speaker))
def test_whatever_happens_the_opening_comes_in_time_and_once(
    script: list[tuple[float, str]], first: Speaker
) -> None:
    """Waking when `wake_in` says, as the conductor does."""
    watch = pickup(first)
    now, opened_at, openings = 100.0, None, 0
    schedule = [*script, (30.0, "end")]
    for wait, event in schedule:
        until = now + wait
        while True:
            if watch.decide(now) is Verdict.OPEN:
                openings += 1
                opened_at = now
            wake_in = watch.wake_in(now)
            if wake_in is None or now + wake_in > until:
                break
            now += max(wake_in, 0.001)
        now = until
        match event:
            case "start":
                watch.speech_started()
            case "stop":
                watch.speech_stopped(now)
            case "words":
                watch.words("hello")
            case _:
                pass
    assert openings == 1
    assert opened_at is not None
    assert opened_at <= 100 + LONGEST_GREETING_SECONDS + 3.1 + 0.26
