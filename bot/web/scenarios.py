"""Scenarios: the files as they are now, their mistakes, every key explained, the prompt of an example.

The server holds the scenarios it read at its start. A page reads the files anew, with the loader of the start and
of `phone-agent doctor`, and says where they differ.
"""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from bot.conversation import prompt
from bot.conversation.scenario.scenario import Scenario, Scenarios, load_file, shared_numbers
from bot.conversation.tools import TOOLS
from bot.errors import NotFoundError, ScenarioError
from bot.phone_numbers import zones_of_number
from bot.policy import ProfileName
from bot.records import CallSpec, Direction
from bot.web.page import LockedPage, agent_of, render

router = APIRouter(route_class=LockedPage, include_in_schema=False)
README = Path(__file__).parents[2] / "pipelines" / "README.md"
"""Explains every key; a folder of scenarios may have its own."""
EXAMPLE_NUMBER = "+12025550123"
_SECTION = re.compile(r"^## `([^`]+)`$", re.M)
_ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| (.+) \|$", re.M)
_LINE = re.compile(r" \((?:line (\d+)[^)]*|at the end of the file)\)$")


@dataclass(frozen=True)
class Explained:
    """A key of a file: its type, default and meaning in words; its value where the file has it."""

    key: str
    kind: str
    default: str
    meaning: str
    value: Any = None


@dataclass(frozen=True)
class Mistake:
    """What is wrong in a file, and where. `line` is None where only the whole file is wrong."""

    file: str
    key: str
    words: str
    line: int | None

    @classmethod
    def of(cls, message: str, path: Path) -> Mistake:
        """Of a line of ScenarioError."""
        told = message.removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")
        place = _LINE.search(told)
        words = told if place is None else told[: place.start()]
        key, colon, rest = words.partition(": ")
        named = bool(colon) and " " not in key.replace('" ', '"')
        line = int(place[1]) if place is not None and place[1] else None
        return cls(path.name, key if named else "", rest if named else words, line)


@dataclass(frozen=True)
class Folder:
    """The scenario files as they are now."""

    paths: Mapping[str, Path]
    good: Mapping[str, Scenario]
    mistakes: tuple[Mistake, ...]

    @classmethod
    def read(cls, folder: Path, profile: ProfileName) -> Folder:
        paths = {path.stem: path for path in sorted(folder.glob("*.toml"))}
        good: dict[str, Scenario] = {}
        mistakes: list[Mistake] = []
        for name, path in paths.items():
            try:
                good[name] = load_file(path, profile)
            except ScenarioError as error:
                mistakes += [Mistake.of(line, path) for line in error.message.splitlines()]
        for told in shared_numbers(good.values()):
            mistakes.append(Mistake.of(told, folder / told.partition(":")[0]))
        return cls(paths, good, tuple(mistakes))

    def state(self, name: str, running: Scenarios) -> str:
        """How a file stands to what the server has read at its start."""
        if any(mistake.file == f"{name}.toml" for mistake in self.mistakes):
            return "mistake"
        if name not in running.names:
            return "new"
        return "in use" if self.good[name] == running.get(name) else "changed"


class ExampleQuery(BaseModel):
    """A call to show the prompt of; what is left out the scenario's [example] says."""

    action: str | None = None
    context: str | None = None
    callee_name: str | None = None
    organization: str | None = None

    def spec(self, scenario: Scenario) -> CallSpec:
        example = scenario.example

        def given(name: str) -> Any:
            asked = getattr(self, name)
            return getattr(example, name) if asked is None else asked

        return CallSpec(
            EXAMPLE_NUMBER,
            scenario.name,
            given("action"),
            given("context"),
            given("callee_name") or None,
            organization=given("organization") or None,
        )


@router.get("/scenarios")
async def list_scenarios(request: Request) -> Response:
    agent = agent_of(request)
    folder = await _read(request)
    running = agent.planner.scenarios
    states = {name: folder.state(name, running) for name in folder.paths}
    # Of a file with a mistake: as the server has it.
    held = {name: running.get(name) for name in running.names} | dict(folder.good)
    return render(
        request,
        "scenarios.html",
        folder=agent.settings.pipelines_dir,
        mistakes=folder.mistakes,
        states=states,
        scenarios=held,
        gone=[name for name in running.names if name not in folder.paths],
    )


@router.get("/scenarios/{name}")
async def one_scenario(name: str, request: Request) -> Response:
    agent = agent_of(request)
    folder, running = await _read(request), agent.planner.scenarios
    path = folder.paths.get(name)
    if path is None:
        raise NotFoundError(f"There is no file {name}.toml in {agent.settings.pipelines_dir}.", field="scenario")
    scenario = folder.good.get(name) or (running.get(name) if name in running.names else None)
    text = await asyncio.to_thread(path.read_text, encoding="utf-8", errors="replace")
    query = ExampleQuery.model_validate(dict(request.query_params))
    own, others = _explained(text, agent.settings.pipelines_dir)
    return render(
        request,
        "scenario.html",
        name=name,
        state=folder.state(name, running),
        mistakes=[mistake for mistake in folder.mistakes if mistake.file == path.name],
        scenario=scenario,
        lines=text.splitlines(),
        own=own,
        others=others,
        tools={} if scenario is None else {tool: TOOLS[tool].description for tool in scenario.tools},
        spec=None if scenario is None else query.spec(scenario),
        sent=None if scenario is None else _sent(scenario, query.spec(scenario)),
    )


async def _read(request: Request) -> Folder:
    settings = agent_of(request).settings
    return await asyncio.to_thread(Folder.read, settings.pipelines_dir, settings.compliance_profile)


@dataclass(frozen=True)
class Sent:
    """What the model is sent of a call, and what is said first."""

    shared: str
    own: str
    first: str
    opening: str | None
    """None where the model writes it."""


def _sent(scenario: Scenario, spec: CallSpec) -> Sent:
    when = prompt.today(datetime.now(UTC), zones_of_number(spec.phone_number), scenario.time_zone)
    return Sent(
        prompt.shared_prompt(scenario),
        prompt.own_prompt(spec, scenario, Direction(scenario.direction), when),
        prompt.CALL_OPENED,
        prompt.opening_text(spec, scenario),
    )


# -- the keys of a file, explained -------------------------------------------------------------------------


def _explained(text: str, folder: Path) -> tuple[dict[str, list[Explained]], dict[str, list[Explained]]]:
    """By section: the keys that the file has, and those that it leaves out."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        data = {}
    own_readme = folder / "README.md"
    known = explanations(own_readme if own_readme.exists() else README)
    own: dict[str, list[Explained]] = {}
    given: dict[str, set[str]] = {}
    for shown, section, key, value in _keys(data, known):
        rows = known.get(section, {})
        kind, default, meaning = rows.get(key, ("", "", ""))
        own.setdefault(shown, []).append(Explained(key, kind, default, meaning, _written(value)))
        given.setdefault(section, set()).add(key)
    others = {
        section: [Explained(key, *row) for key, row in rows.items() if key not in given.get(section, ())]
        for section, rows in known.items()
        if not section.startswith("[[")
    }
    return own, {section: rows for section, rows in others.items() if rows}


def _keys(data: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """(table as the file has it, section of the README, key, value), the top level first."""
    documented = known.get("top level", {})
    for key, value in data.items():
        if not isinstance(value, dict | list) or key in documented:
            yield "top level", "top level", key, value
    for table, value in data.items():
        if table in documented:
            continue
        if isinstance(value, dict):
            section = f"[{table}]"
            if section not in known:
                section = f'[{table.removesuffix("_fallback")}] vendor = "{value.get("vendor")}"'
            for key, inner in value.items():
                yield f"[{table}]", section, key, inner
        elif isinstance(value, list):
            for number, entry in enumerate(value, 1):
                if isinstance(entry, dict):
                    shown = f"[[{table}]] {entry.get('name', number)}"
                    for key, inner in entry.items():
                        yield shown, f"[[{table}]]", key, inner


def _written(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@cache
def explanations(readme: Path) -> dict[str, dict[str, tuple[str, str, str]]]:
    """Section of pipelines/README.md → key → type, default, meaning. Empty where there is no such file."""
    if not readme.exists():
        return {}
    _, *parts = _SECTION.split(readme.read_text(encoding="utf-8"))
    return {
        section: {
            key: (kind.strip(), default.strip(), meaning) for key, kind, default, meaning in _ROW.findall(body)
        }
        for section, body in zip(parts[::2], parts[1::2], strict=True)
    }
