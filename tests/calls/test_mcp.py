"""Another agent places a call: the SDK's client, over stdin and stdout, from `initialize` to the outcome."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.calls.server import HANG_UP, TO, hear, running_server, say, steps

CALLEE = steps(say("Hello?"), hear(), say("Yes, Thursday works."), hear(), HANG_UP)


async def _ask(session: ClientSession, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await session.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content or {})


async def test_from_initialize_to_the_outcome_with_evidence(tmp_path: Path) -> None:
    async with running_server(tmp_path, callees=lambda _: CALLEE) as server:
        program = StdioServerParameters(
            command=str(Path(sys.executable).with_name("phone-agent")), args=["mcp", "--server", server.url]
        )
        async with stdio_client(program) as (read, write), ClientSession(read, write) as session:
            known = await session.initialize()
            assert known.instructions is not None
            placed = await _ask(
                session, "place_call", phone_number=TO, action="see whether Thursday works", scenario="machines"
            )
            ended = placed
            while not ended["finished"]:
                ended = await _ask(session, "wait_for_call", call_id=placed["call_id"])
        assert ended["outcome"]["reached_goal"] is True
        assert ended["outcome"]["fields"]["confirmed"] is True
        assert ended["outcome"]["evidence"]["confirmed"] == ["Yes, Thursday works."]
        assert "callee: Yes, Thursday works." in ended["transcript"]
