"""A scenario: how a kind of call is held. The typed model of pipelines/*.toml; its tables are `scenario_parts`.

Strict: unknown keys and wrong types are refused with the file and the key. All files are read at start,
so a mistake stops the server and not a call.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator, model_validator

from bot import languages
from bot.conversation.scenario.compliance import Compliance, Privacy, RecordingRules, Storage, profiles
from bot.conversation.scenario.parts import (
    Agent,
    Example,
    Hold,
    Hours,
    Inbound,
    KeySettings,
    Limits,
    Menu,
    Opening,
    OutcomeField,
    Part,
    Patience,
    Phrases,
    Pickup,
    Pronunciation,
    Retry,
    Screening,
    TimeZoneName,
    Voicemail,
)
from bot.conversation.tools import TOOLS
from bot.conversation.tools.declared.http_tool import HttpTool
from bot.conversation.tools.declared.mcp_server import McpServer
from bot.conversation.tools.transfer_call import TransferTarget
from bot.errors import ScenarioError, UnknownScenarioError, did_you_mean, mistakes, toml_mistake
from bot.phone_numbers import is_e164
from bot.pipeline.llm.vendors import Llm
from bot.pipeline.stt.vendors import DeepgramFlux, Stt
from bot.pipeline.tts.vendors import Tts
from bot.pipeline.turns.interjection import InterruptionSettings
from bot.pipeline.turns.turn import TurnSettings
from bot.pipeline.turns.vad import VadSettings
from bot.policy import DEFAULT_PROFILE, ProfileName
from bot.records import Direction, RulesOfCall, Speaker

DEFAULT_OUTBOUND = "appointment_confirmation"
DEFAULT_INBOUND = "inbound_reception"


class Scenario(Part):
    """One file of pipelines/. Its name is the file's."""

    name: str = ""
    description: str
    direction: Literal["outbound", "inbound"] = "outbound"
    language: str = Field(default="en", pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    time_zone: TimeZoneName | None = None
    """Of the business, an IANA name: told to the model beside the callee's where the two differ."""
    instructions: str
    compliance: Compliance = Compliance()
    recording: RecordingRules = RecordingRules()
    storage: Storage = Storage()
    privacy: Privacy = Privacy()
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
    """Listens in the place of [stt] once that is lost; None: there is no stand-in."""
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
    pronunciation: Pronunciation = Field(default_factory=dict)
    """Words of this scenario, and how each is said: Siobhan = "shivawn"."""
    retry: Retry = Retry()
    hours: Hours = Hours()
    pickup: Pickup = Pickup()
    inbound: Inbound = Inbound()
    keys: KeySettings = KeySettings()
    voicemail: Voicemail = Voicemail()
    screening: Screening = Screening()
    menu: Menu = Menu()
    hold: Hold = Hold()
    example: Example = Example()
    outcome: tuple[OutcomeField, ...] = ()
    transfer: tuple[TransferTarget, ...] = ()
    """The people `transfer_call` may reach; it dials no other number."""
    http_tools: tuple[HttpTool, ...] = ()
    mcp_servers: tuple[McpServer, ...] = ()
    _changed: dict[str, Any] = PrivateAttr(default_factory=dict)
    """Settings that the file has otherwise than its profile."""
    _own_hours: bool = PrivateAttr(default=False)

    @field_validator("tools")
    @classmethod
    def _known_tools(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for tool in value:
            if tool not in TOOLS:
                meant = did_you_mean(tool, TOOLS) or f"; there are: {', '.join(sorted(TOOLS))}"
                raise ValueError(f"there is no tool {tool!r}{meant}")
        return value

    @field_validator("numbers")
    @classmethod
    def _e164(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number in value:
            if not is_e164(number):
                raise ValueError(f"{number!r} is not an E.164 number like +12025550123")
        return value

    @model_validator(mode="after")
    def _goal_is_a_boolean_field(self) -> Scenario:
        names = [field.name for field in self.outcome]
        if len(set(names)) != len(names):
            raise ValueError("outcome: two fields have the same name")
        if self.goal is not None and not any(f.name == self.goal and f.type == "boolean" for f in self.outcome):
            raise ValueError(f"goal: {self.goal!r} is not a boolean field of [[outcome]]")
        return self

    @model_validator(mode="after")
    def _stts_of_one_kind(self) -> Scenario:
        second = self.stt_fallback
        if second is not None and second.detects_turns != (self.stt is not None and self.stt.detects_turns):
            raise ValueError("stt_fallback: it has to find the end of a turn as [stt] does: both Flux, or none")
        return self

    @model_validator(mode="after")
    def _somebody_to_transfer_to(self) -> Scenario:
        names = [target.name for target in self.transfer]
        if len(set(names)) != len(names):
            raise ValueError("transfer: two targets have the same name")
        if ("transfer_call" in self.tools) != bool(names):
            raise ValueError('transfer: [[transfer]] targets and "transfer_call" in tools belong together')
        return self

    @model_validator(mode="after")
    def _tools_of_different_names(self) -> Scenario:
        names = [tool.name for tool in self.http_tools]
        for name in names:
            if name in TOOLS or names.count(name) > 1:
                raise ValueError(f"http_tools: there is another tool {name!r}")
        servers = [server.name for server in self.mcp_servers]
        if len(set(servers)) != len(servers):
            raise ValueError("mcp_servers: two have the same name")
        return self

    @model_validator(mode="after")
    def _by_its_profile(self, info: ValidationInfo) -> Scenario:
        """Fills in what the profile says where the file says nothing; [hours] count as a whole."""
        own = "profile" in self.compliance.model_fields_set
        name = self.compliance.profile if own else (info.context or {}).get("profile", DEFAULT_PROFILE)
        profile = profiles()[name]
        tables: tuple[tuple[str, Compliance | RecordingRules | Storage], ...] = (
            ("compliance", self.compliance),
            ("recording", self.recording),
            ("storage", self.storage),
        )
        for table, part in tables:
            given = {key: getattr(part, key) for key in part.model_fields_set - {"profile"}}
            kept = {"profile": name} if table == "compliance" else {}
            object.__setattr__(self, table, type(part).model_validate(profile[table] | given | kept))
            self._changed |= {
                f"{table}.{key}": value for key, value in given.items() if value != profile[table].get(key)
            }
        self._recording_as_kept()
        by_profile = Hours.model_validate(profile["hours"])
        self._own_hours = bool(self.hours.model_fields_set)
        if not self._own_hours:
            object.__setattr__(self, "hours", by_profile)
        elif self.hours != by_profile:
            self._changed["hours"] = self.hours.model_dump(mode="json")
        return self

    def _recording_as_kept(self) -> None:
        """What [storage] says of recordings, where [recording] and the transcript allow it."""
        storage, mode = self.storage, self.recording.mode
        if storage.recording == "none":
            if mode != "off" and "recording.mode" in self._changed:
                raise ValueError(f'storage.recording: "none" and recording.mode = "{mode}" exclude each other')
            object.__setattr__(self, "recording", self.recording.model_copy(update={"mode": "off"}))
        elif storage.recording == "redacted" and storage.transcript == "full":
            if "storage.recording" in self._changed:
                raise ValueError(
                    'storage.recording: "redacted" is silent where the transcript is redacted: set it, too'
                )
            object.__setattr__(self, "storage", storage.model_copy(update={"recording": "full"}))
            self._changed["storage.recording"] = "full"

    @model_validator(mode="after")
    def _in_its_language(self) -> Scenario:
        """Fills in what the language has to say where the file says nothing."""
        language, known = languages.of(self.language), languages.knows(self.language)
        given, left_out = self.phrases.model_fields_set, []
        needed = Phrases.model_fields.keys() - {"trouble_call_back"}
        wanted = self.compliance
        for name, has in (
            ("disclosure", wanted.disclosure),
            ("disclosure_again", wanted.disclosure),
            ("opted_out", wanted.opt_out),
            ("opt_out", wanted.tell_opt_out),
            ("call_back_number", wanted.call_back_number),
        ):
            needed -= set() if has else {name}
        if self.compliance.profile == "none":
            needed -= {name for name in needed if name.startswith("recording")}
        spoken: dict[str, str | tuple[str, ...]] = {}
        for name in Phrases.model_fields:
            if name == "trouble_call_back" and name not in given and "trouble" in given:
                spoken[name] = self.phrases.trouble
            elif name == "cannot_answer" and name not in given and not languages.knows(self.language):
                continue  # the call ends with `trouble` instead
            elif name == "hold_goodbye" and name not in given and "silence_goodbye" in given and not known:
                spoken[name] = self.phrases.silence_goodbye
            elif name not in given:
                left_out += [f"phrases.{name}"] * (name in needed)
                spoken[name] = language.phrase(name)
        voicemail = self.voicemail
        if "message" not in voicemail.model_fields_set:
            left_out += ["voicemail.message"] * (voicemail.policy == "leave_message")
            voicemail = voicemail.model_copy(update={"message": language.voicemail_message})
        screening = self.screening
        if "text" not in screening.model_fields_set:
            left_out += ["screening.text"] * (self.direction == "outbound" and screening.policy == "answer")
            screening = screening.model_copy(update={"text": language.screening_reply})
        hold = self.hold
        if "text" not in hold.model_fields_set:
            hold = hold.model_copy(update={"text": language.after_hold if known else screening.text})
        if left_out and not known:
            raise ValueError(
                f"language: there are no phrases for language {self.language!r}, "
                f"only for {', '.join(languages.KNOWN)}; say them here: {', '.join(left_out)}"
            )
        object.__setattr__(self, "phrases", self.phrases.model_copy(update=spoken))
        object.__setattr__(self, "voicemail", voicemail)
        object.__setattr__(self, "screening", screening)
        object.__setattr__(self, "hold", hold)
        return self

    @model_validator(mode="after")
    def _what_may_be_held_back(self) -> Scenario:
        if self.withholds and self.direction == "inbound":
            raise ValueError("privacy.until: nothing is held back from one who calls us: outbound scenarios only")
        if self.withholds and not languages.knows(self.language):
            known = ", ".join(languages.KNOWN)
            raise ValueError(f"privacy.until: {self.language!r} has no words to ask who is there, only {known}")
        return self

    @model_validator(mode="after")
    def _keys_for_menus(self) -> Scenario:
        """Who is to find the way through a menu has to press keys."""
        if self.direction == "outbound" and self.menu.policy == "navigate" and "send_digits" not in self.tools:
            object.__setattr__(self, "tools", (*self.tools, "send_digits"))
        return self

    @model_validator(mode="after")
    def _never_again(self) -> Scenario:
        """Anybody who is called may ask not to be called again."""
        if self.direction == "outbound" and "do_not_call" not in self.tools:
            object.__setattr__(self, "tools", (*self.tools, "do_not_call"))
        return self

    @model_validator(mode="after")
    def _what_flux_can(self) -> Scenario:
        stt = self.stt
        if isinstance(stt, DeepgramFlux) and stt.model.endswith("-en") and self.language.split("-")[0] != "en":
            raise ValueError(
                f"stt.model: {stt.model!r} hears English only; language is {self.language!r}: "
                'use "flux-general-multi"'
            )
        return self

    @property
    def withholds(self) -> bool:
        """Whether the matter of the call is for the callee alone, once they have said who they are."""
        return self.privacy.until is not None

    @property
    def rules(self) -> RulesOfCall:
        """The profile, and what this file has otherwise."""
        return RulesOfCall(self.compliance.profile, dict(self._changed))

    @property
    def has_own_hours(self) -> bool:
        """Whether its [hours] are the file's, not the profile's."""
        return self._own_hours

    @property
    def apologies(self) -> tuple[str, ...]:
        """What may be said when something fails for good."""
        noted = [self.phrases.trouble_call_back] if "schedule_callback" in self.tools else []
        return tuple(dict.fromkeys([self.phrases.trouble, *noted]))

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


def load_file(path: Path, profile: ProfileName = DEFAULT_PROFILE) -> Scenario:
    """One scenario, by `profile` where it names none. ScenarioError names the file and each wrong key."""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as e:
        raise ScenarioError(f"{path}: cannot be read ({e.strerror})") from e
    except UnicodeDecodeError as e:
        raise ScenarioError(f"{path}: is not UTF-8") from e
    except tomllib.TOMLDecodeError as e:
        raise ScenarioError(f"{path}: {toml_mistake(e)}") from e
    if "name" in data and data["name"] != path.stem:
        raise ScenarioError(f"{path}: name: a scenario is named by its file; remove the key or say {path.stem!r}")
    try:
        # As JSON, because strict validation takes an array for a tuple there and nowhere else.
        document = json.dumps(data | {"name": path.stem}, default=str)
        return Scenario.model_validate_json(document, strict=True, context={"profile": profile})
    except ValidationError as e:
        wrong = "\n".join(f"{path}: {mistake}" for mistake in mistakes(e, Scenario, data, text))
        raise ScenarioError(wrong) from e


class Scenarios:
    """All scenarios of a folder, by name."""

    def __init__(self, scenarios: Iterable[Scenario]) -> None:
        self._by_name: Mapping[str, Scenario] = {scenario.name: scenario for scenario in scenarios}

    @classmethod
    def load(cls, folder: Path, profile: ProfileName = DEFAULT_PROFILE) -> Scenarios:
        """Every *.toml of `folder`. ScenarioError lists the mistakes of all files together."""
        loaded: list[Scenario] = []
        wrong: list[str] = []
        for path in sorted(folder.glob("*.toml")):
            try:
                loaded.append(load_file(path, profile))
            except ScenarioError as e:
                wrong.append(e.message)
        if not loaded and not wrong:
            wrong.append(f"{folder}: no scenario here; set PIPELINES_DIR to the folder with the *.toml files")
        wrong += shared_numbers(loaded)
        if wrong:
            raise ScenarioError("\n".join(wrong))
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


def shared_numbers(scenarios: Iterable[Scenario]) -> list[str]:
    """Mistakes of files that each claim a number of another."""
    owners: dict[str, str] = {}
    wrong: list[str] = []
    for scenario in scenarios:
        for number in scenario.numbers:
            if number in owners:
                wrong.append(f"{scenario.name}.toml: numbers: {number} belongs to {owners[number]}.toml already")
            owners[number] = scenario.name
    return wrong
