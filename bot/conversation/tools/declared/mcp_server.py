"""MCP servers of a scenario file: [[mcp_servers]], their sessions, and the tools they bring.

One session a server and process, shared by its calls, opened when a phone first rings for a scenario that
names the server and looked after at each ring that follows. Nobody waits for one on the line: a server that
is down, or late, costs a call its tools and nothing else.

The tools are not handed to pipecat as they are: it would close the shared session with the first call that
ends, and offer names and schemas that Claude refuses together with the whole request.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import json
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loguru import logger
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bot.conversation.tools.tool import CallControl, Offered, Tool
from bot.errors import PhoneAgentError
from bot.json_schema import checked_properties
from bot.public_http import Outgoing
from bot.settings import filled, names_in, secrets_of, without

if TYPE_CHECKING:
    from bot.conversation.tools.declared.mcp_session import McpSession

CONNECT_SECONDS = 10.0
"""For the handshake and the list of tools; a server started as a process needs a second or two."""
CLOSE_SECONDS = 5.0
MAX_ANSWER_CHARACTERS = 16_384
MAX_DESCRIPTION_CHARACTERS = 1024


class McpServer(BaseModel):
    """[[mcp_servers]]: a server whose tools the model can use while it talks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,24}$")
    """Its tools are offered as NAME_TOOL."""
    url: str | None = None
    """Streamable HTTP."""
    headers: dict[str, str] = Field(default_factory=dict)
    """`{env:NAME}` is replaced by the environment variable."""
    command: str | None = None
    """Or a program of this machine, spoken to over its stdin and stdout."""
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    """The program's environment, beside PATH, HOME and the like; `{env:NAME}` here too."""
    tools: tuple[str, ...] = ()
    """Those to offer, by the server's own names; empty: all."""
    timeout_seconds: float = Field(default=5.0, ge=0.5, le=60)
    meanwhile: str | None = None
    """Said while a tool runs; None: the language's own phrase, "": nothing."""
    repeatable: tuple[str, ...] = ()
    """Tools, by the server's own names, that may run again with the same arguments in the same call."""
    allow_private: bool = False

    @field_validator("url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
                raise ValueError("give an http:// or https:// URL without a user")
            parts.port  # noqa: B018  # raises ValueError for a port that is none
        return value

    @field_validator("headers", "env")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        for text in value.values():
            names_in(text)
        return value

    @model_validator(mode="after")
    def _one_way_to_it(self) -> McpServer:
        if (self.url is None) == (self.command is None):
            raise ValueError("give either a url or a command")
        if self.command is None and (self.args or self.env):
            raise ValueError("args and env belong to a command")
        if self.url is None and self.headers:
            raise ValueError("headers belong to a url")
        return self

    @property
    def needs(self) -> set[str]:
        """Environment variables."""
        return {name for text in (*self.headers.values(), *self.env.values()) for name in names_in(text)}

    @property
    def address(self) -> str:
        """Servers with the same one share a session."""
        return self.model_dump_json(include={"url", "headers", "command", "args", "env", "allow_private"})


@dataclass
class _Entry:
    session: McpSession | None = None
    offered: tuple[Offered, ...] | None = None
    """None: it is down, or was never asked."""
    asking: asyncio.Task[None] | None = None


@dataclass
class McpServers:
    """The sessions of one process. `environment` fills {env:NAME}; `outgoing` opens the connections."""

    environment: Mapping[str, str]
    outgoing: Callable[[], Outgoing] = lambda: Outgoing(ssl.create_default_context())
    _entries: dict[str, _Entry] = field(default_factory=dict)

    async def load(self) -> None:
        """Import the SDK, off the loop: it takes a second, and most processes never need it."""
        await asyncio.to_thread(importlib.import_module, "bot.conversation.tools.declared.mcp_session")

    def ready(self, server: McpServer) -> tuple[Tool, ...] | None:
        """Its tools, where they are known without waiting."""
        entry = self._entries.get(server.address)
        if entry is None or entry.session is None or entry.offered is None:
            return None
        return _tools(server, entry.session, entry.offered, secrets_of(server.needs, self.environment))

    async def ask(self, server: McpServer) -> tuple[Tool, ...]:
        """Connect, or see whether the server is still there; its tools, none where it is not. Never raises.

        Who stops waiting stops nothing: the session is everybody's.
        """
        await asyncio.shield(self._asking(server))
        return self.ready(server) or ()

    async def joined(self, server: McpServer) -> tuple[Tool, ...]:
        """Its tools as soon as the asking that was begun is over; one that was found down is not asked again."""
        entry = self._entries.get(server.address)
        if entry is None or entry.asking is None:
            return await self.ask(server)
        await asyncio.shield(entry.asking)
        return self.ready(server) or ()

    def begin(self, servers: Iterable[McpServer]) -> None:
        """Ask them without waiting."""
        for server in servers:
            self._asking(server)

    def _asking(self, server: McpServer) -> asyncio.Task[None]:
        entry = self._entries.setdefault(server.address, _Entry())
        if entry.asking is None or entry.asking.done():
            asking = self._ask(server, entry)
            # No call's name stands in the session's log lines: it outlives the call that opened it.
            entry.asking = asyncio.create_task(asking, name=f"mcp {server.name}", context=contextvars.Context())
        return entry.asking

    async def close(self) -> None:
        entries = list(self._entries.values())
        self._entries.clear()
        asking = [entry.asking for entry in entries if entry.asking is not None]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await asyncio.gather(*(_close(entry) for entry in entries))

    async def _ask(self, server: McpServer, entry: _Entry) -> None:
        known = entry.session is not None
        try:
            await self._list(server, entry)
        except Exception as e:
            await _close(entry)
            if not known:
                self._log_down(server, e)
                return
            # A session of yesterday: the server may have been restarted since.
            try:
                await self._list(server, entry)
            except Exception as again:
                await _close(entry)
                self._log_down(server, again)

    async def _list(self, server: McpServer, entry: _Entry) -> None:
        await self.load()
        async with asyncio.timeout(CONNECT_SECONDS):
            if entry.session is None:
                entry.session = self.build_session(server)
            entry.offered = tuple(await entry.session.list())

    def build_session(self, server: McpServer) -> McpSession:
        from bot.conversation.tools.declared import mcp_session  # imports the SDK

        if server.command is not None:
            env = {name: filled(text, self.environment) for name, text in server.env.items()}
            return mcp_session.McpSession(mcp_session.program(server.command, server.args, env))
        headers = {name: filled(text, self.environment) for name, text in server.headers.items()}
        client = partial(self.outgoing().session, allow_private=server.allow_private, headers=headers)
        return mcp_session.McpSession(mcp_session.over_http(server.url or "", client))

    def _log_down(self, server: McpServer, failure: Exception) -> None:
        why = failure.message if isinstance(failure, PhoneAgentError) else str(failure) or type(failure).__name__
        # An HTTP library names the header it refuses with its value.
        why = without(secrets_of(server.needs, self.environment), why)[:300]
        logger.warning("MCP server {} is not there, its tools are not offered: {}", server.name, why)


async def _close(entry: _Entry) -> None:
    session, entry.session, entry.offered = entry.session, None, None
    if session is None:
        return
    # A session whose transport broke ends in a cancellation of its own, which must not become ours.
    closing = asyncio.create_task(session.close(), name="mcp close")
    _, late = await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(closing, return_exceptions=True)


def _tools(
    server: McpServer, session: McpSession, offered: tuple[Offered, ...], secrets: tuple[str, ...]
) -> tuple[Tool, ...]:
    """Those of the allow-list; what Claude would refuse is left out with a line in the log."""
    tools: dict[str, Tool] = {}
    for one in offered:
        if server.tools and one.name not in server.tools:
            continue
        name = offered_name(server.name, one.name)
        try:
            parameters = checked_properties(one.parameters)
            if name in tools:
                raise ValueError("another tool of the server has this name")
        except (ValueError, RecursionError) as e:
            logger.warning("tool {} of MCP server {} is left out: {}", one.name, server.name, e)
            continue
        tools[name] = Tool(
            name=name,
            description=one.description[:MAX_DESCRIPTION_CHARACTERS],
            parameters=parameters,
            required=tuple(r for r in one.required if r in parameters),
            run=_runner(session, one.name, secrets),
            timeout_seconds=server.timeout_seconds,
            meanwhile=server.meanwhile,
            outside=True,
            repeatable=one.name in server.repeatable,
        )
    for wanted in set(server.tools) - {one.name for one in offered}:
        logger.warning("MCP server {} has no tool {}", server.name, wanted)
    return tuple(tools.values())


def offered_name(server: str, tool: str) -> str:
    """The tool's name for the model: letters, digits, - and _, 64 at most."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", f"{server}_{tool}")[:64]


def _runner(session: McpSession, name: str, secrets: tuple[str, ...]) -> Any:
    async def run(arguments: Mapping[str, Any], _control: CallControl) -> dict[str, Any]:
        text, failed = await session.call(name, dict(arguments))
        text = without(secrets, text)
        if failed:
            return {"error": text[:MAX_ANSWER_CHARACTERS]}
        if not text:
            return {"status": "done; the tool has nothing to say about it"}
        if len(text) > MAX_ANSWER_CHARACTERS:
            note = f"cut after {MAX_ANSWER_CHARACTERS} characters; there is more"
            return {"answer": text[:MAX_ANSWER_CHARACTERS], "note": note}
        try:
            return {"answer": json.loads(text, parse_constant=str)}
        except (ValueError, RecursionError):
            return {"answer": text}

    return run
