"""One session with an MCP server, shared by several calls. Imports the MCP SDK.

pipecat's MCPClient is not used: it opens its HTTP connections itself, past the check of their addresses, drops
the `$defs` of a schema, and gives a result as one string with its failure unmarked.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpx2
from loguru import logger
from mcp import ClientSession, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CONNECTION_CLOSED, TextContent

from bot.conversation.tools.tool import Offered
from bot.json_schema import unfolded

MAX_REASON_CHARACTERS = 300

Streams = tuple[Any, Any]
Connect = Callable[[], AbstractAsyncContextManager[Any]]
"""Opens a transport: the streams to read from and to write to."""


def over_http(url: str, client: Callable[[], httpx2.AsyncClient]) -> Connect:
    """Connect by streamable HTTP, with a new `client` each time."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[Streams]:
        async with client() as http, streamable_http_client(url, http_client=http) as streams:
            yield streams

    return connect


def program(command: str, args: tuple[str, ...], env: dict[str, str]) -> Connect:
    """Start a program of this machine and talk over its stdin and stdout."""
    return lambda: stdio_client(StdioServerParameters(command=command, args=list(args), env=env))


class McpSession:
    """Connects with the first `list`; after a lost connection the next request connects again."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._lock = asyncio.Lock()
        self._session: ClientSession | None = None
        self._owner: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._closed = False

    async def list(self) -> list[Offered]:
        """What the server offers now. Raises what the SDK raises where it cannot be asked."""
        listed = await (await self._opened()).list_tools()
        offered = []
        for tool in listed.tools:
            schema = unfolded(tool.input_schema)
            required = tuple(schema.get("required", ()))
            offered.append(
                Offered(tool.name, tool.description or tool.name, schema.get("properties", {}), required)
            )
        return offered

    async def call(self, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """The result's text, a line for each of its parts, and whether the call failed."""
        session = None
        try:
            session = await self._opened()
            result = await session.call_tool(name, arguments=arguments)
        except Exception as e:  # whatever the SDK raises is a sentence for the model
            if session is not None and _is_lost(e):
                logger.warning("an MCP server is gone; the next call of a tool connects again")
                await self._drop(session)
            return f"the tool's server failed: {_reason(e)}"[:MAX_REASON_CHARACTERS], True
        texts = [part.text for part in result.content if isinstance(part, TextContent)]
        return "\n".join(texts), result.is_error

    async def close(self) -> None:
        self._closed = True
        async with self._lock:
            await self._end()

    async def _opened(self) -> ClientSession:
        async with self._lock:
            if self._closed:
                raise ConnectionError("the session is closed")
            if self._session is None:
                await self._open()
            assert self._session is not None
            return self._session

    async def _open(self) -> None:
        ready: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        owner = asyncio.create_task(self._own(ready, self._over), name="mcp session")
        # What breaks it later has failed the calls that used it, and they have said so.
        owner.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            self._session = await ready
        except BaseException:
            owner.cancel()
            raise
        self._owner = owner

    async def _own(self, ready: asyncio.Future[ClientSession], over: asyncio.Event) -> None:
        """Hold the session open: the SDK wants it opened and closed by the same task."""
        session: ClientSession | None = None
        try:
            async with self._connect() as (read, write), ClientSession(read, write) as session:
                await session.initialize()
                if not ready.done():
                    ready.set_result(session)
                    await over.wait()
        except BaseException as e:
            if not ready.done():
                cause = _sole(e)
                ready.set_exception(cause if isinstance(cause, Exception) else ConnectionError("no connection"))
            raise
        finally:
            if session is not None and self._session is session:
                self._session = None

    async def _drop(self, session: ClientSession) -> None:
        """End the session a call failed on, unless another call has replaced it already."""
        async with self._lock:
            if self._session is session:
                await self._end()

    async def _end(self) -> None:
        owner, self._owner = self._owner, None
        self._over.set()
        if owner is not None:
            await asyncio.gather(owner, return_exceptions=True)


def _is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, rather than refused by a server that is there."""
    if isinstance(error, BaseExceptionGroup):
        return any(_is_lost(inner) for inner in error.exceptions)
    if isinstance(error, MCPError):
        return bool(error.error.code == CONNECTION_CLOSED)
    return isinstance(error, anyio.ClosedResourceError | anyio.BrokenResourceError | anyio.EndOfStream)


def _sole(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _reason(error: BaseException) -> str:
    cause = _sole(error)
    return str(cause) or type(cause).__name__
