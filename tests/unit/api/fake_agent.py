"""A phone agent without phones: keeps what the routes asked of it and answers as it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from bot.calls.campaigns import Campaigns
from bot.calls.dialling.do_not_call import DoNotCall
from bot.calls.idempotency import UNASKED, Asked
from bot.calls.recordings import Recordings
from bot.calls.retention import Erasure
from bot.calls.webhooks import Webhooks
from bot.errors import NotFoundError
from bot.policy import DEFAULT_TERMS, Terms
from bot.records import (
    CallRecord,
    CallSpec,
    Counts,
    Direction,
    EndedReason,
    Health,
    Outcome,
    Registration,
    Slot,
    Speaker,
    Status,
    ToolUse,
    Turn,
    TurnLatency,
)
from bot.settings import Settings
from bot.store import Page
from bot.store.consents import KeptConsent
from bot.store.retention import Erased
from bot.telemetry.metrics import Depth
from bot.telephony.carrier import CarrierReply, CarrierRequest
from bot.telephony.media import Socket
from bot.telephony.twilio.signatures import HEADER

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)

A_CALL = CallRecord(
    call_id="c_01",
    call_sid="CA1",
    spec=CallSpec(
        phone_number="+12025550123", scenario="survey", action="Ask", context={"a": 1}, metadata={"crm": [1]}
    ),
    direction=Direction.OUTBOUND,
    status=Status.COMPLETED,
    created_at=NOON,
    answered_at=NOON,
    ended_at=NOON,
    ended_reason=EndedReason.AGENT_HANGUP,
    duration_seconds=30.25,
    answer_to_first_audio_ms=180.5,
    recording="c_01.wav",
    vendors={"stt": "deepgram"},
    turns=(
        Turn(
            index=0,
            speaker=Speaker.AGENT,
            text="Hello",
            started_at=NOON,
            start_ms=0,
            end_ms=700,
            latency=TurnLatency(voice_to_voice_ms=612.5),
            tools=(ToolUse("end_call", {"why": "done"}, {"ok": True}, 650),),
        ),
    ),
    counts=Counts(1),
    outcome=Outcome(reached_goal=True, summary="Done.", fields={"score": 5}, source="claude"),
)


_PARTS = (
    "carrier",
    "placing",
    "registrations",
    "hang_ups",
    "carrier_events",
    "media_streams",
    "store",
    "engine",
    "planner",
    "consents",
    "database",
)


@dataclass
class Erasing:
    """What the routes know of retention."""

    agent: FakeAgent

    async def erase(self, phone_number: str) -> Erasure:
        self.agent.erased.append(phone_number)
        return self.agent.erasure


@dataclass
class FakeAgent:
    settings: Settings
    error: BaseException | None = None
    specs: list[CallSpec] = field(default_factory=list)
    lists: list[tuple[Status | None, int, str | None]] = field(default_factory=list)
    carrier_requests: list[CarrierRequest] = field(default_factory=list)
    sockets: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    ready: bool = True
    simulated: bool = True
    """Whether its carrier is."""
    heard: list[str | bytes | None] = field(default_factory=list)
    terms: list[Terms] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    placed_status: Status = Status.INITIATED
    queues: dict[str, Depth] = field(default_factory=dict)
    canceled: list[str] = field(default_factory=list)
    campaigns: Campaigns = field(init=False)
    """Set by the tests that ask for it."""
    do_not_call: DoNotCall = field(init=False)
    webhooks: Webhooks = field(init=False)
    """Set by the tests that ask for it."""
    erasure: Erasure = field(default_factory=lambda: Erasure(Erased()))
    erased: list[str] = field(default_factory=list)
    counted: int = 0
    """How often the queues were asked for."""

    def __getattr__(self, name: str) -> FakeAgent:
        """It is each of the parts that the routes use."""
        if name not in _PARTS:
            raise AttributeError(name)
        return self

    secret = "of this database"

    def shown(self, record: CallRecord) -> CallRecord:
        return record

    async def of_number(self, phone_number: str) -> list[KeptConsent]:
        return [KeptConsent("c_01", phone_number, "offer", None, "web_form", "2026-01-01", "form 17", NOON)]

    def opening_preview(self, record: CallRecord) -> str | None:
        return f"Hello, {record.spec.callee_name}."

    @property
    def recordings(self) -> Recordings:
        return Recordings(self.settings.data_dir / "recordings")

    @property
    def retention(self) -> Erasing:
        return Erasing(self)

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    async def place(self, spec: CallSpec, terms: Terms = DEFAULT_TERMS, asked: Asked = UNASKED) -> CallRecord:
        self._fail()
        self.specs.append(spec)
        self.terms.append(terms)
        self.asked.append(asked)
        return replace(A_CALL, spec=spec, status=self.placed_status)

    async def register(self, spec: CallSpec, terms: Terms = DEFAULT_TERMS) -> Registration:
        self._fail()
        self.specs.append(spec)
        self.terms.append(terms)
        return Registration(
            "c_01",
            "https://bot.example.com/api/phone/twilio/voice",
            "https://bot.example.com/api/phone/twilio/status",
            None,
            120.0,
            NOON,
        )

    async def handle(self, request: CarrierRequest) -> CarrierReply:
        """An answer to all but a status and a detection."""
        self._fail()
        self.carrier_requests.append(request)
        silent = request.webhook.endswith(("status", "amd"))
        return CarrierReply() if silent else CarrierReply("<Response/>", "text/xml")

    async def receive(self, socket: Socket, request: CarrierRequest, path_token: str | None) -> None:
        """Accepts, echoes text frames in capitals until the other side is gone."""
        self.sockets.append((request.target, request.headers.get(HEADER.lower()), path_token))
        await socket.accept()
        self._fail()
        while True:
            self.heard.append(frame := await socket.receive())
            if frame is None or frame == "bye":
                return
            if isinstance(frame, str):
                await socket.send(frame.upper())

    async def find(self, call_id: str) -> CallRecord:
        self._fail()
        if call_id != A_CALL.call_id:
            raise NotFoundError(f"There is no call {call_id}.")
        return A_CALL

    async def page(self, *, status: Status | None, limit: int, cursor: str | None) -> Page[CallRecord]:
        self._fail()
        self.lists.append((status, limit, cursor))
        return Page((replace(A_CALL, turns=()),), next_cursor="more")

    async def hang_up(self, call_id: str, *, again: bool = False) -> CallRecord:
        self._fail()
        return A_CALL

    async def cancel(self, call_id: str) -> CallRecord:
        self._fail()
        self.canceled.append(call_id)
        return replace(A_CALL, call_id=f"{call_id}_2", status=Status.CANCELED, ended_reason=EndedReason.CANCELED)

    async def waiting(self) -> Mapping[str, Depth]:
        self.counted += 1
        self._fail()
        return self.queues

    def health(self) -> Health:
        self._fail()
        return Health(
            ready=self.ready,
            slots={"stt": Slot("deepgram", "ready", "DEEPGRAM_API_KEY is set")},
            calls_on_line=2,
            capacity=20,
            version="0.1.0",
            why_not_ready=None if self.ready else "draining",
        )
