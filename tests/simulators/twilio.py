"""Twilio: its REST API for calls over HTTP, and the carrier behind it, on 127.0.0.1.

The carrier's side (ringing, webhooks, media streams, callees) is the product's own simulated network,
signing with this account's token. What is written here is the REST door: authentication, Twilio's error
bodies, call resources, faults. https://www.twilio.com/docs/voice/api/call-resource
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from types import TracebackType
from typing import Any, cast

import aiohttp
from aiohttp import web

from bot.audio import SAMPLE_RATE, Speech, TimedWord
from bot.records import Status
from bot.telephony.simulated.callee import NoListener, ScriptListener, Voice
from bot.telephony.simulated.carrier import number_refusal
from bot.telephony.simulated.network import Leg, LinesBusyError, SimulatedCall, SimulatedNetwork, new_sid
from bot.telephony.simulated.script import Conversation, conversation_for
from bot.telephony.simulated.signed_client import SignedClient, WebhookAnswer
from tests.simulators.faults import Plan
from tests.simulators.stream_log import LoggedSocket, StreamLog
from tests.simulators.tts_sound import CHARACTER_MS, speak

OWN_NUMBER = "+15005550006"
UNREACHABLE = "+15005550002"
"""Twilio's magic number that cannot be routed: 21214."""


@dataclass(frozen=True)
class TooMany:
    """429, 20429: not acted on."""

    retry_after: float | None = None


@dataclass(frozen=True)
class ServerError:
    """A 5xx, before or after the request was carried out."""

    status: int = 500
    acted: bool = False


@dataclass(frozen=True)
class Unanswered:
    """No answer until the client leaves."""

    acted: bool = False


@dataclass(frozen=True)
class Dropped:
    """The connection closes without an answer."""

    acted: bool = False


RestFault = TooMany | ServerError | Unanswered | Dropped


@dataclass(frozen=True)
class CallbackFaults:
    """What happens to status callbacks, by their CallStatus. A late one arrives behind the next."""

    lost: frozenset[str] = frozenset()
    duplicated: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()


@dataclass(frozen=True)
class AmdNews:
    """One callback of the asynchronous machine detection."""

    answered_by: str
    after_ms: int
    """Since the callee picked up."""


@dataclass(frozen=True)
class RestRequest:
    """A request as it came; `form` keeps repeated fields."""

    method: str
    path: str
    query: Mapping[str, str]
    form: tuple[tuple[str, str], ...]
    at: float = 0.0
    """time.monotonic()."""


class FormantVoice:
    """The simulators' speech-like sound as a callee's voice."""

    def __init__(self, *, character_ms: int = CHARACTER_MS) -> None:
        self._character_ms = character_ms

    async def speak(self, text: str, *, speed: float = 1.0) -> Speech:
        sound = speak(text, SAMPLE_RATE, character_ms=self._character_ms)
        words: list[TimedWord] = []
        position = 0
        for word in text.split():
            first = text.index(word, position)
            position = first + len(word)
            end = sound.starts_ms[position - 1] + sound.durations_ms[position - 1]
            words.append(TimedWord(word, sound.starts_ms[first], end))
        return Speech(text=text, pcm=sound.pcm, words=tuple(words))


class FaultyCourier(SignedClient):
    """A client that loses, repeats and reorders status callbacks, and logs media sockets."""

    def __init__(self, *, auth_token: str, faults: CallbackFaults) -> None:
        super().__init__(auth_token=auth_token)
        self._faults = faults
        self._held: dict[str, tuple[str, Mapping[str, str]]] = {}
        self.posted: list[Mapping[str, str]] = []
        self.sockets: list[LoggedSocket] = []

    async def connect(self, url: str) -> aiohttp.ClientWebSocketResponse:
        socket = LoggedSocket(await super().connect(url), url)
        self.sockets.append(socket)
        return cast(aiohttp.ClientWebSocketResponse, socket)

    async def post(self, url: str, fields: Mapping[str, str]) -> WebhookAnswer:
        if "CallbackSource" not in fields:
            return await super().post(url, fields)
        status, call_sid = fields["CallStatus"], fields["CallSid"]
        if status in self._faults.lost:
            return WebhookAnswer(200, "")
        if status in self._faults.late:
            self._held[call_sid] = (url, fields)
            return WebhookAnswer(200, "")
        answer = WebhookAnswer(0, "")
        for _ in range(2 if status in self._faults.duplicated else 1):
            self.posted.append(fields)
            answer = await super().post(url, fields)
        if (held := self._held.pop(call_sid, None)) is not None:
            self.posted.append(held[1])
            await super().post(*held)
        return answer


@dataclass
class TwilioSimulator:
    """One account. `async with TwilioSimulator() as twilio:` serves it at `twilio.url`.

    `conversations` gives the callee for a dialled number. `lazy_updates`: an update is answered with the
    resource as it was, as Twilio does when the change takes a moment.
    """

    account_sid: str = field(default_factory=lambda: new_sid("AC"))
    auth_token: str = "simulated-auth-token"
    numbers: Mapping[str, bool] = field(default_factory=lambda: {OWN_NUMBER: True})
    """The account's numbers, each with whether it can do voice."""
    trusted: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    """Trust Hub's products, by policy and status: the numbers that each has."""
    conversations: Callable[[str], Conversation] = conversation_for
    voice: Voice = field(default_factory=FormantVoice)
    listener: ScriptListener = field(default_factory=NoListener)
    rest: Plan[RestFault] = field(default_factory=Plan)
    callbacks: CallbackFaults = CallbackFaults()
    amd: tuple[AmdNews, ...] = ()
    """Posted, in this order, for each call that was dialled with asynchronous machine detection."""
    lazy_updates: bool = False
    refuses_twiml: bool = False
    """New TwiML is answered as for a call that is not in progress."""
    max_lines: int = 50
    requests: list[RestRequest] = field(default_factory=list)
    url: str = ""

    async def __aenter__(self) -> TwilioSimulator:
        self.client = FaultyCourier(auth_token=self.auth_token, faults=self.callbacks)
        self.network = SimulatedNetwork(
            account_sid=self.account_sid,
            client=self.client,
            voice=self.voice,
            listener=self.listener,
            max_lines=self.max_lines,
            dialled=self.conversations,
        )
        await self.network.open()
        self._news: list[asyncio.Task[None]] = []
        app = web.Application(middlewares=[self._door])
        account = f"/2010-04-01/Accounts/{self.account_sid}"
        app.router.add_get(f"{account}.json", self._account)
        app.router.add_get(f"{account}/IncomingPhoneNumbers.json", self._numbers)
        app.router.add_get("/v1/TrustProducts", self._trust_products)
        app.router.add_get("/v1/TrustProducts/{sid}/ChannelEndpointAssignments", self._assignments)
        app.router.add_get(f"{account}/Calls.json", self._list)
        app.router.add_post(f"{account}/Calls.json", self._create)
        app.router.add_get(f"{account}/Calls/{{sid}}.json", self._fetch)
        app.router.add_post(f"{account}/Calls/{{sid}}.json", self._update)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for news in self._news:
            news.cancel()
        await asyncio.gather(*self._news, return_exceptions=True)
        await self.network.close()
        await self._runner.cleanup()

    @property
    def streams(self) -> list[StreamLog]:
        """Media sockets that were opened, in order, as this end saw them."""
        return [socket.log for socket in self.client.sockets]

    def call_in(
        self,
        *,
        voice_url: str,
        status_url: str | None,
        scenario: str | Conversation,
        from_number: str,
        to: str = OWN_NUMBER,
    ) -> str:
        """Somebody calls the account's number; the sid. `scenario` names a shipped callee, or is one."""
        leg = Leg(
            to=to,
            from_number=from_number,
            voice_url=voice_url,
            status_url=status_url,
            conversation=conversation_for(scenario) if isinstance(scenario, str) else scenario,
            direction="inbound",
        )
        return self.network.place(leg).call_sid

    @web.middleware
    async def _door(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        form = await request.post() if request.method == "POST" else {}
        fields = tuple((name, str(value)) for name, value in form.items())
        fault = self.rest.nth(len(self.requests))
        self.requests.append(
            RestRequest(request.method, request.path, dict(request.query), fields, time.monotonic())
        )
        if isinstance(fault, TooMany):
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return _error(429, 20429, "Too Many Requests", headers)
        if fault is not None and not fault.acted:
            return await _misbehave(request, fault)
        try:
            answer: web.StreamResponse = await self._answer(request, handler)
        except web.HTTPException as error:
            answer = _error(error.status, 20404, f"The requested resource {request.path} was not found")
        return answer if fault is None else await _misbehave(request, fault)

    async def _answer(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        expected = base64.b64encode(f"{self.account_sid}:{self.auth_token}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            return _error(401, 20003, "Authenticate")
        response: web.StreamResponse = await handler(request)
        return response

    async def _account(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "sid": self.account_sid,
                "friendly_name": "Simulated",
                "status": "active",
                "type": "Full",
                "date_created": "Mon, 01 Jan 2024 00:00:00 +0000",
            }
        )

    async def _numbers(self, request: web.Request) -> web.Response:
        asked = request.query.get("PhoneNumber")
        found: list[dict[str, object]] = [
            {
                "sid": _number_sid(number),
                "account_sid": self.account_sid,
                "phone_number": number,
                "capabilities": {"voice": voice, "sms": True, "mms": False, "fax": False},
            }
            for number, voice in self.numbers.items()
            if asked in (None, number)
        ]
        return _page("incoming_phone_numbers", found)

    async def _trust_products(self, request: web.Request) -> web.Response:
        """https://www.twilio.com/docs/trust-hub/trusthub-rest-api/trust-products"""
        query = request.query
        found = [
            {"sid": _product_sid(policy, status), "policy_sid": policy, "status": status, "friendly_name": "ours"}
            for policy, status in self.trusted
            if query.get("PolicySid") in (None, policy) and query.get("Status") in (None, status)
        ]
        return _meta_page(request, found)

    async def _assignments(self, request: web.Request) -> web.Response:
        product, wanted = request.match_info["sid"], request.query.get("ChannelEndpointSid")
        found = [
            {"sid": new_sid("RA"), "trust_product_sid": product, "channel_endpoint_sid": _number_sid(number)}
            for (policy, status), numbers in self.trusted.items()
            for number in numbers
            if product == _product_sid(policy, status) and wanted in (None, _number_sid(number))
        ]
        return _meta_page(request, found)

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        found = [
            self._resource(call)
            for call in self.network.calls
            if query.get("To") in (None, call.leg.to)
            and query.get("From") in (None, call.leg.from_number)
            and query.get("Status") in (None, call.status.value)
            and _started_within(call, query)
        ]
        return _page("calls", found[: int(query.get("PageSize", "50"))])

    async def _create(self, request: web.Request) -> web.Response:
        form = await request.post()
        to, from_number = str(form.get("To", "")), str(form.get("From", ""))
        if not to:
            return _error(400, 21201, "No 'To' number is specified")
        if not from_number:
            return _error(400, 21213, "No 'From' number is specified")
        for number, name, code in ((to, "To", 21211), (from_number, "From", 21212)):
            if (refusal := number_refusal(number, name, code)) is not None:
                return _error(400, code, refusal.message)
        if to == UNREACHABLE:
            return _error(400, 21214, f"The phone number you are attempting to call, {to}, cannot be reached.")
        if from_number not in self.numbers:
            return _error(
                400,
                21210,
                f"The source phone number provided, {from_number}, is not yet verified for your account.",
            )
        if not str(form.get("Url", "")).startswith(("http://", "https://")):
            return _error(400, 21205, "Url is not a valid URL")
        events = frozenset(str(event) for event in form.getall("StatusCallbackEvent", ["completed"]))
        try:
            call = self.network.place(
                Leg(
                    to=to,
                    from_number=from_number,
                    voice_url=str(form["Url"]),
                    status_url=str(form["StatusCallback"]) if "StatusCallback" in form else None,
                    conversation=self.conversations(to),
                    ring_seconds=float(str(form.get("Timeout", "60"))),
                    time_limit_seconds=float(str(form.get("TimeLimit", "14400"))),
                    events=events,
                )
            )
        except LinesBusyError:
            return _error(429, 10004, "Call concurrency limit exceeded")
        if form.get("MachineDetection") and form.get("AsyncAmd") == "true":
            news = self._tell_who_answered(call, str(form.get("AsyncAmdStatusCallback", "")))
            self._news.append(asyncio.create_task(news, name=f"amd {call.call_sid}"))
        return web.json_response(self._resource(call), status=201)

    async def _tell_who_answered(self, call: SimulatedCall, url: str) -> None:
        """https://www.twilio.com/docs/voice/answering-machine-detection#asyncamdstatuscallback"""
        while call.answered_at is None and not call.status.final:  # noqa: ASYNC110  # the call has no event for it
            await asyncio.sleep(0.01)
        if not url or call.answered_at is None:
            return
        began = time.monotonic()
        for news in self.amd:
            await asyncio.sleep(max(0.0, began + news.after_ms / 1000 - time.monotonic()))
            form = {
                "CallSid": call.call_sid,
                "AccountSid": call.account_sid,
                "AnsweredBy": news.answered_by,
                "MachineDetectionDuration": str(news.after_ms),
            }
            await self.client.post(url, form)

    async def _fetch(self, request: web.Request) -> web.Response:
        call = self.network.get(request.match_info["sid"])
        if call is None:
            raise web.HTTPNotFound
        return web.json_response(self._resource(call))

    async def _update(self, request: web.Request) -> web.Response:
        """`completed` ends an answered call, `canceled` one that rings; each leaves the other alone."""
        call = self.network.get(request.match_info["sid"])
        if call is None:
            raise web.HTTPNotFound
        form = await request.post()
        running = call.status is Status.IN_PROGRESS and not self.refuses_twiml
        if call.status.final or ("Twiml" in form and not running):
            return _error(400, 21220, "Call is not in-progress. Cannot redirect.")
        before = self._resource(call)
        answered = call.status is Status.IN_PROGRESS
        if "TimeLimit" in form:
            self.network.limit(call.call_sid, float(str(form["TimeLimit"])))
        if "Twiml" in form:
            self.network.instruct(call.call_sid, str(form["Twiml"]))
        elif (form.get("Status") == "completed" and answered) or (
            form.get("Status") == "canceled" and not answered
        ):
            self.network.hang_up(call.call_sid)
            if not self.lazy_updates:
                await call.ended.wait()
        return web.json_response(before if self.lazy_updates else self._resource(call))

    def _resource(self, call: SimulatedCall) -> dict[str, object]:
        seconds = call.duration_seconds
        return {
            "sid": call.call_sid,
            "account_sid": self.account_sid,
            "api_version": "2010-04-01",
            "to": call.leg.to,
            "from": call.leg.from_number,
            "status": call.status.value,
            "direction": call.leg.direction,
            "date_created": format_datetime(call.created_at),
            "start_time": _rfc2822(call.answered_at),
            "end_time": _rfc2822(call.ended_at),
            "duration": None if seconds is None else str(round(seconds)),
            "price": None,
            "price_unit": "USD",
            "uri": f"/2010-04-01/Accounts/{self.account_sid}/Calls/{call.call_sid}.json",
        }


def _rfc2822(time: datetime | None) -> str | None:
    return None if time is None else format_datetime(time)


def _started_within(call: SimulatedCall, query: Mapping[str, str]) -> bool:
    """StartTime, StartTime> and StartTime<, by UTC day as Twilio takes them; a queued call has no start."""
    limits = {name: query[name][:10] for name in ("StartTime", "StartTime>", "StartTime<") if name in query}
    if not limits:
        return True
    if call.answered_at is None:
        return False
    day = call.answered_at.date().isoformat()
    return (
        day == limits.get("StartTime", day)
        and day >= limits.get("StartTime>", day)
        and day <= limits.get("StartTime<", day)
    )


def _number_sid(number: str) -> str:
    return f"PN{hashlib.md5(number.encode(), usedforsecurity=False).hexdigest()}"


def _product_sid(policy: str, status: str) -> str:
    return f"BU{hashlib.md5(f'{policy} {status}'.encode(), usedforsecurity=False).hexdigest()}"


def _meta_page(request: web.Request, results: list[dict[str, str]]) -> web.Response:
    """A list as Twilio's newer APIs give it."""
    meta = {
        **{"page": 0, "page_size": 50, "first_page_url": str(request.url), "url": str(request.url)},
        **{"previous_page_url": None, "next_page_url": None, "key": "results"},
    }
    return web.json_response({"results": results, "meta": meta})


def _page(name: str, items: list[dict[str, object]]) -> web.Response:
    return web.json_response(
        {name: items, "page": 0, "page_size": 50, "next_page_uri": None, "previous_page_uri": None}
    )


def _error(status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return web.json_response(body, status=status, headers=headers)


async def _misbehave(request: web.Request, fault: RestFault) -> web.StreamResponse:
    if isinstance(fault, ServerError):
        return web.Response(status=fault.status, text="upstream connect error")
    if isinstance(fault, Unanswered):
        # Cancelled when the client leaves.
        await asyncio.Event().wait()
    elif request.transport is not None:
        request.transport.close()
    return web.Response(status=500)
