"""On hold: a queue, music, a person who asks to wait; and who comes on after it."""

from __future__ import annotations

import pytest

from bot import languages
from bot.conversation.answer_detection import (
    MACHINE_WINDOW_SECONDS,
    PERSON_PAUSE_SECONDS,
    SHORT_WAIT_SECONDS,
    UNCERTAIN_PAUSE_SECONDS,
    AnswerDetection,
)
from bot.conversation.machine_words import machine_of
from bot.records import AnsweredBy, Speaker

ENGLISH, SPANISH = languages.of("en"), languages.of("es")
LATE = 100.0 + 4 * MACHINE_WINDOW_SECONDS
QUEUE = "Your call is important to us. You are number three in the queue."


def says(watch: AnswerDetection, words: str, start: float, end: float, *, over_agent: bool = False) -> None:
    watch.speech_started(start, over_agent=over_agent)
    for count in range(1, len(words.split()) + 1):
        watch.words(" ".join(words.split()[:count]), start, final=False)
    watch.words(words, end, final=True)
    watch.speech_stopped(end)


def talking(language: str = "en") -> AnswerDetection:
    """The opening was said and answered."""
    watch = AnswerDetection(
        Speaker.CALLEE, answered_at=100.0, wait_seconds=1.5, pause_seconds=0.25, language=languages.of(language)
    )
    says(watch, "Hello?", 100.5, 101.0)
    assert watch.decide(101.3).open
    says(watch, "Yes.", 106.0, 106.3)
    watch.turn_over("Yes.")
    return watch


def who(watch: AnswerDetection) -> AnsweredBy | None:
    return watch.who


def comes_on(watch: AnswerDetection, words: str, at: float = LATE + 30) -> AnsweredBy | None:
    """Who is there once `words` were said and it was quiet for long enough."""
    says(watch, words, at, at + 2)
    watch.decide(at + 2 + UNCERTAIN_PAUSE_SECONDS)
    return watch.who


RECORDED = [
    (ENGLISH, "Your call is important to us."),
    (ENGLISH, "You are number three in the queue."),
    (ENGLISH, "All our representatives are currently busy. Please stay on the line."),
    (ENGLISH, "The next available agent will be with you shortly."),
    (ENGLISH, "Thank you for holding. Your estimated wait time is four minutes."),
    (ENGLISH, "All of our lines are busy. Your call will be answered in the order it was received."),
    (SPANISH, "Su llamada es muy importante para nosotros."),
    (SPANISH, "Todos nuestros agentes están ocupados, permanezca en la línea."),
    (SPANISH, "Gracias por esperar. Usted es el número dos en la fila."),
]
ASKED = [
    ("en", "Please hold."),
    ("en", "Can you hold, please?"),
    ("en", "Sure, please hold for a moment while I check."),
    ("en", "Let me transfer you to scheduling."),
    ("en", "I'll put you through to the front desk."),
    ("en", "Let me see if he's available."),
    ("es", "Le paso con recepción."),
    ("es", "No cuelgue, por favor."),
    ("es", "Voy a ver si está el doctor."),
]
SHORT = [
    ("en", "One moment please."),
    ("en", "Hold on a second."),
    ("en", "Sure, hold on, let me get my calendar."),
    ("en", "Just a minute."),
    ("es", "Un momento, por favor."),
    ("es", "Espere, déjeme ver la agenda."),
]
NO_HOLD = [
    "Please hold the appointment for me.",
    "Can you hold the Thursday slot until Friday?",
    "I can transfer the money on Friday.",
    "Hold on, what is this about?",
    "Let me check with my wife and call you back.",
    "I was on hold for ten minutes last time.",
    "Hang on, I think Thursday works.",
    "I appreciate your call, but no.",
]


@pytest.mark.parametrize(("language", "words"), RECORDED)
def test_a_queues_words_are_a_recordings(language: languages.Language, words: str) -> None:
    assert machine_of(words, language) is AnsweredBy.HOLD
    watch = talking(language.code)
    says(watch, words, LATE, LATE + 3)
    assert watch.who is AnsweredBy.HOLD
    assert watch.is_recording(words)


@pytest.mark.parametrize(("language", "words"), [*ASKED, *SHORT])
def test_who_asks_to_wait_is_waited_for_and_no_recording(language: str, words: str) -> None:
    watch = talking(language)
    says(watch, words, LATE, LATE + 2)
    assert watch.who is AnsweredBy.HOLD
    assert not watch.is_recording(words)
    assert not watch.decide(LATE + 20).open


@pytest.mark.parametrize("words", NO_HOLD)
def test_words_of_waiting_about_something_else_are_answered(words: str) -> None:
    watch = talking()
    says(watch, words, LATE, LATE + 2)
    assert watch.who is AnsweredBy.PERSON


def test_hold_on_over_the_agents_speech_means_let_me_speak() -> None:
    watch = talking()
    says(watch, "Hold on a second.", LATE, LATE + 1, over_agent=True)
    assert watch.who is AnsweredBy.PERSON


def test_who_asked_for_a_moment_and_stays_away_is_asked_after_a_minute() -> None:
    watch = talking()
    says(watch, "One moment please.", LATE, LATE + 1)
    watch.decide(LATE + SHORT_WAIT_SECONDS - 1)
    assert watch.who is AnsweredBy.HOLD
    watch.decide(LATE + SHORT_WAIT_SECONDS + 1)
    assert (watch.who, watch.new_person) == (AnsweredBy.PERSON, False)


def test_the_person_who_comes_back_after_a_quiet_wait_goes_on() -> None:
    watch = talking()
    says(watch, "One moment please.", LATE, LATE + 1)
    assert comes_on(watch, "Okay, I have checked with everybody here and Thursday at two is fine for all of us.")
    assert (watch.who, watch.new_person, watch.opened) == (AnsweredBy.PERSON, False, True)


@pytest.mark.parametrize(
    "words",
    [
        "Thanks for holding, how can I help?",
        "Thank you for holding, this is Mary, how can I help you today?",
        "Front desk, this is Mary.",
        "Scheduling, Mary speaking.",
        "Cardiology.",
        "Hello?",
    ],
)
def test_another_person_after_music_is_told_who_calls(words: str) -> None:
    watch = talking()
    says(watch, "Let me transfer you.", LATE, LATE + 1)
    watch.music(True, LATE + 8)
    watch.music(False, LATE + 29)
    assert comes_on(watch, words) is AnsweredBy.PERSON
    assert watch.new_person


def test_who_comes_on_is_known_within_half_a_second_of_their_words() -> None:
    watch = talking()
    says(watch, QUEUE, LATE, LATE + 3)
    says(watch, "Thanks for holding, how can I help?", LATE + 30, LATE + 32)
    watch.decide(LATE + 32 + PERSON_PAUSE_SECONDS)
    assert watch.who is AnsweredBy.PERSON


def test_who_greets_is_believed_before_the_detector_knows_that_the_music_is_over() -> None:
    watch = talking()
    says(watch, QUEUE, LATE, LATE + 3)
    watch.music(True, LATE + 10)
    watch.line_quiet = False
    assert comes_on(watch, "Thanks for holding, how can I help?", LATE + 30) is AnsweredBy.HOLD, "it plays on"
    watch.line_quiet = True
    assert comes_on(watch, "Thanks for holding, how can I help?", LATE + 60) is AnsweredBy.PERSON


def test_announcements_lyrics_and_advertisements_are_nobody() -> None:
    watch = talking()
    says(watch, QUEUE, LATE, LATE + 3)
    ad = "Did you know that our new spring collection is in every one of our stores from Monday on"
    assert comes_on(watch, ad) is AnsweredBy.HOLD
    assert watch.is_recording(ad)
    assert comes_on(watch, "Thank you for holding. Your call is important to us.", LATE + 60) is AnsweredBy.HOLD
    watch.music(True, LATE + 90)
    assert comes_on(watch, "Hello from the other side", LATE + 95) is AnsweredBy.HOLD
    watch.music(False, LATE + 110)
    watch.line_quiet = False
    assert comes_on(watch, "We are open all day.", LATE + 115) is AnsweredBy.HOLD, "the music goes on"


def test_music_over_a_talk_is_background_and_music_alone_is_hold() -> None:
    watch = talking()
    watch.words("and then we", LATE - 1, final=False)
    watch.music(True, LATE)
    assert who(watch) is AnsweredBy.PERSON
    watch.music(False, LATE + 10)
    watch.music(True, LATE + 20)
    assert who(watch) is AnsweredBy.HOLD


def test_on_hold_at_the_pickup_the_opening_is_kept_for_who_comes_on() -> None:
    watch = AnswerDetection(Speaker.CALLEE, answered_at=100.0, wait_seconds=1.5, pause_seconds=0.25)
    says(watch, "Miller and Sons, please hold.", 100.3, 102.0)
    assert not watch.decide(110.0).open
    says(watch, "Thanks for holding, how can I help?", 120.0, 122.0)
    assert watch.decide(122.0 + PERSON_PAUSE_SECONDS).open


def test_hold_on_that_goes_on_as_a_question_is_one() -> None:
    watch = talking()
    watch.speech_started(LATE)
    watch.words("Hold on", LATE + 0.5, final=False)
    assert who(watch) is AnsweredBy.HOLD
    watch.words("Hold on, what is this about?", LATE + 1.5, final=True)
    assert who(watch) is AnsweredBy.PERSON


def test_a_menu_behind_a_greeting_is_one_and_a_key_offered_by_a_queue_is_not() -> None:
    watch = AnswerDetection(Speaker.CALLEE, answered_at=100.0, wait_seconds=1.5, pause_seconds=0.25)
    says(watch, "Thank you for calling. Your call is important to us.", 100.3, 103.0)
    says(watch, "For sales, press one. For service, press two.", 103.3, 106.0)
    assert who(watch) is AnsweredBy.MENU
    watch.machine_spoken_to(107.0)
    says(watch, "Please stay on the line.", 109.0, 110.0)
    assert who(watch) is AnsweredBy.HOLD
    watch.music(True, 120.0)
    says(watch, "If you would like to be called back, press one.", 130.0, 133.0)
    assert who(watch) is AnsweredBy.HOLD


def test_a_mailbox_after_a_hold_is_one() -> None:
    watch = talking()
    says(watch, "I'll put you through.", LATE, LATE + 1)
    says(watch, "You have reached the voicemail of Mary. Leave a message after the tone.", LATE + 20, LATE + 24)
    assert watch.who is AnsweredBy.VOICEMAIL


def test_a_beep_after_a_talk_and_a_hold_decides_nothing() -> None:
    watch = talking()
    says(watch, "One moment please.", LATE, LATE + 1)
    assert comes_on(watch, "So, here I am again, and it took me a while to find that calendar.") == "person"
    watch.beep(LATE + 36)
    assert who(watch) is AnsweredBy.PERSON


def put_through(first: Speaker = Speaker.CALLEE) -> AnswerDetection:
    """An extension was dialled; the stream has just opened."""
    watch = AnswerDetection(first, answered_at=90.0, wait_seconds=1.5, pause_seconds=0.25, put_through=True)
    watch.listening(100.0)
    return watch


@pytest.mark.parametrize("first", [Speaker.AGENT, Speaker.CALLEE])
def test_behind_an_extension_nothing_is_said_before_somebody_answers(first: Speaker) -> None:
    watch = put_through(first)
    assert [watch.decide(100.0 + seconds).open for seconds in (0, 2, 20, SHORT_WAIT_SECONDS - 1)] == [False] * 4
    watch.music(True, 150.0)
    says(watch, "Please wait while we try to connect your call.", 151.0, 154.0)
    watch.music(False, 155.0)
    assert not watch.decide(156.0).open
    says(watch, "Hello?", 200.0, 200.4)
    assert watch.decide(200.4 + PERSON_PAUSE_SECONDS).open
    assert watch.answered_by is AnsweredBy.PERSON


@pytest.mark.parametrize("words", ["Connecting your call.", "Transferring you now.", "One moment please."])
def test_a_menu_that_puts_through_is_no_person(words: str) -> None:
    watch = put_through()
    says(watch, words, 100.5, 102.0)
    assert not watch.decide(104.0).open
    says(watch, "Cardiology, this is Ann speaking, what can I do for you?", 110.0, 113.0)
    assert watch.decide(113.0 + PERSON_PAUSE_SECONDS).open


def test_behind_an_extension_a_mailbox_is_one_and_a_line_that_stays_silent_is_spoken_to() -> None:
    watch = put_through()
    says(watch, "You have reached the voicemail of Ann. Leave a message after the tone.", 108.0, 112.0)
    assert not watch.decide(113.0).open
    assert who(watch) is AnsweredBy.VOICEMAIL
    silent = put_through()
    assert not silent.decide(100.0 + SHORT_WAIT_SECONDS).open
    assert silent.decide(100.0 + SHORT_WAIT_SECONDS + 1.5).open
