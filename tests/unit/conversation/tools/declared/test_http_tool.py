"""http_tool.py: what is sent for which arguments, and what the model is told of what comes back."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from bot.conversation.tools.declared.http_tool import MAX_ANSWER_BYTES, HttpTool, prepare
from bot.errors import SettingsError
from bot.public_http import Outgoing
from tests.unit.conversation.tools.control import NotedControl
from tests.unit.loopback import serving

STRING = {"type": "string"}


def tool(**fields: Any) -> HttpTool:
    given = {
        "name": "look_up",
        "description": "Looks up.",
        "url": "https://api.example/v1/{{who}}",
        "parameters": {"who": STRING, "day": STRING, "tags": {"type": "array", "items": STRING}},
        **fields,
    }
    return HttpTool.model_validate(given)


@pytest.mark.parametrize(
    ("url", "arguments", "expected"),
    [
        ("https://a.example/{{who}}", {"who": "Ann Smith"}, "https://a.example/Ann%20Smith"),
        (
            "https://a.example/{{who}}/x",
            {"who": "a/b?c#d&e=%2e"},
            "https://a.example/a%2Fb%3Fc%23d%26e%3D%252e/x",
        ),
        ("https://a.example/{{who}}", {"who": "é"}, "https://a.example/%C3%A9"),
        ("https://a.example/{{day|all days}}/{{who}}", {"who": "Ann"}, "https://a.example/all%20days/Ann"),
        ("https://a.example/?d={{day|any}}", {}, "https://a.example/?d=any"),
        ("https://a.example/v{{who}}", {"who": 2}, "https://a.example/v2"),
        ("https://a.example/?q={{who}}&k=1", {"who": "a&k=2"}, "https://a.example/?q=a%26k%3D2&k=1"),
        ("https://a.example/?q={{who}}&k=1", {}, "https://a.example/?k=1"),
        ("https://a.example/", {"who": "x", "tags": ["a", "b"]}, "https://a.example/?who=x&tags=a&tags=b"),
        ("https://a.example/", {"who": None, "unknown": "y", "day": True}, "https://a.example/?day=true"),
    ],
)
def test_arguments_fill_their_places_and_no_others(url: str, arguments: dict[str, Any], expected: str) -> None:
    assert str(prepare(tool(url=url), arguments).url) == expected


@pytest.mark.parametrize("who", ["..", ".", "", "../admin", "a/../../b", "..\\x"])
def test_no_argument_leads_out_of_its_place(who: str) -> None:
    with pytest.raises(ValueError, match="who cannot be"):
        prepare(tool(), {"who": who})


def test_bodies() -> None:
    arguments = {"who": "ann", "day": "Monday", "tags": ["a", "b"]}
    posted = prepare(tool(method="POST"), arguments)
    assert posted.url.path == "/v1/ann"
    assert json.loads(posted.content) == {"day": "Monday", "tags": ["a", "b"]}
    assert prepare(tool(method="POST", body="form"), arguments).content == b"day=Monday&tags=a&tags=b"
    in_query = prepare(tool(method="POST", body="none"), arguments)
    assert in_query.content == b""
    assert in_query.url.query == b"day=Monday&tags=a&tags=b"
    assert prepare(tool(method="DELETE"), {"who": "ann"}).content == b""


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="missing: day, who"):
        prepare(tool(required=["day"]), {"tags": []})


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"url": "ftp://a.example/"}, "http"),
        ({"url": "https://{{who}}.example/"}, "path and the query only"),
        ({"url": "https://a.example:{{who}}/"}, "path and the query only"),
        ({"url": "https://me:secret@a.example/"}, "no user"),
        ({"url": "https://a.example/?{{who}}=1"}, "name of a query"),
        ({"url": "https://a.example/{{nobody}}"}, "not among the parameters"),
        ({"url": "https://a.example/{{who"}, "not closed"),
        ({"url": "https://a.example/{who}"}, "write {{who}}"),
        ({"url": "https://a.example/?key={env:KEY}"}, "headers only"),
        ({"required": ["nobody"]}, "not among the parameters"),
        ({"headers": {"X Y": "1"}}, "no header"),
        ({"headers": {"X": "a\r\nY: b"}}, "no header"),
        ({"headers": {"X": "{env:}"}}, "write"),
        ({"body": "json"}, "GET has no body"),
        ({"name": "look up"}, "pattern"),
        ({"parameters": {"who": {"type": "text"}}}, "unknown type"),
        ({"parameters": {"who": STRING, "w o": STRING}}, "letters, digits"),
        ({"parameters": {"who": {"type": "array", "items": {"$ref": "#/x"}}}}, "ref"),
        ({"timeout_seconds": 0}, "greater"),
        ({"shout": True}, "shout"),
    ],
)
def test_a_wrong_file_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        tool(**fields)


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    clients = Outgoing(ssl.create_default_context())
    yield clients
    await clients.close()


async def use(outgoing: Outgoing, declared: HttpTool, **arguments: Any) -> dict[str, Any]:
    built = declared.build(outgoing, {"TOKEN": "s3cret"})
    return await built.run(arguments, NotedControl())


async def test_headers_carry_secrets_of_the_environment(outgoing: Outgoing) -> None:
    async with serving() as server:
        declared = tool(url=server.url, allow_private=True, headers={"Authorization": "Bearer {env:TOKEN}"})
        assert await use(outgoing, declared, day="Monday") == {"status": 200, "answer": "ok"}
        (asked,) = server.requests
        assert asked.path == "/?day=Monday"
        assert asked.headers["authorization"] == "Bearer s3cret"
        assert "s3cret" not in repr(declared)
        assert declared.needs == {"TOKEN"}
        with pytest.raises(SettingsError, match="set TOKEN in the environment"):
            declared.build(outgoing, {})


async def test_a_secret_that_a_server_repeats_is_hidden(outgoing: Outgoing) -> None:
    """A server that echoes its request, as error pages do, brings no key to the model or into the record."""
    declared = tool(allow_private=True, headers={"X-Key": "{env:TOKEN}"}, url="http://127.0.0.1/")
    async with serving() as server:
        here = declared.model_copy(update={"url": server.url})
        for status in (200, 401):
            server.status, server.content_type = status, "application/json"
            server.body = json.dumps({"headers": [{"X-Key": "s3cret"}, "s3cret"], "s3cret": 1})
            result = await use(outgoing, here)
            assert "s3cret" not in json.dumps(result)
            assert "[hidden]" in json.dumps(result)


async def test_spaces_around_a_secret_are_no_part_of_it(outgoing: Outgoing) -> None:
    async with serving() as server:
        declared = tool(url=server.url, allow_private=True, headers={"Authorization": "Bearer {env:TOKEN}"})
        built = declared.build(outgoing, {"TOKEN": " s3cret "})
        assert "answer" in await built.run({}, NotedControl())
        assert server.requests[0].headers["authorization"] == "Bearer s3cret"


async def test_private_addresses_need_leave(outgoing: Outgoing) -> None:
    async with serving() as server:
        result = await use(outgoing, tool(url=server.url))
        assert "not a public address" in result["error"]
        assert server.requests == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"body": '{"free": ["9:00"]}', "content_type": "application/json"}, {"answer": {"free": ["9:00"]}}),
        ({"body": "plain"}, {"answer": "plain"}),
        ({"body": "", "status": 204}, {"status": 204}),
        ({"body": "<html>", "content_type": "application/json"}, {"error": "the answer is not the JSON"}),
        ({"body": "no such person" * 100, "status": 404}, {"error": "the server answered 404 Not Found"}),
        ({"body": "", "status": 599}, {"error": "the server answered 599"}),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1/"}}, {"error": "redirects are not followed"}),
        ({"body": b"\x1f\x8b", "headers": {"Content-Encoding": "gzip"}}, {"error": "compressed"}),
        ({"body": b"\xff\x00ab"}, {"answer": "�ab"}),
    ],
)
async def test_what_the_model_is_told(outgoing: Outgoing, answer: dict[str, Any], told: dict[str, Any]) -> None:
    async with serving() as server:
        for name, value in answer.items():
            setattr(server, name, value)
        result = await use(outgoing, tool(url=server.url, allow_private=True))
    for key, value in told.items():
        assert value in result[key] if isinstance(value, str) else result[key] == value
    assert len(json.dumps(result)) < 700


async def test_a_big_answer_is_cut_and_read_no_further(outgoing: Outgoing) -> None:
    async with serving() as server:
        server.body, server.content_type = json.dumps(["x"] * 2_000_000), "application/json"
        result = await use(outgoing, tool(url=server.url, allow_private=True))
    assert len(result["answer"]) == MAX_ANSWER_BYTES
    assert "cut after" in result["note"]


async def test_nobody_there(outgoing: Outgoing) -> None:
    async with serving() as server:
        url = server.url
    result = await use(outgoing, tool(url=url, allow_private=True))
    assert "127.0.0.1 could not be reached" in result["error"]


async def test_an_answer_that_breaks_off(outgoing: Outgoing) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()

    async with await asyncio.start_server(half, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        result = await use(outgoing, tool(url=f"http://127.0.0.1:{port}/", allow_private=True))
    assert "could not be reached: RemoteProtocolError" in result["error"]
