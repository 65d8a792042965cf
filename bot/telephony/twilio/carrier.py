"""The Twilio carrier: dial, hang up, fetch, through the SDK's REST client.

Ending a call takes one of two words: `completed` ends an answered call, `canceled` one that is queued or
ringing and leaves an answered one alone
(https://www.twilio.com/docs/voice/api/call-resource#update-a-call-resource). Looking first and then
choosing loses the race against the callee picking up, so hang_up says `completed`, looks at the state
Twilio answers with, and says the other word only while the call is still up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from loguru import logger
from twilio.base.exceptions import (  # type: ignore[import-untyped]  # ships no py.typed
    TwilioException,
    TwilioRestException,
    TwilioServiceException,
)

from bot.errors import CarrierError, DialUnconfirmedError, SettingsError
from bot.records import Status
from bot.settings import Settings, with_scheme
from bot.telemetry import metrics
from bot.telephony.carrier import CarrierCall, DialOrder, Instruction, masked
from bot.telephony.twilio import paths, twiml
from bot.telephony.twilio.http import TOTAL_SECONDS, Failure, NoAnswerError, RequestBounds, TwilioHttp
from bot.telephony.twilio.trust_hub import Trust, registrations
from bot.telephony.twilio.webhooks import TwilioWebhooks

DEFAULT_BASE_URL = "https://api.twilio.com"
STATUS_EVENTS = ("initiated", "ringing", "answered", "completed")
_NOT_FOUND = 20404
_NO_FROM_NUMBER = 21213
_WRONG_STATE = 21220
"""Twilio's code for changing a call whose state does not allow it."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Account:
    """What the doctor says of the account: `status` is active, suspended or closed."""

    status: str
    kind: str
    """Trial or Full."""
    name: str


@dataclass(frozen=True)
class OwnedNumber:
    sid: str
    number: str
    voice: bool
    """Whether it can place and take calls."""


class TwilioCarrier(TwilioWebhooks):
    """Twilio over REST. `open` before use, `close` after; both on the loop of the calls."""

    vendor = "twilio"
    simulated = False
    needs = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN")

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        default_from: str | None = None,
        base_url: str = DEFAULT_BASE_URL,
        bounds: RequestBounds | None = None,
    ) -> None:
        """`base_url` other than Twilio's own wins over TWILIO_EDGE and TWILIO_REGION, which the SDK reads."""
        super().__init__(auth_token)
        self._account_sid = account_sid
        self._default_from = default_from
        self._base_url = with_scheme(base_url, websocket=False)
        self._bounds = bounds or RequestBounds()
        self._http: TwilioHttp | None = None
        self._client: Any = None

    @classmethod
    def from_settings(cls, settings: Settings, _environment: Mapping[str, str]) -> TwilioCarrier:
        if settings.twilio_account_sid is None or settings.twilio_auth_token is None:
            raise SettingsError("Twilio needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")
        if settings.twilio_phone_number is None:
            logger.warning("TWILIO_PHONE_NUMBER is not set: every request has to name its from_number")
        return cls(
            account_sid=settings.twilio_account_sid,
            auth_token=settings.twilio_auth_token.get_secret_value(),
            default_from=settings.twilio_phone_number,
            base_url=settings.twilio_base_url,
        )

    @property
    def request_seconds(self) -> float:
        return TOTAL_SECONDS

    @property
    def default_from(self) -> str | None:
        return self._default_from

    async def open(self) -> None:
        # A quarter of a second, and none of it where the carrier is simulated.
        from twilio.rest import Client  # type: ignore[import-untyped]

        self._http = TwilioHttp(self._bounds)
        client = Client(self._account_sid, self.auth_token, http_client=self._http)
        if self._base_url != DEFAULT_BASE_URL:
            client.api.base_url = client.trusthub.base_url = self._base_url
            # With an edge or region the SDK rewrites the host as api.EDGE.REGION.twilio.com.
            client.edge = client.region = None
        self._client = client
        # The SDK imports a resource's module when it is first named: here, and not in front of a call.
        _ = (self._api.calls, self._api.incoming_phone_numbers)

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
        self._http = self._client = None

    async def dial(self, order: DialOrder) -> str:
        from_number = order.from_number or self._default_from
        if from_number is None:
            raise CarrierError(
                "No 'From' number: set TWILIO_PHONE_NUMBER or give from_number.",
                provider=self.vendor,
                status=400,
                carrier_code=_NO_FROM_NUMBER,
            )
        try:
            call = await self._asked(
                self._api.calls.create_async(
                    to=order.to,
                    from_=from_number,
                    url=paths.voice_url(order),
                    method="POST",
                    status_callback=paths.status_url(order),
                    status_callback_method="POST",
                    status_callback_event=list(STATUS_EVENTS),
                    timeout=order.ring_seconds,
                    time_limit=order.time_limit_seconds,
                    **_detection(order),
                )
            )
        except CarrierError as error:
            if error.status >= 500 or (error.status == 0 and not error.retryable):
                raise DialUnconfirmedError(
                    f"Twilio did not confirm the call, it may ring: {error.message}",
                    provider=self.vendor,
                    status=error.status,
                    carrier_code=error.carrier_code,
                ) from error
            raise
        logger.info("Twilio dials {} as {}", masked(order.to), call.sid)
        return str(call.sid)

    async def hang_up(self, call_sid: str) -> None:
        for word in ("completed", "canceled", "completed"):
            try:
                call = await self._asked(self._api.calls(call_sid).update_async(status=word))
            except CarrierError as error:
                if error.status == 404 or error.carrier_code == _NOT_FOUND:
                    return
                if error.carrier_code != _WRONG_STATE:
                    raise
                known = await self.fetch(call_sid)
                if known is None or known.status.final:
                    return
            else:
                # Accepted is enough for the word that fits: the call may be shown as it was a moment longer.
                answered = Status(call.status) is Status.IN_PROGRESS
                if Status(call.status).final or (answered and word == "completed"):
                    return
        logger.warning("Twilio took the hang-up of {}, which still rings", call_sid)

    async def instruct(
        self, call_sid: str, instruction: Instruction, *, time_limit_seconds: int | None = None
    ) -> None:
        limit = {} if time_limit_seconds is None else {"time_limit": time_limit_seconds}
        await self._asked(self._api.calls(call_sid).update_async(twiml=twiml.render(instruction), **limit))

    async def fetch(self, call_sid: str) -> CarrierCall | None:
        try:
            return _carrier_call(await self._asked(self._api.calls(call_sid).fetch_async()))
        except CarrierError as error:
            if error.status == 404:
                return None
            raise

    async def recent_calls(self, to: str, since: datetime) -> Sequence[CarrierCall]:
        """Twilio filters by day and a queued call has no start, so `since` meets `created_at` here.

        `created_at` has no fraction of a second, so `since` loses its own.
        """
        since = since.replace(microsecond=0)
        calls = await self._asked(self._api.calls.list_async(to=to, limit=50, page_size=50))
        known = [_carrier_call(call) for call in calls]
        return [call for call in known if call.created_at is not None and call.created_at >= since]

    async def check_account(self) -> Account:
        """One cheap request that proves the keys. CarrierError 401, code 20003, if they are refused."""
        account = await self._asked(self._api.fetch_async())
        return Account(status=str(account.status), kind=str(account.type), name=str(account.friendly_name))

    async def owns_number(self, number: str) -> OwnedNumber | None:
        """The account's number, or None if it is not the account's."""
        found = await self._asked(self._api.incoming_phone_numbers.list_async(phone_number=number, limit=20))
        for owned in found:
            if owned.phone_number == number:
                capabilities = owned.capabilities if isinstance(owned.capabilities, dict) else {}
                return OwnedNumber(sid=str(owned.sid), number=number, voice=bool(capabilities.get("voice")))
        return None

    async def trust_of(self, number: OwnedNumber) -> frozenset[Trust]:
        """How calls from it are vouched for."""
        _ = self._api  # open
        return await registrations(self._client.trusthub.v1, number.sid, self._asked)

    @property
    def _api(self) -> Any:
        if self._client is None:
            raise RuntimeError("TwilioCarrier is not open")
        return self._client.api.v2010.accounts(self._account_sid)

    async def _asked(self, request: Awaitable[_T]) -> _T:
        """The answer, or the CarrierError that stands for what the SDK raises."""
        try:
            return await self._translated(request)
        except CarrierError as error:
            metrics.vendor_failed("twilio", "refused" if error.status else "unreachable")
            raise

    async def _translated(self, request: Awaitable[_T]) -> _T:
        try:
            return await request
        except TwilioRestException as error:
            raise CarrierError(
                _own_words(error.msg),
                provider=self.vendor,
                status=error.status,
                carrier_code=error.code if error.code != error.status else None,
                retryable=error.status == 429 or error.status >= 500,
            ) from error
        except TwilioServiceException as error:
            raise CarrierError(
                error.detail or error.title,
                provider=self.vendor,
                status=error.status,
                carrier_code=error.code,
                retryable=error.status == 429 or error.status >= 500,
            ) from error
        except TwilioException as error:
            # A list that is refused: the SDK raises it with the answer, and has no words for it.
            status = next((int(answer.status_code) for answer in error.args[1:]), 0)
            raise CarrierError(
                f"Twilio answered {status}" if status else "Twilio's answer cannot be read",
                provider=self.vendor,
                status=status,
                retryable=status == 429 or status >= 500,
            ) from error
        except NoAnswerError as error:
            unreached = error.failure is Failure.UNREACHED
            raise CarrierError(
                "Twilio could not be reached" if unreached else "Twilio did not answer in time",
                provider=self.vendor,
                retryable=unreached,
            ) from error
        except ValueError as error:
            raise CarrierError("Twilio's answer is not JSON", provider=self.vendor) from error


def _detection(order: DialOrder) -> dict[str, str]:
    """Asynchronous machine detection, without a wait for the callee, until a greeting's end and its beep.

    https://www.twilio.com/docs/voice/answering-machine-detection#asynchronous-amd
    """
    url = paths.amd_url(order)
    if url is None:
        return {}
    return {
        "machine_detection": "DetectMessageEnd",
        "async_amd": "true",
        "async_amd_status_callback": url,
        "async_amd_status_callback_method": "POST",
    }


def _own_words(message: str) -> str:
    """Twilio's message without the SDK's "Unable to create record: " before it."""
    prefix, separator, own = message.partition(": ")
    return own if separator and prefix.startswith("Unable to ") else message


def _carrier_call(call: Any) -> CarrierCall:
    created: datetime | None = call.date_created
    if created is not None and created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    return CarrierCall(
        call_sid=call.sid,
        status=Status(call.status),
        duration_seconds=float(call.duration) if call.duration not in (None, "") else None,
        to=call.to,
        from_number=call._from,
        created_at=created,
    )
