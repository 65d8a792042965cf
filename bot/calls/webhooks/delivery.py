"""Events of calls, kept and carried to their receivers by the durable engine.

The body is kept in our table and the workflow only knows its id: what the engine keeps of a workflow outlives
the erasure of a callee's data. So an event is two writings, the row and the workflow, and a process may be
killed between them; an announcement inside a workflow repeats both, and a schedule takes up the rest.

Events of a call are one partition of the queue: the next is begun when the one before is delivered or dead.
A delivery that waits for its next attempt keeps its place, so nothing overtakes it: for two hours, or for as long
as its receiver's Retry-After asks, an hour each time. Where WEBHOOK_IN_ORDER is off, each event is a partition of
its own.
"""

import asyncio
import contextvars
import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from loguru import logger

from bot.calls.live.events import WebhookTried
from bot.calls.live.hub import EventHub
from bot.calls.queues import independent_step
from bot.calls.webhooks.rules import (
    MAX_ATTEMPTS,
    EventType,
    Schedule,
    Signer,
    backoff_seconds,
    check_url,
    delivery_id,
    event_body,
    retry_after_seconds,
    standing,
)
from bot.calls.webhooks.sender import TIMEOUT_SECONDS, Answer, Sender
from bot.errors import NotFoundError, RequestError, SettingsError
from bot.public_http import Outgoing
from bot.records import CallRecord
from bot.settings import Settings
from bot.store import SqlCallStore
from bot.store.connections import retry_database
from bot.store.deliveries import (
    Delivery,
    DeliveryAttempt,
    DeliveryStatus,
    SqlDeliveryStore,
)
from bot.store.durable.engine import DurableEngine
from bot.telemetry import metrics, tracing

QUEUE = "webhooks"
WORKFLOW = "deliver_webhook"
_RESCUE = "rescue_webhooks"
_RESCUE_CRON = "20 */2 * * * *"
STRANDED_SECONDS = 60.0
_T = TypeVar("_T")
Present = Callable[[CallRecord], Any]
"""A call as webhooks show it, a JSON value."""


@dataclass(frozen=True)
class CallEvents:
    """One process's. Each announcement is a step of the workflow it is made in."""

    engine: DurableEngine
    store: SqlCallStore
    webhooks: "Webhooks"
    present: Present

    async def announce(self, call_id: str, event: EventType) -> None:
        """As the record stands now."""

        async def announce() -> None:
            record = await self.store.get(call_id)
            if record is not None:
                await self.webhooks.announce(call_id, event, self.present(record), record.terms.webhook_url)

        await independent_step(self.engine, event.value, announce)


def check_settings(settings: Settings) -> Signer:
    """SettingsError on a secret that is none, and on a URL that events cannot be sent to."""
    signer = Signer(settings.webhook_secret)
    try:
        _check_url(settings.webhook_url, settings)
    except RequestError as error:
        words = error.message.replace("webhook_url", "WEBHOOK_URL", 1)
        raise SettingsError(words, field="WEBHOOK_URL") from None
    return signer


def _check_url(url: str | None, settings: Settings) -> None:
    if url is not None:
        signed = bool(settings.webhook_secret)
        check_url(url, signed=signed, allow_private=settings.webhook_allow_private)


class Webhooks:
    """`register` before the engine opens; what `outgoing` gives is closed after the engine, by its owner."""

    def __init__(
        self,
        engine: DurableEngine,
        deliveries: SqlDeliveryStore,
        outgoing: Callable[[], Outgoing],
        settings: Settings,
        *,
        live: EventHub | None = None,
        schedule: Schedule = backoff_seconds,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """SettingsError as `check_settings` raises it."""
        self.deliveries = deliveries
        self._engine, self._settings, self._schedule = engine, settings, schedule
        self._live = live or EventHub()
        self._sender = Sender(
            outgoing,
            check_settings(settings),
            allow_private=settings.webhook_allow_private,
            timeout_seconds=timeout_seconds,
        )

    def check_url(self, url: str | None) -> None:
        """RequestError, field webhook_url, when events may not be sent there. None is nowhere."""
        _check_url(url, self._settings)

    def register(self) -> None:
        self._engine.queue(QUEUE, per_partition=1)
        self._engine.workflow(WORKFLOW, self._deliver)
        self._engine.schedule(_RESCUE, _RESCUE_CRON, self.rescue)

    async def announce(self, call_id: str, event: EventType, data: object, url: str | None) -> None:
        """Tell the call's owner, at `url` or else where the settings say; nothing when neither names any.

        `data` is what JSON can say. The same event of the same call is one delivery, whose first data stands.
        In a workflow it belongs into a step. Nothing is sent of a call that has been erased meanwhile.
        """
        to = url or self._settings.webhook_url
        if to is None:
            return
        now = datetime.now(UTC)
        body = event_body(event, now, data)
        delivery = Delivery(delivery_id(call_id, event), call_id, event.value, to, body, now)
        try:
            news = await self.deliveries.add(delivery)
        except NotFoundError:
            return
        if not news:
            kept = await self.deliveries.get(delivery.delivery_id)
            if kept is None or kept.status is not DeliveryStatus.PENDING:
                return
            delivery = kept
        await self._enqueue(delivery)

    async def get(self, delivery_id: str) -> Delivery:
        """With its attempts. NotFoundError."""
        delivery = await self.deliveries.get(delivery_id)
        if delivery is None:
            raise NotFoundError(f"There is no delivery {delivery_id}.")
        return delivery

    async def redeliver(self, delivery_id: str) -> Delivery:
        """A new round of attempts with the same id and body. NotFoundError; ConflictError while one is on."""
        delivery = await self.deliveries.begin_round(delivery_id, datetime.now(UTC))
        await self._enqueue(delivery)
        return await self.get(delivery_id)

    async def rescue(self, older_than_seconds: float = STRANDED_SECONDS) -> None:
        """Hand to the engine what a killed process kept and did not get to enqueue."""
        before = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
        for delivery in await self.deliveries.stranded(before):
            await self._enqueue(delivery)

    async def _enqueue(self, delivery: Delivery) -> None:
        """By its id, so that it may be repeated. Outside of the workflow or step that announces, if any.

        DBOS enqueues nothing from inside a step, and counts what a workflow enqueues among its steps: a
        workflow that is begun again, where WEBHOOK_URL was meanwhile set or unset, would not match any more.
        """
        enqueue = self._engine.enqueue(
            WORKFLOW,
            delivery.delivery_id,
            delivery.round,
            id=f"{delivery.delivery_id}_{delivery.round}",
            queue=QUEUE,
            partition=delivery.call_id if self._settings.webhook_in_order else delivery.delivery_id,
            # Two events in one millisecond of the engine's clock have no order but this.
            priority=EventType(delivery.type).place,
        )
        await asyncio.create_task(enqueue, name="enqueue webhook", context=contextvars.Context())
        await self.deliveries.queued(delivery.delivery_id, delivery.round)

    async def _deliver(self, delivery_id: str, round_: int) -> None:
        """The workflow of one round: attempts and the waits between them."""
        for number in range(1, MAX_ATTEMPTS + 1):
            attempt = functools.partial(self._attempt, delivery_id, round_, number)
            wait = await self._engine.step(f"attempt_{number}", attempt)
            if wait is None:
                return
            await self._engine.sleep(wait)

    async def _attempt(self, delivery_id: str, round_: int, number: int) -> float | None:
        """Send once and note it. Seconds until the next attempt; None when there is to be none.

        The engine repeats a step that raises, and that would be another sending: so nothing here raises.
        """
        delivery = await retry_database(lambda: self.deliveries.get(delivery_id))
        if delivery is None or delivery.round != round_ or delivery.status is not DeliveryStatus.PENDING:
            return None
        if any((made.round, made.number) == (round_, number) for made in delivery.attempts):
            # Noted, and then the process was killed before the engine heard of it.
            left = (delivery.next_attempt_at or datetime.now(UTC)) - datetime.now(UTC)
            return max(0.0, left.total_seconds())
        with logger.contextualize(call_id=delivery.call_id):
            with tracing.span("webhook", delivery.call_id, type=delivery.type, attempt=number) as span:
                answer = await self._sender.send(delivery.url, delivery_id, delivery.body)
                span.set_attribute("http.response.status_code", answer.status_code or 0)
            status = _standing(answer, number)
            wait = None
            if status is DeliveryStatus.PENDING:
                asked = retry_after_seconds(answer.retry_after, datetime.now(UTC))
                wait = max(self._schedule(number, random.random()), asked)
            attempt = DeliveryAttempt(
                round_, number, answer.at, answer.duration_ms, answer.status_code, answer.error
            )
            ended_at = answer.at + timedelta(milliseconds=answer.duration_ms)
            next_at = None if wait is None else ended_at + timedelta(seconds=wait)
            await retry_database(
                lambda: self.deliveries.note(delivery_id, attempt, status=status, next_attempt_at=next_at)
            )
            self._tell(delivery, attempt, status, wait)
        return wait

    def _tell(
        self, delivery: Delivery, attempt: DeliveryAttempt, status: DeliveryStatus, wait: float | None
    ) -> None:
        # The URL may hold a token: its path and query are for the API's caller only.
        what = f"webhook {delivery.type} ({delivery.delivery_id})"
        metrics.webhook_attempted(delivery.type, "failed" if wait is not None else status.value)
        self._live.publish(
            WebhookTried(
                call_id=delivery.call_id,
                delivery_id=delivery.delivery_id,
                type=delivery.type,
                status=status.value,
                attempt=attempt.number,
                status_code=attempt.status_code,
            )
        )
        if status is DeliveryStatus.DELIVERED:
            logger.info("{} delivered at attempt {}", what, attempt.number)
        elif wait is not None:
            logger.warning("{}, attempt {}: {}; again in {:.0f} s", what, attempt.number, _why(attempt), wait)
        else:
            logger.error("{} given up after attempt {}: {}", what, attempt.number, _why(attempt))


def _standing(answer: Answer, made: int) -> DeliveryStatus:
    if answer.hopeless:
        return DeliveryStatus.DEAD
    return standing(answer.status_code or 0, made)


def _why(attempt: DeliveryAttempt) -> str:
    """For the log: an answer's words are the receiver's own and stay out of it."""
    if attempt.status_code is not None:
        return f"answered {attempt.status_code}"
    return attempt.error or "no answer"
