"""Webhook deliveries over HTTP: dead letters listed, read and sent again, on the real engine."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from bot.api import router
from bot.calls.webhooks import Webhooks
from bot.public_http import Outgoing
from bot.settings import Settings
from bot.store import Database, SqlCallStore
from bot.store.address import SqliteAddress
from bot.store.deliveries import Delivery, DeliveryAttempt, DeliveryStatus, SqlDeliveryStore
from bot.store.durable.engine import DurableEngine
from tests.simulators.webhook_receiver import WebhookReceiver
from tests.unit.api.fake_agent import NOON, FakeAgent
from tests.unit.store.examples import a_call

URL = "/api/phone/webhooks/deliveries"
SECRET = "whsec_" + base64.b64encode(bytes([7] * 32)).decode()
BODY = '{"type": "call_ended", "timestamp": "2026-03-02T12:00:00.123Z", "data": {"call_id": "call-1"}}'


async def fill(database: Database, deliveries: SqlDeliveryStore, receiver: WebhookReceiver) -> None:
    """Two dead letters of call-1, one delivered of call-2."""
    calls = SqlCallStore(database)
    failed = DeliveryAttempt(1, 8, NOON + timedelta(hours=1), 84, 503, "answered 503: closed")
    arrived = DeliveryAttempt(1, 1, NOON, 9, 200)
    for number, call_id in enumerate(("call-1", "call-1", "call-2")):
        if number != 1:
            await calls.add(a_call(call_id))
        created_at = NOON + timedelta(minutes=number)
        name = f"msg_{number}"
        await deliveries.add(Delivery(name, call_id, "call_ended", receiver.url, BODY, created_at))
        dead = call_id == "call-1"
        status = DeliveryStatus.DEAD if dead else DeliveryStatus.DELIVERED
        await deliveries.note(name, failed if dead else arrived, status=status)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(_env_file=None, data_dir=tmp_path, api_keys=(SecretStr("a-key"),))
    agent = FakeAgent(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(WebhookReceiver([SECRET]))
            database = Database(SqliteAddress(tmp_path / "calls.db"))
            outgoing = Outgoing(ssl.create_default_context())
            stack.push_async_callback(outgoing.close)
            await database.open()
            stack.push_async_callback(database.close)
            engine = DurableEngine(database.address, poll_seconds=0.02)
            deliveries = SqlDeliveryStore(database)
            agent.webhooks = Webhooks(
                engine,
                deliveries,
                lambda: outgoing,
                Settings(_env_file=None, webhook_secret=(SecretStr(SECRET),), webhook_allow_private=True),
            )
            agent.webhooks.register()
            await engine.open()
            stack.push_async_callback(engine.close)
            await fill(database, deliveries, receiver)
            app.state.phone_agent = agent
            yield

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    with TestClient(app, headers={"X-API-Key": "a-key"}, raise_server_exceptions=False) as client:
        yield client


def ids(answer: dict[str, Any]) -> list[str]:
    return [each["delivery_id"] for each in answer["deliveries"]]


def test_list_by_status_call_and_page(client: TestClient) -> None:
    assert ids(client.get(URL).json()) == ["msg_2", "msg_1", "msg_0"]
    dead = client.get(URL, params={"status": "dead", "limit": 1}).json()
    assert ids(dead) == ["msg_1"]
    rest = client.get(URL, params={"status": "dead", "cursor": dead["next_cursor"]}).json()
    assert (ids(rest), rest["next_cursor"]) == (["msg_0"], None)
    assert ids(client.get(URL, params={"call_id": "call-2"}).json()) == ["msg_2"]
    first = dead["deliveries"][0]
    assert first["created_at"] == "2026-03-02T12:01:00.123Z"
    assert "body" not in first
    for wrong in ({"status": "lost"}, {"cursor": "x"}, {"limit": 0}, {"page": 1}):
        assert client.get(URL, params=wrong).status_code == 422, wrong


def test_read_one(client: TestClient) -> None:
    read = client.get(f"{URL}/msg_0").json()
    assert read["body"]["data"] == {"call_id": "call-1"}
    assert read["status"] == "dead"
    assert read["attempts"] == [
        {
            "round": 1,
            "number": 8,
            "at": "2026-03-02T13:00:00.123Z",
            "duration_ms": 84,
            "status_code": 503,
            "error": "answered 503: closed",
        }
    ]
    missing = client.get(f"{URL}/msg_9")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


def test_redeliver(client: TestClient) -> None:
    again = client.post(f"{URL}/msg_0/redeliver")
    assert again.status_code == 202
    deadline = time.monotonic() + 10
    while (read := client.get(f"{URL}/msg_0").json())["status"] != "delivered":
        assert time.monotonic() < deadline, read
        time.sleep(0.02)
    assert [(made["round"], made["status_code"]) for made in read["attempts"]] == [(1, 503), (2, 204)]
    assert client.post(f"{URL}/msg_9/redeliver").status_code == 404


def test_a_key_is_needed(client: TestClient) -> None:
    for method, path in (("GET", URL), ("GET", f"{URL}/msg_0"), ("POST", f"{URL}/msg_0/redeliver")):
        assert client.request(method, path, headers={"X-API-Key": "other"}).status_code == 401
