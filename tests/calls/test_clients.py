"""Other programs place calls: the MCP SDK's client over stdin and stdout, and our own client over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from bot.client import PhoneCall
from tests.calls.server import HANG_UP, TO, hear, running_server, say, steps
from tests.markdown import read

CALLEE = steps(say("Hello?"), hear(), say("Yes, Thursday works."), hear(), HANG_UP)


async def _ask(session: ClientSession, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await session.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content or {})


async def test_two_programs_place_calls(tmp_path: Path) -> None:
    async with running_server(tmp_path, callees=lambda _: CALLEE) as server:
        program = StdioServerParameters(
            command=str(Path(sys.executable).with_name("phone-agent")), args=["mcp", "--server", server.url]
        )
        async with stdio_client(program) as (read, write), ClientSession(read, write) as session:
            known = await session.initialize()
            assert known.instructions is not None
            by_http = asyncio.create_task(asyncio.to_thread(_run_the_docs_example, server.url))
            placed = await _ask(
                session, "place_call", phone_number=TO, action="see whether Thursday works", scenario="machines"
            )
            ended = placed
            while not ended["finished"]:
                ended = await _ask(session, "wait_for_call", call_id=placed["call_id"])
        names, call = await by_http
        assert ended["outcome"]["reached_goal"] is True
        assert ended["outcome"]["fields"]["confirmed"] is True
        assert ended["outcome"]["evidence"]["confirmed"] == ["Yes, Thursday works."]
        assert "callee: Yes, Thursday works." in ended["transcript"]
        assert call.outcome is not None
        assert call.outcome.fields["confirmed"] is True
        assert {"status_changed", "turn_completed", "outcome_written"} <= set(names)
        assert names[-1] == "stream_ended"


def _run_the_docs_example(url: str) -> tuple[list[str], PhoneCall]:
    """As a program without `await` does: the names of all events, and the call."""
    example, *_ = read("docs/client.md").blocks
    said = io.StringIO()
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(said):
        exec(example.text.replace("http://127.0.0.1:8000", url), names)
    call = names["call"]
    assert isinstance(call, PhoneCall)
    return [line.partition(" ")[0] for line in said.getvalue().splitlines()][:-1], call
