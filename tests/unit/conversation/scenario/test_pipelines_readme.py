"""pipelines/README.md against the models: every field, its type and its default; and its example loads."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bot.conversation.scenario.parts import OutcomeField
from bot.conversation.scenario.scenario import Scenario, load_file
from bot.conversation.templates import VARIABLES
from bot.conversation.tools import TOOLS
from bot.conversation.tools.declared.http_tool import HttpTool
from bot.conversation.tools.declared.mcp_server import McpServer
from bot.conversation.tools.transfer_call import TransferTarget
from bot.pipeline.llm.vendors import LlmVendor, OpenAICompatible
from bot.pipeline.stt.vendors import SttVendor
from bot.pipeline.tts.vendors import TtsVendor
from bot.web.scenarios import explanations

PAGE = Path(__file__).parents[4] / "pipelines" / "README.md"
README = PAGE.read_text(encoding="utf-8")


def models() -> Iterator[tuple[str, type[BaseModel]]]:
    """Section → model: the top level, the tables, the members of the menus."""
    yield "top level", Scenario
    for name, info in Scenario.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield f"[{name}]", info.annotation
    yield "[[outcome]]", OutcomeField
    yield "[[transfer]]", TransferTarget
    yield "[[http_tools]]", HttpTool
    yield "[[mcp_servers]]", McpServer
    for slot, menu in (("stt", SttVendor), ("llm", LlmVendor), ("tts", TtsVendor)):
        for member in get_args(menu):
            (vendor,) = get_args(member.model_fields["vendor"].annotation)
            yield f'[{slot}] vendor = "{vendor}"', member


MODELS = list(models())


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Those a file may hold in this section: tables have sections of their own, a vendor is in the heading."""
    tables = {name.strip("[]").split("]")[0] for name, _ in MODELS}
    tables |= {f"{slot}_fallback" for slot in ("stt", "llm", "tts")}  # the same members as the slot itself
    return {
        name: info
        for name, info in model.model_fields.items()
        if name != "vendor" and not (model is Scenario and name in tables | {"name"})
    }


def kind_of(info: FieldInfo) -> str:
    """The type as the README words it."""
    kind = _kind(info.annotation)
    low = next((item.ge for item in info.metadata if isinstance(item, Ge)), None)
    high = next((item.le for item in info.metadata if isinstance(item, Le)), None)
    return kind if low is None else f"{kind}, {low:g} to {high:g}"


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin in (Union, UnionType):
        (inner,) = [argument for argument in arguments if argument is not NoneType]
        return _kind(inner)
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin is tuple:
        return f"list of {_kind(arguments[0])}s"
    if origin is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return "string"
    return {str: "string", bool: "boolean", int: "integer", float: "number"}[annotation]


def default_of(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default is None:
        return "none"
    if info.default_factory is dict:
        return "`{}`"
    value = list(info.default) if isinstance(info.default, tuple) else info.default
    return f"`{json.dumps(value, ensure_ascii=False)}`"


@pytest.mark.parametrize(("section", "model"), MODELS, ids=[section for section, _ in MODELS])
def test_every_field_is_documented_with_its_type_and_default(section: str, model: type[BaseModel]) -> None:
    documented = explanations(PAGE)
    assert section in documented, f"pipelines/README.md has no section `{section}`"
    rows, expected = documented[section], fields(model)
    assert list(rows) == list(expected), f"`{section}`: fields, in the model's order"
    for name, info in expected.items():
        kind, default, meaning = rows[name]
        assert kind == kind_of(info), f"`{section}` {name}: type"
        assert default == default_of(info), f"`{section}` {name}: default"
        assert len(meaning) > 10, f"`{section}` {name}: say what it means"


def test_nothing_is_documented_that_does_not_exist() -> None:
    assert list(explanations(PAGE)) == [section for section, _ in MODELS]


def test_every_name_is_documented() -> None:
    for name in (*VARIABLES, *TOOLS):
        assert f"`{name}`" in README or f"{{{{{name}}}}}" in README, name
    for member in (*get_args(SttVendor), *get_args(LlmVendor), *get_args(TtsVendor)):
        for needed in member.needs:
            assert needed in README


@pytest.mark.parametrize("slot", ["stt", "llm", "tts"])
def test_the_fallbacks_are_documented(slot: str) -> None:
    assert f"{slot}_fallback" in Scenario.model_fields
    assert f"`[{slot}_fallback]`" in README


def test_the_example_of_tools_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml title=\"tools\"\n(.*?)```", README, flags=re.S)
    path = tmp_path / "example.toml"
    path.write_text(f'description = "d"\ninstructions = "i"\n{example}', encoding="utf-8")
    scenario = load_file(path)
    assert scenario.http_tools
    assert scenario.mcp_servers
    assert scenario.missing({})


def test_the_example_of_transfers_and_machines_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml title=\"people\"\n(.*?)```", README, flags=re.S)
    path = tmp_path / "example.toml"
    path.write_text(f'description = "d"\ninstructions = "i"\n{example}', encoding="utf-8")
    scenario = load_file(path)
    assert [target.mode for target in scenario.transfer] == ["warm", "cold"]
    assert scenario.voicemail.policy == "leave_message"
    assert {"voicemail", "screening", "menu", "llm_fallback", "tts_fallback"} <= scenario.model_fields_set


def test_the_example_of_a_local_model_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml title=\"local\"\n(.*?)```", README, flags=re.S)
    path = tmp_path / "example.toml"
    path.write_text(f'description = "d"\ninstructions = "i"\n{example}', encoding="utf-8")
    assert isinstance(load_file(path).llm, OpenAICompatible)


def test_the_example_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, flags=re.S)
    path = tmp_path / "example.toml"
    path.write_text(example, encoding="utf-8")
    scenario = load_file(path)
    used = tomllib.loads(example)
    assert {"opening", "outcome", "limits", "tts"} <= set(used)
    assert scenario.goal
