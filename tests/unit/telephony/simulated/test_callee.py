"""The callee, stepped frame by frame: what it says when, without a clock or a socket."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from bot.audio import SAMPLE_RATE, Speech, TimedWord, mulaw_to_pcm, pcm_to_mulaw
from bot.telephony.simulated.callee import Callee, SpokenLine, SpokenLines, is_loud, line_of, noise_payloads
from bot.telephony.simulated.script import Conversation, conversation_for, parse_conversation
from bot.telephony.simulated.stream import FRAME_SAMPLES, Tick


def tone(ms: int, amplitude: int = 6000) -> bytes:
    time = np.arange(ms * 8) / SAMPLE_RATE
    return (amplitude * np.sin(2 * math.pi * 300 * time)).astype(np.int16).tobytes()


AGENT = pcm_to_mulaw(tone(20))
"""A frame of the agent's speech."""


def speech(text: str) -> Speech:
    """200 ms a word."""
    words = text.split()
    timed = tuple(TimedWord(word, 200.0 * n, 200.0 * n + 180) for n, word in enumerate(words))
    return Speech(text=text, pcm=tone(200 * len(words)), words=timed)


class Told:
    def __init__(self) -> None:
        self.heard: list[tuple[str, float]] = []

    def say(self, call_sid: str, text: str, words: Sequence[TimedWord]) -> None:
        assert call_sid == "CA1"
        self.heard.append((text, words[0].start_ms))


class Stepper:
    """Drives a callee. `run` gives what it did over `ms`; the agent speaks in that time or not."""

    def __init__(self, conversation: Conversation) -> None:
        self.told = Told()
        lines: Mapping[str, SpokenLine] = {text: line_of(speech(text)) for text in conversation.texts}
        self._words = ""
        self.callee = Callee(
            call_sid="CA1",
            conversation=conversation,
            lines=lines,
            listener=self.told,
            agent_words=lambda: self._words,
        )
        self.digits = ""
        self.ms = 0
        self.hung_up_at: int | None = None

    def hears(self, words: str) -> None:
        """What the agent says next."""
        self._words = f"{self._words} {words}"

    def run(self, ms: int, *, agent: bool = False) -> list[Tick]:
        ticks = []
        for _ in range(ms // 20):
            if self.hung_up_at is not None:
                break
            tick = self.callee.tick(AGENT if agent else None)
            ticks.append(tick)
            self.digits += tick.digits
            if tick.hang_up:
                self.hung_up_at = self.ms
            self.ms += 20
        return ticks


def conversation(steps: str, head: str = "") -> Conversation:
    return parse_conversation(f'name = "t"\ndescription = "t"\n{head}\n{steps}', file="t.toml")


def level_dbfs(payload: str) -> float:
    pcm = np.frombuffer(mulaw_to_pcm(base64.b64decode(payload)), dtype=np.int16).astype(float)
    return float(20 * np.log10(np.sqrt(np.mean(pcm**2)) / 32768))


def test_the_line_is_never_digitally_silent() -> None:
    levels = [level_dbfs(payload) for payload in noise_payloads()]
    assert -64 < float(np.mean(levels)) < -60
    assert not any(is_loud(base64.b64decode(payload)) for payload in noise_payloads())


def test_a_line_is_whole_frames_over_noise() -> None:
    line = line_of(Speech(text="hi", pcm=tone(50)))
    assert len(line.payloads) == 3
    assert all(len(base64.b64decode(payload)) == FRAME_SAMPLES for payload in line.payloads)
    assert is_loud(base64.b64decode(line.payloads[0]))
    assert len(set(base64.b64decode(line.payloads[2])[80:])) > 1


@pytest.mark.parametrize(("amplitude", "loud"), [(6000, True), (400, True), (60, False), (0, False)])
def test_loudness(amplitude: int, loud: bool) -> None:
    assert is_loud(pcm_to_mulaw(tone(20, amplitude))) is loud


def test_it_waits_for_the_end_of_the_agents_speech() -> None:
    stepper = Stepper(conversation('[[steps]]\ndo="hear"\n[[steps]]\ndo="say"\ntext="Yes please"'))
    stepper.run(1000)
    stepper.run(2000, agent=True)
    stepper.run(680)
    assert stepper.told.heard == []
    stepper.run(40)
    # A tick hears the 20 ms before it: the agent ended at 2980.
    assert stepper.told.heard == [("Yes please", 3680.0)]
    stepper.run(1000)
    assert stepper.hung_up_at == 3680 + 400


def test_a_pause_in_the_agents_speech_is_not_its_end() -> None:
    stepper = Stepper(conversation('[[steps]]\ndo="hear"\n[[steps]]\ndo="say"\ntext="Yes"'))
    for _ in range(3):
        stepper.run(600, agent=True)
        stepper.run(600)
    assert stepper.told.heard == []


def test_a_click_is_not_speech() -> None:
    stepper = Stepper(conversation('[[steps]]\ndo="hear"\nwithin_ms=3000\nor_else="hang_up"'))
    stepper.run(500)
    stepper.run(60, agent=True)
    stepper.run(4000)
    assert stepper.hung_up_at == 3000


def test_a_silent_agent_meets_the_deadline_and_the_conversation_goes_on() -> None:
    stepper = Stepper(conversation('[[steps]]\ndo="hear"\nwithin_ms=2000\n[[steps]]\ndo="say"\ntext="Hello?"'))
    stepper.run(5000)
    assert stepper.told.heard == [("Hello?", 2000.0)]


def test_it_interrupts_after_the_agent_has_begun() -> None:
    stepper = Stepper(
        conversation('[[steps]]\ndo="interrupt"\nafter_ms=600\ntext="Sorry wait"\n[[steps]]\ndo="hear"')
    )
    stepper.run(1000)
    stepper.run(580, agent=True)
    assert stepper.told.heard == []
    stepper.run(100, agent=True)
    # The agent's first sound lay in the 20 ms before the tick at 1000.
    assert stepper.told.heard == [("Sorry wait", 1580.0)]
    stepper.run(320)
    # What the agent said before the interruption is not its answer.
    stepper.run(2000)
    assert stepper.hung_up_at is None
    stepper.run(500, agent=True)
    stepper.run(800)
    assert stepper.hung_up_at is not None


def test_digits_and_silence_and_the_last_deadline() -> None:
    stepper = Stepper(
        conversation(
            '[[steps]]\ndo="silence"\nfor_ms=400\n[[steps]]\ndo="press"\ndigits="1#"\n'
            '[[steps]]\ndo="wait_for_hang_up"\nwithin_ms=1000'
        )
    )
    stepper.run(400)
    assert stepper.digits == ""
    stepper.run(400)
    assert stepper.digits == "1#"
    stepper.run(5000)
    assert stepper.hung_up_at == 1800


def test_a_menu_is_offered_until_its_key_is_pressed() -> None:
    menu = '[[steps]]\ndo="menu"\ntext="Press two"\nkeys="2"\npause_ms=1000\ntimes=3\n'
    stepper = Stepper(conversation(menu + '[[steps]]\ndo="say"\ntext="Front desk"'))
    stepper.run(1600)
    assert stepper.told.heard == [("Press two", 0.0), ("Press two", 1400.0)]
    stepper.callee.press_heard("9")
    stepper.run(100)
    assert len(stepper.told.heard) == 2, "another key is not understood"
    stepper.callee.press_heard("2")
    stepper.run(20)
    assert stepper.told.heard[-1] == ("Front desk", 1700.0)


def test_keys_pressed_before_a_menu_are_for_it_and_for_no_other() -> None:
    menu = '[[steps]]\ndo="menu"\ntext="Press two"\nkeys="2"\npause_ms=1000\ntimes=3\n'
    stepper = Stepper(conversation(menu + menu))
    stepper.callee.press_heard("2")
    stepper.run(1600)
    assert [text for text, _ in stepper.told.heard] == ["Press two", "Press two", "Press two"]
    stepper.callee.press_heard("2")
    stepper.run(100)
    assert stepper.hung_up_at is not None


def test_a_menu_that_is_not_understood_hangs_up() -> None:
    menu = '[[steps]]\ndo="menu"\ntext="Press two"\nkeys="2"\npause_ms=1000\ntimes=2\n'
    stepper = Stepper(conversation(menu + '[[steps]]\ndo="say"\ntext="Front desk"'))
    stepper.run(9000)
    assert stepper.hung_up_at == 2800
    assert [text for text, _ in stepper.told.heard] == ["Press two", "Press two"]


def test_the_whole_conversation_is_bounded() -> None:
    stepper = Stepper(conversation('[[steps]]\ndo="hear"', head="longest_ms = 5000"))
    stepper.run(9000, agent=True)
    assert stepper.hung_up_at == 5000


def test_word_times_count_what_went_over_the_streams() -> None:
    text = '[[steps]]\ndo="silence"\nfor_ms={}\n[[steps]]\ndo="say"\ntext="Hello{}"\n'
    stepper = Stepper(conversation(text.format(400, "") + text.format(1000, " again")))
    stepper.callee.stream_begins()
    stepper.run(200)
    stepper.callee.off_stream()
    stepper.run(300)
    stepper.callee.stream_begins()
    stepper.run(9000)
    assert [words for words, _ in stepper.told.heard] == ["Hello again"], "told off the stream"
    before = 1000 + len(stepper.callee._lines["Hello"].payloads) * 20
    assert stepper.told.heard[0][1] == before + 400 - 300


def test_the_default_conversation_with_an_agent_who_answers() -> None:
    stepper = Stepper(conversation_for("appointment_confirmation"))
    stepper.run(600)
    stepper.run(5000, agent=True)
    stepper.run(3200)
    stepper.run(1300, agent=True)
    stepper.run(3000)
    stepper.run(3000, agent=True)
    stepper.run(2000)
    assert [text for text, _ in stepper.told.heard] == list(conversation_for("appointment_confirmation").texts)
    stepper.run(30_000)
    assert stepper.hung_up_at is not None


class CountingVoice:
    def __init__(self) -> None:
        self.spoken: list[str] = []

    async def speak(self, text: str, *, speed: float = 1.0) -> Speech:
        self.spoken.append(text)
        return speech(text)


async def test_a_text_is_spoken_once_for_all_callees() -> None:
    voice = CountingVoice()
    lines = SpokenLines(voice, keep=2)
    first = conversation('[[steps]]\ndo="say"\ntext="one"\n[[steps]]\ndo="say"\ntext="two"')
    assert set(await lines.ready(first)) == {"one", "two"}
    await lines.ready(first)
    assert voice.spoken == ["one", "two"]
    await lines.ready(conversation('[[steps]]\ndo="say"\ntext="three"'))
    await lines.ready(first)
    assert voice.spoken == ["one", "two", "three", "one", "two"]


def test_it_converses_by_what_it_hears_until_the_agent_says_goodbye() -> None:
    stepper = Stepper(conversation('[[steps]]\ndo="converse"'))
    stepper.hears("Do you have a minute?")
    stepper.run(1000, agent=True)
    stepper.run(2500)
    stepper.hears("What colour is the sky?")
    stepper.run(1000, agent=True)
    stepper.run(3000)
    stepper.hears("Goodbye!")
    stepper.run(1000, agent=True)
    stepper.run(1000)
    assert [text for text, _ in stepper.told.heard] == ["Sure, go ahead.", "I'm not sure, sorry."]
    assert stepper.hung_up_at is not None


def test_it_says_mhm_into_long_speech_only() -> None:
    stepper = Stepper(conversation('[[steps]]\ndo="converse"\nbackchannel="Mhm."\nturns=2'))
    stepper.hears("Do you have a minute?")
    stepper.run(4000, agent=True)
    assert [text for text, _ in stepper.told.heard] == ["Mhm."]
    stepper.run(3000)
    stepper.hears("Goodbye!")
    stepper.run(1000, agent=True)
    stepper.run(1500)
    assert [text for text, _ in stepper.told.heard] == ["Mhm.", "Sure, go ahead."]


def test_a_callee_in_a_car_is_as_loud_as_it_says() -> None:
    assert -40 < level_dbfs(noise_payloads(-38.0)[0]) < -36
