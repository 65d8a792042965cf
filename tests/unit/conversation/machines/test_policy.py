"""What is done with a machine, second by second."""

from __future__ import annotations

import pytest

from bot import languages
from bot.conversation.machines.policy import (
    LONGEST_MAILBOX_SECONDS,
    LONGEST_MENU_SECONDS,
    LONGEST_QUESTION_SECONDS,
    LONGEST_UNAVAILABLE_SECONDS,
    MENU_PAUSE_SECONDS,
    MOST_STARTS,
    QUESTION_PAUSE_SECONDS,
    QUEUE_SECONDS,
    RECONSIDER_SECONDS,
    REMARK_PAUSE_SECONDS,
    TONE_SECONDS,
    UNAVAILABLE_PAUSE_SECONDS,
    MenuWatch,
    ScreeningWatch,
    UnavailableWatch,
    VoicemailWatch,
    unavailable_reason,
)
from bot.conversation.machines.policy import (
    MachineAct as Act,
)
from bot.records import EndedReason

ENGLISH = languages.of("en")
SCREENER = "Please state your name and why you are calling."
MENU = "For sales, press one. For service, press two."


# -- mailboxes --------------------------------------------------------------------------------------------


def mailbox(*, leaves: bool = True) -> VoicemailWatch:
    return VoicemailWatch(100.0, leaves, 2.5, beeps=0)


def look(watch: VoicemailWatch, now: float, silence: float = 0.0, beeps: int = 0, *, over: bool = False) -> Act:
    return watch.decide(now, silence=silence, beeps=beeps, greeting_over=over)


def test_a_mailbox_is_hung_up_on_after_a_second_thought() -> None:
    watch = mailbox(leaves=False)
    assert look(watch, 100.0) is Act.WAIT
    assert look(watch, 100.0 + RECONSIDER_SECONDS) is Act.END


def test_a_message_begins_at_the_beep() -> None:
    watch = mailbox()
    assert look(watch, 104.0, silence=1.0) is Act.WAIT
    assert look(watch, 104.1, silence=1.1, beeps=1) is Act.SPEAK
    assert look(watch, 104.2, silence=1.2, beeps=1) is Act.WAIT


def test_a_beep_before_the_mailbox_was_known_is_none_of_its() -> None:
    watch = VoicemailWatch(100.0, leaves_message=True, silence_seconds=2.5, beeps=1)
    assert look(watch, 101.0, beeps=1) is Act.WAIT


def test_without_a_beep_it_begins_behind_the_greeting() -> None:
    watch = mailbox()
    assert look(watch, 104.0, silence=2.4) is Act.WAIT
    assert look(watch, 104.1, silence=2.5) is Act.SPEAK
    assert look(mailbox(), 101.0, over=True) is Act.SPEAK, "Twilio has heard its end"


def test_a_greeting_without_an_end_is_spoken_over() -> None:
    watch = mailbox()
    assert look(watch, 100 + LONGEST_MAILBOX_SECONDS - 0.1) is Act.WAIT
    assert look(watch, 100 + LONGEST_MAILBOX_SECONDS) is Act.SPEAK


def test_a_late_beep_begins_the_message_anew_but_not_for_ever() -> None:
    watch = mailbox()
    assert look(watch, 103.0, silence=2.5) is Act.SPEAK
    for beep in range(1, MOST_STARTS):
        assert look(watch, 104.0 + beep, beeps=beep) is Act.SPEAK
    assert look(watch, 110.0, beeps=MOST_STARTS) is Act.WAIT


# -- screeners --------------------------------------------------------------------------------------------


def screener(*, answers: bool = True) -> ScreeningWatch:
    return ScreeningWatch(100.0, answers, 30.0, ENGLISH, beeps=0)


def hears(
    watch: ScreeningWatch, now: float, words: str, silence: float = 5.0, beeps: int = 0, *, speaking: bool = False
) -> Act:
    return watch.decide(now, words=words, silence=silence, beeps=beeps, speaking=speaking)


def answered(at: float = 105.0) -> ScreeningWatch:
    watch = screener()
    assert hears(watch, 103.0, SCREENER) is Act.SPEAK
    assert hears(watch, 104.0, SCREENER, speaking=True) is Act.WAIT
    watch.heard_at = at
    return watch


def test_a_screener_is_hung_up_on_where_the_scenario_says_so() -> None:
    assert hears(screener(answers=False), 100.0, SCREENER) is Act.END


def test_a_screener_is_answered_when_its_question_is_over() -> None:
    watch = screener()
    assert hears(watch, 101.0, SCREENER, silence=QUESTION_PAUSE_SECONDS - 0.1) is Act.WAIT
    assert hears(watch, 101.1, SCREENER, silence=QUESTION_PAUSE_SECONDS) is Act.SPEAK


def test_an_announced_tone_is_waited_for() -> None:
    question = "Please say your name after the tone."
    assert hears(screener(), 102.0, question, silence=TONE_SECONDS - 0.1) is Act.WAIT
    assert hears(screener(), 102.0, question, silence=TONE_SECONDS) is Act.SPEAK
    assert hears(screener(), 102.0, question, silence=0.5, beeps=1) is Act.SPEAK


def test_a_question_without_an_end_is_answered() -> None:
    assert hears(screener(), 100 + LONGEST_QUESTION_SECONDS, SCREENER, silence=0.0) is Act.SPEAK


def test_it_waits_quietly_and_not_for_ever() -> None:
    watch = answered(at=105.0)
    assert hears(watch, 134.9, "Thank you. Please stay on the line.") is Act.WAIT
    assert hears(watch, 135.0, "Thank you. Please stay on the line.") is Act.END


def test_a_screener_that_asks_again_is_answered_once_more() -> None:
    watch = answered()
    assert hears(watch, 107.0, SCREENER, silence=0.1) is Act.WAIT
    assert hears(watch, 108.0, SCREENER) is Act.SPEAK
    assert hears(watch, 112.0, SCREENER) is Act.WAIT


def test_a_refusal_ends_it() -> None:
    assert hears(answered(), 107.0, "Sorry, they can't take your call now. Goodbye.") is Act.END


# -- menus ------------------------------------------------------------------------------------------------


def menu(*, navigates: bool = True, steps: int = 10) -> MenuWatch:
    return MenuWatch(100.0, navigates, steps, ENGLISH)


def offered(watch: MenuWatch, now: float, words: str, silence: float = 5.0, *, speaking: bool = False) -> Act:
    return watch.decide(now, words=words, silence=silence, speaking=speaking)


def test_a_menu_is_hung_up_on_where_the_scenario_says_so() -> None:
    assert offered(menu(navigates=False), 100.0, MENU) is Act.END


def test_the_model_chooses_when_the_options_are_over() -> None:
    watch = menu()
    assert offered(watch, 104.0, MENU, silence=MENU_PAUSE_SECONDS - 0.1) is Act.WAIT
    assert offered(watch, 104.1, MENU, silence=MENU_PAUSE_SECONDS) is Act.ASK
    assert offered(watch, 104.2, "") is Act.WAIT, "nothing new was heard"


def test_a_remark_gets_more_time_and_a_queue_gets_no_answer() -> None:
    remark = "You have chosen the dental office."
    assert offered(menu(), 103.0, remark, silence=MENU_PAUSE_SECONDS) is Act.WAIT
    assert offered(menu(), 103.0, remark, silence=REMARK_PAUSE_SECONDS) is Act.ASK
    watch = menu()
    assert offered(watch, 103.0, "Please hold while I connect you.", silence=9.0) is Act.WAIT
    assert offered(watch, 103.0 + QUEUE_SECONDS, "Please hold while I connect you.", silence=99.0) is Act.END


def test_a_menu_without_an_end_is_answered() -> None:
    assert offered(menu(), 100 + LONGEST_MENU_SECONDS, MENU, silence=0.0) is Act.ASK


def test_the_same_menu_for_the_third_time_leads_nowhere() -> None:
    watch = menu()
    heard = [MENU, "For sales press 1. For service press two", MENU.upper()]
    assert [offered(watch, 110.0 * n, words) for n, words in enumerate(heard[:1], 1)] == [Act.ASK]
    assert offered(watch, 220.0, "For sales, press one. For the service, press two.") is Act.ASK
    assert offered(watch, 230.0, MENU.upper()) is Act.END


def test_other_menus_count_as_steps() -> None:
    watch = menu(steps=2)
    assert offered(watch, 110.0, MENU) is Act.ASK
    assert offered(watch, 120.0, "Enter your account number, then press pound.") is Act.ASK
    assert offered(watch, 130.0, "To hear this again, press nine.") is Act.END


# -- carriers ---------------------------------------------------------------------------------------------


def test_a_carrier_is_let_finish_in_case_a_mailbox_follows() -> None:
    watch = UnavailableWatch(100.0)
    assert watch.decide(101.2, silence=1.2) is Act.WAIT
    assert watch.decide(101.6, silence=UNAVAILABLE_PAUSE_SECONDS) is Act.END
    assert watch.decide(100 + LONGEST_UNAVAILABLE_SECONDS, silence=0.0) is Act.END


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("The number you have dialed is not in service.", EndedReason.DIAL_FAILED),
        ("Your call cannot be completed as dialed.", EndedReason.DIAL_FAILED),
        ("The number you have reached has been disconnected.", EndedReason.DIAL_FAILED),
        ("All circuits are busy now.", EndedReason.DIAL_BUSY),
        ("The customer you are calling is not available.", EndedReason.DIAL_NO_ANSWER),
        ("The mailbox is full.", EndedReason.DIAL_NO_ANSWER),
    ],
)
def test_why_it_ends_says_whether_a_retry_is_worth_it(words: str, reason: EndedReason) -> None:
    assert unavailable_reason(words, ENGLISH) is reason
