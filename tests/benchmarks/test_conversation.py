"""The conversation benchmark judges what was heard: phone, recogniser, voice prints and rules, without a call."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence

import numpy as np
import pytest

from bot.audio import MULAW_SILENCE, SAMPLE_RATE, TimedWord, pcm_to_mulaw
from bot.records import AnsweredBy
from tests.benchmarks import conversation, sounds
from tests.benchmarks.acts import (
    Act,
    AgentQuiet,
    AgentSaid,
    Circuit,
    HangUp,
    Noise,
    Note,
    Pause,
    Say,
    UntilHungUp,
)
from tests.benchmarks.evidence import Evidence, plain, recital
from tests.benchmarks.phone import Phone
from tests.benchmarks.recogniser import PhoneRecogniser, PhoneRecognition
from tests.benchmarks.rules import Answers, Ends, GoesOn, Opens, Rule, Says, Silent, Sounds, Stops, TakenFor
from tests.benchmarks.situations import ALL
from tests.benchmarks.situations.situation import TALK, Situation, going_on
from tests.benchmarks.voiceprint import heard_words, printed
from tests.simulators.llm_replies import MessagesRequest

pytestmark = pytest.mark.long

REPLY = "It is on Thursday, at two in the afternoon."
LONG = (
    "There is a car park behind the building, and the first two hours of it are free for everybody who visits us."
)


class _HumMaker(sounds.SoundMaker):
    """Sounds without a voice: speech is a hum with as many words, 200 ms each."""

    def sound(self, act: Say | Noise) -> sounds.Sound:
        texts = (act.text if act.heard is None else act.heard).split() if isinstance(act, Say) else []
        length_ms = 200 * len(texts) or 300
        hum = 4000 * np.sin(2 * np.pi * 600 * np.arange(8 * length_ms) / SAMPLE_RATE)
        words = tuple(TimedWord(text, 200.0 * i, 200.0 * (i + 1)) for i, text in enumerate(texts))
        return sounds.Sound(hum, words)


def _voice(text: str) -> bytes:
    return pcm_to_mulaw(printed(text, SAMPLE_RATE).pcm)


def _rest(ms: float) -> bytes:
    return bytes([MULAW_SILENCE]) * round(ms * 8)


def _held(acts: Sequence[Act], heard: bytes, *, spoken: Sequence[str] = (REPLY, LONG)) -> Evidence:
    """A call in which the phone played `heard` from its first moment on."""
    phone = Phone(acts, _HumMaker())
    phone.tick(None)
    frames = iter([heard[at : at + 160] for at in range(0, len(heard), 160)])
    while not phone.finished:
        frame = next(frames, None)
        phone.tick(frame if frame is None else frame.ljust(160, bytes([MULAW_SILENCE])))
    return Evidence(phone, spoken)


def _right(rule: Rule, evidence: Evidence) -> bool:
    return rule.judge(evidence).right


def test_the_set_is_fixed_and_large_enough() -> None:
    names = [f"{situation.theme}: {situation.name}" for situation in ALL]
    assert len(set(names)) == len(names)
    assert len(names) >= 150
    pickups = [rule.who for situation in ALL for rule in situation.rules if isinstance(rule, TakenFor)]
    assert len(pickups) >= 100
    assert set(pickups) == set(AnsweredBy)
    assert all(situation.rules for situation in ALL)


def test_words_are_found_where_they_were_played() -> None:
    words = heard_words([REPLY, LONG], _rest(500) + _voice(REPLY) + _rest(300))
    assert [word.text for word in words] == REPLY.split()
    assert words[0].start_ms == pytest.approx(500, abs=30)


def test_a_cut_and_a_resumed_sentence_are_told_apart() -> None:
    sound = _voice(LONG)
    cut = len(sound) // 2
    lost = heard_words([LONG], sound[:cut] + _rest(400) + sound[cut + 12_000 :])
    resumed = heard_words([LONG], sound[:cut] + _rest(400) + sound[cut:])
    said = recital(LONG, lost)
    assert said is not None
    assert not said.whole
    said = recital(LONG, resumed)
    assert said is not None
    assert said.whole
    assert said.repeated == 0
    assert 350 <= said.longest_pause_ms <= 900


def test_a_word_that_a_pause_cuts_in_two_is_not_lost() -> None:
    sound = _voice(LONG)
    place = LONG.index("building") + 4
    cut = place * 50 * 8
    said = recital(LONG, heard_words([LONG], sound[:cut] + _rest(400) + sound[cut:]))
    assert said is not None
    assert said.whole


def test_a_text_that_begins_with_another_ones_words_is_found_at_its_own_place() -> None:
    heard = "Hello? I can't hear you. I can't hear you, so I'll hang up. Bye."
    words = [TimedWord(word, 100.0 * i, 100.0 * i + 90) for i, word in enumerate(heard.split())]
    said = recital("I can't hear you, so I'll hang up.", words)
    assert said is not None
    assert said.start_ms == 500.0
    assert said.longest_pause_ms < 50


def test_nothing_of_a_text_is_no_recital() -> None:
    assert recital(REPLY, ()) is None
    assert plain("Hello? — It's me.") == ["hello", "it's", "me"]


ASK = Say("where is it please", name="question")


def test_an_answer_has_a_delay_and_may_not_come_early() -> None:
    acts = (ASK, Pause(5000), HangUp())
    right = Answers("question", REPLY).judge(_held(acts, _rest(1500) + _voice(REPLY)))
    assert right.right, right.why
    assert right.delay_ms == pytest.approx(720, abs=40)
    assert not _right(Answers("question", REPLY), _held(acts, _rest(400) + _voice(REPLY)))
    assert not _right(Answers("question", REPLY), _held(acts, _rest(3000) + _voice(REPLY)))
    assert not _right(Answers("question", REPLY), _held(acts, _rest(1500) + _voice(LONG)))
    assert not _right(Answers("question", REPLY), _held(acts, b""))
    assert not _right(
        Answers("question", REPLY),
        _held(
            (ASK, Pause(12_000), HangUp()), _rest(1500) + _voice(LONG + " " + REPLY), spoken=[LONG + " " + REPLY]
        ),
    )


def test_going_on_loses_nothing_and_pauses_less_than_a_second() -> None:
    acts = (Pause(1000), Noise("click", 40, name="noise"), Pause(9000), HangUp())
    sound = _voice(LONG)
    rule = GoesOn(LONG, over="noise")
    assert rule.judge(_held(acts, sound)).delay_ms == 0
    paused = sound[:9600] + _rest(700) + sound[9600:]
    assert _right(rule, _held(acts, paused))
    assert not _right(rule, _held(acts, sound[:9600] + _rest(1600) + sound[9600:]))
    assert not _right(rule, _held(acts, sound[:9600]))
    assert not _right(rule, _held(acts, sound + _rest(300) + _voice(REPLY)))
    assert "too late" in rule.judge(_held((Pause(9000), *acts), sound)).why


def test_stopping_is_counted_from_the_onset_also_for_short_words() -> None:
    acts = (Pause(1000), Say("wait", name="stop"), Pause(5000), HangUp())
    sound = _voice(LONG)
    rule = Stops("stop", cut=False)
    stopped = rule.judge(_held(acts, sound[: 1300 * 8]))
    assert stopped.right, stopped.why
    assert stopped.delay_ms == pytest.approx(300, abs=40)
    assert not _right(rule, _held(acts, sound))


def test_opening_silence_and_sounds() -> None:
    acts = (Pause(200), Say("hello", name="hello"), Pause(4000), Note("end"), HangUp())
    in_time = _held(acts, _rest(900) + _voice(REPLY))
    assert _right(Opens(REPLY, after="hello"), in_time)
    assert not _right(Opens(REPLY, after="hello"), _held(acts, _rest(1400) + _voice(REPLY)))
    assert not _right(Silent("hello", until="end"), in_time)
    assert _right(Silent("hello", for_ms=400), in_time)
    assert _right(Sounds("hello"), in_time)
    assert not _right(Sounds("hello"), _held(acts, b""))
    assert _right(Says(REPLY, after="hello", within_ms=600), in_time)


def test_who_hung_up_and_why() -> None:
    evidence = _held((UntilHungUp(500),), b"")
    evidence.record = {"ended_reason": "silence"}
    assert not _right(Ends(("silence",)), evidence), "the callee had to hang up"
    evidence.phone.hung_up = False
    assert _right(Ends(("silence",)), evidence)
    assert not _right(Ends(("menu_reached",)), evidence)


def test_what_a_situation_never_came_to_is_wrong_and_not_an_error() -> None:
    situation = Situation("x", "y", (HangUp(),), (Sounds("nothing"),))
    verdict = conversation.judge(situation, _held(situation.acts, b""))
    assert not verdict.right
    assert "never came" in verdict.why


def _spoken(acts: Sequence[Act], circuit: Circuit | None = None) -> tuple[Phone, list[bytes]]:
    """The phone's audio as a decoder sees it, 20 ms each."""
    phone = Phone(acts, _HumMaker(), circuit or Circuit())
    while not phone.finished:
        phone.tick(None)
    sent = bytes(phone.sent)
    return phone, [sent[at : at + 320] for at in range(0, len(sent), 320)]


def _recogniser(phone: Phone) -> PhoneRecognition:
    return PhoneRecogniser(lambda: phone).open(SAMPLE_RATE)


def test_the_ear_understands_what_arrived_in_noise_too() -> None:
    phone, frames = _spoken((Pause(300), ASK, Pause(600)), Circuit(10, "white"))
    hearing = _recogniser(phone)
    hearing.hear(b"".join(frames[:40]))
    assert [word.text for word in hearing.words()] == ["where", "is"]
    assert not hearing.over
    hearing.hear(b"".join(frames[40:]))
    assert [word.text for word in hearing.take()] == ["where", "is", "it", "please"]
    assert hearing.over
    assert hearing.take() == ()


def test_a_cough_is_no_word_and_garbage_is_nothing() -> None:
    phone, frames = _spoken((Noise("cough", 300), Pause(300)))
    hearing = _recogniser(phone)
    hearing.hear(b"".join(frames))
    hearing.hear(bytes(3200))
    assert hearing.words() == ()
    assert hearing.speech_start_ms is None


def test_what_was_lost_on_the_way_is_not_understood_and_a_replay_is() -> None:
    phone, frames = _spoken((ASK, Pause(300)))
    hearing = _recogniser(phone)
    hearing.hear(b"".join(frames[:10] + frames[20:]))
    assert [word.text for word in hearing.words()] == ["where", "it", "please"]
    after = _recogniser(phone)
    after.hear(b"".join(frames))
    assert [word.text for word in after.words()] == ["where", "is", "it", "please"]


def test_an_ear_for_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="8000"):
        PhoneRecogniser(lambda: None).open(16_000)


def test_the_phone_waits_for_the_agent() -> None:
    acts = (AgentQuiet(pause_ms=400), Note("quiet"), AgentSaid(100, within_ms=500), HangUp())
    evidence = _held(acts, _rest(200) + _voice(REPLY))
    end = 200 + printed(REPLY, SAMPLE_RATE).duration_ms
    assert evidence.named("quiet").start_ms == pytest.approx(end + 400, abs=60)


def test_what_a_line_carries_lies_in_a_telephones_band() -> None:
    random = np.random.default_rng(1)
    white = random.standard_normal(SAMPLE_RATE)
    spectrum = np.abs(np.fft.rfft(sounds.telephone(white)))
    assert spectrum[:150].mean() < 0.2 * spectrum[500:3000].mean()
    assert spectrum[3700:].mean() < 0.2 * spectrum[500:3000].mean()


@pytest.mark.parametrize("kind", sorted(sounds.NOISES))
def test_noises_are_the_same_every_time_and_audible(kind: str) -> None:
    one, other = sounds.SoundMaker().noise(kind, 400), sounds.SoundMaker().noise(kind, 400)
    assert (one.wave == other.wave).all()
    assert np.abs(one.wave).max() > 1000


def test_a_phones_payload_is_what_the_ear_is_given() -> None:
    phone = Phone((Pause(40),), _HumMaker())
    payload = b64decode(phone.tick(None).payload)
    assert len(payload) == 160
    assert len(phone.sent) == 320


def test_a_model_goes_on_behind_what_was_said() -> None:
    messages = [
        {"role": "user", "content": "what time is it"},
        {"role": "assistant", "content": "It is on Thursday,"},
        {"role": "user", "content": "(Your reply broke off after these words. Go on.)"},
    ]
    assert going_on(TALK)(MessagesRequest({"messages": messages})).text == "at two in the afternoon."


def test_the_report_counts_and_compares() -> None:
    verdicts = [
        conversation.Verdict(ALL[0], True, "", 700.0, "person", 1.0),
        conversation.Verdict(ALL[1], False, "never answers", None, None, 1.0),
    ]
    assert "1 of 2, 50 %" in conversation.report(verdicts)


def test_the_matrix_counts_who_was_taken_for_whom() -> None:
    hello, mailbox = (next(s for s in ALL if s.theme == f"pickup, {who}") for who in ("person", "voicemail"))
    taken = ((hello, "person"), (hello, "person"), (mailbox, "voicemail"), (mailbox, "person"))
    verdicts = [conversation.Verdict(situation, True, "", None, found, 1.0) for situation, found in taken]
    rows = [line.split() for line in conversation.confusion(verdicts).splitlines()]
    assert ["person", "2"] in [[cell for cell in row if cell != "|"] for row in rows]
    assert ["voicemail", "1", "1"] in [[cell for cell in row if cell != "|"] for row in rows]
    assert "3 of 4 right" in conversation.confusion(verdicts)
    assert not conversation.confusion([])


def test_what_is_below_stock_is_told() -> None:
    assert "40 % below stock" in conversation.compared([600.0], [1000.0])
    assert "unanswered" in conversation.compared([600.0, float("inf")], [1000.0])
