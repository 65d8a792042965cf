"""Webhook deliveries: list, read, send again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from bot.api.answers import Time
from bot.api.auth import KEY_REQUIRED
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute, responses
from bot.calls.webhooks import EventType
from bot.store.deliveries import Delivery, DeliveryStatus
from bot.store.kept_json import as_object, from_json

router = APIRouter(tags=["webhooks"], route_class=ProblemRoute, dependencies=[KEY_REQUIRED])

_EXAMPLE: dict[str, Any] = {
    "delivery_id": "msg_0f343b0931126a20f133d67c2b018a3b",
    "call_id": "call_01",
    "type": "call_ended",
    "url": "https://crm.example.com/calls",
    "status": "dead",
    "created_at": "2026-03-02T12:00:42.001Z",
    "settled_at": "2026-03-02T13:45:10.423Z",
    "next_attempt_at": None,
}
_ATTEMPT_EXAMPLE: dict[str, Any] = {
    "round": 1,
    "number": 1,
    "at": "2026-03-02T12:00:42.120Z",
    "duration_ms": 84,
    "status_code": 503,
    "error": "answered 503: down for maintenance",
}


class DeliveryQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: DeliveryStatus | None = Field(default=None, description="Only those that stand there.")
    call_id: str | None = Field(default=None, max_length=200, description="Only those of a call.")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="`next_cursor` of the page before.")


class DeliverySummary(BaseModel):
    """A delivery without its body and attempts."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})

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

    @classmethod
    def of(cls, delivery: Delivery) -> DeliverySummary:
        return cls.model_validate(delivery)


class AttemptAnswer(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_ATTEMPT_EXAMPLE]})

    round: int = Field(description="1; one more each time it is redelivered.")
    number: int = Field(description="In its round, from 1.")
    at: Time
    duration_ms: int
    status_code: int | None = Field(description="Null: no answer came.")
    error: str | None = Field(description="Why it does not count; null after a 2xx.")


class DeliveryAnswer(DeliverySummary):
    """A delivery with what is sent and every attempt."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    **_EXAMPLE,
                    "body": {
                        "type": "call_ended",
                        "timestamp": "2026-03-02T12:00:42.001Z",
                        "data": {"call_id": "call_01"},
                    },
                    "attempts": [_ATTEMPT_EXAMPLE],
                }
            ]
        },
    )

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
    page = await agent_of(request).webhooks.page(
        status=query.status, call_id=query.call_id, limit=query.limit, cursor=query.cursor
    )
    return DeliveryPageAnswer(
        deliveries=[DeliverySummary.of(delivery) for delivery in page.items], next_cursor=page.next_cursor
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
