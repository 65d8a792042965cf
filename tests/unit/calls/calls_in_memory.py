"""What holds a call, without phones: a carrier that notes, a store that can be away, calls that end when told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from bot.audio import Speech
from bot.calls import active_calls
from bot.calls import media_streams as hold
from bot.conversation import opening
from bot.conversation.call import CallEnd
from bot.errors import CarrierError
from bot.pipeline.resources import Resources
from bot.records import EndedReason
from bot.store import SqlCallStore
from bot.telephony.carrier import API_PATH, CarrierCall, CarrierRequest, Detection, DialOrder, Instruction
from bot.telephony.media import MediaStream
from bot.telephony.twilio import twiml
from bot.telephony.twilio.signatures import HEADER, Fields
from bot.telephony.twilio.webhooks import TwilioWebhooks
from tests.unit.pipeline.memory_socket import MemorySocket

SIGNED = "signed"
"""The only signature that holds."""


def webhook(path: str, form: Mapping[str, str], signature: str = SIGNED) -> CarrierRequest:
    """Twilio's post to `path`, below its prefix and with its query: "/voice?call_id=c1"."""
    name = path.partition("?")[0]
    body = urlencode(dict(form)).encode()
    return CarrierRequest(f"{API_PATH}/twilio{path}", name, body, {HEADER.lower(): signature})


class QuietResources(Resources):
    """Loads nothing."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class NotingCarrier(TwilioWebhooks):
    """Keeps what it was asked. `failures`: what its methods raise, by their names."""

    vendor = "twilio"
    simulated = False

    def __init__(self) -> None:
        super().__init__("no token")
        self.dialled: list[DialOrder] = []
        self.hung_up: list[str] = []
        self.instructed: list[tuple[str, str]] = []
        self.failures: dict[str, BaseException] = {}
        self.known: dict[str, CarrierCall] = {}
        self.recent: list[CarrierCall] = []
        self.dialling = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def dial(self, order: DialOrder) -> str:
        self.dialled.append(order)
        self.dialling.set()
        await self.may_answer.wait()
        self._fail("dial")
        return f"CA{len(self.dialled)}"

    async def hang_up(self, call_sid: str) -> None:
        self.hung_up.append(call_sid)
        self._fail("hang_up")

    default_from = "+15005550006"
    request_seconds = 0.0

    async def instruct(
        self, call_sid: str, instruction: Instruction, *, time_limit_seconds: int | None = None
    ) -> None:
        self.instructed.append((call_sid, twiml.render(instruction)))
        self._fail("instruct")

    async def fetch(self, call_sid: str) -> CarrierCall | None:
        self._fail("fetch")
        return self.known.get(call_sid)

    async def recent_calls(self, to: str, since: datetime) -> Sequence[CarrierCall]:
        self._fail("recent_calls")
        return self.recent

    def _signed(self, url: str, form: Fields, request: CarrierRequest) -> bool:
        return request.headers.get(HEADER.lower()) == SIGNED

    def _fail(self, name: str) -> None:
        if name in self.failures:
            raise self.failures[name]


class ShakyStore(SqlCallStore):
    """A store whose methods named in `failures` raise."""

    failures: dict[str, Exception]

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        failure = super().__getattribute__("__dict__").get("failures", {}).get(name)
        if failure is None:
            return found

        async def fail(*_: Any, **__: Any) -> None:
            raise failure

        return fail


class QuietCall:
    """Stands for bot.call.Call on the line: over when it is hung up. `failure` is raised instead of a hold."""

    failure: Exception | None = None
    made: list[QuietCall]

    def __init__(self, plan: Any, *, line: Any, backend: Any, **_: Any) -> None:
        self.plan, self.line, self.carrier = plan, line, backend.carrier
        self.over = asyncio.Event()
        self.reason: EndedReason | None = None
        self.heard: list[Detection] = []
        plan.detections.listen(self.heard.append)
        self.expects_stream = False
        self.attached: list[str] = []
        self.told_over = False
        type(self).made.append(self)

    async def attach(self, stream: MediaStream) -> bool:
        if self.expects_stream:
            self.attached.append(stream.id)
            await self.over.wait()
        return self.expects_stream

    def carrier_ended(self) -> None:
        self.told_over = True

    async def hang_up(self, reason: EndedReason) -> None:
        self.reason = self.reason or reason
        self.over.set()

    async def hold(self) -> CallEnd:
        if self.failure is not None:
            raise self.failure
        await self.over.wait()
        await self.carrier.hang_up(self.line.call_sid)
        assert self.reason is not None
        return CallEnd(self.reason)


def start_frame(token: str, call_sid: str) -> str:
    """The frame a media stream starts with."""
    start = {
        "streamSid": "MZ1",
        "callSid": call_sid,
        "accountSid": "AC1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token},
    }
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": start})


def media_socket(token: str, call_sid: str) -> MemorySocket:
    """A far end that shows `token`."""
    socket = MemorySocket()
    socket.say(start_frame(token, call_sid))
    return socket


def refusal(message: str = "no") -> CarrierError:
    return CarrierError(message, provider="twilio", status=500)


def hold_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Openings are there at once, calls without services, and each that is held is a QuietCall."""

    async def speak(*_: Any, stream: opening.SpeechStream | None = None, **__: Any) -> Speech:
        stream = stream or opening.SpeechStream()
        stream.add(Speech("Hi.", bytes(160)))
        return stream.speech()

    monkeypatch.setattr(opening, "speak", speak)
    monkeypatch.setattr(active_calls, "build_services", lambda *_: object())
    monkeypatch.setattr(QuietCall, "made", [], raising=False)
    monkeypatch.setattr(hold, "Call", QuietCall)
