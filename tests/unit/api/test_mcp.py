"""/mcp with the SDK's own client, and the product's agent behind it on a carrier that costs money."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent

from bot.api import install, mcp, mcp_router
from bot.api.requests import CallRequest
from bot.calls.planner import Planner
from tests.unit.calls.agent.agents import TO, AgentHarness, build
from tests.unit.calls.calls_in_memory import hold_quietly

REAL = {"phone_number": TO, "action": "confirm the appointment", "confirm_number": TO, "purpose": "service"}


@asynccontextmanager
async def asking(harness: AgentHarness, key: str | None = "key") -> AsyncIterator[ClientSession]:
    app = FastAPI()
    app.state.phone_agent = harness.agent
    app.include_router(mcp_router)
    install(app)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    transport = httpx2.ASGITransport(app)
    async with (
        httpx2.AsyncClient(transport=transport, headers=headers) as http,
        streamable_http_client("http://127.0.0.1/mcp", http_client=http) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


@asynccontextmanager
async def running(tmp_path: Path, **settings: Any) -> AsyncIterator[AgentHarness]:
    harness = build(tmp_path, twilio_phone_number="+12025550100", **settings)
    await harness.agent.open()
    try:
        yield harness
    finally:
        await harness.agent.close()


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    hold_quietly(monkeypatch)


async def ask(session: ClientSession, tool: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    """The tool's answer, and the sentence of its refusal."""
    result = await session.call_tool(tool, arguments)
    (part,) = result.content
    assert isinstance(part, TextContent)
    return (dict(result.structured_content or {}), "") if not result.is_error else ({}, part.text)


async def test_every_tool_is_told_with_a_schema_that_a_model_can_fill(tmp_path: Path) -> None:
    async with running(tmp_path) as harness, asking(harness) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
    assert set(tools) == {
        *("place_call", "get_call", "wait_for_call", "list_calls", "hang_up", "check_do_not_call"),
        *("say_in_call", "simulate_call"),
    }
    assert all(tool.description for tool in tools.values())
    assert tools["place_call"].input_schema["required"] == ["phone_number", "action"]
    reads = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
    assert reads == set(tools) - {"place_call", "simulate_call", "say_in_call", "hang_up"}


async def test_a_call_that_costs_money_is_confirmed(tmp_path: Path) -> None:
    async with running(tmp_path, mcp_calls_per_day=1) as harness, asking(harness) as session:
        for changes, said in (
            ({"confirm_number": ""}, "Give the number a second time in confirm_number"),
            ({"confirm_number": "+12025550124"}, "the two have to be the same"),
            ({"purpose": None}, 'purpose "service" or "marketing"'),
            ({"phone_number": "+442079460958", "confirm_number": "+442079460958"}, "GB is not among"),
            ({"phone_number": "202 555 0123"}, "write it in E.164"),
            ({"scenario": "apointment_confirmation"}, "apointment_confirmation"),
        ):
            found, refusal = await ask(session, "place_call", **{**REAL, **changes})
            assert not found
            assert said in refusal
        assert harness.carrier.dialled == []

        placed, _ = await ask(session, "place_call", **REAL)
        assert placed["finished"] is False
        assert placed["opening_preview"] == "Hi."
        async with asyncio.timeout(20):
            while placed["status"] == "queued":
                placed, _ = await ask(session, "get_call", call_id=placed["call_id"])
        again, _ = await ask(session, "place_call", **REAL)
        assert again["call_id"] == placed["call_id"], "asked for again: the same call"
        assert len(harness.carrier.dialled) == 1
        _, refusal = await ask(session, "place_call", **REAL, request_id="another")
        assert "MCP_CALLS_PER_DAY is 1" in refusal

        listed, _ = await ask(session, "list_calls")
        assert [call["call_id"] for call in listed["calls"]] == [placed["call_id"]]
        _, refusal = await ask(session, "say_in_call", call_id=placed["call_id"], text="One moment.")
        assert "not on the line" in refusal
        ended, _ = await ask(session, "hang_up", call_id=placed["call_id"])
        assert (ended["finished"], ended["ended_reason"]) == (True, "canceled")
        known, _ = await ask(session, "wait_for_call", call_id=placed["call_id"])
        assert known == ended


async def test_a_list_has_what_may_be_looked_at_of_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as harness, asking(harness) as session:
        placed, _ = await ask(session, "place_call", **REAL)
        await ask(session, "hang_up", call_id=placed["call_id"])
        monkeypatch.setattr(
            Planner, "shown", lambda _, record: replace(record, spec=replace(record.spec, action=""))
        )
        listed, _ = await ask(session, "list_calls")
    assert [call["action"] for call in listed["calls"]] == [""]


async def test_a_simulated_call_is_held_by_a_program_without_our_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = {"ended_reason": "dial_busy", "transcript": [{"speaker": "callee", "text": "Hello?"}]}
    program = (
        "import json, os, sys; asked = sys.argv[1:]; "
        "sys.exit('error: There is no scenario of this name.') if asked[-1] == 'surwey' else None; "
        "assert 'ANTHROPIC_API_KEY' not in os.environ; "
        f"print(json.dumps({{**{record}, 'action': ' '.join(asked)}}))"
    )
    monkeypatch.setattr(mcp, "_SIMULATE", program)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    async with running(tmp_path) as harness, asking(harness) as session:
        tried, _ = await ask(session, "simulate_call", scenario="survey", action="-ask", callee="busy")
        assert tried == {
            "ended_reason": "dial_busy",
            "action": "simulate --json --action=-ask --callee=busy -- survey",
            "transcript": ["callee: Hello?"],
        }
        _, refusal = await ask(session, "simulate_call", scenario="surwey")
        assert "There is no scenario of this name." in refusal


async def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    async with running(tmp_path) as harness, asking(harness) as session:
        _, refusal = await ask(session, "get_call", call_id="call_0")
        assert "call_0" in refusal
        assert (await ask(session, "check_do_not_call", phone_number=TO))[0]["listed"] is False
        await harness.agent.do_not_call.add(TO)
        assert (await ask(session, "check_do_not_call", phone_number=TO))[0]["listed"] is True


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_without_a_key_nobody_is_told_anything(tmp_path: Path, key: str | None) -> None:
    async with running(tmp_path) as harness:
        app = FastAPI()
        app.state.phone_agent = harness.agent
        app.include_router(mcp_router)
        install(app)
        headers = {"accept": "application/json, text/event-stream"}
        if key is not None:
            headers["X-API-Key"] = key
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as http:
            answer = await http.post("/mcp", headers=headers, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
        assert answer.status_code == 401
        assert re.search("API_KEYS", answer.text)


def test_the_workflow_to_import_asks_for_a_call_as_the_api_takes_it() -> None:
    flow = json.loads((Path(__file__).parents[3] / "docs" / "n8n_workflow.json").read_text(encoding="utf-8"))
    names = {node["name"] for node in flow["nodes"]}
    leads = {
        name: [end["node"] for ends in way["main"] for end in ends] for name, way in flow["connections"].items()
    }
    assert leads.keys() | {end for ends in leads.values() for end in ends} == names
    (settings,) = [node["parameters"] for node in flow["nodes"] if node["name"] == "Settings"]
    given = {field["name"]: field["value"] for field in settings["assignments"]["assignments"]}
    body = {name: value for name, value in given.items() if name not in {"server", "key"}}
    assert CallRequest.model_validate(body).phone_number == TO
