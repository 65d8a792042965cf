"""The pages of scenarios: files, mistakes with key and line, explained keys, the prompt of an example."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.conversation.call_plan import Plan, choose
from bot.conversation.scenario.scenario import load_file
from bot.records import CallSpec, Direction
from bot.settings import Settings
from bot.web.scenarios import EXAMPLE_NUMBER, README, Folder, Mistake, explanations
from tests.unit.web.conftest import Pages, open_pages

SHIPPED = Path("pipelines")
NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))


@pytest.fixture
async def edited(tmp_path: Path) -> AsyncIterator[tuple[Pages, Path]]:
    """Pages of a server whose files can be changed."""
    folder = tmp_path / "scenarios"
    shutil.copytree(SHIPPED, folder)
    async with open_pages(tmp_path, pipelines_dir=folder) as pages:
        yield pages, folder


async def test_the_list_has_every_file(pages: Pages) -> None:
    text = (await pages.http.get("/scenarios")).text
    for name in NAMES:
        assert f'href="/scenarios/{name}"' in text
    assert text.count('"badge good">in use') == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
async def test_every_key_of_a_file_is_explained(pages: Pages, name: str) -> None:
    answer = await pages.http.get(f"/scenarios/{name}")
    assert answer.status_code == 200
    assert "There is no such key" not in answer.text
    assert "What the model is sent" in answer.text


async def test_mistakes_have_file_key_and_line(edited: tuple[Pages, Path]) -> None:
    pages, folder = edited
    (folder / "survey.toml").write_text(
        'description = "d"\ninstructions = "i"\n[limits]\nsilence_seconds = "long"\nring_secnds = 20\n',
        encoding="utf-8",
    )
    (folder / "fresh.toml").write_text('description = "d"\ninstructions =\n', encoding="utf-8")
    assert Folder.read(folder, "us_service").mistakes == (
        Mistake("fresh.toml", "", "no value behind the =", 2),
        Mistake("survey.toml", "limits.silence_seconds", "has to be a number, not 'long'", 4),
        Mistake("survey.toml", "limits.ring_secnds", "there is no such key; did you mean 'ring_seconds'?", 5),
    )
    text = html.unescape((await pages.http.get("/scenarios")).text)
    assert "did you mean 'ring_seconds'?" in text
    assert "The server would not start with these files" in text
    one = (await pages.http.get("/scenarios/survey")).text
    assert '<li class="wrong"><code>ring_secnds = 20</code>' in one
    assert "There is no such key" in one
    assert "It cannot be read" in (await pages.http.get("/scenarios/fresh")).text


async def test_two_files_of_one_number(edited: tuple[Pages, Path]) -> None:
    pages, folder = edited
    for name in ("one", "two"):
        (folder / f"{name}.toml").write_text(
            'description = "d"\ninstructions = "i"\ndirection = "inbound"\nnumbers = ["+12025550123"]\n',
            encoding="utf-8",
        )
    text = (await pages.http.get("/scenarios")).text
    assert "+12025550123 belongs to one.toml already" in text
    assert text.count('"badge bad">mistake') == 1


async def test_what_has_changed_since_the_start(edited: tuple[Pages, Path]) -> None:
    pages, folder = edited
    shutil.copy(folder / "survey.toml", folder / "second.toml")
    path = folder / "survey.toml"
    path.write_text(
        re.sub(r'description = "[^"]*"', 'description = "Other"', path.read_text(encoding="utf-8")),
        encoding="utf-8",
    )
    (folder / "lead_callback.toml").unlink()
    text = (await pages.http.get("/scenarios")).text
    assert text.count('"badge warn">changed') == 1
    assert text.count('"badge warn">new') == 1
    assert "In use without a file in this folder: 1" in text
    assert "used from the next start on" in (await pages.http.get("/scenarios/survey")).text
    assert (await pages.http.get("/scenarios/lead_callback")).status_code == 404


@pytest.mark.parametrize("name", NAMES)
async def test_the_prompt_is_the_calls_own(pages: Pages, name: str) -> None:
    text = html.unescape((await pages.http.get(f"/scenarios/{name}?callee_name=Zoë&context=<b>Free</b>")).text)
    scenario = load_file(SHIPPED / f"{name}.toml")
    example = scenario.example
    spec = CallSpec(EXAMPLE_NUMBER, name, example.action, "<b>Free</b>", "Zoë", organization=example.organization)
    slots = choose(scenario, Settings(_env_file=None), simulated_line=True)
    brief = Plan("call", spec, Direction(scenario.direction), scenario, slots).brief

    def timeless(words: str) -> str:
        return re.sub(r"\d\d:\d\d", "", words)

    shown = [timeless(part) for part in re.findall(r'<pre class="sent">(.*?)</pre>', text, re.S)]
    assert shown[0] == timeless(brief.shared)
    assert shown[1] == timeless(brief.instructions)


async def test_a_name_is_that_of_a_file(pages: Pages) -> None:
    for name in ("none", "..%2Fserver", "README", "%2e%2e"):
        assert (await pages.http.get(f"/scenarios/{name}")).status_code in (404, 307), name


def test_a_folder_may_explain_its_own_keys(tmp_path: Path) -> None:
    assert explanations(tmp_path / "README.md") == {}
    kind, default, meaning = explanations(README)["[limits]"]["ring_seconds"]
    assert (kind, default) == ("integer, 5 to 120", "`30`")
    assert "not answered" in meaning


def test_a_mistake_of_a_whole_file() -> None:
    path = Path("pipelines/x.toml")
    assert Mistake.of(f"{path}: is not UTF-8", path) == Mistake("x.toml", "", "is not UTF-8", None)
    assert replace(Mistake.of(f"{path}: goal: 'x' is no field (line 3)", path), words="") == Mistake(
        "x.toml", "goal", "", 3
    )
