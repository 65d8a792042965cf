"""What the routes ask of the product below them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from bot.calls.campaigns import Campaigns
from bot.calls.dialling.do_not_call import DoNotCall
from bot.calls.idempotency import UNASKED, Asked
from bot.calls.retention import Erasure
from bot.calls.webhooks import Webhooks
from bot.policy import DEFAULT_TERMS, Terms
from bot.records import CallRecord, CallSpec, Health, Registration, Status
from bot.settings import Settings
from bot.store import Page
from bot.telemetry.metrics import Depth
from bot.telephony.socket import Socket


class Erasing(Protocol):
    async def erase(self, phone_number: str) -> Erasure:
        """All there is of an E.164 number, but for its place on the do-not-call list."""
        ...


class PhoneAgent(Protocol):
    """Errors are those of bot.errors; each has its HTTP status in bot.api.problems."""

    @property
    def settings(self) -> Settings: ...

    @property
    def campaigns(self) -> Campaigns: ...

    @property
    def webhooks(self) -> Webhooks: ...

    @property
    def do_not_call(self) -> DoNotCall:
        """The numbers that are never dialled."""
        ...

    async def place_call(
        self, spec: CallSpec, terms: Terms = DEFAULT_TERMS, asked: Asked = UNASKED
    ) -> CallRecord:
        """Dialled, or queued. RequestError, BusyError, ConflictError, CarrierError."""
        ...

    async def register_call(self, spec: CallSpec, terms: Terms = DEFAULT_TERMS) -> Registration: ...

    async def voice_webhook(self, url_path_and_query: str, form: Mapping[str, str], signature: str | None) -> str:
        """TwiML. ForbiddenError when the signature does not hold."""
        ...

    async def status_webhook(
        self, url_path_and_query: str, form: Mapping[str, str], signature: str | None
    ) -> None:
        """ForbiddenError when the signature does not hold. News of an unknown call is no error."""
        ...

    async def amd_webhook(self, url_path_and_query: str, form: Mapping[str, str], signature: str | None) -> None:
        """ForbiddenError when the signature does not hold. News of an unknown call is no error."""
        ...

    async def transfer_webhook(
        self, url_path_and_query: str, form: Mapping[str, str], signature: str | None, *, token: str, step: str
    ) -> str:
        """TwiML for a step, nothing for a status. ForbiddenError when the signature does not hold."""
        ...

    async def media_stream(
        self, socket: Socket, path_and_query: str, signature: str | None, path_token: str | None
    ) -> None:
        """The whole life of a media socket, which is not yet accepted."""
        ...

    async def get_call(self, call_id: str) -> CallRecord:
        """NotFoundError."""
        ...

    async def list_calls(self, *, status: Status | None, limit: int, cursor: str | None) -> Page:
        """RequestError on a cursor that is not ours."""
        ...

    async def recording_path(self, call_id: str) -> Path:
        """NotFoundError when there is no such call or it has no recording."""
        ...

    async def hang_up(self, call_id: str) -> CallRecord:
        """NotFoundError; ConflictError when the call is over."""
        ...

    async def cancel_call(self, call_id: str) -> CallRecord:
        """Before it is dialled. NotFoundError; ConflictError when it is on the line or over."""
        ...

    @property
    def retention(self) -> Erasing: ...

    def health(self) -> Health: ...

    async def queue_depths(self) -> Mapping[str, Depth]:
        """How many workflows wait in each queue of the durable engine, over all processes."""
        ...
