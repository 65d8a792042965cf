"""One session with an MCP server: pipecat's client, with its tools as data. Imports the MCP SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loguru import logger
from mcp.client.session_group import StreamableHttpParameters
from mcp.client.stdio import StdioServerParameters
from mcp.types import TextContent
from pipecat.services.mcp_service import MCPClient, _error_detail, _is_connection_lost

from bot.conversation.tools.declared.mcp_server import Offered
from bot.conversation.tools.declared.schema import unfolded

MAX_REASON_CHARACTERS = 300


class McpSession:
    """Connects with the first `list`. Safe to use from several calls at once."""

    def __init__(
        self,
        *,
        url: str | None,
        headers: Mapping[str, str],
        command: str | None,
        args: Sequence[str],
        env: Mapping[str, str],
    ) -> None:
        if url is not None:
            self._client = _Client(StreamableHttpParameters(url=url, headers=dict(headers)))
        else:
            assert command is not None
            self._client = _Client(StdioServerParameters(command=command, args=list(args), env=dict(env)))

    async def list(self) -> list[Offered]:
        """What the server offers now. Whatever the SDK raises where it cannot be asked."""
        schemas = (await self._client.tools()).standard_tools
        return [
            Offered(schema.name, schema.description, schema.properties, tuple(schema.required))
            for schema in schemas
        ]

    async def call(self, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """The result's text, and whether the call failed. Where the session is gone, the next call connects."""
        return await self._client.call(name, arguments)

    async def close(self) -> None:
        await self._client.close()


class _Client(MCPClient):
    """pipecat's client, with two of its habits changed.

    It drops the `$defs` of a schema, which leaves references to nothing: here they are resolved first. And it
    gives a result as one string, its parts run together and a failure unmarked: here the parts are lines.
    """

    def _convert_mcp_schema_to_pipecat(
        self, tool_name: str, tool_schema: dict[str, Any], handler: Any = None
    ) -> Any:
        described = {
            "description": tool_schema["description"] or tool_name,
            "input_schema": unfolded(tool_schema["input_schema"]),
        }
        return super()._convert_mcp_schema_to_pipecat(tool_name, described, handler)

    async def _start_locked(self) -> None:
        before = self._session_task
        await super()._start_locked()
        if self._session_task is not None and self._session_task is not before:
            # One that broke is replaced, and nobody asks what broke it: the calls that failed have said so.
            self._session_task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def call(self, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        session = await self._open_session(as_owner=False)
        try:
            result = await session.call_tool(name, arguments=arguments)
        except Exception as e:
            if _is_connection_lost(e):
                logger.warning("an MCP server is gone; the next call of a tool connects again")
                await self._drop_session(session)
            return f"the tool's server failed: {_error_detail(e)}"[:MAX_REASON_CHARACTERS], True
        texts = [part.text for part in result.content if isinstance(part, TextContent)]
        return "\n".join(texts), result.is_error
