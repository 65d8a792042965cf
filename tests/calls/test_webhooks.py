"""What a call's owner is told, on a whole server: three signed events in order, also where nobody picked up."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.calls.server import HANG_UP, README_BODY, hear, running_server, say, steps
from tests.simulators.webhook_receiver import Reply, WebhookReceiver

SECRET = "whsec_" + base64.b64encode(bytes([7] * 32)).decode()
SIGNED: dict[str, Any] = {"webhook_secret": (SecretStr(SECRET),), "webhook_allow_private": True}
PERSON = steps(say("Hello?"), hear(within_ms=15_000), say("Yes, that works."), hear(), HANG_UP)
ALL = ["call_started", "call_ended", "call_analyzed"]


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver([SECRET]) as receiver:
        yield receiver


async def test_an_answered_call_is_told_in_three_events(tmp_path: Path, receiver: WebhookReceiver) -> None:
    receiver.replies = [Reply(503)]  # the first one comes twice
    async with running_server(tmp_path, callees=lambda _: PERSON, **SIGNED) as server:
        call_id = await server.call(webhook_url=receiver.url + "/mine")
        await receiver.until(lambda: len(receiver.events) == 4, seconds=45)
        kept = await server.read(call_id)
        metrics = (await server.http.get("/metrics")).text
    started, again, ended, analyzed = receiver.events
    assert [event.type for event in receiver.events] == ["call_started", *ALL]
    assert (again.id, again.body) == (started.id, started.body)
    assert all(event.verified == 1 and event.path == "/mine" for event in receiver.events)
    assert {event.call_id for event in receiver.events} == {call_id}
    assert started.json["data"]["ended_at"] is None
    assert ended.json["data"]["status"] == "completed"
    assert ended.json["data"]["transcript"] == kept["transcript"]
    assert analyzed.json["data"]["outcome"] == kept["outcome"] is not None
    for result, kind in (("failed", "call_started"), ("delivered", "call_started"), ("delivered", "call_ended")):
        assert f'phone_agent_webhook_deliveries_total{{result="{result}",type="{kind}"}}' in metrics


async def test_a_call_nobody_took_is_told_too(tmp_path: Path, receiver: WebhookReceiver) -> None:
    async with running_server(
        tmp_path, callees=lambda _: steps(answer="busy"), webhook_url=receiver.url, **SIGNED
    ) as server:
        await server.call()
        await receiver.until(lambda: len(receiver.events) == 3, seconds=30)
    assert [event.type for event in receiver.events] == ALL
    assert receiver.events[1].json["data"]["status"] == "busy"
    assert receiver.events[1].json["data"]["ended_reason"] == "dial_busy"


async def test_a_url_that_cannot_be_is_refused_before_anybody_is_dialled(tmp_path: Path) -> None:
    secret = (SecretStr(SECRET),)
    async with running_server(tmp_path, callees=lambda _: PERSON, webhook_secret=secret) as server:
        for path in ("/api/phone/call", "/api/phone/register-call"):
            for url, words in (
                ("http://169.254.169.254/latest", "WEBHOOK_ALLOW_PRIVATE"),
                ("ftp://crm.example", "http"),
            ):
                answer = await server.http.post(path, json={**README_BODY, "webhook_url": url})
                assert answer.status_code == 422, answer.text
                error = answer.json()["error"]
                assert error["field"] == "webhook_url"
                assert words in error["message"]
        assert (await server.http.get("/api/phone/calls")).json()["calls"] == []
