"""The typed model of callees/*.toml: what a simulated callee does, step by step.

A step that waits has a deadline, so a conversation ends whatever the agent does; `longest_ms` bounds the
whole. What is said is a text, or one for each language; "{hello}" stands for what the language's own callee.toml
says under that name. `converse` follows the scenario: see `answers`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from bot.errors import RequestError, ScenarioError, did_you_mean, mistakes, toml_mistake
from bot.telephony.carrier import NO_BRIEF, CalleeBrief
from bot.telephony.simulated.answers import Answers, words_of

DEFAULT = "cooperative"
"""Follows any scenario."""
ALL = "all"
"""In the place of a callee's name: each call gets the next of `VARIED`."""
VARIED = (
    *("cooperative", "voicemail", "hedges", "busy", "wants_person", "no_answer", "call_later", "wrong_number"),
    *("robot", "changes_mind", "screening", "angry", "elderly", "noisy_car", "stop_calling", "hangs_up"),
)
TRANSFER_TARGET = "transfer_target"
"""Who picks up where a call is put through to a person."""
Milliseconds = Annotated[int, Field(ge=0, le=600_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


BACKCHANNEL_MS = 2000
"""Nobody says "mhm" to a short question."""
Line = Annotated[str, Field(min_length=1)]
Text = Line | Annotated[dict[str, Line], Field(min_length=1)]
"""As it is said in every language, or by the language's code of two letters; English where it is left out."""


def spoken(text: Text, language: str) -> str:
    """What is said of a text in a language."""
    if isinstance(text, dict):
        text = text.get(language.split("-", maxsplit=1)[0]) or text.get("en") or next(iter(text.values()))
    return words_of(language).says.get(text[1:-1], text) if text[:1] == "{" else text


class CalleePickup(_Strict):
    """What happens while it rings."""

    answer: Literal["answered", "busy", "no-answer", "failed"] = "answered"
    ring_ms: Milliseconds = 1200
    """Ringing before that; `no-answer` rings for as long as the caller lets it."""


class SayStep(_Strict):
    do: Literal["say"]
    text: Text


class HearStep(_Strict):
    """Wait until the agent has spoken and has been quiet for `pause_ms`."""

    do: Literal["hear"]
    within_ms: Milliseconds = 15_000
    pause_ms: Annotated[int, Field(ge=20, le=10_000)] = 700
    or_else: Literal["go_on", "hang_up"] = "go_on"
    """What to do when the agent has said nothing by then."""


class InterruptStep(_Strict):
    """Start to speak while the agent does: `after_ms` after its first sound."""

    do: Literal["interrupt"]
    text: Text
    after_ms: Milliseconds = 900
    within_ms: Milliseconds = 15_000
    """With no sound of the agent by then, it is said all the same."""


class PressStep(_Strict):
    do: Literal["press"]
    digits: str = Field(pattern=r"^[0-9*#]+$")


class SilenceStep(_Strict):
    do: Literal["silence"]
    for_ms: Milliseconds


class BeepStep(_Strict):
    """A voicemail's tone."""

    do: Literal["beep"]
    for_ms: Annotated[int, Field(ge=20, le=5_000)] = 400
    hertz: Annotated[int, Field(ge=100, le=3_000)] = 1000


class MusicStep(_Strict):
    """Hold music: chords, one every 0.6 s."""

    do: Literal["music"]
    for_ms: Milliseconds


class MenuStep(_Strict):
    """Say `text`, `times` at most, until one of `keys` is pressed; it interrupts. Without it, hang up."""

    do: Literal["menu"]
    text: Text
    keys: str = Field(pattern=r"^[0-9*#]+$")
    times: Annotated[int, Field(ge=1, le=20)] = 4
    pause_ms: Milliseconds = 4000
    """After the text, before it is said again."""


class OwnAnswer(_Strict):
    """What is answered where what the agent says holds a pattern, upper or lower case."""

    asked: str = Field(min_length=1)
    say: Text


class ConverseStep(_Strict):
    """Answer what the agent asks, turn by turn, until it says goodbye."""

    do: Literal["converse"]
    lines: list[Text] = []
    """Said in turn, one at each pause of the agent's, before anything is answered."""
    answers: list[OwnAnswer] = []
    manner: Literal["plain", "hedges", "refuses", "dictates"] = "plain"
    turns: Annotated[int, Field(ge=1, le=50)] = 15
    """At most so many."""
    pause_ms: Annotated[int, Field(ge=20, le=10_000)] = 700
    """Of the agent's silence, after which it has finished."""
    think_ms: Milliseconds = 0
    """Before each answer."""
    backchannel: Text | None = None
    """Said into what the agent says, BACKCHANNEL_MS after it has begun; what is shorter has none."""


class HangUpStep(_Strict):
    do: Literal["hang_up"]


class WaitForHangUpStep(_Strict):
    """Let the agent end the call; hang up after `within_ms` if it does not."""

    do: Literal["wait_for_hang_up"]
    within_ms: Milliseconds = 15_000


Step = Annotated[
    SayStep
    | HearStep
    | InterruptStep
    | PressStep
    | SilenceStep
    | BeepStep
    | MusicStep
    | MenuStep
    | ConverseStep
    | HangUpStep
    | WaitForHangUpStep,
    Field(discriminator="do"),
]


class Conversation(_Strict):
    """One callee. After its last step it hangs up."""

    name: str
    description: str
    pickup: CalleePickup = CalleePickup()
    steps: list[Step] = []
    longest_ms: Annotated[int, Field(ge=1000, le=600_000)] = 120_000
    """The callee hangs up after this long on the line, wherever it stands."""
    speed: Annotated[float, Field(ge=0.5, le=1.5)] = 1.0
    """Of its voice."""
    noise_dbfs: Annotated[float, Field(ge=-70, le=-20)] = -62.0
    """Of where it is: a quiet line, a car at -38. A line is never digitally silent; at -62 it is heard as quiet,
    and a VAD wakes up faster."""
    who: str = ""
    """Who it is, in plain words: for a model that plays it."""
    wants: str = ""
    _brief: CalleeBrief = PrivateAttr(default=NO_BRIEF)

    def told(self, brief: CalleeBrief, lines: Sequence[str] = ()) -> Conversation:
        """This callee in a call: in its language, knowing what it is about, with lines of one's own.

        Lines are said by the step that converses; a callee without one says them after its hello.
        """
        steps: list[Step] = []
        for step in self.steps:
            if brief.calls_in and isinstance(step, SayStep) and step.text == "{hello}":
                continue  # who calls in is greeted
            said: dict[str, Any] = {}
            if isinstance(step, SayStep | InterruptStep | MenuStep):
                said["text"] = spoken(step.text, brief.language)
            if isinstance(step, ConverseStep):
                said["lines"] = [*lines, *(spoken(text, brief.language) for text in step.lines)]
                lines = ()
            steps.append(step.model_copy(update=said))
        if lines:
            own = ConverseStep(do="converse", lines=list(lines), turns=len(lines))
            steps[next((n + 1 for n, s in enumerate(steps) if isinstance(s, SayStep)), 0) : 0] = [own]
        told = self.model_copy(update={"steps": steps})
        told._brief = brief
        return told

    @property
    def converses(self) -> bool:
        return any(isinstance(step, ConverseStep) for step in self.steps)

    @property
    def language(self) -> str:
        return self._brief.language

    def answers(self, step: ConverseStep) -> Answers:
        """What it answers within a step."""
        language = self._brief.language
        return Answers(
            self._brief,
            manner=step.manner,
            lines=[spoken(text, language) for text in step.lines],
            own=[(answer.asked, spoken(answer.say, language)) for answer in step.answers],
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything it may say, in order."""
        texts: dict[str, None] = {}
        for step in self.steps:
            if isinstance(step, SayStep | InterruptStep | MenuStep):
                texts[spoken(step.text, self.language)] = None
            elif isinstance(step, ConverseStep):
                texts |= dict.fromkeys(self.answers(step).texts)
                if step.backchannel is not None:
                    texts[spoken(step.backchannel, self.language)] = None
        return tuple(texts)


def parse_conversation(text: str, *, file: str) -> Conversation:
    """The conversation in a TOML text. ScenarioError names `file` and the key of every mistake."""
    try:
        data = tomllib.loads(text)
        return Conversation.model_validate(data)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{file}: {toml_mistake(error)}", code="bad_conversation") from error
    except ValidationError as error:
        said = "\n".join(f"{file}: {mistake}" for mistake in mistakes(error, Conversation, data, text))
        raise ScenarioError(said, code="bad_conversation") from error


@cache
def shipped_conversations() -> Mapping[str, Conversation]:
    """Every conversation of the package by name; a name is its file's. Parsed once."""
    found: dict[str, Conversation] = {}
    for entry in sorted((files("bot.telephony.simulated") / "callees").iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".toml"):
            continue
        conversation = parse_conversation(entry.read_text(encoding="utf-8"), file=entry.name)
        if conversation.name != entry.name.removesuffix(".toml"):
            raise ScenarioError(f"{entry.name}: name: is not the file's name", code="bad_conversation")
        found[conversation.name] = conversation
    return found


def conversation_for(scenario: str) -> Conversation:
    """The callee for a scenario; a scenario of the user's own gets one that follows it."""
    shipped = shipped_conversations()
    return shipped.get(scenario, shipped[DEFAULT])


def callee_named(name: str) -> Conversation:
    """A shipped callee. RequestError says which there are."""
    shipped = shipped_conversations()
    if name not in shipped:
        there_are = f"there are: {', '.join(sorted(shipped))}, and {ALL!r} for each in turn"
        raise RequestError(
            f"there is no callee {name!r}{did_you_mean(name, shipped)}; {there_are}", field="simulated_callee"
        )
    return shipped[name]
