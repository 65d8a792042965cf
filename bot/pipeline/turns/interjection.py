"""Barge-in: what a sound of the callee is while the agent speaks. Pure.

The agent falls silent at the first voice, and what it had to say is kept. Words, or half a second of speech, make
an interruption of it; a cough, a click or an "mhm" do not, and the agent goes on where it stopped.

pipecat's start strategies were rejected for this: they either stop for every sound or, with a minimum of words,
talk on for as long as the recogniser needs to find them.
"""

from dataclasses import dataclass
from enum import Enum

from pydantic import BaseModel, ConfigDict, Field

from bot.languages import Language, plain
from bot.pipeline.turns.vad import VoiceActivity

LONG_BACKCHANNEL_SECONDS = 1.0
"""An "uh-huh, uh-huh" that lasts longer is somebody taking the floor."""
TAIL_SECONDS = 0.4
"""So little left to say is said to its end: the callee's first word is an answer, not an interruption."""
ANSWER_SECONDS = 1.5
"""A "yes" over so much of a question's end answers it."""
LATE_WORDS_SECONDS = 2.0
"""Words of a sound that was taken for a noise may come so late; they interrupt then."""
WORDLESS_SECONDS = 2.0
"""Voice for so long in which a recogniser that tells words as they come finds none: music, or somebody else's."""
BACKGROUND_SECONDS = 20.0
"""Voice that was wordless is expected for so long again: it pauses the agent no more, its words still do."""
BACKGROUND_MARGIN = 1.4
"""3 dB: as loud as the background, or softer."""
DISTANT = 0.3
"""10 dB softer than the callee: somebody else in their room."""
SETTLING_SECONDS = 0.7
"""After speech of some length its words come this late: the VAD's stop, and a final transcript."""
OPENING_SPEECH_SECONDS = 1.5
""""Hello? Who is this?" takes as long, and the opening answers it."""
HUSH_SECONDS = 0.06
"""Voice that has faded for so long is not going on."""


class InterruptionSettings(BaseModel):
    """[interruption] of a scenario: what silences the agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allowed: bool = True
    """False: the agent always finishes what it says."""
    pause_seconds: float = Field(default=0.06, ge=0.03, le=1.0)
    """Voice this long makes the agent pause."""
    speech_seconds: float = Field(default=0.5, ge=0.2, le=5.0)
    """Speech this long interrupts, whatever is said; with `min_words`, only words do."""
    min_words: int = Field(default=1, ge=1, le=10)
    """So many words, other than backchannels, interrupt."""
    resume_seconds: float = Field(default=0.9, ge=0.3, le=3.0)
    """A pause without an interruption ends after this long at the latest."""
    words_seconds: float = Field(default=0.35, ge=0.0, le=2.0)
    """How long words are waited for when the sound is over."""
    backchannels: tuple[str, ...] = ()
    """Besides those of the language."""
    stop_words: tuple[str, ...] = ()
    """Besides those of the language."""


class BargeInAct(Enum):
    """What to do now."""

    NOTHING = "nothing"
    HOLD = "hold"
    """Pause the agent's voice and withhold what is heard."""
    RESUME = "resume"
    """Go on speaking; what is withheld stays so, words may come late."""
    INTERRUPT = "interrupt"
    """Let all that was withheld pass: the turn it begins silences the agent."""
    RELEASE = "release"
    """Let what was withheld pass to an agent that has finished."""
    FORGET = "forget"
    """Drop what was withheld."""


class _State(Enum):
    OPEN = "open"
    HELD = "held"
    RESUMED = "resumed"
    TAIL = "tail"
    """The agent finishes; what is heard meanwhile is kept for when it has."""


@dataclass(frozen=True)
class AgentVoice:
    """The agent's side of this moment. Seconds."""

    sounding: bool
    """Something is being said, or held, or a reply is on its way."""
    left: float = 0.0
    """How much of it is still to be heard."""
    complete: bool = False
    """All of the reply is there: when `left` is heard, it is over."""
    asks: bool = False
    """It ends with a question."""
    protected: bool = False
    """It must be heard to its end."""
    opening: bool = False
    """It is the opening, over which a greeting wants nothing."""


class Interjection:
    """One call's decisions. All times are seconds of one clock."""

    def __init__(self, settings: InterruptionSettings, language: Language) -> None:
        self._settings = settings
        self._language = language.with_words(backchannels=settings.backchannels, stop_phrases=settings.stop_words)
        self._state = _State.OPEN
        self._onset_at = -1.0
        """Of the sound being judged."""
        self._held_at = 0.0
        self._resumed_at = 0.0
        self._agent_since: float | None = None
        self._finals: list[str] = []
        self._interim = ""
        self._greets = self._answers = self._protected = False
        self._forgot = False
        """The last sound wanted nothing."""
        self._words_come_early = False
        """This STT has been seen to send words while they are said."""
        self._callee_loudness = 0.0
        """When their words were last heard by a silent agent."""
        self._background = 0.0
        """Loudness of voices that are not the callee's."""
        self._background_until = 0.0

    @property
    def withholding(self) -> bool:
        return self._state is not _State.OPEN

    @property
    def words(self) -> str:
        """All that was heard of the sound so far."""
        return " ".join([*self._finals, self._interim]).strip()

    def hear(self, text: str, *, final: bool) -> None:
        """Words: an interim text replaces its predecessor, a final one stays."""
        if final:
            self._finals.append(text.strip())
            self._interim = ""
        else:
            self._interim = text.strip()

    def learn(self, voice: VoiceActivity, *, interim: bool) -> None:
        """Words came while nothing is judged: how this callee sounds, and how soon this STT sends words."""
        self._callee_loudness = voice.loudness
        self._words_come_early = self._words_come_early or interim

    def overheard(self, text: str, agent: AgentVoice) -> bool:
        """Whether words that came without a sound of their own may be dropped: a backchannel over speech."""
        return agent.sounding and self._state is _State.OPEN and self._is_backchannel(text, agent.opening)

    def forgotten(self, text: str, voice: VoiceActivity) -> bool:
        """Whether these are once more the words of the last sound, a backchannel that is not passed on."""
        if not self._forgot or voice.onset_at > self._onset_at or plain(text) != plain(self.words):
            return False
        return self._is_backchannel(text, self._greets)

    def decide(self, now: float, voice: VoiceActivity, agent: AgentVoice) -> BargeInAct:
        """To be asked at every window of audio and after every word."""
        if not agent.sounding:
            self._agent_since = None
        elif self._agent_since is None:
            self._agent_since = now
        match self._state:
            case _State.OPEN:
                return self._listen(now, voice, agent)
            case _State.TAIL:
                return self._wait_for_end(voice, agent)
            case _State.HELD:
                return self._judge(now, voice, agent)
            case _State.RESUMED:
                return self._judge_late(now, voice, agent)

    def _listen(self, now: float, voice: VoiceActivity, agent: AgentVoice) -> BargeInAct:
        fresh = self._agent_since is not None and voice.onset_at > max(self._onset_at, self._agent_since)
        if not agent.sounding or not fresh or voice.voiced_seconds < self._settings.pause_seconds:
            return BargeInAct.NOTHING
        self._begin(now, voice, agent)
        if self._is_background(now, voice):
            self._state, self._resumed_at = _State.RESUMED, now
            return BargeInAct.NOTHING
        if agent.protected or (agent.complete and agent.left <= TAIL_SECONDS):
            self._state = _State.TAIL
            return BargeInAct.NOTHING
        self._state = _State.HELD
        return BargeInAct.HOLD

    def _is_background(self, now: float, voice: VoiceActivity) -> bool:
        if now < self._background_until and voice.loudness <= self._background * BACKGROUND_MARGIN:
            self._background_until = now + BACKGROUND_SECONDS
            return True
        return voice.loudness < self._callee_loudness * DISTANT

    def _begin(self, now: float, voice: VoiceActivity, agent: AgentVoice) -> None:
        self._onset_at, self._held_at = voice.onset_at, now
        self._finals, self._interim, self._forgot = [], "", False
        self._greets, self._protected = agent.opening, agent.protected
        self._answers = agent.complete and agent.asks and agent.left <= ANSWER_SECONDS

    def _wait_for_end(self, voice: VoiceActivity, agent: AgentVoice) -> BargeInAct:
        if not agent.sounding:
            return self._end(BargeInAct.RELEASE)
        goes_on = not agent.complete or agent.left > 2 * TAIL_SECONDS
        over = not agent.protected if self._protected else goes_on
        if over and self._interrupts(voice):
            return self._end(BargeInAct.INTERRUPT)  # what was to be said to its end is, and more follows
        return BargeInAct.NOTHING

    def _judge(self, now: float, voice: VoiceActivity, agent: AgentVoice) -> BargeInAct:
        if not agent.sounding:
            return self._end(BargeInAct.RELEASE)  # somebody else dropped what was held
        if self._interrupts(voice):
            return self._end(BargeInAct.INTERRUPT)
        if self._is_over(now, voice):
            if not self.words and voice.speech_seconds() >= self._settings.speech_seconds:
                self._background, self._background_until = voice.loudness, now + BACKGROUND_SECONDS
            self._state, self._resumed_at = _State.RESUMED, now
            return BargeInAct.RESUME
        return BargeInAct.NOTHING

    def _is_over(self, now: float, voice: VoiceActivity) -> bool:
        """Whether the sound was nothing."""
        quiet, held = now - voice.voiced_at, now - self._held_at
        if self.words and self._is_backchannel(self.words, self._greets):
            return quiet >= 2 * HUSH_SECONDS or held >= WORDLESS_SECONDS
        if voice.speech_seconds() >= self._settings.speech_seconds:
            return quiet >= SETTLING_SECONDS or held >= WORDLESS_SECONDS
        return quiet >= HUSH_SECONDS + self._settings.words_seconds or (
            held >= self._settings.resume_seconds and quiet >= HUSH_SECONDS
        )

    def _judge_late(self, now: float, voice: VoiceActivity, agent: AgentVoice) -> BargeInAct:
        backchannel = bool(self.words) and self._is_backchannel(self.words, self._greets)
        if self.words and not backchannel:
            return self._end(BargeInAct.INTERRUPT)
        if not agent.sounding:
            return self._end(BargeInAct.RELEASE if backchannel and self._answers else BargeInAct.FORGET)
        if self._answers and (agent.complete or not agent.left):
            return BargeInAct.NOTHING  # kept until the question is over
        if voice.onset_at > self._onset_at and voice.voiced_seconds >= self._settings.pause_seconds:
            return self._end(BargeInAct.FORGET)  # another sound: judged by itself, at the next window
        if now - max(self._resumed_at, voice.voiced_at) >= LATE_WORDS_SECONDS:
            return self._end(BargeInAct.FORGET)
        return BargeInAct.NOTHING

    def start_late(self, now: float, voice: VoiceActivity, agent: AgentVoice) -> None:
        """An STT reports a turn only now that was spoken before the opening began: the hello it answers."""
        before = self._agent_since is None or voice.onset_at <= self._agent_since
        if self._state is _State.OPEN and agent.opening and before:
            self._begin(now, voice, agent)
            self._answers = False
            self._state, self._resumed_at = _State.RESUMED, now

    def give_up(self) -> None:
        """Nothing interrupts any more."""
        self._state, self._forgot = _State.OPEN, False

    def _end(self, act: BargeInAct) -> BargeInAct:
        self._state, self._forgot = _State.OPEN, act is BargeInAct.FORGET
        return act

    def _interrupts(self, voice: VoiceActivity) -> bool:
        words = self.words
        if words and self._language.asks_to_stop(words):
            return True
        backchannel = bool(words) and self._is_backchannel(words, self._greets)
        if words and not backchannel and len(words.split()) >= self._settings.min_words:
            return True
        going_on = voice.hush_seconds < HUSH_SECONDS
        if self._settings.min_words > 1 or not going_on or (self._words_come_early and not backchannel):
            return False  # words are on their way, or there are none
        limit = LONG_BACKCHANNEL_SECONDS if backchannel else self._settings.speech_seconds
        return voice.speech_seconds() >= (max(limit, OPENING_SPEECH_SECONDS) if self._greets else limit)

    def _is_backchannel(self, words: str, greets: bool) -> bool:
        language = self._language
        if language.asks_to_stop(words):
            return False
        return language.is_backchannel(words) or (greets and language.is_greeting(words))
