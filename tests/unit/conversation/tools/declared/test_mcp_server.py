"""bot/conversation/tools/mcp_server.py against a real MCP server, over HTTP and as a program."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from loguru import logger
from pydantic import ValidationError

from bot.conversation.tools.declared.mcp_server import McpServer, McpServers, offered_name
from bot.conversation.tools.tool import Tool
from bot.json_schema import checked_properties
from bot.public_http import Outgoing, is_public
from tests.unit.conversation.tools.control import NotedControl
from tests.unit.conversation.tools.declared.mcp_server_of_a_clinic import serving_clinic
from tests.unit.loopback import serving

PROGRAM = Path(__file__).with_name("mcp_server_of_a_clinic.py")


def server(**fields: Any) -> McpServer:
    return McpServer.model_validate({"name": "clinic", "allow_private": True, **fields})


def program(**fields: Any) -> McpServer:
    return server(command=sys.executable, args=[str(PROGRAM)], **fields)


@pytest.fixture
async def servers() -> AsyncIterator[McpServers]:
    outgoing = Outgoing(ssl.create_default_context())
    opened = McpServers({"WHO": "Ann"}, lambda: outgoing)
    yield opened
    await opened.close()
    await outgoing.close()


async def use(tools: tuple[Tool, ...], name: str, **arguments: Any) -> dict[str, Any]:
    (tool,) = [tool for tool in tools if tool.name == name]
    return await tool.run(arguments, NotedControl())


async def test_tools_of_a_server(servers: McpServers) -> None:
    async with serving_clinic() as url:
        declared = server(url=url)
        assert servers.ready(declared) is None
        tools = await servers.ask(declared)
        assert {tool.name for tool in tools} >= {"clinic_free_slots", "clinic_book", "clinic_dotted_name"}
        for tool in tools:
            assert tool.description
            assert checked_properties(tool.parameters) == tool.parameters, "a schema that Claude refuses"
        (book,) = [tool for tool in tools if tool.name == "clinic_book"]
        assert book.parameters["patient"]["properties"]["name"]["type"] == "string"
        assert set(book.required) == {"patient", "slot"}

        slots = await use(tools, "clinic_free_slots", day="Friday")
        assert slots == {"answer": "Friday 9:00\nFriday 11:30"}
        booked = await use(tools, "clinic_book", patient={"name": "John"}, slot="Friday 9:00")
        assert booked["answer"] == {"booked": "Friday 9:00", "for": "John"}
        assert "status" in await use(tools, "clinic_dotted_name")
        assert "Error executing tool fail" in (await use(tools, "clinic_fail"))["error"]
        assert "error" in await use(tools, "clinic_free_slots"), "a call without its argument"
        await servers.close()


async def test_a_program(servers: McpServers) -> None:
    declared = program(env={"CLINIC_USER": "{env:WHO}"}, tools=["whoami", "free_slots", "nothing"])
    tools = await servers.ask(declared)
    assert {tool.name for tool in tools} == {"clinic_whoami", "clinic_free_slots"}
    assert await use(tools, "clinic_whoami") == {"answer": "Ann"}
    assert servers.ready(declared) is not None


async def test_calls_share_a_session(servers: McpServers) -> None:
    declared = program()
    first, second = await asyncio.gather(servers.ask(declared), servers.ask(declared))
    assert len(first) == len(second) > 0
    # One call that waited for the other's would wait for ever.
    answers = await asyncio.gather(*(use(tools, "clinic_meet") for tools in (first, second)))
    assert all("done" in str(answer) for answer in answers), answers


async def test_a_server_that_is_down_brings_nothing(servers: McpServers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for declared in (server(url=f"http://127.0.0.1:{port}/mcp"), server(command="/nowhere/no-such-program")):
        assert await servers.ask(declared) == ()
        assert servers.ready(declared) is None


async def test_a_private_address_needs_leave(servers: McpServers) -> None:
    async with serving_clinic() as url:
        assert await servers.ask(server(url=url, allow_private=False)) == ()


async def test_a_name_that_changes_its_address_is_refused(
    servers: McpServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when the name is checked, this machine when the socket opens."""
    addresses = ["127.0.0.2"]  # taken for public here; nothing listens on it
    asked = socket.getaddrinfo

    def rebinding(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host in ("clinic.example", b"clinic.example"):
            host = addresses.pop() if addresses else "127.0.0.1"
        return asked(host, *args, **kwargs)

    monkeypatch.setattr("bot.public_http.is_public", lambda a: str(a) == "127.0.0.2" or is_public(a))
    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    async with serving() as private:
        declared = server(url=f"http://clinic.example:{private.port}/mcp", allow_private=False)
        assert await servers.ask(declared) == ()
        assert not addresses
        assert private.requests == []


async def test_a_redirect_to_a_private_address_is_refused(
    servers: McpServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.public_http.is_public", lambda a: str(a) == "127.0.0.2" or is_public(a))
    async with serving() as private, serving(host="127.0.0.2") as public:
        public.status, public.headers = 307, {"Location": private.url}
        declared = server(url=f"http://127.0.0.2:{public.port}/mcp", allow_private=False)
        assert await servers.ask(declared) == ()
        assert public.requests
        assert private.requests == []


async def test_secrets_stay_out_of_answers_and_logs() -> None:
    lines: list[str] = []
    sink = logger.add(lines.append)
    servers = McpServers({"WHO": "Ann-s3cret", "KEY": "s3\x00cret-key", "ODD": "s3cret\xe9\u2028"})
    try:
        tools = await servers.ask(program(env={"CLINIC_USER": "{env:WHO}"}))
        assert await use(tools, "clinic_whoami") == {"answer": "[hidden]"}
        async with serving_clinic() as url:
            for name in ("KEY", "ODD"):
                assert await servers.ask(server(url=url, headers={"X-Key": f"{{env:{name}}}"})) == ()
            bad = server(url=url, headers={"X-Key": "{env:WHO}"})
            servers._log_down(bad, ValueError("Illegal header value b'Ann-s3cret'"))
    finally:
        await servers.close()
        logger.remove(sink)
    told = "".join(lines)
    assert told.count("is not there") == 3
    assert "s3cret" not in told
    assert "[hidden]" in told


async def test_a_missing_variable_costs_the_tools_only(servers: McpServers) -> None:
    assert await servers.ask(program(env={"X": "{env:MISSING}"})) == ()


async def test_a_server_that_never_answers(servers: McpServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.conversation.tools.declared.mcp_server.CONNECT_SECONDS", 1.0)
    accepted: list[asyncio.StreamWriter] = []

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as silent:
        await servers.load()
        port = silent.sockets[0].getsockname()[1]
        async with asyncio.timeout(30):
            assert await servers.ask(server(url=f"http://127.0.0.1:{port}/mcp")) == ()
        assert accepted
        for writer in accepted:
            writer.close()


async def test_a_server_that_was_restarted(servers: McpServers) -> None:
    async with serving_clinic() as url:
        declared = server(url=url)
        tools = await servers.ask(declared)
    gone = await use(tools, "clinic_free_slots", day="Friday")
    assert "error" in gone
    assert await servers.ask(declared) == ()
    async with serving_clinic(urlsplit(url).port or 0):
        tools = await servers.ask(declared)
        assert "Friday 9:00" in str(await use(tools, "clinic_free_slots", day="Friday"))
        await servers.close()


async def test_who_stops_waiting_stops_nobody_else(servers: McpServers) -> None:
    declared = program()
    impatient = asyncio.create_task(servers.ask(declared))
    patient = asyncio.create_task(servers.ask(declared))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "either a url or a command"),
        ({"url": "http://a.example/", "command": "x"}, "either a url or a command"),
        ({"url": "http://a.example/", "args": ["x"]}, "belong to a command"),
        ({"command": "x", "headers": {"A": "b"}}, "belong to a url"),
        ({"url": "a.example"}, "http"),
        ({"command": "x", "env": {"A": "{env:}"}}, "write"),
        ({"command": "x", "name": "a b"}, "pattern"),
    ],
)
def test_a_wrong_file_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        server(**fields)


def test_names_for_the_model() -> None:
    assert offered_name("crm", "find.customer/v2") == "crm_find_customer_v2"
    assert len(offered_name("crm", "x" * 100)) == 64
