"""The streams of events over HTTP: format, resuming, keys, slow readers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import Message

from bot.api import events as events_module
from bot.api import router
from bot.api.events import EventStream
from bot.api.problems import install
from bot.calls.live.events import StatusChanged
from bot.records import Status
from bot.settings import Settings
from bot.store import CallChange, Database, SqlCallStore
from bot.store.address import SqliteAddress
from tests.unit.calls.live.live import OneProcess, processes
from tests.unit.store.examples import a_call, a_turn


@asynccontextmanager
async def serving(tmp_path: Path, *keys: str) -> AsyncIterator[tuple[httpx.AsyncClient, OneProcess]]:
    store = SqlCallStore(Database(SqliteAddress(tmp_path / "calls.db")))
    await store.open()
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    await store.add(
        a_call(
            created_at=long_ago,
            turns=(
                replace(a_turn(text="<script>\nalert(1)</script>"), latency=None, tools=(), started_at=long_ago),
            ),
        )
    )
    change = CallChange(ended_at=long_ago + timedelta(minutes=1))
    await store.advance("call-1", Status.COMPLETED, at=long_ago, change=change)
    process = processes(store)[0]
    app = FastAPI()
    app.include_router(router)
    install(app)
    app.state.phone_agent = SimpleNamespace(
        settings=Settings(_env_file=None, api_keys=tuple(map(SecretStr, keys))),
        carrier=SimpleNamespace(simulated=True),
        store=store,
        feeds=process.feeds,
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
            yield http, process
    finally:
        await store.close()


def read(body: str) -> list[dict[str, str]]:
    """The events of a stream, as a browser reads them."""
    return [
        dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        for block in body.strip().split("\n\n")
        if "data: " in block
    ]


async def test_a_finished_call_is_told_and_the_stream_ends(tmp_path: Path) -> None:
    async with serving(tmp_path) as (http, process):
        answer = await http.get("/api/phone/calls/call-1/events")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.text.startswith(": events\nretry: 1000\n\n")
        events = read(answer.text)
        assert [one["event"] for one in events] == [
            "status_changed",
            "turn_completed",
            "status_changed",
            "stream_ended",
        ]
        turn = next(json.loads(one["data"]) for one in events if one["event"] == "turn_completed")
        assert turn["text"] == "<script>\nalert(1)</script>"
        assert turn["call_id"] == "call-1"
        assert len({one["id"] for one in events}) == len(events)
        again = await http.get("/api/phone/calls/call-1/events", headers={"Last-Event-ID": events[-1]["id"]})
        assert again.status_code == 204
        assert not process.hub.subscriptions


async def test_only_what_is_named_comes(tmp_path: Path) -> None:
    async with serving(tmp_path) as (http, _):
        answer = await http.get("/api/phone/calls/call-1/events", params={"only": ["turn_completed"]})
        assert [one["event"] for one in read(answer.text)] == ["turn_completed", "stream_ended"]
        wrong = await http.get("/api/phone/calls/call-1/events", params={"only": "turns"})
        assert wrong.status_code == 422


async def test_a_wrong_call_id_and_a_missing_key_are_told_before_the_stream(tmp_path: Path) -> None:
    async with serving(tmp_path, "key") as (http, _):
        url = "/api/phone/calls/call-1/events"
        assert (await http.get(url)).status_code == 401
        assert (await http.get("/api/phone/events")).status_code == 401
        http.headers["X-API-Key"] = "key"
        wrong = await http.get(url, headers={"Last-Event-ID": "none"})
        assert wrong.status_code == 422
        assert wrong.json()["error"]["field"] == "Last-Event-ID"
        assert (await http.get("/api/phone/calls/nobody/events")).status_code == 404
        assert (await http.get(url)).status_code == 200


async def test_a_reader_that_takes_nothing_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "SEND_SECONDS", 0.05)
    async with serving(tmp_path) as (_, process):
        stream = EventStream(await process.feeds.of_all(None, None))
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)
            if len(sent) == 3:
                await asyncio.Event().wait()  # its socket is full

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        scope: dict[str, Any] = {"type": "http", "asgi": {"spec_version": "2.4"}}
        serving_it = asyncio.create_task(stream(scope, receive, send))
        process.hub.publish(StatusChanged(call_id="call-1", status=Status.RINGING))
        await asyncio.wait_for(serving_it, 5)
        assert len(sent) == 3  # and no end of the answer
        assert not process.hub.subscriptions


def test_the_document_describes_every_event() -> None:
    app = FastAPI()
    app.include_router(router)
    document = app.openapi()
    answer = document["paths"]["/api/phone/calls/{call_id}/events"]["get"]["responses"]["200"]["content"]
    assert set(answer) == {"text/event-stream"}
    schema = answer["text/event-stream"]["schema"]
    assert (schema["type"], schema["$ref"].rsplit("/", 1)[1]) == ("object", "EventMessage")
    data = document["components"]["schemas"]["EventMessage"]["properties"]["data"]
    assert (data["type"], data["contentMediaType"]) == ("string", "application/json")
    assert data["contentSchema"]["$ref"].endswith("/CallEvent")
    named = document["components"]["schemas"]["CallEvent"]["discriminator"]["mapping"]
    assert set(named) == set(events_module.EventName.__args__)  # type: ignore[attr-defined]
    for reference in named.values():
        schema = document["components"]["schemas"][reference.rsplit("/", 1)[1]]
        assert all(field.get("description") for field in schema["properties"].values()), schema["title"]
