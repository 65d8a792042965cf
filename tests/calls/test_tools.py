"""Tools that a scenario file declares, in whole calls: waits are bridged, failures told, effects not undone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.calls.server import HANG_UP, hear, running_server, say, silence, steps, texts_of, vendors, wait
from tests.simulators.anthropic import AnthropicSimulator
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse
from tests.unit.loopback import serving

QUICK = (Path(__file__).parent / "pipelines" / "quick.toml").read_text(encoding="utf-8")
CLINIC = Path(__file__).parents[1] / "unit" / "conversation" / "tools" / "declared" / "mcp_server_of_a_clinic.py"
GOODBYE = Reply("Goodbye then.", (ToolUse("end_call", {"reason": "done"}),))
LOOK_UP = ToolUse("free_slots", {"day": "Friday"}, "toolu_look")
BOOK = ToolUse("book", {"slot": "Friday 9:00"}, "toolu_book")
BRIDGE = "Let me look that up."


def scenario(folder: Path, url: str, more: str = "") -> Path:
    """quick.toml with two HTTP tools at `url`."""
    path = folder / "desk.toml"
    path.write_text(
        f"""{QUICK}
[[http_tools]]
name = "free_slots"
description = "Free appointments of a day."
url = "{url}slots/{{{{day}}}}"
required = ["day"]
meanwhile = "{BRIDGE}"
allow_private = true
parameters.day = {{ type = "string" }}

[[http_tools]]
name = "book"
description = "Books a slot."
method = "POST"
url = "{url}book"
timeout_seconds = 4
meanwhile = ""
allow_private = true
parameters.slot = {{ type = "string" }}
{more}
""",
        encoding="utf-8",
    )
    return path


def answers(*rules: tuple[str, Reply | str]) -> RuleReplies:
    """By what is to be answered, not by count: replies that are begun early and dropped count too."""
    return RuleReplies([*rules, ("bye", GOODBYE)], otherwise="Yes?")


def told(sim: AnthropicSimulator, call_id: str) -> str:
    """The result that stands for a tool call in the last request."""
    for message in sim.exchanges[-1].request.messages:
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block["type"] == "tool_result" and block["tool_use_id"] == call_id:
                return str(block["content"])
    return ""


def uses_of(call: dict[str, Any]) -> dict[str, Any]:
    return {tool["name"]: tool["result"] for turn in call["transcript"] for tool in turn["tools"]}


async def test_a_slow_tool_without_a_word_is_bridged(tmp_path: Path) -> None:
    replies = answers(("9:00", "Friday at nine is free."), ("friday free", Reply("", (LOOK_UP,))))
    callee = steps(hear(), say("Is Friday free?"), hear(), hear(), say("Thanks, bye."), wait())
    async with serving() as tool_server, vendors(callee, replies) as sims:
        tool_server.body, tool_server.content_type, tool_server.after_seconds = (
            '["9:00"]',
            "application/json",
            3.0,
        )
        path = scenario(tmp_path, tool_server.url)
        async with running_server(tmp_path, more_scenarios=[path], **sims.keys()) as server:
            call = await server.ended(await server.call(scenario="desk"))
        assert call["ended_reason"] == "agent_hangup", call
        assert sims.anthropic.rejected == []
        said = " ".join(texts_of(call, "agent"))
        assert f"{BRIDGE} Friday at nine is free." in said, texts_of(call, "agent")
        assert tool_server.requests[0].path == "/slots/Friday"
        assert "9:00" in told(sims.anthropic, "toolu_look")
        assert uses_of(call)["free_slots"] == {"status": 200, "answer": ["9:00"]}


async def test_a_tool_that_fails_is_told_even_after_words(tmp_path: Path) -> None:
    replies = answers(("503", "I could not look it up."), ("friday free", Reply("One second.", (LOOK_UP,))))
    callee = steps(hear(), say("Is Friday free?"), hear(), hear(), say("Thanks, bye."), wait())
    async with serving() as tool_server, vendors(callee, replies) as sims:
        tool_server.status, tool_server.body = 503, "down for maintenance"
        path = scenario(tmp_path, tool_server.url)
        async with running_server(tmp_path, more_scenarios=[path], **sims.keys()) as server:
            call = await server.ended(await server.call(scenario="desk"))
        assert call["ended_reason"] == "agent_hangup", call
        said = " ".join(texts_of(call, "agent"))
        assert "One second. I could not look it up." in said
        assert BRIDGE not in said, "a quick tool needs no bridge"
        assert "503" in told(sims.anthropic, "toolu_look")
        assert "down for maintenance" in told(sims.anthropic, "toolu_look")


async def test_who_speaks_while_a_tool_acts_does_not_undo_it(tmp_path: Path) -> None:
    replies = answers(
        ("200", "It is booked."), ("are you there", "I am still booking it."), ("book", Reply("", (BOOK,)))
    )
    callee = steps(
        hear(), say("Book Friday."), silence(900), say("Are you there?"), hear(), hear(), say("Bye."), wait()
    )
    async with serving() as tool_server, vendors(callee, replies) as sims:
        tool_server.body, tool_server.after_seconds = "booked", 3.5
        path = scenario(tmp_path, tool_server.url)
        async with running_server(tmp_path, more_scenarios=[path], **sims.keys()) as server:
            call = await server.ended(await server.call(scenario="desk"))
        assert call["ended_reason"] == "agent_hangup", call
        assert sims.anthropic.rejected == []
        assert "It is booked." in " ".join(texts_of(call, "agent"))
        assert len(tool_server.requests) == 1
        assert any("booked" in str(e.request.messages[-1]) for e in sims.anthropic.exchanges)


async def test_who_hangs_up_while_a_tool_acts_does_not_undo_it(tmp_path: Path) -> None:
    callee = steps(hear(), say("Book Friday."), silence(1500), HANG_UP)
    async with serving() as tool_server, vendors(callee, answers(("book friday", Reply("", (BOOK,))))) as sims:
        tool_server.body, tool_server.after_seconds = "booked", 3.0
        path = scenario(tmp_path, tool_server.url)
        async with running_server(tmp_path, more_scenarios=[path], **sims.keys()) as server:
            call = await server.ended(await server.call(scenario="desk"))
        assert call["ended_reason"] == "callee_hangup", call
        assert uses_of(call)["book"] == {"status": 200, "answer": "booked"}


async def test_tools_of_mcp_servers(tmp_path: Path) -> None:
    """One is there, the other is down and costs the call nothing."""
    mcp = f"""
[[mcp_servers]]
name = "clinic"
command = "{sys.executable}"
args = ["{CLINIC}"]
tools = ["free_slots"]

[[mcp_servers]]
name = "gone"
command = "/nowhere/no-such-program"
"""
    clinic = ToolUse("clinic_free_slots", {"day": "Friday"}, "toolu_mcp")
    replies = answers(
        ("11:30", "Friday at half past eleven is free."), ("friday free", Reply("", (clinic, LOOK_UP)))
    )
    callee = steps(hear(), silence(1500), say("Is Friday free?"), hear(), say("Thanks, bye."), wait())
    async with serving() as tool_server, vendors(callee, replies) as sims:
        path = scenario(tmp_path, tool_server.url, mcp)
        async with running_server(tmp_path, more_scenarios=[path], **sims.keys()) as server:
            call = await server.ended(await server.call(scenario="desk"))
        assert call["ended_reason"] == "agent_hangup", call
        assert sims.anthropic.rejected == []
        assert "Friday 11:30" in told(sims.anthropic, "toolu_mcp")
        assert "ok" in told(sims.anthropic, "toolu_look")
        offered = sims.anthropic.exchanges[0].request.tool_names
        assert {name for name in offered if name.startswith(("clinic", "gone"))} == {"clinic_free_slots"}


async def test_a_variable_that_is_missing_is_said_before_the_phone_rings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESK_TOKEN", raising=False)
    secret = '[[http_tools]]\nname = "secret"\ndescription = "d"\nurl = "https://desk.example/"\n'
    path = scenario(tmp_path, "http://127.0.0.1:9/", secret + 'headers.Authorization = "{env:DESK_TOKEN}"')
    callee = steps(hear(), HANG_UP)
    async with (
        vendors(callee, answers()) as sims,
        running_server(tmp_path, more_scenarios=[path], **sims.keys()) as server,
    ):
        body = {"phone_number": "+12025550123", "action": "Ask", "scenario": "desk"}
        answer = await server.http.post("/api/phone/call", json=body)
        assert answer.status_code == 422
        assert "DESK_TOKEN" in answer.json()["error"]["message"]
        assert (await server.ended(await server.call(scenario="quick")))["ended_reason"] == "callee_hangup"
    async with running_server(tmp_path / "offline", callees=lambda _: callee, more_scenarios=[path]) as server:
        assert (await server.ended(await server.call(scenario="desk")))["ended_reason"] == "callee_hangup"
