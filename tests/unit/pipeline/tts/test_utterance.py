"""What an utterance owes: by its alignment, by the clock, across takes. No socket, no sleep."""

from __future__ import annotations

from bot.pipeline.tts.utterance import LOST_SECONDS, QUIET_SECONDS, RETAKE_SECONDS, Take, Utterance, UtteranceStep

MS = 60.0


def begun(text: str = "One two three.", *, now: float = 0.0) -> tuple[Utterance, Take]:
    speech = Utterance()
    speech.add(text, now)
    take, told = speech.take(now)
    assert told == text + " "
    return speech, take


def sound(speech: Utterance, take: Take, chars: str, now: float, *, audio: float | None = None) -> list[str]:
    """`chars` are spelled with 60 ms each, `audio` ms come with them; the words that are here."""
    speech.sound(take, len(chars) * MS if audio is None else audio, now)
    speech.spell(take, list(chars), [MS * i for i in range(len(chars))], [MS] * len(chars))
    return [word for word, _ in speech.due()]


def test_words_are_released_when_they_are_whole() -> None:
    speech, take = begun()
    assert sound(speech, take, "One tw", 0.1) == ["One"]
    assert sound(speech, take, "o three.", 0.2) == ["two", "three."]
    assert not speech.owes


def test_an_alignment_ahead_of_its_audio_releases_nothing_yet() -> None:
    speech, take = begun()
    assert sound(speech, take, "One two three.", 0.1, audio=4 * MS) == ["One"]
    speech.sound(take, 4 * MS, 0.2)
    assert [word for word, _ in speech.due()] == ["two"]
    speech.cut_off()
    assert speech.rest.strip() == "three.", "it was spelled, and never sounded"


def test_a_broken_word_is_said_again_and_written_once() -> None:
    speech, take = begun()
    sound(speech, take, "One tw", 0.1)
    speech.cut_off()
    assert speech.next_step(0.1) is UtteranceStep.RETAKE
    again, told = speech.take(0.2)
    assert told.strip() == "two three."
    speech.sound(again, 10 * MS, 0.3)
    speech.spell(again, list("two three."), [MS * i for i in range(10)], [MS] * 10)
    (two, at), (three, _) = speech.due()
    assert (two, three) == ("two", "three.")
    assert at == 6 * MS, "behind what had sounded before"


def test_the_end_of_a_word_is_known_without_the_next_one() -> None:
    speech, take = begun()
    assert sound(speech, take, "One two", 0.1) == ["One", "two"]
    speech.cut_off()
    assert speech.rest.strip() == "three."


def test_it_is_closed_when_all_has_come_and_never_before() -> None:
    speech, take = begun()
    speech.complete = True
    assert speech.next_step(0.5) is UtteranceStep.WAIT
    sound(speech, take, "One two three.", 0.6)
    assert speech.next_step(0.6) is UtteranceStep.CLOSE
    assert speech.next_step(0.7) is UtteranceStep.WAIT
    speech.ended(take, 0.8)
    assert speech.next_step(0.8) is UtteranceStep.DONE


def test_a_vendor_that_never_says_it_is_through_is_not_waited_for_long() -> None:
    speech, take = begun()
    speech.complete = True
    sound(speech, take, "One two three.", 0.6)
    assert speech.next_step(0.6) is UtteranceStep.CLOSE
    assert speech.next_step(1.7) is UtteranceStep.DONE


def test_a_silent_take_is_joined_by_a_second_and_the_first_to_sound_goes_on() -> None:
    speech, slow = begun()
    assert speech.next_step(RETAKE_SECONDS - 0.1) is UtteranceStep.WAIT
    assert speech.next_step(RETAKE_SECONDS) is UtteranceStep.RETAKE
    second, _ = speech.take(RETAKE_SECONDS)
    assert speech.sound(slow, 100, 2.0) == [second]
    assert speech.takes == [slow]


def test_no_sound_at_all_is_the_end_of_the_voice() -> None:
    speech, _ = begun()
    speech.take(RETAKE_SECONDS)
    assert speech.next_step(LOST_SECONDS - 0.1) is UtteranceStep.WAIT
    assert speech.next_step(LOST_SECONDS) is UtteranceStep.LOST


def test_a_take_begun_late_gets_its_chance() -> None:
    speech = Utterance()
    speech.add("Hello.", 0.0)
    speech.take(LOST_SECONDS - 0.1)
    assert speech.next_step(LOST_SECONDS) is UtteranceStep.WAIT


def test_takes_that_end_without_sound() -> None:
    speech, take = begun()
    for now in (0.1, 0.2):
        speech.ended(take, now)
        assert speech.next_step(now) is UtteranceStep.RETAKE
        take, _ = speech.take(now)
    speech.ended(take, 0.3)
    assert speech.next_step(0.3) is UtteranceStep.LOST


def test_a_pause_of_the_model_is_no_debt() -> None:
    speech, take = begun("One two.")
    sound(speech, take, "One two.", 0.2)
    assert speech.next_step(9.0) is UtteranceStep.WAIT
    speech.add("Three.", 9.0)
    assert speech.next_step(9.1) is UtteranceStep.WAIT


def test_marks_that_an_alignment_leaves_out_are_no_other_text() -> None:
    speech, take = begun('"One" — *two*.')
    speech.complete = True
    assert sound(speech, take, "One two", 0.1)[0] == '"One"'
    assert speech.next_step(0.1) is UtteranceStep.CLOSE


def test_another_spelling_is_never_judged_whole_by_its_letters() -> None:
    """Only normalizedAlignment: "two" for "2"."""
    speech, take = begun("At 2 sharp.")
    speech.complete = True
    sound(speech, take, "At two sharp.", 0.5)
    assert speech.next_step(0.6) is UtteranceStep.WAIT
    assert speech.next_step(0.5 + QUIET_SECONDS) is UtteranceStep.CLOSE
    speech.due(everything=True)
    speech.ended(take, 1.5)
    speech.due()
    assert speech.next_step(1.5) is UtteranceStep.DONE
    assert speech.rest.strip() == ""


def test_a_vendor_that_times_nothing() -> None:
    speech, take = begun("One two three four five six.")
    speech.sound(take, 700, 0.2)
    assert speech.due() == []
    assert speech.next_step(5.0) is UtteranceStep.WAIT, "it has sounded: it is not asked for again"
    speech.cut_off()
    words = [word for word, _ in speech.due()]
    assert words == ["One", "two"], "as far as a voice comes in 0.7 s"
    assert speech.next_step(5.0) in (UtteranceStep.RETAKE, UtteranceStep.LOST)
    speech.patient(5.0)
    again, told = speech.take(5.0)
    assert told.startswith("three")
    speech.sound(again, 1200, 5.2)
    speech.complete = True
    assert speech.next_step(5.3 + QUIET_SECONDS) is UtteranceStep.CLOSE
    speech.ended(again, 6.2)
    assert [word for word, _ in speech.due()] == ["three", "four", "five", "six."]


def test_mere_punctuation_is_over_at_once() -> None:
    speech = Utterance()
    speech.add("...", 0.0)
    speech.complete = True
    assert not speech.owes
    assert speech.next_step(0.0) is UtteranceStep.DONE
