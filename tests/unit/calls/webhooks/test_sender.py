"""One attempt over a real socket: what is sent, what each kind of failure is called, how much is read."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from pydantic import SecretStr

from bot.calls.webhooks import sender as sender_module
from bot.calls.webhooks.rules import Signer
from bot.calls.webhooks.sender import Sender
from bot.public_http import Outgoing
from tests.simulators.webhook_receiver import Manner, Reply, WebhookReceiver
from tests.unit.clocks import let_pass

SECRETS = ["whsec_" + base64.b64encode(bytes([n] * 32)).decode() for n in (1, 2)]
SIGNER = Signer([SecretStr(secret) for secret in SECRETS])
BODY = '{"type": "call_ended", "data": {"call_id": "call_1"}}'


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@pytest.fixture
async def outgoing(tls: ssl.SSLContext) -> AsyncIterator[Outgoing]:
    outgoing = Outgoing(tls)
    yield outgoing
    await outgoing.close()


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver(SECRETS) as receiver:
        yield receiver


def a_sender(outgoing: Outgoing, *, allow_private: bool = True, timeout_seconds: float = 0.5) -> Sender:
    return Sender(lambda: outgoing, SIGNER, allow_private=allow_private, timeout_seconds=timeout_seconds)


async def test_what_is_sent(outgoing: Outgoing, receiver: WebhookReceiver) -> None:
    answer = await a_sender(outgoing).send(f"{receiver.url}/hook?tenant=1", "msg_1", BODY)
    assert (answer.status_code, answer.error, answer.hopeless) == (204, None, False)
    (event,) = receiver.events
    assert (event.path, event.id, event.body, event.verified) == ("/hook?tenant=1", "msg_1", BODY.encode(), 2)
    assert event.headers["content-type"] == "application/json"
    assert abs(int(event.headers["webhook-timestamp"]) - event.at.timestamp()) < 60


@pytest.mark.parametrize(
    ("reply", "code", "error"),
    [
        (Reply(500, body="no\x00 \n such   tenant"), 500, "answered 500: no such tenant"),
        (Reply(503, headers={"Retry-After": "9"}), 503, "answered 503"),
        (Reply(302, headers={"Location": "/elsewhere"}), 302, "answered 302: redirects are not followed"),
        (Reply(404, body="x" * 9000), 404, "answered 404: " + "x" * 200),
        (Reply(manner=Manner.HANG), None, "no answer within 0.5 s"),
        (Reply(500, Manner.STALL), 500, "answered 500"),
    ],
)
async def test_what_came_of_it(
    outgoing: Outgoing, receiver: WebhookReceiver, reply: Reply, code: int | None, error: str
) -> None:
    receiver.replies = [reply]
    answer = await a_sender(outgoing).send(receiver.url, "msg_1", BODY)
    assert (answer.status_code, answer.error) == (code, error)
    assert answer.retry_after == reply.headers.get("Retry-After")
    assert not answer.hopeless
    assert len(receiver.events) == 1


@pytest.mark.parametrize("manner", [Manner.STALL, Manner.FLOOD])
async def test_a_body_that_does_not_end_does_not_undo_a_200(
    outgoing: Outgoing, receiver: WebhookReceiver, manner: Manner
) -> None:
    receiver.replies = [Reply(200, manner)]
    answer = await a_sender(outgoing, timeout_seconds=3600).send(receiver.url, "msg_1", BODY)
    assert (answer.status_code, answer.error) == (200, None), "given up long before the timeout"


async def test_a_flood_is_not_drunk(outgoing: Outgoing, receiver: WebhookReceiver) -> None:
    receiver.replies = [Reply(500, Manner.FLOOD)]
    answer = await a_sender(outgoing, timeout_seconds=5).send(receiver.url, "msg_1", BODY)
    assert answer.error == "answered 500: " + "x" * 200
    assert receiver.flooded_bytes < 32 * 2**20, "what fits into the sockets' buffers"


async def test_no_connection(outgoing: Outgoing, receiver: WebhookReceiver) -> None:
    sender = a_sender(outgoing)
    receiver.replies = [Reply(manner=Manner.RESET)]
    cut = await sender.send(receiver.url, "msg_1", BODY)
    assert cut.status_code is None
    assert cut.error
    url = receiver.url
    await receiver.go_down()
    refused = await sender.send(url, "msg_1", BODY)
    assert refused.error is not None
    assert refused.error.startswith("ConnectError")
    assert not refused.hopeless
    await receiver.come_up()
    assert (await sender.send(url, "msg_1", BODY)).error is None


async def test_private_addresses_are_hopeless(outgoing: Outgoing, receiver: WebhookReceiver) -> None:
    answer = await a_sender(outgoing, allow_private=False).send(receiver.url, "msg_1", BODY)
    assert answer.hopeless
    assert answer.error is not None
    assert "not a public address" in answer.error
    assert receiver.events == []


async def test_a_name_that_turns_private_is_refused_at_the_socket(
    tls: ssl.SSLContext, receiver: WebhookReceiver
) -> None:
    async def rebound(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    outgoing = Outgoing(tls, resolver=rebound)
    try:
        url = receiver.url.replace("127.0.0.1", "crm.example")
        assert (await a_sender(outgoing, allow_private=False).send(url, "msg_1", BODY)).hopeless
    finally:
        await outgoing.close()
    assert receiver.events == []


@pytest.mark.parametrize("url", ["http://" + "x" * 70 + ".example/", "mailto:a@example", "http://[::1"])
async def test_an_impossible_url_is_hopeless(outgoing: Outgoing, url: str) -> None:
    assert (await a_sender(outgoing, allow_private=False).send(url, "msg_1", BODY)).hopeless


async def test_nothing_goes_unsigned(outgoing: Outgoing, receiver: WebhookReceiver) -> None:
    answer = await Sender(lambda: outgoing, Signer([]), allow_private=True).send(receiver.url, "msg_1", BODY)
    assert answer.error is not None
    assert "WEBHOOK_SECRET" in answer.error
    assert not answer.hopeless
    assert receiver.events == []


async def test_a_receiver_that_hangs_does_not_hold_the_others(
    outgoing: Outgoing, receiver: WebhookReceiver
) -> None:
    receiver.usual = Reply(manner=Manner.HANG)
    sender = a_sender(outgoing, timeout_seconds=60)
    async with WebhookReceiver(SECRETS) as healthy:
        stuck = [asyncio.create_task(sender.send(receiver.url, f"msg_{n}", BODY)) for n in range(30)]
        await receiver.until(lambda: len(receiver.events) == 20)
        assert (await sender.send(healthy.url, "msg_1", BODY)).error is None
        assert not any(task.done() for task in stuck)
        let_pass(61)
        await receiver.until(lambda: len(receiver.events) == 30)
        let_pass(61)
        answers = await asyncio.gather(*stuck)
    assert {answer.error for answer in answers} == {"no answer within 60 s"}, "waiting for a place is not counted"
    assert len(receiver.events) == 30
    assert sender._by_receiver == {}


async def test_many_receivers_that_hang_do_not_hold_the_others(
    outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known to be silent, they have few places together, and answer themselves out of that."""
    monkeypatch.setattr(sender_module, "_AT_ONCE_SILENT", 2)
    sender = a_sender(outgoing, timeout_seconds=60)
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(WebhookReceiver(SECRETS)) for _ in range(4)]
        healthy = await stack.enter_async_context(WebhookReceiver(SECRETS))
        for each in silent:
            each.usual = Reply(manner=Manner.HANG)
        first = [asyncio.create_task(sender.send(each.url, "msg_0", BODY)) for each in silent]
        for each in silent:
            await each.until(lambda each=each: len(each.events) == 1)  # type: ignore[misc]
        let_pass(61)
        await asyncio.gather(*first)
        many = [
            asyncio.create_task(sender.send(each.url, f"msg_{n}", BODY)) for n in range(20) for each in silent
        ]
        async with asyncio.timeout(10):
            while True:
                if sum(len(each.events) for each in silent) == 4 + 2:
                    break
                await asyncio.sleep(0.01)
        assert not sender._places.locked()
        assert (await sender.send(healthy.url, "msg_1", BODY)).error is None
        assert sum(len(each.events) for each in silent) == 4 + 2
        for each in silent:
            each.usual = Reply()
        let_pass(61)
        answers = await asyncio.gather(*many)
    assert sum(answer.error is None for answer in answers) == len(answers) - 2
    assert sender._silent == {}
