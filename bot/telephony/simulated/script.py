"""The typed model of callees/*.toml: what a simulated callee does, step by step.

A step that waits has a deadline, so a conversation ends whatever the agent does; `longest_ms` bounds the
whole.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.errors import ScenarioError, mistakes, toml_mistake

DEFAULT = "appointment_confirmation"
TRANSFER_TARGET = "transfer_target"
"""Who picks up where a call is put through to a person."""
Milliseconds = Annotated[int, Field(ge=0, le=600_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CalleePickup(_Strict):
    """What happens while it rings."""

    answer: Literal["answered", "busy", "no-answer", "failed"] = "answered"
    ring_ms: Milliseconds = 1200
    """Ringing before that; `no-answer` rings for as long as the caller lets it."""


class SayStep(_Strict):
    do: Literal["say"]
    text: str = Field(min_length=1)


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
    text: str = Field(min_length=1)
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
    text: str = Field(min_length=1)
    keys: str = Field(pattern=r"^[0-9*#]+$")
    times: Annotated[int, Field(ge=1, le=20)] = 4
    pause_ms: Milliseconds = 4000
    """After the text, before it is said again."""


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

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything it may say, in order."""
        return tuple(step.text for step in self.steps if isinstance(step, SayStep | InterruptStep | MenuStep))


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
    """The callee for a scenario; a scenario of the user's own gets the default one."""
    shipped = shipped_conversations()
    return shipped.get(scenario, shipped[DEFAULT])
