"""The client against a server that is scripted, answer by answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from bot.api.answers import EXAMPLES, CallAnswer
from bot.client import (
    AsyncPhoneClient,
    PhoneCall,
    RequestRefusedError,
    ServerUnreachableError,
    WebhookError,
    client,
    verify_webhook,
)

CALL = EXAMPLES["CallAnswer"]
Answer = httpx.Response | Exception


class Scripted:
    """Answers in order, and keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def talking_to(script: Callable[[httpx.Request], httpx.Response]) -> AsyncPhoneClient:
    http = httpx.AsyncClient(transport=httpx.MockTransport(script), base_url="http://127.0.0.1:8000")
    return AsyncPhoneClient(http=http)


def refused(status: int, **problem: Any) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": "busy", "message": "No line is free.", **problem}})


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(client, "LOOK_SECONDS", 0.0)


async def test_a_call_is_asked_for_again_with_the_key_it_had() -> None:
    placed = httpx.Response(201, json={"call_id": "call_1", "status": "initiated"})
    script = Scripted(httpx.ConnectError("refused"), refused(429, retryable=True), placed)
    async with talking_to(script) as phone:
        call = await phone.place("+12025550123", "Confirm the appointment", callee_name="John")
    assert call.call_id == "call_1"
    assert {request.headers["Idempotency-Key"] for request in script.asked} == {
        script.asked[0].headers["Idempotency-Key"]
    }
    assert json.loads(script.asked[-1].content) == {
        "phone_number": "+12025550123",
        "action": "Confirm the appointment",
        "callee_name": "John",
    }


async def test_what_can_do_a_thing_twice_is_not_repeated() -> None:
    script = Scripted(httpx.ReadTimeout("late"))
    async with talking_to(script) as phone:
        with pytest.raises(ServerUnreachableError) as raised:
            await phone.hang_up("call_1")
    assert raised.value.retryable
    assert len(script.asked) == 1


async def test_stepping_in_is_done_once_however_often_it_is_sent() -> None:
    done = httpx.Response(200, json={"call_id": "c", "act": "say", "result": "said"})
    script = Scripted(httpx.ReadTimeout("late"), done, done)
    async with talking_to(script) as phone:
        assert await phone.say("c", "One moment.") == "said"
        assert await phone.inject("c", "The payment has arrived.", reply=True) == "said"
    first, again, other = [request.headers["Idempotency-Key"] for request in script.asked]
    assert first == again != other
    assert json.loads(script.asked[2].content) == {"fact": "The payment has arrived.", "reply": True}


async def test_a_refusal_says_what_to_mend() -> None:
    script = Scripted(refused(422, code="bad_request", message="write it in E.164", field="phone_number"))
    async with talking_to(script) as phone:
        with pytest.raises(RequestRefusedError, match=r"write it in E\.164") as raised:
            await phone.place("12", "x")
    error = raised.value
    assert (error.status_code, error.code, error.field, error.retryable) == (
        422,
        "bad_request",
        "phone_number",
        False,
    )


async def test_an_answer_that_is_not_the_server_s_is_an_error_too() -> None:
    async with talking_to(Scripted(*[httpx.Response(502, text="<html>bad gateway</html>")] * 3)) as phone:
        with pytest.raises(RequestRefusedError, match="HTTP 502: <html>") as raised:
            await phone.get("call_1")
    assert raised.value.retryable


async def test_waiting_ends_with_the_call() -> None:
    script = Scripted(httpx.Response(200, json={**CALL, "ended_at": None}), httpx.Response(200, json=CALL))
    async with talking_to(script) as phone:
        call = await phone.wait("call/1")
    assert call.finished
    assert script.asked[0].url.raw_path == b"/api/phone/calls/call%2F1"


async def test_events_go_on_where_the_connection_was_lost() -> None:
    def stream(*events: str) -> httpx.Response:
        lines = "".join(
            f'id: {name}\nevent: {name}\ndata: {{"event":"{name}","call_id":"c","at":"2026-03-02T12:00:00Z"}}\n\n'
            for name in events
        )
        return httpx.Response(200, text=f": events\nretry: 1000\n\n{lines}")

    script = Scripted(stream("first", "second"), httpx.ReadError("lost"), stream("third", "stream_ended"))
    async with talking_to(script) as phone:
        events = [event.event async for event in phone.events("c")]
    assert events == ["first", "second", "third", "stream_ended"]
    assert [request.headers.get("Last-Event-ID") for request in script.asked] == [None, "second", "second"]


def test_every_field_of_the_models_is_one_of_the_api_s() -> None:
    assert PhoneCall.model_fields.keys() <= CallAnswer.model_fields.keys()
    call = PhoneCall.model_validate(CALL)
    assert call.outcome is not None
    assert call.transcript


def test_webhooks_are_verified() -> None:
    secret = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
    now, body = datetime.now(UTC), '{"type":"call_ended"}'
    headers = {
        "Webhook-Id": "m1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("m1", now, body),
    }
    assert verify_webhook(secret, headers, body) == {"type": "call_ended"}
    for changed in ({**headers, "Webhook-Timestamp": "1"}, {**headers, "Webhook-Signature": "v1,eA=="}, {}):
        with pytest.raises(WebhookError):
            verify_webhook(secret, changed, body)


def test_nothing_of_the_server_is_imported() -> None:
    server = ["pipecat", "fastapi", "sqlalchemy", "twilio", "dbos", "loguru"]
    code = f"import sys, bot.client; print([name for name in {server} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
