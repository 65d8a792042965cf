"""The documentation against the code: every name, path, link, field and example in it is real."""

from __future__ import annotations

import json
import os
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from standardwebhooks import Webhook

from bot.api import router
from bot.api.answers import OutcomeAnswer
from bot.api.campaign_bodies import CampaignRequest
from bot.api.problems import ErrorBody
from bot.api.requests import CallRequest
from bot.calls.webhooks import EventType
from bot.conversation.scenario.scenario import load_file
from bot.conversation.tools import TOOLS
from bot.records import EndedReason, Status
from bot.settings import Settings
from bot.telemetry import metrics
from tests import notices, vendored
from tests.docs_site import ROOT
from tests.markdown import Page, all_pages, names, read

PAGES = all_pages()
POE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["poe"]["tasks"]
SETTINGS = {name.upper() for name in Settings.model_fields}
OTHERS = re.compile(r"OTEL_\w*|POSTGRES_PASSWORD|PROMETHEUS_MULTIPROC_DIR|CLINIC_TOKEN|CRM_KEY|NAME_TOOL")
"""Names in capitals that are no settings."""
PLACEHOLDERS = ("NAME", "{", "*", "…")
BASE = 'description = "d"\ninstructions = "i"\n'

by_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.path) for page in PAGES])


# -- every page ------------------------------------------------------------------------------------------


@by_page
def test_links_lead_somewhere(page: Page) -> None:
    for target in page.links:
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = Path(os.path.normpath(page.path.parent / path)) if path else page.path
        assert (ROOT / file).exists(), target
        assert not anchor or anchor in read(file).anchors, target


@by_page
def test_paths_and_settings_exist(page: Page) -> None:
    if page.path.name == "CHANGELOG.md":
        return  # what was, may be gone
    for span in page.spans:
        path = re.match(r"(?:bot|tests|docs|deploy|pipelines)/[\w./-]*", span)
        if path and not any(mark in span for mark in PLACEHOLDERS):
            assert (ROOT / path.group()).exists(), span
    for name in re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`", page.prose):
        assert name in SETTINGS or OTHERS.fullmatch(name) or _is_a_constant(name), name


def _is_a_constant(name: str) -> bool:
    """Of the code, as docs/scaling.md names one."""
    return any(re.search(rf"^{name}\b", p.read_text("utf-8"), re.M) for p in (ROOT / "bot").rglob("*.py"))


@by_page
def test_commands_exist(page: Page) -> None:
    for words in page.commands:
        if words[:3] == ["uv", "run", "poe"]:
            assert words[3] in POE, words
        elif words[:3] == ["uv", "run", "phone-agent"]:
            assert words[3] in ("simulate", "test", "chat", "call", "calls", "dnc", "doctor", "mcp"), words
        else:
            assert words[0] in ("claude", "curl", "make"), words
    for name in re.findall(r"`(?:uv run )?poe ([a-z-]+)", page.prose):
        assert name in POE, name


@by_page
def test_blocks_are_read_by_their_languages(page: Page) -> None:
    for block in page.blocks:
        if block.kind == "json":
            json.loads(block.text)
        elif block.kind == "toml":
            tomllib.loads(block.text)
        elif block.kind == "python":
            compile(block.text, str(page.path), "exec")
        elif block.kind == "mermaid":
            assert re.match(r"(flowchart|sequenceDiagram)\b", block.text)
        else:
            assert block.kind in ("", "sh", "csv", "promql"), block.kind


# -- README ----------------------------------------------------------------------------------------------


def test_the_readme_is_for_five_minutes() -> None:
    readme = read("README.md")
    assert len(readme.text.splitlines()) <= 200
    opening, _, rest = readme.text.partition("\n## ")
    assert readme.commands[:2] == [["make", "run"], ["make", "check"]]
    assert "make check" in opening
    contents = re.findall(r"^- \[(.+)\]\(#", opening, re.M)
    assert contents == re.findall(r"^## (.+)$", f"## {rest}", re.M)


def test_the_readme_leads_to_every_page() -> None:
    linked = {target.partition("#")[0] for target in read("README.md").links}
    assert {str(page.path) for page in PAGES} - {"README.md", "CHANGELOG.md"} <= linked


# -- API -------------------------------------------------------------------------------------------------


def test_every_route_is_in_the_api_page() -> None:
    app = FastAPI()
    app.include_router(router)
    routes = {f"{method.upper()} {path}" for path, item in app.openapi()["paths"].items() for method in item}
    listed = {names(row[0])[0] for row in read("docs/api.md").rows("Requests")}
    # None of these is in the schema.
    assert listed == routes | {
        "GET /metrics",
        "WS /api/phone/media-stream",
        "WS /api/phone/softphone/media-stream",
        "WS /api/phone/calls/{call_id}/listen",
    }


def test_every_field_of_a_request_is_explained() -> None:
    explained = {name for row in read("docs/api.md").rows("Place a call") for name in names(row[0])}
    assert set(CallRequest.model_fields) <= explained
    policy = {name for row in read("docs/campaigns.md").rows("Policy") for name in names(row[0])}
    texts = {"action", "context", "callee_name", "agent_name", "organization"}
    assert policy | texts == set(CampaignRequest.model_fields)


def test_the_examples_of_errors_and_outcomes_are_ours() -> None:
    (error,) = [block for block in read("docs/api.md").blocks if block.kind == "json"]
    ErrorBody.model_validate_json(error.text, extra="forbid")
    outcome, event = [block for block in read("docs/results.md").blocks if block.kind == "json"]
    OutcomeAnswer.model_validate_json(outcome.text, extra="forbid")
    assert set(json.loads(event.text)) == {"type", "timestamp", "data"}


def test_an_app_of_your_own_has_the_routes() -> None:
    (block,) = [block for block in read("docs/api.md").blocks if block.kind == "python"]
    found: dict[str, Any] = {}
    exec(block.text, found)
    assert "/api/phone/call" in found["app"].openapi()["paths"]


# -- results ---------------------------------------------------------------------------------------------


def test_every_ending_and_event_is_explained() -> None:
    results = read("docs/results.md")
    assert [names(row[0])[0] for row in results.rows("Status")] == [reason.value for reason in EndedReason]
    assert all(f"`{status.value}`" in results.prose for status in Status)
    assert [names(row[0])[0] for row in results.rows("Webhooks")] == [event.value for event in EventType]


def test_the_receiver_of_webhooks_takes_ours_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "whsec_" + "c2VjcmV0" * 4
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    (block,) = [block for block in read("docs/results.md").blocks if block.kind == "python"]
    found: dict[str, Any] = {}
    exec(block.text, found)
    body = json.dumps({"type": "call_ended", "data": {"call_id": "call_01", "status": "completed"}})
    client = TestClient(found["app"])
    signed = _signed(secret, body)
    assert client.post("/calls", content=body, headers=signed).status_code == 204
    assert client.post("/calls", content=body, headers=signed).status_code == 204
    assert found["seen"] == {"msg_1"}
    assert client.post("/calls", content=body + " ", headers=signed).status_code == 401


def _signed(secret: str, body: str) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, body),
    }


# -- scenarios -------------------------------------------------------------------------------------------


def test_the_scenarios_load(tmp_path: Path) -> None:
    blocks = [block for block in read("docs/scenarios.md").blocks if block.kind == "toml"]
    assert len(blocks) >= 4
    for number, block in enumerate(blocks):
        whole = block.text if "description" in tomllib.loads(block.text) else BASE + block.text
        file = tmp_path / f"scenario_{number}.toml"
        file.write_text(whole, encoding="utf-8")
        load_file(file)


def test_every_tool_and_scenario_is_named() -> None:
    scenarios = read("docs/scenarios.md")
    assert {names(row[0])[0] for row in scenarios.rows("Tools")} == set(TOOLS)
    for file in (ROOT / "pipelines").glob("*.toml"):
        assert f"`{file.stem}`" in scenarios.prose
        assert f"`{file.stem}`" in read("README.md").prose


# -- architecture ----------------------------------------------------------------------------------------


def test_the_ways_of_a_call_are_as_they_are_told() -> None:
    steps = read("docs/architecture.md").rows("Three ways")
    assert len(steps) <= 20 + 4 + 5
    for _, file, functions in steps:
        (path,) = names(file)
        code = (ROOT / path).read_text(encoding="utf-8")
        for function in names(functions.partition(":")[0]):
            assert re.search(rf"\bdef {function}\b", code), f"{path}: {function}"


# -- operations ------------------------------------------------------------------------------------------


def test_every_setting_is_explained_with_its_default() -> None:
    operations = read("docs/operations.md")
    rows = [row for heading in ("Settings", "Limits") for row in operations.rows(heading)]
    explained = [name for row in rows for name in names(row[0])]
    explained += [names(row[0])[0] for row in operations.rows("Retention")]
    assert sorted(explained) == sorted(SETTINGS)
    for variables, default, _ in rows:
        for name, shown in zip(names(variables), names(default), strict=False):
            assert str(Settings.model_fields[name.lower()].default) == shown, name


# -- observability ---------------------------------------------------------------------------------------


def test_every_metric_is_explained_and_no_other() -> None:
    page, _ = metrics.page("")
    kinds = dict(re.findall(r"^# TYPE (phone_agent_\w+) (\w+)$", page.decode(), re.M))
    rows = {names(row[0])[0]: names(row[1]) for row in read("docs/observability.md").rows("Metrics")}
    assert set(rows) == set(kinds)
    for block in read("docs/observability.md").blocks:
        for name in re.findall(r"\bphone_agent_\w+", block.text):
            assert name.removesuffix("_bucket") in kinds, name


# -- third parties ---------------------------------------------------------------------------------------


def test_third_parties_are_those_of_the_image() -> None:
    assert read("docs/third_party.md").text == notices.page(), "run `uv run poe notices`"
    assert read("docs/third_party.md").text == vendored.page(), "run `uv run poe vendor`"
