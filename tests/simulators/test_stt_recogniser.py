"""The recogniser: words follow the energy of the audio, and nothing but the script."""

from __future__ import annotations

import numpy as np

from bot.audio import Speech, TimedWord
from tests.simulators.stt_recogniser import EnergyMeter, ScriptedRecogniser, ScriptedRecognition, Utterance
from tests.simulators.tts_sound import speak

RATE = 8000


def noise(ms: int, dbfs: float = -60.0) -> bytes:
    """Line noise; silence on a real line is never digital zero."""
    level = 32768 * 10 ** (dbfs / 20)
    samples = np.random.default_rng(ms).standard_normal(ms * RATE // 1000) * level
    return samples.astype("<i2").tobytes()


def voice(ms: int) -> bytes:
    return speak("a" * (ms // 60 + 1), RATE).pcm[: ms * RATE // 1000 * 2]


def texts(words: tuple[TimedWord, ...]) -> str:
    return " ".join(word.text for word in words)


def play(hearing: ScriptedRecognition, pcm: bytes) -> None:
    """In chunks that do not fit the meter's frames."""
    for at in range(0, len(pcm), 334):
        hearing.hear(pcm[at : at + 334])


def test_line_noise_is_never_speech() -> None:
    hearing = ScriptedRecogniser(["hello"]).open(RATE)
    play(hearing, noise(5000))
    assert hearing.words() == ()
    assert hearing.speech_start_ms is None


def test_a_click_is_not_speech() -> None:
    hearing = ScriptedRecogniser(["hello"]).open(RATE)
    play(hearing, noise(300) + voice(10) + noise(300))
    assert hearing.speech_start_ms is None


def test_the_meter_does_not_depend_on_chunk_sizes() -> None:
    pcm = noise(100) + voice(100) + noise(100)
    whole = EnergyMeter(RATE, threshold_dbfs=-45).feed(pcm)
    meter = EnergyMeter(RATE, threshold_dbfs=-45)
    parts = [verdict for at in range(0, len(pcm), 98) for verdict in meter.feed(pcm[at : at + 98])]
    assert parts == whole
    assert len(whole) == 30
    assert any(whole)
    assert not all(whole)


def test_words_appear_while_speaking_and_all_of_them_after_it() -> None:
    hearing = ScriptedRecogniser(["yes this is John speaking"]).open(RATE)
    play(hearing, noise(500) + voice(700))
    early = texts(hearing.words())
    assert early.startswith("yes")
    assert early != "yes this is John speaking"
    assert not hearing.over
    play(hearing, voice(600) + noise(250))
    assert hearing.over
    words = hearing.words()
    assert texts(words) == "yes this is John speaking"
    assert 480 <= words[0].start_ms <= 540
    assert 1750 <= words[-1].end_ms <= 1820


def test_taken_words_do_not_come_again_and_bursts_follow_the_script() -> None:
    hearing = ScriptedRecogniser(["hello", "who is this"]).open(RATE)
    play(hearing, voice(400) + noise(300))
    assert texts(hearing.take()) == "hello"
    assert hearing.words() == ()
    play(hearing, noise(400) + voice(600) + noise(300))
    assert texts(hearing.take()) == "who is this"
    play(hearing, noise(400) + voice(600) + noise(300))
    assert hearing.take() == ()


def test_a_short_pause_does_not_use_up_the_next_utterance() -> None:
    recogniser = ScriptedRecogniser(["well let me think", "never said"])
    hearing = recogniser.open(RATE)
    play(hearing, voice(400) + noise(250))
    assert texts(hearing.take(forced=True)) == "well let me think"
    play(hearing, voice(400) + noise(600))
    assert hearing.take() == ()
    assert recogniser.remaining == 1


def test_a_forced_take_in_mid_speech_gives_the_words_so_far() -> None:
    hearing = ScriptedRecogniser(["one two three four five six"]).open(RATE)
    play(hearing, voice(800))
    so_far = texts(hearing.take(forced=True))
    assert so_far.startswith("one two")
    assert "six" not in so_far
    play(hearing, voice(1000) + noise(300))
    assert f"{so_far} {texts(hearing.take())}" == "one two three four five six"


def test_a_timed_utterance_keeps_its_own_pauses() -> None:
    words = (TimedWord("Well,", 100, 500), TimedWord("maybe", 1300, 1700))
    hearing = ScriptedRecogniser([Speech("Well, maybe", b"", words), "next"]).open(RATE)
    play(hearing, voice(400) + noise(500))
    assert texts(hearing.take(forced=True)) == "Well,"
    assert not hearing.over
    play(hearing, noise(300) + voice(400) + noise(250))
    assert hearing.over
    assert texts(hearing.take()) == "maybe"


def test_a_lost_connection_gives_back_what_was_not_final() -> None:
    recogniser = ScriptedRecogniser(["first words", "second words", "third"])
    one = recogniser.open(RATE)
    play(one, voice(700) + noise(300))
    one.take()
    play(one, noise(400) + voice(300))
    one.close()
    two = recogniser.open(RATE)
    play(two, voice(700) + noise(300))
    assert texts(two.take()) == "second words"
    assert recogniser.remaining == 1


def test_half_taken_utterances_come_back_as_their_rest() -> None:
    recogniser = ScriptedRecogniser(["one two three four"])
    one = recogniser.open(RATE)
    play(one, voice(600))
    taken = texts(one.take(forced=True))
    one.close()
    two = recogniser.open(RATE)
    play(two, voice(700) + noise(300))
    assert f"{taken} {texts(two.take())}" == "one two three four"


def test_an_unfinished_thought_is_told() -> None:
    hearing = ScriptedRecogniser([Utterance("I would like to", finished=False)]).open(RATE)
    play(hearing, voice(700) + noise(300))
    assert hearing.over
    assert not hearing.finished_thought
