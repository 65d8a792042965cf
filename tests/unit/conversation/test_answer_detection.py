"""Who picked up, second by second; every wait has an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import languages
from bot.conversation.answer_detection import (
    DEAF_SECONDS,
    LONG_PAUSE_SECONDS,
    LONGEST_GREETING_SECONDS,
    MACHINE_WINDOW_SECONDS,
    PERSON_PAUSE_SECONDS,
    RECORDED_PAUSE_SECONDS,
    UNCERTAIN_PAUSE_SECONDS,
    UNHEARD_PAUSE_SECONDS,
    AnswerDetection,
)
from bot.conversation.machine_words import machine_of
from bot.records import AnsweredBy, Speaker
from bot.telephony.carrier import Detection

ENGLISH, SPANISH = languages.of("en"), languages.of("es")
MAILBOX = "You have reached the voicemail of John. Leave a message after the tone."
SCREENER = "Please state your name and why you are calling."
MENU = "For sales, press one. For service, press two."
RECEPTION = "Good morning, Downtown Dental, this is Mary speaking, how can I help you?"


@pytest.mark.parametrize(
    "words",
    [
        "I got your voicemail about the appointment.",
        "You left me a voicemail yesterday.",
        "Oh, I thought this was your voicemail.",
        "Do I leave a message after the tone?",
        "I just heard your message.",
        "I'm returning your voicemail.",
        "Yes, I received a voice mail from you.",
    ],
)
def test_who_answers_the_opening_with_a_word_of_messages_is_no_mailbox(words: str) -> None:
    assert machine_of(words, ENGLISH, spoken_to=True) is None


@pytest.mark.parametrize(
    "words",
    [
        MAILBOX,
        "You have reached the voicemail box of John.",
        "Your call has been forwarded to voice mail. At the tone, please record your message.",
        "Hi, this is John, leave a message after the beep and I will get back to you.",
        "I can't take your call. If you get my voicemail, leave a message after the tone.",
    ],
)
def test_a_mailbox_that_the_opening_was_said_to_is_one(words: str) -> None:
    assert machine_of(words, ENGLISH, spoken_to=True) is AnsweredBy.VOICEMAIL


def detection(first: Speaker = Speaker.CALLEE) -> AnswerDetection:
    return AnswerDetection(first, answered_at=100.0, wait_seconds=1.5, pause_seconds=0.25)


def says(watch: AnswerDetection, words: str, start: float, end: float) -> None:
    """The callee speaks from `start` to `end`; the words are known then."""
    watch.speech_started(start)
    watch.words(words, end, final=True)
    watch.speech_stopped(end)


def who(watch: AnswerDetection) -> AnsweredBy | None:
    return watch.who


def opens(watch: AnswerDetection, now: float) -> bool:
    return watch.decide(now).open


# -- persons ----------------------------------------------------------------------------------------------


def test_the_agent_may_speak_at_once_where_it_speaks_first() -> None:
    assert opens(detection(Speaker.AGENT), 100.0)


def test_a_hello_is_answered_after_a_short_pause() -> None:
    watch = detection()
    assert not opens(watch, 100.2)
    watch.speech_started(100.5)
    watch.words("Hello?", 101.0, final=False)
    assert not opens(watch, 101.9), "they are still speaking"
    watch.speech_stopped(102.0)
    assert not opens(watch, 102.1)
    assert watch.wake_in(102.1) == pytest.approx(0.15)
    decision = watch.decide(102.25)
    assert (decision.who, decision.open) == (AnsweredBy.PERSON, True)


def test_a_short_greeting_needs_no_words() -> None:
    watch = detection()
    watch.speech_started(100.2)
    watch.speech_stopped(102.6)
    assert opens(watch, 102.85)


def test_a_receptionist_is_answered_within_700_ms_of_her_last_sound() -> None:
    watch = detection()
    says(watch, RECEPTION, 100.3, 105.0)
    assert not opens(watch, 105.0 + LONG_PAUSE_SECONDS - 0.05)
    assert opens(watch, 105.0 + LONG_PAUSE_SECONDS)
    assert 0.2 + LONG_PAUSE_SECONDS < 0.7, "the VAD's own silence comes before"


def test_a_long_greeting_of_which_nothing_is_known_yet_gets_a_second() -> None:
    watch = detection()
    watch.speech_started(100.3)
    watch.speech_stopped(105.0)
    assert watch.wake_in(105.0) == pytest.approx(UNHEARD_PAUSE_SECONDS)
    watch.words("Downtown Dental, Mary speaking.", 105.2, final=True)
    assert watch.wake_in(105.2) == pytest.approx(LONG_PAUSE_SECONDS - 0.2)


def test_a_recording_that_may_go_on_is_waited_for_and_a_person_who_asks_is_not() -> None:
    recording, person = detection(), detection()
    says(recording, "I can't take your call right now.", 100.2, 102.0)
    says(person, "I can't take your call right now, what is it about?", 100.2, 102.0)
    assert recording.wake_in(102.0) == pytest.approx(RECORDED_PAUSE_SECONDS)
    assert person.wake_in(102.0) == pytest.approx(0.25)


def test_a_silent_line_is_spoken_to() -> None:
    watch = detection()
    assert watch.wake_in(100.0) == pytest.approx(1.5)
    assert not opens(watch, 101.4)
    assert opens(watch, 101.5)
    assert watch.who is None, "nobody has spoken"


def test_the_record_names_who_was_there_in_the_end() -> None:
    silent, human, agent_first, machine = detection(), detection(), detection(Speaker.AGENT), detection()
    assert silent.answered_by is AnsweredBy.NOBODY
    human.detected(Detection.PERSON, 103.0)
    assert human.answered_by is AnsweredBy.PERSON, "by the carrier's word"
    agent_first.speech_started(101.0)
    assert agent_first.who is None
    assert agent_first.answered_by is AnsweredBy.PERSON, "uncertain"
    says(machine, "Please leave a message after the beep.", 100.2, 103.0)
    assert machine.answered_by == "voicemail"
    says(machine, "Hello? I'm here.", 105.0, 106.0)
    machine.decide(107.0)
    assert machine.answered_by == "person"


def test_a_line_that_never_falls_silent_is_spoken_to_as_well() -> None:
    watch = detection()
    watch.speech_started(100.0)
    assert not opens(watch, 100 + LONGEST_GREETING_SECONDS - 0.1)
    assert opens(watch, 100 + LONGEST_GREETING_SECONDS)


def test_the_opening_is_asked_for_once() -> None:
    watch = detection()
    assert opens(watch, 102.0)
    assert not opens(watch, 103.0)
    assert watch.wake_in(103.0) is None


def test_a_hello_that_nobody_could_hear_yet_is_waited_for() -> None:
    watch = detection()
    watch.deaf()
    assert not opens(watch, 102.0)
    watch.listening(102.2)
    assert not opens(watch, 103.6)
    assert opens(watch, 103.7)


def test_a_call_that_never_listens_speaks_all_the_same() -> None:
    watch = detection()
    watch.deaf()
    assert opens(watch, 100 + DEAF_SECONDS + 1.5)


# -- words ------------------------------------------------------------------------------------------------

WORDS = {
    AnsweredBy.VOICEMAIL: [
        "please leave a message after the beep",
        "You've reached Bob. Kindly leave me a brief message.",
        "leave your name and I'll call you back",
        "at the tone please record your message",
        "your call has been forwarded to an automatic voice mail system",
        "The person you are trying to reach is not available. At the tone, please record your message.",
    ],
    AnsweredBy.SCREENING: [
        SCREENER,
        "Hi, if you record your name and reason for calling, I'll see if this person is available.",
        "The person you're calling is using a screening service from Google. Go ahead and say your name.",
        "Please say your name after the tone.",
        "The number you are calling does not accept calls from unidentified callers.",
    ],
    AnsweredBy.MENU: [
        MENU,
        "Please listen carefully to the following options as our menu has changed.",
        "To leave a message, press 3.",
        "Para español, oprima el dos.",
    ],
    AnsweredBy.UNAVAILABLE: [
        "The number you have dialed is not in service.",
        "We're sorry, your call cannot be completed as dialed.",
        "The subscriber you are trying to reach is currently unavailable.",
        "The person you are calling has a voicemail box that has not been set up yet.",
        "the mailbox is full",
        "All circuits are busy now.",
    ],
    None: [
        "",
        "Hello?",
        "John speaking.",
        "Yes, who is this?",
        "He is not available right now.",
        "You've reached the front desk of Downtown Dental.",
        "I can't take your call now, what is it about?",
        "How may I direct your call?",
        "May I ask who is calling?",
        "Let me see if she is available.",
        RECEPTION,
        "Hold on",
    ],
}


@pytest.mark.parametrize(
    ("expected", "words"), [(what, words) for what, all_of in WORDS.items() for words in all_of]
)
def test_what_says_what_it_is(expected: AnsweredBy | None, words: str) -> None:
    assert machine_of(words, ENGLISH) is expected


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (AnsweredBy.VOICEMAIL, "Deje su mensaje después del tono"),
        (AnsweredBy.VOICEMAIL, "Ha llamado al buzón de voz de Juan"),
        (AnsweredBy.SCREENING, "Por favor diga su nombre y el motivo de su llamada"),
        (AnsweredBy.MENU, "Para citas pulse uno, para pagos pulse dos"),
        (AnsweredBy.UNAVAILABLE, "El número que usted marcó no existe"),
        (AnsweredBy.UNAVAILABLE, "El teléfono al que llama está apagado o fuera de cobertura"),
        (None, "Clínica dental, le habla María, ¿en qué puedo ayudarle?"),
        (None, "¿De parte de quién?"),
    ],
)
def test_in_spanish(expected: AnsweredBy | None, words: str) -> None:
    assert machine_of(words, SPANISH) is expected


def test_a_machine_that_pauses_is_recognised_after_the_opening() -> None:
    watch = detection()
    says(watch, "Hi, this is John.", 100.3, 101.3)
    assert opens(watch, 101.6)
    watch.words("I'm away. Please leave a message after the tone.", 105.0, final=False)
    assert watch.decide(105.0).who is AnsweredBy.VOICEMAIL


def test_words_in_pieces_make_one_machine() -> None:
    watch = detection()
    says(watch, "The number you have dialed", 100.2, 102.0)
    says(watch, "is not in service.", 102.4, 103.5)
    assert watch.decide(103.5).who is AnsweredBy.UNAVAILABLE


def test_a_talk_about_voicemail_later_is_conversation() -> None:
    watch = detection()
    assert opens(watch, 101.5)
    watch.words("You could have left it on my voicemail.", 100 + MACHINE_WINDOW_SECONDS + 1, final=True)
    assert not watch.machine


def test_a_receptionist_offers_to_take_a_message_once_spoken_to() -> None:
    offer = "He's out, leave a message with me."
    before, after = detection(), detection()
    before.words(offer, 100.5, final=True)
    assert who(before) is AnsweredBy.VOICEMAIL
    assert opens(after, 102.0)
    after.words(offer, 105.0, final=True)
    assert not after.machine


def test_who_has_answered_the_opening_is_a_person() -> None:
    watch = detection()
    assert opens(watch, 102.0)
    watch.words("Yes, sure.", 103.0, final=True)
    watch.turn_over("Yes, sure.")
    watch.words("My voicemail told me you called.", 106.0, final=True)
    assert not watch.machine


def test_a_piece_of_a_greeting_is_no_conversation() -> None:
    watch = detection()
    assert opens(watch, 102.0)
    watch.words("I am out until Monday.", 103.0, final=True)
    watch.turn_over("I am out until Monday.")
    watch.words("Speak after the beep.", 106.0, final=True)
    assert who(watch) is AnsweredBy.VOICEMAIL


def test_nobody_who_calls_us_is_a_machine() -> None:
    watch = AnswerDetection(Speaker.AGENT, 100.0, 1.5, 0.25, may_be_machine=False)
    watch.words("leave a message after the tone", 100.1, final=True)
    watch.detected(Detection.MACHINE, 100.1)
    assert opens(watch, 100.1)
    assert not watch.machine
    assert not watch.alert(100.1)


def test_a_mailbox_may_follow_a_carrier_s_word_and_turn_out_full() -> None:
    watch = detection()
    says(watch, "The customer you are calling is not available.", 100.2, 102.5)
    assert who(watch) is AnsweredBy.UNAVAILABLE
    says(watch, "At the tone, please record your message.", 102.8, 104.5)
    assert who(watch) is AnsweredBy.VOICEMAIL
    says(watch, "The mailbox is full.", 105.0, 106.0)
    assert who(watch) is AnsweredBy.UNAVAILABLE


# -- Twilio's detection and the beep ----------------------------------------------------------------------


@pytest.mark.parametrize("word", [Detection.MACHINE, Detection.GREETING_OVER, Detection.BEEP])
def test_a_machine_by_the_carrier_s_word_where_the_callee_s_words_left_it_open(word: Detection) -> None:
    watch = detection()
    says(watch, RECEPTION, 100.3, 104.5)
    watch.detected(word, 104.6)
    assert watch.decide(104.6).who is AnsweredBy.VOICEMAIL
    assert watch.greeting_over == (word is not Detection.MACHINE)


def test_twilio_overrules_nobody_who_has_answered_and_no_short_hello() -> None:
    answered, greeted = detection(), detection()
    assert opens(answered, 101.5)
    answered.turn_over("Yes, that works.")
    answered.detected(Detection.BEEP, 104.0)
    assert not answered.machine
    says(greeted, "Hello?", 100.3, 100.9)
    greeted.detected(Detection.GREETING_OVER, 104.0)
    assert not greeted.machine


def test_words_outrank_the_carrier() -> None:
    watch = detection()
    watch.detected(Detection.MACHINE, 101.0)
    assert who(watch) is AnsweredBy.VOICEMAIL
    says(watch, MENU, 100.3, 104.0)
    assert who(watch) is AnsweredBy.MENU
    watch.detected(Detection.PERSON, 104.5)
    assert who(watch) is AnsweredBy.MENU


def test_a_person_by_the_carrier_s_word_is_not_kept_waiting() -> None:
    watch = detection()
    watch.speech_started(100.3)
    watch.detected(Detection.PERSON, 104.0)
    watch.speech_stopped(105.0)
    assert watch.wake_in(105.0) == pytest.approx(0.25)


def test_what_the_carrier_does_not_know_changes_nothing() -> None:
    watch = detection()
    watch.detected(Detection.UNKNOWN, 101.0)
    assert watch.who is None


def test_a_fax_is_nobody() -> None:
    watch = detection()
    watch.detected(Detection.FAX, 102.0)
    assert watch.decide(102.0).who is AnsweredBy.NOBODY


def test_a_beep_behind_a_long_greeting_is_a_mailbox_s_and_behind_a_short_one_it_is_not() -> None:
    long, short = detection(), detection()
    says(long, RECEPTION, 100.3, 104.5)
    long.beep(105.0)
    assert who(long) is AnsweredBy.VOICEMAIL
    says(short, "Hello?", 100.3, 100.8)
    short.beep(101.5)
    assert not short.machine


# -- a person after a machine -----------------------------------------------------------------------------


def machine(words: str) -> AnswerDetection:
    watch = detection()
    says(watch, words, 100.3, 104.0)
    assert watch.decide(104.0 + PERSON_PAUSE_SECONDS).who is not AnsweredBy.PERSON
    return watch


@pytest.mark.parametrize("words", ["Hello?", "Hello? Yes, I'm here.", "Hi, who is this?", "Yes?"])
@pytest.mark.parametrize("there", [MAILBOX, SCREENER, MENU])
def test_a_person_comes_on(there: str, words: str) -> None:
    watch = machine(there)
    says(watch, words, 106.0, 107.0)
    assert watch.wake_in(107.0) == pytest.approx(PERSON_PAUSE_SECONDS)
    assert not opens(watch, 107.0 + PERSON_PAUSE_SECONDS - 0.1), "the machine may go on: Hi, this is John…"
    decision = watch.decide(107.0 + PERSON_PAUSE_SECONDS)
    assert (decision.who, decision.open) == (AnsweredBy.PERSON, True)


@pytest.mark.parametrize("words", ["John Smith", "or press one for more options", "Thank you", "at the tone"])
def test_what_a_mailbox_adds_is_no_person(words: str) -> None:
    watch = machine(MAILBOX)
    says(watch, words, 106.0, 107.0)
    assert watch.decide(109.0).who is AnsweredBy.VOICEMAIL


def test_behind_an_answered_screener_who_speaks_is_a_person_but_for_those_who_wait_or_refuse() -> None:
    for words, person in (
        ("Thank you. Please stay on the line.", False),
        ("Sorry, they can't take your call now.", False),
        ("Tell me more about why you are calling.", False),
        ("This is Smith here, what do you want?", True),
    ):
        watch = machine(SCREENER)
        watch.machine_spoken_to(106.0)
        says(watch, words, 107.0, 109.0)
        assert (watch.decide(109.5).who is AnsweredBy.PERSON) == person, words


def test_a_screener_that_brings_nobody_may_end_in_a_mailbox() -> None:
    watch = machine("Please say your name after the tone.")
    assert who(watch) is AnsweredBy.SCREENING
    watch.machine_spoken_to(106.0)
    says(watch, MAILBOX, 110.0, 114.0)
    assert who(watch) is AnsweredBy.VOICEMAIL


def test_who_came_on_may_turn_out_to_be_the_mailbox_after_all() -> None:
    watch = machine(SCREENER)
    watch.machine_spoken_to(106.0)
    says(watch, "Hi, this is John.", 120.0, 121.0)
    assert opens(watch, 121.0 + PERSON_PAUSE_SECONDS)
    says(watch, "Leave a message after the beep.", 122.0, 124.0)
    assert who(watch) is AnsweredBy.VOICEMAIL


# -- whatever happens -------------------------------------------------------------------------------------

events = st.lists(
    st.tuples(st.floats(0.0, 3.0), st.sampled_from(["start", "stop", "words", "unknown", "person", "beep"])),
    max_size=30,
)


@given(events, st.sampled_from(Speaker))
def test_whatever_happens_the_opening_comes_in_time_and_once(
    script: list[tuple[float, str]], first: Speaker
) -> None:
    """Waking when `wake_in` says, as the flow does; nothing machine-like is heard."""
    watch = detection(first)
    now, opened_at, openings, beeped = 100.0, None, 0, False
    schedule = [*script, (30.0, "end")]
    for wait, event in schedule:
        until = now + wait
        while True:
            if opens(watch, now):
                openings += 1
                opened_at = now
            wake_in = watch.wake_in(now)
            if wake_in is None or now + wake_in > until:
                break
            now += max(wake_in, 0.001)
        now = until
        match event:
            case "start":
                watch.speech_started(now)
            case "stop":
                watch.speech_stopped(now)
            case "words":
                watch.words("hello", now, final=True)
            case "beep":
                watch.beep(now)
                beeped = True
            case "end":
                pass
            case word:
                watch.detected(Detection(word), now)
    if watch.machine and beeped:
        return
    assert openings >= 1
    assert openings == 1 or beeped
    assert opened_at is not None
    assert beeped or opened_at <= 100 + LONGEST_GREETING_SECONDS + 3.1


# -- behind a menu ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "person"),
    [
        ("Good afternoon, Downtown Dental.", True),
        ("Our office hours are nine to five.", False),
        ("Please hold while I connect you.", False),
        ("For new patients, press one.", False),
    ],
)
def test_behind_an_answered_menu_uncertain_means_person(words: str, person: bool) -> None:
    watch = machine(MENU)
    watch.machine_spoken_to(105.0)
    says(watch, words, 106.0, 108.0)
    assert not opens(watch, 108.0 + UNCERTAIN_PAUSE_SECONDS - 0.1), "a menu may go on"
    assert opens(watch, 108.0 + UNCERTAIN_PAUSE_SECONDS) == person


def test_the_last_piece_of_a_menu_is_no_person() -> None:
    """A recogniser ends a piece at each breath; "on the line" alone could be anybody's."""
    watch = machine(MENU)
    watch.machine_spoken_to(105.0)
    says(watch, "For new patients, press one. For all other matters, please stay", 106.0, 109.0)
    says(watch, "right where you are", 109.4, 110.0)
    assert not opens(watch, 110.0 + UNCERTAIN_PAUSE_SECONDS)
    says(watch, "Good afternoon, Downtown Dental.", 113.0, 114.0)
    assert opens(watch, 114.0 + UNCERTAIN_PAUSE_SECONDS)


def test_who_was_spoken_to_in_words_is_answered_and_not_opened_to() -> None:
    watch = machine(MENU)
    assert opens(watch, 104.2) is False
    watch.machine_spoken_to(105.0)
    watch.spoke_words = True
    says(watch, "All right, sales it is.", 106.0, 107.5)
    decision = watch.decide(107.5 + UNCERTAIN_PAUSE_SECONDS)
    assert (decision.who, decision.open) == (AnsweredBy.PERSON, False)


def test_an_early_beep_is_not_the_end_of_a_later_greeting() -> None:
    watch = detection()
    watch.beep(100.5)
    assert watch.beep_stands()
    says(watch, MAILBOX, 101.0, 105.0)
    assert watch.who is AnsweredBy.VOICEMAIL
    assert not watch.beep_stands()
    assert not watch.greeting_over
    watch.beep(105.5)
    assert watch.beep_stands()
