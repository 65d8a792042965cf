"""`phone-agent mcp`: a running server's /mcp, for clients that talk to a program over its stdin and stdout."""

import argparse
from typing import Any

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams

from bot.cli.running_server import PHONE_AGENT_URL, address_of
from bot.errors import PhoneAgentError

TOOL_SECONDS = 60.0
"""wait_for_call takes 50."""


async def run(chosen: argparse.Namespace) -> int:
    """Until stdin ends. PhoneAgentError where no server answers."""
    given, key = address_of(chosen)
    url = given.rstrip("/")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(headers=headers, timeout=TOOL_SECONDS) as http:
        try:
            answer = await http.get(f"{url}/api/phone/health")
            answer.raise_for_status()
        except httpx2.HTTPError as e:
            raise PhoneAgentError(f"no server answers at {url} ({e}): start it, or set {PHONE_AGENT_URL}") from e
        connection = streamable_http_client(f"{url}/mcp", http_client=http)
        async with connection as (read, write), ClientSession(read, write) as session:
            known = await session.initialize()
            await _serve(session, known.instructions)
    return 0


async def _serve(session: ClientSession, instructions: str | None) -> None:
    async def list_tools(_: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        return await session.list_tools(params=params)

    async def call_tool(_: Any, params: CallToolRequestParams) -> CallToolResult:
        return await session.call_tool(params.name, params.arguments)

    server = Server("phone-agent", instructions=instructions, on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
