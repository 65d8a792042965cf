"""The typed model of pipelines/suites/*.toml: cases of a scenario, and what is expected of them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, model_validator

from bot.conversation.scenario.parts import Part
from bot.conversation.scenario.scenario import Scenarios
from bot.conversation.tools import TOOLS
from bot.errors import ScenarioError, did_you_mean, mistakes, toml_mistake
from bot.json_schema import TOOL_NAME, checked_properties
from bot.records import AnsweredBy, EndedReason, Status
from bot.telephony.simulated.script import OwnAnswer, Text, callee_named, shipped_conversations

FOLDER = "suites"
"""Below the scenarios."""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as e:
        raise ValueError(f"is no regular expression: {e}") from e
    return text


def _callee(name: str) -> str:
    shipped = shipped_conversations()
    if name not in shipped:
        near = did_you_mean(name, shipped) or f"; there are: {', '.join(sorted(shipped))}"
        raise ValueError(f"there is no callee {name!r}{near}")
    return name


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
CalleeName = Annotated[str, AfterValidator(_callee)]


class Matches(Part):
    """A value as a regular expression, upper or lower case."""

    matches: Pattern

    def fits(self, value: object) -> bool:
        return re.search(self.matches, str(value), re.IGNORECASE) is not None


Wanted = Matches | str | bool | int | float | list[Any]
"""A value as it has to be, or a pattern."""


def fits(wanted: Wanted, value: object) -> bool:
    if isinstance(wanted, Matches):
        return value is not None and wanted.fits(value)
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    return wanted == value


class Persona(Part):
    """[case.callee]: a callee of one's own. A model plays it where there is a key; else a scripted one does."""

    persona: str = ""
    """Who it is, in plain words."""
    goal: str = ""
    """What it wants of the call."""
    facts: tuple[str, ...] = ()
    """What it knows."""
    temper: str = ""
    like: CalleeName = "cooperative"
    """The scripted callee that stands in without a key, and says what is given here."""
    lines: tuple[Text, ...] = ()
    """Said in turn, one at each pause of the agent's."""
    answers: tuple[OwnAnswer, ...] = ()
    """What is answered where the agent's words hold a pattern."""
    language: str | None = Field(default=None, pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    """None: the scenario's."""
    speed: float = Field(default=1.0, ge=0.5, le=1.5)
    """Of its voice, in audio."""
    noise_dbfs: float = Field(default=-62.0, ge=-70, le=-20)
    """Of where it is, in audio."""

    @model_validator(mode="after")
    def _says_it(self) -> Persona:
        if (self.lines or self.answers) and not callee_named(self.like).converses:
            raise ValueError(f"like: {self.like!r} has a fixed script; lines and answers need one that converses")
        return self


class SuiteRequest(Part):
    """[case.request]: what the call is about. Left out: the scenario's [example]."""

    action: str | None = None
    context: str | dict[str, Any] | None = None
    callee_name: str | None = None
    agent_name: str | None = None
    organization: str | None = None
    first_speaker: Literal["agent", "callee"] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class ToolMock(Part):
    """[[case.tool]]: what a tool answers in this case. The first whose arguments fit does."""

    name: str = Field(pattern=TOOL_NAME)
    arguments: dict[str, Wanted] = Field(default_factory=dict)
    """It answers calls with these; others may stand beside them."""
    result: dict[str, Any] | str | None = None
    error: str | None = None
    """It fails with these words."""
    delay_seconds: float = Field(default=0.0, ge=0, le=120)
    description: str | None = None
    """Of a tool that the scenario does not declare itself, as those of MCP servers."""
    parameters: dict[str, dict[str, Any]] | None = None
    required: tuple[str, ...] = ()
    when: Pattern | None = None
    """Without a model: it is called where the callee's words hold this."""
    use: dict[str, Any] = Field(default_factory=dict)
    """The arguments it is called with then."""
    say: str | None = None
    """What is said with the result then; {key} stands for what the result holds under it."""

    @model_validator(mode="after")
    def _one_answer(self) -> ToolMock:
        if (self.result is None) == (self.error is None):
            raise ValueError("give result, or error: what the tool answers")
        if self.name in TOOLS:
            raise ValueError(f"name: {self.name!r} is a tool of the agent's own: it is run as it is")
        if self.parameters is not None:
            checked_properties(self.parameters)
        if (self.use or self.say) and self.when is None:
            raise ValueError("use and say belong to when: without a model somebody has to say when it is called")
        return self


class UsedTool(Part):
    """A tool that has to be called, or must not be."""

    name: str
    arguments: dict[str, Wanted] = Field(default_factory=dict)
    times: int | None = Field(default=None, ge=1)
    """Exactly so often; None: once or more."""


class Expect(Part):
    """[case.expect]: what has to be so when the call is over."""

    reached_goal: bool | None = None
    fields: dict[str, Wanted] = Field(default_factory=dict)
    unset: tuple[str, ...] = ()
    """Outcome fields of which nothing is known."""
    called: tuple[str | UsedTool, ...] = ()
    never_called: tuple[str | UsedTool, ...] = ()
    status: Status | None = None
    ended_reason: EndedReason | tuple[EndedReason, ...] | None = None
    answered_by: AnsweredBy | None = None
    said: tuple[Pattern, ...] = ()
    """By the agent, each somewhere in the call."""
    never_said: tuple[Pattern, ...] = ()
    callee_said: tuple[Pattern, ...] = ()
    seconds_at_most: float | None = Field(default=None, gt=0)
    """Of the call."""
    latency_p90_ms: float | None = Field(default=None, gt=0)
    """Voice to voice, at most; measured in audio."""
    interruptions_at_most: int | None = Field(default=None, ge=0)
    cost_usd_at_most: float | None = Field(default=None, ge=0)


class JudgeCriterion(Part):
    """[[case.judge]]: a criterion in plain words, which a model judges by the whole record."""

    criterion: str = Field(min_length=1)


class Case(Part):
    """[[case]]: one call."""

    name: str = Field(min_length=1)
    callee: CalleeName | Persona = "cooperative"
    replay: str | None = None
    """A call_id: the callee says what it said in that call, turn by turn."""
    request: SuiteRequest = SuiteRequest()
    tool: tuple[ToolMock, ...] = ()
    expect: Expect = Expect()
    judge: tuple[JudgeCriterion, ...] = ()
    runs: int | None = Field(default=None, ge=1, le=100)
    """How often it is held; None: as the suite says."""
    must_pass: int | None = Field(default=None, ge=1)
    """Of its runs; None: all."""
    audio: bool = False
    """Also held in audio by `phone-agent test --audio`."""

    @model_validator(mode="after")
    def _no_more_than_runs(self) -> Case:
        if self.must_pass is not None and self.must_pass > (self.runs or 1):
            raise ValueError(f"must_pass: {self.must_pass} of {self.runs or 1} runs cannot pass")
        return self


class Suite(Part):
    """One file of pipelines/suites/. It tries the scenario of its name."""

    scenario: str = ""
    runs: int = Field(default=1, ge=1, le=100)
    case: tuple[Case, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Suite:
        names = [case.name for case in self.case]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"case: two cases are called {twice!r}")
        return self

    @model_validator(mode="after")
    def _of_the_scenario(self, info: ValidationInfo) -> Suite:
        """What it expects has to be something that the scenario can do."""
        scenarios: Scenarios | None = (info.context or {}).get("scenarios")
        if scenarios is None:
            return self
        if self.scenario not in scenarios.names:
            near = did_you_mean(self.scenario, scenarios.names) or f"; there are: {', '.join(scenarios.names)}"
            raise ValueError(f"scenario: there is no scenario {self.scenario!r}{near}")
        scenario = scenarios.get(self.scenario)
        fields = {field.name for field in scenario.outcome} | {"do_not_call", "callback", "messages"}
        servers = tuple(f"{server.name}_" for server in scenario.mcp_servers)
        for case in self.case:
            known = {*scenario.tools, *(tool.name for tool in scenario.http_tools), *(t.name for t in case.tool)}
            for name in (*case.expect.fields, *case.expect.unset):
                if name not in fields:
                    near = did_you_mean(name, fields) or f"; there are: {', '.join(sorted(fields))}"
                    raise ValueError(f"case: {case.name!r} expects the field {name!r}, which is none{near}")
            for used in (*case.expect.called, *case.expect.never_called):
                name = used if isinstance(used, str) else used.name
                if name not in known and not (servers and name.startswith(servers)):
                    near = did_you_mean(name, known) or f"; there are: {', '.join(sorted(known))}"
                    raise ValueError(f"case: {case.name!r} expects the tool {name!r}, which is none{near}")
        return self


def load_suite(path: Path, scenarios: Scenarios | None = None) -> Suite:
    """One suite. ScenarioError names the file, each wrong key and its line."""
    return _read(path, Suite, {"scenario": path.stem}, scenarios)


M = TypeVar("M", bound=Part)


def _read(path: Path, model: type[M], given: Mapping[str, str], scenarios: Scenarios | None = None) -> M:
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as e:
        raise ScenarioError(f"{path}: cannot be read ({e.strerror})", code="bad_suite") from e
    except UnicodeDecodeError as e:
        raise ScenarioError(f"{path}: is not UTF-8", code="bad_suite") from e
    except tomllib.TOMLDecodeError as e:
        raise ScenarioError(f"{path}: {toml_mistake(e)}", code="bad_suite") from e
    try:
        # As JSON, because strict validation takes an array for a tuple there and nowhere else.
        document = json.dumps({**given, **data}, default=str)
        return model.model_validate_json(document, strict=True, context={"scenarios": scenarios})
    except ValidationError as e:
        wrong = "\n".join(f"{path}: {mistake}" for mistake in mistakes(e, model, data, text))
        raise ScenarioError(wrong, code="bad_suite") from e


class ToolsFile(Part):
    """A file of `phone-agent simulate --tools-from`: the [[tool]] tables of a case."""

    tool: tuple[ToolMock, ...] = Field(min_length=1)


def load_tools(path: Path) -> tuple[ToolMock, ...]:
    """What the tools of one call answer. ScenarioError names the file, each wrong key and its line."""
    return _read(path, ToolsFile, {}).tool


def find_suites(names: list[str], pipelines: Path) -> list[Path]:
    """The suites of these names or files; all of `pipelines` without any. ScenarioError: one is not there."""
    folder = pipelines / FOLDER
    shipped: Mapping[str, Path] = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if not names:
        if not shipped:
            raise ScenarioError(
                f"{folder}: no suite here; `phone-agent test --new SCENARIO` writes one", code="no_suite"
            )
        return list(shipped.values())
    found = []
    for name in names:
        path = Path(name)
        if path.suffix == ".toml" and path.is_file():
            found.append(path)
        elif name in shipped:
            found.append(shipped[name])
        else:
            near = did_you_mean(name, shipped) or f"; there are: {', '.join(shipped) or 'none'}"
            raise ScenarioError(
                f"there is no suite {name!r} in {folder}{near}. `phone-agent test --new {path.stem}` writes one.",
                code="no_suite",
            )
    return found
