"""Webhook deliveries: list, read, send again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from bot.api.answers import ApiAnswer, Time
from bot.api.auth import KEY_REQUIRED
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.calls.webhooks import EventType
from bot.store.deliveries import Delivery, DeliveryStatus
from bot.store.kept_json import as_object, from_json

router = APIRouter(tags=["webhooks"], route_class=ProblemRoute, dependencies=[KEY_REQUIRED])


class DeliveryQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: DeliveryStatus | None = Field(default=None, description="Only those that stand there.")
    call_id: str | None = Field(default=None, max_length=200, description="Only those of a call.")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="`next_cursor` of the page before.")


class DeliverySummary(ApiAnswer):
    """A delivery without its body and attempts."""

    delivery_id: str = Field(description="The header webhook-id of every attempt.")
    call_id: str
    type: EventType
    url: str
    status: DeliveryStatus = Field(
        description="pending: to be sent, now or later; dead: given up, and nothing is sent unless asked for."
    )
    created_at: Time
    settled_at: Time | None = Field(description="Since when it is delivered or dead.")
    next_attempt_at: Time | None = Field(description="When it waits between two attempts.")


class AttemptAnswer(ApiAnswer):
    round: int = Field(description="1; one more each time it is redelivered.")
    number: int = Field(description="In its round, from 1.")
    at: Time
    duration_ms: int
    status_code: int | None = Field(description="Null: no answer came.")
    error: str | None = Field(description="Why it does not count; null after a 2xx.")


class DeliveryAnswer(DeliverySummary):
    """A delivery with what is sent and every attempt."""

    body: dict[str, Any]
    attempts: list[AttemptAnswer] = Field(description="Oldest first.")

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryAnswer:
        return cls.model_validate({**vars(delivery), "body": as_object(from_json(delivery.body))})


class DeliveryPageAnswer(BaseModel):
    deliveries: list[DeliverySummary] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Pass it as `cursor` for the page after; null on the last.")


@router.get(
    "/webhooks/deliveries", summary="List webhook deliveries, newest first", responses=responses(401, 422, 500)
)
async def list_deliveries(query: Annotated[DeliveryQuery, Query()], request: Request) -> DeliveryPageAnswer:
    page = await agent_of(request).webhooks.deliveries.page(
        status=query.status, call_id=query.call_id, limit=query.limit, cursor=query.cursor
    )
    return DeliveryPageAnswer(
        deliveries=[DeliverySummary.model_validate(delivery) for delivery in page.items],
        next_cursor=page.next_cursor,
    )


@router.get(
    "/webhooks/deliveries/{delivery_id}",
    summary="Read a delivery with its attempts",
    responses=responses(401, 404, 422, 500),
)
async def get_delivery(delivery_id: str, request: Request) -> DeliveryAnswer:
    return DeliveryAnswer.of(await agent_of(request).webhooks.get(delivery_id))


@router.post(
    "/webhooks/deliveries/{delivery_id}/redeliver",
    status_code=202,
    summary="Send a delivery again: same id and body, a new round of attempts",
    responses=responses(401, 404, 409, 422, 500),
)
async def redeliver(delivery_id: str, request: Request) -> DeliveryAnswer:
    return DeliveryAnswer.of(await agent_of(request).webhooks.redeliver(delivery_id))
