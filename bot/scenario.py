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

from bot import languages
from bot.errors import ScenarioError, UnknownScenarioError
from bot.records import Direction, Speaker
from bot.stages.barge_in import InterruptionSettings
from bot.stages.llm import Llm
from bot.stages.stt import DeepgramFlux, Stt
from bot.stages.tts import Tts
from bot.stages.turn import TurnSettings
from bot.stages.vad import VadSettings
from bot.tools import TOOLS
from bot.tools.declared.http_tool import HttpTool
from bot.tools.declared.mcp_server import McpServer
from bot.tools.transfer_call import TransferTarget

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
    interruptible: bool = True
    """False: it is heard to its end, as the law wants of some; what is said over it is answered then."""
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
    bridge_seconds: float = Field(default=1.0, ge=0.3, le=10)
    """A tool that was called without a word may take so long before one is said."""


class Patience(_Part):
    """[patience]: a reply that is owed and stays silent, counted from the end of the callee's turn."""

    filler_seconds: float = Field(default=2.5, ge=0.5, le=60)
    """Until a filler is said; another follows every five seconds."""
    ask_again_seconds: float = Field(default=6, ge=1, le=60)
    """Until a reply that got lost is asked for once more."""
    apology_seconds: float = Field(default=12, ge=3, le=120)
    """Until the agent apologises and ends the call."""

    @model_validator(mode="after")
    def _in_order(self) -> Patience:
        if not self.ask_again_seconds < self.apology_seconds:
            raise ValueError("ask_again_seconds has to be less than apology_seconds")
        return self


class Phrases(_Part):
    """[phrases]: what the agent says without the model. Left out: the phrases of the scenario's language."""

    silence: tuple[str, ...] = Field(default=(), min_length=1)
    silence_goodbye: str = ""
    time_is_up: str = ""
    trouble: str = ""
    """Left out, it promises a call back where the scenario has the tool schedule_callback."""
    goodbye: str = ""
    fillers: tuple[str, ...] = Field(default=(), min_length=1)
    bridges: tuple[str, ...] = Field(default=(), min_length=1)
    transferring: str = ""
    transfer_failed: str = ""


class Voicemail(_Part):
    """[voicemail]: what to do when a machine picks up."""

    policy: Literal["hang_up", "leave_message"] = "hang_up"
    message: str = ""
    """Left out: the message of the scenario's language."""
    silence_seconds: float = Field(default=2.5, ge=0.5, le=10)
    """Silence behind the greeting after which a message is left although no beep was heard."""

    @field_validator("message")
    @classmethod
    def _template(cls, value: str) -> str:
        return _checked_template(value)


class Pickup(_Part):
    """[pickup]: how it is found out who picked up."""

    amd: bool = True
    """Twilio's own detection of machines beside ours; asynchronous, so nobody waits for it."""


class Screening(_Part):
    """[screening]: what to do when a call screener asks who calls and why."""

    policy: Literal["answer", "hang_up"] = "answer"
    text: str = ""
    """Left out: the reply of the scenario's language."""
    wait_seconds: float = Field(default=30, ge=3, le=120)
    """How long to wait quietly for a person after it."""

    @field_validator("text")
    @classmethod
    def _template(cls, value: str) -> str:
        return _checked_template(value)


class Menu(_Part):
    """[menu]: what to do when an automatic menu picks up."""

    policy: Literal["navigate", "hang_up"] = "navigate"
    goal: str = ""
    """Whom or what to reach through it, in words for the model; left out: a person who can help."""
    max_steps: int = Field(default=10, ge=1, le=50)
    """Keys pressed or words said before it is given up; a menu heard three times is given up as well."""


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
    stt_fallback: Stt | None = None
    """Listens in the place of [stt] once that is lost; None: nobody does."""
    llm: Llm | None = None
    llm_fallback: Llm | None = None
    """Stands in for [llm] while that fails; None: another Claude for a Claude."""
    tts: Tts | None = None
    tts_fallback: Tts | None = None
    """Speaks in the place of [tts] once that is lost; None: the local voice for ElevenLabs in English."""
    vad: VadSettings = VadSettings()
    turn: TurnSettings = TurnSettings()
    interruption: InterruptionSettings = InterruptionSettings()
    limits: Limits = Limits()
    patience: Patience = Patience()
    phrases: Phrases = Phrases()
    pickup: Pickup = Pickup()
    voicemail: Voicemail = Voicemail()
    screening: Screening = Screening()
    menu: Menu = Menu()
    example: Example = Example()
    outcome: tuple[OutcomeField, ...] = ()
    transfer: tuple[TransferTarget, ...] = ()
    """Whom `transfer_call` may reach; nobody else is ever dialled."""
    http_tools: tuple[HttpTool, ...] = ()
    mcp_servers: tuple[McpServer, ...] = ()

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
    def _ears_of_one_kind(self) -> Scenario:
        second = self.stt_fallback
        if second is not None and second.detects_turns != (self.stt is not None and self.stt.detects_turns):
            raise ValueError("stt_fallback has to find the end of a turn as [stt] does: both Flux, or none")
        return self

    @model_validator(mode="after")
    def _somebody_to_transfer_to(self) -> Scenario:
        names = [target.name for target in self.transfer]
        if len(set(names)) != len(names):
            raise ValueError("two [[transfer]] targets have the same name")
        if ("transfer_call" in self.tools) != bool(names):
            raise ValueError('[[transfer]] targets and "transfer_call" in tools belong together')
        return self

    @model_validator(mode="after")
    def _tools_of_different_names(self) -> Scenario:
        names = [tool.name for tool in self.http_tools]
        for name in names:
            if name in TOOLS or names.count(name) > 1:
                raise ValueError(f"http_tools: there is another tool {name!r}")
        servers = [server.name for server in self.mcp_servers]
        if len(set(servers)) != len(servers):
            raise ValueError("two mcp_servers have the same name")
        return self

    @model_validator(mode="after")
    def _in_its_language(self) -> Scenario:
        """Fills in what the language has to say where the file says nothing."""
        language = languages.of(self.language)
        given, left_out = self.phrases.model_fields_set, []
        spoken: dict[str, str | tuple[str, ...]] = {}
        for name in Phrases.model_fields:
            if name not in given:
                left_out.append(f"phrases.{name}")
                promised = name == "trouble" and "schedule_callback" in self.tools
                spoken[name] = getattr(language, "trouble_call_back" if promised else name)
        voicemail = self.voicemail
        if "message" not in voicemail.model_fields_set:
            left_out += ["voicemail.message"] * (voicemail.policy == "leave_message")
            voicemail = voicemail.model_copy(update={"message": language.voicemail_message})
        screening = self.screening
        if "text" not in screening.model_fields_set:
            left_out += ["screening.text"] * (self.direction == "outbound" and screening.policy == "answer")
            screening = screening.model_copy(update={"text": language.screening_reply})
        if left_out and not languages.knows(self.language):
            raise ValueError(
                f"there are no phrases for language {self.language!r}, only for {', '.join(languages.KNOWN)}; "
                f"say them here: {', '.join(left_out)}"
            )
        object.__setattr__(self, "phrases", self.phrases.model_copy(update=spoken))
        object.__setattr__(self, "voicemail", voicemail)
        object.__setattr__(self, "screening", screening)
        return self

    @model_validator(mode="after")
    def _keys_for_menus(self) -> Scenario:
        """Who is to find the way through a menu has to press keys."""
        if self.direction == "outbound" and self.menu.policy == "navigate" and "send_digits" not in self.tools:
            object.__setattr__(self, "tools", (*self.tools, "send_digits"))
        return self

    @model_validator(mode="after")
    def _what_flux_can(self) -> Scenario:
        ear = self.stt
        if isinstance(ear, DeepgramFlux) and ear.model.endswith("-en") and self.language.split("-")[0] != "en":
            raise ValueError(
                f"stt.model {ear.model!r} hears English only; language is {self.language!r}: "
                'use "flux-general-multi"'
            )
        return self

    @property
    def declared(self) -> tuple[HttpTool | McpServer, ...]:
        """The tools this file declares itself."""
        return (*self.http_tools, *self.mcp_servers)

    def missing(self, environment: Mapping[str, str]) -> list[str]:
        """Environment variables that its HTTP tools and MCP servers need and that are not set."""
        needed = {name for tool in self.declared for name in tool.needs}
        return sorted(name for name in needed if not environment.get(name))

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
