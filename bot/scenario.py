"""A scenario: how a kind of call is held. The typed model of pipelines/*.toml.

Strict: unknown keys and wrong types are refused with the file and the key. All files are read at start,
so a mistake stops the server and not a call.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import phonenumbers
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bot.errors import ScenarioError, UnknownScenarioError
from bot.records import Direction, Speaker
from bot.stages.llm import Llm
from bot.stages.stt import DeepgramFlux, Stt
from bot.stages.tts import Tts
from bot.stages.turn import InterruptionSettings, TurnSettings
from bot.stages.vad import VadSettings
from bot.tools import TOOLS

DEFAULT_OUTBOUND = "appointment_confirmation"
DEFAULT_INBOUND = "inbound_reception"
_VARIABLE = re.compile(r"\{\{\s*([a-z_]+)\s*(?:\|([^{}]*))?\}\}")
_PART_OF_TEMPLATE = re.compile(r"\[\[(?P<section>.*?)\]\]|" + _VARIABLE.pattern, re.S)
VARIABLES = frozenset({"callee_name", "agent_name", "organization", "action", "reason", "question"})
"""What {{…}} may name: the call spec's fields; `reason`, the action as it follows "I'm calling to"; and
`question`, what to ask after it."""


def _checked_template(text: str) -> str:
    """ValueError for an unknown variable, or for brackets that would be spoken."""
    unknown = sorted({name for name, _ in _VARIABLE.findall(text)} - VARIABLES)
    if unknown:
        raise ValueError(f"unknown variable {{{{{unknown[0]}}}}}; known: {', '.join(sorted(VARIABLES))}")
    plain = _VARIABLE.sub("", re.sub(r"\[\[(.*?)\]\]", r"\1", text, flags=re.S))
    stray = re.search(r"\{\{|\}\}|\[\[|\]\]", plain)
    if stray:
        raise ValueError(f"{stray.group()} without its other half; write {{{{name}}}} or [[a part]]")
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Opening(_Part):
    """[opening]: what the agent says first."""

    text: str | None = None
    """With {{variables}}: {{name|fallback}} gives a fallback, [[…]] vanishes where a variable inside is
    missing. None: the model writes it while the phone rings."""
    wait_seconds: float = Field(default=1.5, ge=0.3, le=10)
    """first_speaker = "callee": how long to wait for a hello."""
    pause_seconds: float = Field(default=0.25, ge=0.0, le=2.0)
    """Silence after the hello, beyond the VAD's own, before the opening begins."""

    @field_validator("text")
    @classmethod
    def _template(cls, value: str | None) -> str | None:
        return None if value is None else _checked_template(value)


class Agent(_Part):
    """[agent]: who speaks, where the request does not say."""

    name: str = "Alex"
    organization: str = ""
    context: str = ""
    """What it may know; an inbound call brings nothing of its own."""


class Limits(_Part):
    """[limits]: every wait of a call."""

    ring_seconds: int = Field(default=30, ge=5, le=120)
    max_duration_seconds: float = Field(default=600, ge=10, le=14400)
    silence_seconds: float = Field(default=10, ge=2, le=120)
    """Silence of the callee before a prompt, counted from the end of playback."""
    silence_prompts: int = Field(default=2, ge=0, le=5)
    """Prompts before the goodbye."""


class Phrases(_Part):
    """[phrases]: what the agent says without the model."""

    silence: tuple[str, ...] = Field(default=("Are you still there?", "Hello? I can't hear you."), min_length=1)
    silence_goodbye: str = "I can't hear you, so I'll hang up now. Goodbye."
    time_is_up: str = "I'm sorry, I have to end the call here. Thank you for your time. Goodbye."
    trouble: str = "I'm sorry, I'm having technical trouble. We will call you back. Goodbye."
    goodbye: str = "Thank you. Goodbye."


class Voicemail(_Part):
    """[voicemail]: what to do when a machine picks up."""

    policy: Literal["hang_up", "leave_message"] = "hang_up"
    message: str = (
        "Hello, this is {{agent_name}}[[ from {{organization}}]]. I was calling to {{reason}}. "
        "Please call us back. Thank you, goodbye."
    )

    @field_validator("message")
    @classmethod
    def _template(cls, value: str) -> str:
        return _checked_template(value)


class Example(_Part):
    """[example]: a request to try the scenario with, for `phone-agent simulate`."""

    action: str = ""
    context: str = ""
    callee_name: str | None = "John"
    organization: str | None = None


class OutcomeField(_Part):
    """[[outcome]]: one thing the call has to find out."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    type: Literal["boolean", "string", "number", "choice"] = "string"
    description: str
    question: str | None = None
    """Asked by the rule-based brain; a hint for a model."""
    options: tuple[str, ...] = ()

    def value_of(self, value: object) -> bool | float | str:
        """`value` as this field's type. ValueError when it is not one: "false" is no true."""
        if self.type == "boolean":
            return self.boolean(value)
        if self.type == "number":
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError(f"{value!r} is not a number")
            number = float(value)
            if not math.isfinite(number):
                raise ValueError(f"{value!r} is no number that JSON knows")
            return int(number) if number.is_integer() else number
        if self.type == "choice" and value not in self.options:
            raise ValueError(f"{value!r} is none of {', '.join(self.options)}")
        return str(value)

    @staticmethod
    def boolean(value: object) -> bool:
        """True and false, as JSON or as words. ValueError for anything else."""
        known = {"true": True, "yes": True, "false": False, "no": False}
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in known:
            return known[value.strip().lower()]
        raise ValueError(f"{value!r} is neither true nor false")

    @model_validator(mode="after")
    def _options_of_a_choice(self) -> OutcomeField:
        if (self.type == "choice") != bool(self.options):
            raise ValueError('options belong to type = "choice", which needs them')
        return self


class Scenario(_Part):
    """One file of pipelines/. Its name is the file's."""

    name: str = ""
    description: str
    direction: Literal["outbound", "inbound"] = "outbound"
    language: str = Field(default="en", pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    instructions: str
    goal: str | None = None
    """The boolean outcome field that says whether the call reached its goal."""
    first_speaker: Literal["agent", "callee"] = "callee"
    numbers: tuple[str, ...] = ()
    """Inbound: our numbers (E.164) this scenario answers."""
    tools: tuple[str, ...] = ("end_call", "record_outcome")
    opening: Opening = Opening()
    agent: Agent = Agent()
    stt: Stt | None = None
    llm: Llm | None = None
    tts: Tts | None = None
    vad: VadSettings = VadSettings()
    turn: TurnSettings = TurnSettings()
    interruption: InterruptionSettings = InterruptionSettings()
    limits: Limits = Limits()
    phrases: Phrases = Phrases()
    voicemail: Voicemail = Voicemail()
    example: Example = Example()
    outcome: tuple[OutcomeField, ...] = ()

    @field_validator("tools")
    @classmethod
    def _known_tools(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for tool in value:
            if tool not in TOOLS:
                raise ValueError(f"unknown tool {tool!r}; known: {', '.join(sorted(TOOLS))}")
        return value

    @field_validator("numbers")
    @classmethod
    def _e164(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number in value:
            try:
                parsed = phonenumbers.parse(number)
            except phonenumbers.NumberParseException:
                raise ValueError(f"{number!r} is not an E.164 number like +12025550123") from None
            if phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) != number:
                raise ValueError(f"{number!r} is not an E.164 number like +12025550123")
        return value

    @model_validator(mode="after")
    def _goal_is_a_boolean_field(self) -> Scenario:
        names = [field.name for field in self.outcome]
        if len(set(names)) != len(names):
            raise ValueError("two outcome fields have the same name")
        if self.goal is not None and not any(f.name == self.goal and f.type == "boolean" for f in self.outcome):
            raise ValueError(f"goal {self.goal!r} is not a boolean field of [[outcome]]")
        return self

    @model_validator(mode="after")
    def _what_flux_can(self) -> Scenario:
        if isinstance(self.stt, DeepgramFlux):
            if self.interruption.min_words:
                raise ValueError(
                    "interruption.min_words has no effect with deepgram_flux, which finds turns itself"
                )
            if self.stt.model.endswith("-en") and self.language.split("-")[0] != "en":
                raise ValueError(
                    f"stt.model {self.stt.model!r} hears English only; language is {self.language!r}"
                )
        return self

    def speaks_first(self, wanted: Speaker | None) -> Speaker:
        """The request's word over the scenario's."""
        return wanted or Speaker(self.first_speaker)


def load_file(path: Path) -> Scenario:
    """One scenario. ScenarioError names the file and each wrong key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise ScenarioError(f"{path}: {e}") from e
    if "name" in data and data["name"] != path.stem:
        raise ScenarioError(f"{path}: name: a scenario is named by its file; remove the key or say {path.stem!r}")
    try:
        # As JSON, because strict validation takes an array for a tuple there and nowhere else.
        document = json.dumps(data | {"name": path.stem}, default=str)
        return Scenario.model_validate_json(document, strict=True)
    except ValidationError as e:
        mistakes = "; ".join(
            f"{'.'.join(str(part) for part in error['loc']) or 'file'}: {error['msg']}" for error in e.errors()
        )
        raise ScenarioError(f"{path}: {mistakes}") from e


class Scenarios:
    """All scenarios of a folder, by name."""

    def __init__(self, scenarios: Iterable[Scenario]) -> None:
        self._by_name: Mapping[str, Scenario] = {scenario.name: scenario for scenario in scenarios}

    @classmethod
    def load(cls, folder: Path) -> Scenarios:
        """Every *.toml of `folder`. ScenarioError lists the mistakes of all files together."""
        loaded: list[Scenario] = []
        mistakes: list[str] = []
        for path in sorted(folder.glob("*.toml")):
            try:
                loaded.append(load_file(path))
            except ScenarioError as e:
                mistakes.append(e.message)
        if not loaded and not mistakes:
            mistakes.append(f"{folder}: no scenario here; set PIPELINES_DIR to the folder with the *.toml files")
        mistakes += _shared_numbers(loaded)
        if mistakes:
            raise ScenarioError("\n".join(mistakes))
        return cls(loaded)

    @property
    def names(self) -> list[str]:
        return sorted(self._by_name)

    def get(self, name: str) -> Scenario:
        """UnknownScenarioError says which there are."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownScenarioError(
                f"there is no scenario {name!r}; there are: {', '.join(self.names)}", field="scenario"
            ) from None

    def default(self, direction: Direction) -> str:
        """The name used where none is asked for."""
        return DEFAULT_OUTBOUND if direction is Direction.OUTBOUND else DEFAULT_INBOUND

    def for_number(self, number: str) -> str:
        """The inbound scenario that answers `number`, one of ours."""
        for scenario in self._by_name.values():
            if number in scenario.numbers:
                return scenario.name
        return DEFAULT_INBOUND


def _shared_numbers(scenarios: Iterable[Scenario]) -> list[str]:
    owners: dict[str, str] = {}
    mistakes: list[str] = []
    for scenario in scenarios:
        for number in scenario.numbers:
            if number in owners:
                mistakes.append(
                    f"{scenario.name}.toml: numbers: {number} belongs to {owners[number]}.toml already"
                )
            owners[number] = scenario.name
    return mistakes


def render(template: str, values: Mapping[str, str | None]) -> str:
    """Fill {{name}}, {{name|fallback}} and [[sections]]; a missing variable leaves nothing.

    Spaces doubled by what vanished are folded.
    """

    def fill(text: str) -> tuple[str, bool]:
        missing = False

        def one(match: re.Match[str]) -> str:
            nonlocal missing
            value = values.get(match.group(1)) or match.group(2)
            missing = missing or not value
            return value or ""

        return _VARIABLE.sub(one, text), missing

    def part(match: re.Match[str]) -> str:
        section = match.group("section")
        text, missing = fill(match.group() if section is None else section)
        return "" if section is not None and missing else text

    # One pass: a value that looks like a template stays a value.
    return re.sub(r"\s+", " ", _PART_OF_TEMPLATE.sub(part, template)).strip()
