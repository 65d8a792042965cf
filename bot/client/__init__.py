"""A client of the phone agent's HTTP API; needs nothing of the server.

    from bot.client import PhoneClient

    with PhoneClient("http://127.0.0.1:8000", key) as phone:
        call = phone.wait(phone.place("+12025550123", "Confirm the appointment on Thursday at 2pm").call_id)
        print(call.outcome)

`AsyncPhoneClient` is the same with `await`. Outside of a checkout it is the package `phone_agent_client`.
"""

from .client import (
    ApiError,
    AsyncPhoneClient,
    PhoneClient,
    RequestRefusedError,
    ServerUnreachableError,
    WebhookError,
    verify_webhook,
)
from .models import CallOutcome, Event, PhoneCall, PlacedCall, TranscriptTurn

__all__ = [
    "ApiError",
    "AsyncPhoneClient",
    "CallOutcome",
    "Event",
    "PhoneCall",
    "PhoneClient",
    "PlacedCall",
    "RequestRefusedError",
    "ServerUnreachableError",
    "TranscriptTurn",
    "WebhookError",
    "verify_webhook",
]
