"""What the callee's end of a situation does, as data: acts, played one after the other by phone.py."""

from __future__ import annotations

from dataclasses import dataclass

from bot.pipeline.offline.voice import CALLEE_PITCH
from tests.simulators.anthropic import AnthropicFault
from tests.simulators.contexts import ContextFault


@dataclass(frozen=True)
class Say:
    """Speak. `heard` is what a recogniser writes of it where that differs; `name` is what rules call it.

    `finished` False: an end-of-turn model stays unsure after it. `wait` False goes on at once.
    """

    text: str
    name: str = ""
    heard: str | None = None
    speed: float = 1.0
    pitch: float = CALLEE_PITCH
    louder_db: float = 0.0
    finished: bool = True
    wait: bool = True

    @property
    def label(self) -> str:
        return self.name or self.text


@dataclass(frozen=True)
class Noise:
    """A sound without words: a name of sounds.NOISES, or "talk"."""

    kind: str
    for_ms: int = 400
    name: str = ""
    louder_db: float = 0.0
    wait: bool = True

    @property
    def label(self) -> str:
        return self.name or self.kind


@dataclass(frozen=True)
class Pause:
    ms: int


@dataclass(frozen=True)
class AgentQuiet:
    """Until the agent has spoken since this act began and then been quiet for `pause_ms`.

    Goes on after `within_ms` without a sound of it.
    """

    pause_ms: int = 700
    within_ms: int = 8000


@dataclass(frozen=True)
class AgentSaid:
    """Until the agent has been speaking for so long since this act began (0: its first sound)."""

    for_ms: int
    within_ms: int = 8000


@dataclass(frozen=True)
class Note:
    """A moment that rules call `name`."""

    name: str


@dataclass(frozen=True)
class HangUp:
    pass


@dataclass(frozen=True)
class UntilHungUp:
    """Let the agent end the call; hang up after `within_ms`."""

    within_ms: int = 15_000


@dataclass(frozen=True)
class Pressed:
    """Until these digits were pressed by the agent's side, since this act began."""

    digits: str
    within_ms: int = 15_000


@dataclass(frozen=True)
class Press:
    """Press keys, all at once."""

    keys: str
    name: str = ""


@dataclass(frozen=True)
class BreakClaude:
    """The next `times` requests with `at` in what is to be answered suffer `fault`; None: all of them."""

    fault: AnthropicFault
    times: int | None = 1
    at: str = ""


@dataclass(frozen=True)
class BreakDeepgram:
    """Every socket is reset, and new ones are refused for `outage_ms` (None: for ever)."""

    outage_ms: int | None = 1000


@dataclass(frozen=True)
class BreakElevenLabs:
    """Every socket is reset, and new ones are refused for `outage_ms` (None: for ever)."""

    outage_ms: int | None = 0


@dataclass(frozen=True)
class SpoilVoice:
    """The next `times` contexts suffer `fault`."""

    fault: ContextFault
    times: int = 1


@dataclass(frozen=True)
class Garbage:
    """A message no client expects, from Deepgram, ElevenLabs and Twilio at once: `kind` as in garbage.py."""

    kind: str


Fault = BreakClaude | BreakDeepgram | BreakElevenLabs | SpoilVoice | Garbage
Act = Say | Noise | Pause | AgentQuiet | AgentSaid | Note | HangUp | UntilHungUp | Press | Pressed | Fault


@dataclass(frozen=True)
class Circuit:
    """The line the callee calls on: noise below speech by `snr_db`, and how loud they are."""

    snr_db: float | None = None
    noise: str = "pink"
    louder_db: float = 0.0
