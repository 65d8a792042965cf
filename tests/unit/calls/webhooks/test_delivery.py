"""Events through the real engine on SQLite to a real receiver: once each, in order, again until they arrive."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from pydantic import SecretStr

from bot.calls.webhooks import EventType, Webhooks
from bot.calls.webhooks.rules import MAX_ATTEMPTS, Schedule
from bot.errors import ConflictError, NotFoundError, RequestError, SettingsError
from bot.public_http import Outgoing
from bot.records import EndedReason, Status
from bot.settings import Settings
from bot.store import CallChange, Database, SqlCallStore
from bot.store.address import SqliteAddress
from bot.store.deliveries import Delivery, DeliveryAttempt, DeliveryStatus, SqlDeliveryStore
from bot.store.durable.engine import DurableEngine
from bot.store.retention import Kept, SqlRetentionStore
from bot.telemetry import metrics
from tests.simulators.webhook_receiver import Manner, Reply, WebhookReceiver
from tests.unit.store.examples import a_call

SECRET = "whsec_" + base64.b64encode(bytes([7] * 32)).decode()
STARTED, ENDED, ANALYZED = EventType
TLS = ssl.create_default_context()


def at_once(_made: int, _chance: float) -> float:
    return 0.01


class WebhookHarness:
    """One process: a database, an engine and its webhooks, to be closed and opened again on the same files."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        address = SqliteAddress(folder / "calls.db")
        self.database = Database(address)
        self.calls = SqlCallStore(self.database)
        self.engine = DurableEngine(address, poll_seconds=0.02, look_seconds=0.1)
        self.outgoing = Outgoing(TLS)
        self.deliveries = SqlDeliveryStore(self.database)
        pace: dict[str, Any] = {"schedule": at_once, "timeout_seconds": 2.0}
        pace |= {name: changes.pop(name) for name in list(changes) if name in pace}
        fields: dict[str, Any] = {"secret": (SecretStr(SECRET),), "allow_private": True, **changes}
        settings = Settings(_env_file=None, **{f"webhook_{name}": value for name, value in fields.items()})
        self.webhooks = Webhooks(self.engine, self.deliveries, lambda: self.outgoing, settings, **pace)
        self.webhooks.register()

    async def until(self, call_id: str, *statuses: DeliveryStatus) -> list[Delivery]:
        """Until the call's deliveries, oldest first, stand there."""
        async with asyncio.timeout(20):
            while True:
                page = await self.webhooks.deliveries.page(call_id=call_id)
                found = sorted(page.items, key=lambda each: EventType(each.type).place)
                if [each.status for each in found] == list(statuses):
                    return found
                await asyncio.sleep(0.02)

    async def noted(self, delivery_id: str) -> Delivery:
        """Once an attempt is kept."""
        async with asyncio.timeout(10):
            while True:
                delivery = await self.webhooks.get(delivery_id)
                if delivery.attempts:
                    return delivery
                await asyncio.sleep(0.02)


@asynccontextmanager
async def webhook_harness(folder: Path, **changes: Any) -> AsyncIterator[WebhookHarness]:
    async with AsyncExitStack() as stack:
        harness = WebhookHarness(folder, **changes)
        stack.push_async_callback(harness.outgoing.close)
        await harness.database.open()
        stack.push_async_callback(harness.database.close)
        await harness.engine.open()
        stack.push_async_callback(harness.engine.close)
        yield harness


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver([SECRET]) as receiver:
        yield receiver


async def announce_all(harness: WebhookHarness, call_id: str, url: str | None) -> None:
    for event in EventType:
        data = {"call_id": call_id, "status": event.value, "name": "Zoë"}
        await harness.webhooks.announce(call_id, event, data, url)


DELIVERED, DEAD, PENDING = DeliveryStatus.DELIVERED, DeliveryStatus.DEAD, DeliveryStatus.PENDING


async def test_three_events_in_order_signed_and_once(
    tmp_path: Path, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(metrics, "webhook_attempted", lambda event, result: told.append((event, result)))
    async with webhook_harness(tmp_path) as harness:
        await harness.calls.add(a_call("call-1"))
        await announce_all(harness, "call-1", receiver.url)
        await announce_all(harness, "call-1", receiver.url + "/other")  # a repeated step
        found = await harness.until("call-1", DELIVERED, DELIVERED, DELIVERED)
        await announce_all(harness, "call-1", receiver.url)  # and after all is over
        await asyncio.sleep(0.2)
    assert [event.type for event in receiver.events] == [event.value for event in EventType]
    assert [event.id for event in receiver.events] == [delivery.delivery_id for delivery in found]
    assert all(event.verified == 1 for event in receiver.events)
    assert told == [(event.value, "delivered") for event in EventType]
    first = receiver.events[0].json
    assert first["data"] == {"call_id": "call-1", "status": "call_started", "name": "Zoë"}
    assert datetime.fromisoformat(first["timestamp"]) <= datetime.now(UTC)


async def test_the_settings_url_stands_in_and_none_keeps_nothing(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    async with webhook_harness(tmp_path, url=receiver.url + "/settings") as harness:
        await harness.calls.add(a_call("call-1"))
        await harness.webhooks.announce("call-1", STARTED, {"call_id": "call-1"}, None)
        await harness.webhooks.announce("call-1", ENDED, {"call_id": "call-1"}, receiver.url + "/mine")
        await receiver.until(lambda: len(receiver.events) == 2)
        await harness.webhooks.announce("erased", ENDED, {"call_id": "erased"}, None)
    assert [event.path for event in receiver.events] == ["/settings", "/mine"]
    (tmp_path / "other").mkdir()
    async with webhook_harness(tmp_path / "other") as harness:
        await harness.calls.add(a_call("call-1"))
        await harness.webhooks.announce("call-1", ENDED, {"call_id": "call-1"}, None)
        assert (await harness.webhooks.deliveries.page()).items == ()


async def test_failures_are_retried_and_the_next_event_waits(tmp_path: Path, receiver: WebhookReceiver) -> None:
    receiver.replies = [
        Reply(500, body="down"),
        Reply(manner=Manner.RESET),
        Reply(302, headers={"Location": "/elsewhere"}),
        Reply(404),
    ]
    async with webhook_harness(tmp_path) as harness:
        await harness.calls.add(a_call("call-1"))
        await announce_all(harness, "call-1", receiver.url)
        await harness.until("call-1", DELIVERED, DELIVERED, DELIVERED)
        first = await harness.webhooks.get(receiver.events[0].id)
    assert [event.type for event in receiver.events] == ["call_started"] * 5 + ["call_ended", "call_analyzed"]
    assert all(event.under_way == 1 for event in receiver.events)
    assert len({event.body for event in receiver.events[:5]}) == 1
    assert all(event.verified for event in receiver.events)
    assert [(made.number, made.status_code) for made in first.attempts] == [
        (1, 500),
        (2, None),
        (3, 302),
        (4, 404),
        (5, 204),
    ]
    assert first.attempts[0].error == "answered 500: down"
    assert first.attempts[4].error is None
    assert first.next_attempt_at is None


async def test_a_call_does_not_wait_for_another(tmp_path: Path, receiver: WebhookReceiver) -> None:
    receiver.replies = [Reply(manner=Manner.HANG)]
    async with webhook_harness(tmp_path) as harness:
        for call_id in ("call-1", "call-2"):
            await harness.calls.add(a_call(call_id))
        await announce_all(harness, "call-1", receiver.url)
        await receiver.until(lambda: len(receiver.events) == 1)
        await announce_all(harness, "call-2", receiver.url)
        await receiver.until(lambda: len(receiver.events) == 4, seconds=1.8)
        assert [event.call_id for event in receiver.events[1:]] == ["call-2"] * 3
        await harness.until("call-1", DELIVERED, DELIVERED, DELIVERED)


async def test_given_up_after_eight_listed_and_redelivered(
    tmp_path: Path, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.usual = Reply(500)
    told: list[str] = []
    monkeypatch.setattr(metrics, "webhook_attempted", lambda _event, result: told.append(result))
    async with webhook_harness(tmp_path) as harness:
        await harness.calls.add(a_call("call-1"))
        await harness.webhooks.announce("call-1", ENDED, {"call_id": "call-1"}, receiver.url)
        await harness.until("call-1", DEAD)
        assert told == ["failed"] * (MAX_ATTEMPTS - 1) + ["dead"]
        (dead,) = (await harness.webhooks.deliveries.page(status=DEAD)).items
        await asyncio.sleep(1.0)  # webhook-timestamp has whole seconds: the new round's must differ
        receiver.usual = Reply(200)
        again = await harness.webhooks.redeliver(dead.delivery_id)
        assert (again.status, again.round) == (PENDING, 2)
        await harness.until("call-1", DELIVERED)
        with pytest.raises(NotFoundError):
            await harness.webhooks.redeliver("msg_nobody")
        with pytest.raises(NotFoundError):
            await harness.webhooks.get("msg_nobody")
        whole = await harness.webhooks.get(dead.delivery_id)
    assert [(made.round, made.number) for made in whole.attempts] == [(1, n) for n in range(1, 9)] + [(2, 1)]
    assert len({(event.id, event.body) for event in receiver.events}) == 1
    stamps = [int(event.headers["webhook-timestamp"]) for event in receiver.events]
    assert stamps[-1] > stamps[0]
    assert all(event.verified for event in receiver.events)


async def test_a_pending_one_is_not_redelivered(tmp_path: Path, receiver: WebhookReceiver) -> None:
    receiver.usual = Reply(manner=Manner.HANG)
    async with webhook_harness(tmp_path) as harness:
        await harness.calls.add(a_call("call-1"))
        await harness.webhooks.announce("call-1", ENDED, {"call_id": "call-1"}, receiver.url)
        await receiver.until(lambda: len(receiver.events) == 1)
        with pytest.raises(ConflictError):
            await harness.webhooks.redeliver(receiver.events[0].id)


async def test_gone_and_private_are_dead_at_once(tmp_path: Path, receiver: WebhookReceiver) -> None:
    receiver.replies = [Reply(410)]
    async with webhook_harness(tmp_path) as harness:
        await harness.calls.add(a_call("call-1"))
        await harness.webhooks.announce("call-1", STARTED, {"call_id": "call-1"}, receiver.url)
        await harness.webhooks.announce("call-1", ENDED, {"call_id": "call-1"}, receiver.url)
        await harness.until("call-1", DEAD, DELIVERED)
    assert len(receiver.events) == 2
    async with webhook_harness(tmp_path, allow_private=False) as harness:
        await harness.calls.add(a_call("call-2"))
        await harness.webhooks.announce("call-2", ENDED, {"call_id": "call-2"}, receiver.url)
        (refused,) = await harness.until("call-2", DEAD)
        (attempt,) = (await harness.webhooks.get(refused.delivery_id)).attempts
        assert attempt.error is not None
        assert "not a public address" in attempt.error
    assert len(receiver.events) == 2


async def test_retry_after_is_waited_for(tmp_path: Path, receiver: WebhookReceiver) -> None:
    receiver.replies = [Reply(429, headers={"Retry-After": "1"})]
    async with webhook_harness(tmp_path) as harness:
        await harness.calls.add(a_call("call-1"))
        await harness.webhooks.announce("call-1", ENDED, {"call_id": "call-1"}, receiver.url)
        await receiver.until(lambda: len(receiver.events) == 1)
        await harness.until("call-1", DELIVERED)
    first, second = receiver.events
    assert second.at - first.at >= timedelta(seconds=0.95)


async def test_a_receiver_that_was_down_gets_every_event_in_order(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    """Down for some time; the real waits are a rule of their own."""
    url = receiver.url
    await receiver.go_down()
    made, enough = 0, asyncio.Event()

    def schedule(_number: int, _chance: float) -> float:
        nonlocal made
        made += 1
        if made == 8:
            enough.set()
        return 0.05

    async with webhook_harness(tmp_path, schedule=schedule) as harness:
        for n in range(4):
            await harness.calls.add(a_call(f"call-{n}"))
            await announce_all(harness, f"call-{n}", url)
        await asyncio.wait_for(enough.wait(), 10)
        await receiver.come_up()
        for n in range(4):
            await harness.until(f"call-{n}", DELIVERED, DELIVERED, DELIVERED)
    for n in range(4):
        mine = [event.type for event in receiver.events if event.call_id == f"call-{n}"]
        assert mine == [event.value for event in EventType]


async def test_an_event_that_fails_holds_back_the_next_unless_order_is_given_up(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    for in_order in (True, False):
        call_id = f"call-{in_order}"
        receiver.replies = [Reply(500)]
        async with webhook_harness(tmp_path, in_order=in_order, schedule=lambda _made, _chance: 1.0) as harness:
            await harness.calls.add(a_call(call_id))
            await announce_all(harness, call_id, receiver.url)
            await harness.until(call_id, DELIVERED, DELIVERED, DELIVERED)
    arrived = {
        call_id: [event.type for event in receiver.events if event.call_id == call_id]
        for call_id in ("call-True", "call-False")
    }
    assert arrived["call-True"] == ["call_started", "call_started", "call_ended", "call_analyzed"]
    assert arrived["call-False"][-1] == arrived["call-False"][0], "the others did not wait for it"


async def test_killed_between_sending_and_noting_it_is_sent_again(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    receiver.replies = [Reply(manner=Manner.HANG)]  # it has the event, and we never hear of it
    async with webhook_harness(tmp_path, timeout_seconds=60) as harness:
        await harness.calls.add(a_call("call-1"))
        await announce_all(harness, "call-1", receiver.url)
        await receiver.until(lambda: len(receiver.events) == 1)
    assert len(receiver.events) == 1
    async with webhook_harness(tmp_path) as harness:
        await harness.until("call-1", DELIVERED, DELIVERED, DELIVERED)
    twice = receiver.events[:2]
    assert [event.type for event in receiver.events] == ["call_started", *(event.value for event in EventType)]
    assert len({(event.id, event.body) for event in twice}) == 1
    assert all(event.verified for event in receiver.events)


async def test_a_wait_outlives_the_process(tmp_path: Path, receiver: WebhookReceiver) -> None:
    receiver.replies = [Reply(503)]
    waits: Schedule = lambda _made, _chance: 1.5  # noqa: E731
    async with webhook_harness(tmp_path, schedule=waits) as harness:
        await harness.calls.add(a_call("call-1"))
        await harness.webhooks.announce("call-1", ENDED, {"call_id": "call-1"}, receiver.url)
        await receiver.until(lambda: len(receiver.events) == 1)
        waiting = await harness.noted(receiver.events[0].id)
        assert waiting.next_attempt_at is not None
    async with webhook_harness(tmp_path, schedule=waits) as harness:
        await harness.until("call-1", DELIVERED)
        attempts = (await harness.webhooks.get(receiver.events[0].id)).attempts
    assert [made.number for made in attempts] == [1, 2], "nothing is sent twice for a process that slept"
    assert attempts[1].at >= waiting.next_attempt_at - timedelta(milliseconds=100)


async def test_a_noted_attempt_is_not_made_again(tmp_path: Path, receiver: WebhookReceiver) -> None:
    """Killed after the note and before the engine kept the step."""
    async with webhook_harness(tmp_path) as harness:
        await harness.calls.add(a_call("call-1"))
        now = datetime.now(UTC)
        body = '{"type": "call_ended", "data": {"call_id": "call-1"}}'
        await harness.deliveries.add(Delivery("msg_1", "call-1", "call_ended", receiver.url, body, now))
        failed = DeliveryAttempt(1, 1, now, 5, 500, "answered 500")
        await harness.deliveries.note("msg_1", failed, status=PENDING, next_attempt_at=now)
        await harness.webhooks.rescue(older_than_seconds=-1)
        await harness.until("call-1", DELIVERED)
        attempts = (await harness.webhooks.get("msg_1")).attempts
    assert [(made.number, made.status_code) for made in attempts] == [(1, 500), (2, 204)]
    assert len(receiver.events) == 1


async def test_what_was_kept_and_never_enqueued_is_rescued(tmp_path: Path, receiver: WebhookReceiver) -> None:
    async with webhook_harness(tmp_path) as harness:
        await harness.calls.add(a_call("call-1"))
        old = datetime.now(UTC) - timedelta(minutes=5)
        body = '{"type": "call_ended", "data": {"call_id": "call-1"}}'
        await harness.deliveries.add(Delivery("msg_1", "call-1", "call_ended", receiver.url, body, old))
        await harness.webhooks.rescue()
        await harness.webhooks.rescue()
        await harness.until("call-1", DELIVERED)
        assert await harness.deliveries.stranded(datetime.now(UTC)) == ()
    assert [event.id for event in receiver.events] == ["msg_1"]


async def test_erased_while_it_waits(tmp_path: Path, receiver: WebhookReceiver) -> None:
    receiver.replies = [Reply(500)]
    async with webhook_harness(tmp_path, schedule=lambda _made, _chance: 0.4) as harness:
        await harness.calls.add(a_call("call-1"))
        await harness.calls.add(a_call("call-2"))
        await announce_all(harness, "call-1", receiver.url)
        await receiver.until(lambda: len(receiver.events) == 1)
        over = CallChange(ended_reason=EndedReason.CANCELED)
        await harness.calls.advance("call-1", Status.CANCELED, at=datetime.now(UTC), change=over)
        erased = await SqlRetentionStore(harness.database).erase(["call-1"], [Kept.NUMBER], datetime.now(UTC))
        assert erased.deliveries == 3
        await announce_all(harness, "call-2", receiver.url)
        await harness.until("call-2", DELIVERED, DELIVERED, DELIVERED)
        await asyncio.sleep(0.6)
    assert [event.call_id for event in receiver.events] == ["call-1"] + ["call-2"] * 3


async def test_announced_in_a_step_of_a_workflow(tmp_path: Path, receiver: WebhookReceiver) -> None:
    async with AsyncExitStack() as stack:
        harness = WebhookHarness(tmp_path)
        stack.push_async_callback(harness.outgoing.close)
        runs, repeated = 0, asyncio.Event()

        async def after_call() -> None:
            async def announce() -> None:
                nonlocal runs
                runs += 1
                await harness.webhooks.announce("call-1", ENDED, {"call_id": "call-1"}, receiver.url)
                if runs == 1:
                    raise OSError("the step is repeated")
                repeated.set()

            await harness.engine.step("announce", announce)

        harness.engine.workflow("after_call", after_call)
        await harness.database.open()
        stack.push_async_callback(harness.database.close)
        await harness.engine.open()
        stack.push_async_callback(harness.engine.close)
        await harness.calls.add(a_call("call-1"))
        await harness.engine.start("after_call", id="after-1")
        await harness.until("call-1", DELIVERED)
        await asyncio.wait_for(repeated.wait(), 10)
    assert len(receiver.events) == 1


async def test_the_log_tells_no_secret(tmp_path: Path, receiver: WebhookReceiver) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, level=0, format="{message} {extra}")
    try:
        receiver.replies = [Reply(500, body="+12025550123"), Reply(410)]
        async with webhook_harness(tmp_path) as harness:
            await harness.calls.add(a_call("call-1"))
            data = {"call_id": "call-1", "phone_number": "+12025550123"}
            url = receiver.url + "/path-token?token=query-token"
            await harness.webhooks.announce("call-1", ENDED, data, url)
            await harness.until("call-1", DEAD)
        text = "".join(lines)
    finally:
        logger.remove(sink)
    assert "answered 500; again in" in text
    assert "given up after attempt 2: answered 410 {'call_id': 'call-1" in text
    signatures = [event.headers["webhook-signature"] for event in receiver.events]
    for hidden in (SECRET, SECRET[6:], *signatures, "+12025550123", "path-token", "query-token"):
        assert hidden not in text


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"url": "https://crm.example", "secret": []}, "WEBHOOK_URL", "WEBHOOK_SECRET"),
        ({"url": "http://127.0.0.1:1", "allow_private": False}, "WEBHOOK_URL", "WEBHOOK_ALLOW_PRIVATE"),
        ({"url": "crm.example"}, "WEBHOOK_URL", "http"),
        ({"secret": [SecretStr("whsec_short")]}, "WEBHOOK_SECRET", "openssl"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    tmp_path: Path, changes: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        WebhookHarness(tmp_path, **changes)
    assert caught.value.field == field
    assert "webhook_url" not in caught.value.message


async def test_a_request_s_url_is_checked_with_the_settings(tmp_path: Path) -> None:
    strict = WebhookHarness(tmp_path, allow_private=False).webhooks
    strict.check_url("https://crm.example/hook")
    strict.check_url(None)
    with pytest.raises(RequestError):
        strict.check_url("http://127.0.0.1:1/")
    with pytest.raises(RequestError, match="WEBHOOK_SECRET"):
        WebhookHarness(tmp_path, secret=()).webhooks.check_url("https://crm.example/hook")
