"""A phone agent on its real engine and store, with a carrier in memory and calls that say nothing."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.api.answers import as_event
from bot.calls.agent import Backends, PhoneAgent
from bot.calls.ingress import MEDIA_PATH
from bot.calls.process import CallListener
from bot.conversation.scenario.compliance import Compliance
from bot.conversation.scenario.parts import Limits, Opening
from bot.conversation.scenario.scenario import Scenario, Scenarios
from bot.policy import ProfileName
from bot.records import CallRecord, CallSpec, Direction, Status
from bot.settings import Settings
from bot.store import Database
from bot.store.address import parse_database_url
from bot.telephony.carrier import CarrierRequest
from bot.telephony.twilio.signatures import HEADER
from tests.busy import ANY_CALLS, ANY_LAG_MS
from tests.unit.calls.calls_in_memory import (
    SIGNED,
    NotingCarrier,
    QuietResources,
    ShakyStore,
    media_socket,
    webhook,
)
from tests.unit.pipeline.memory_socket import MemorySocket

TO = "+12025550123"
SPEC = CallSpec(TO, "appointment_confirmation")
ORIGIN = "https://bot.example.com"
PROFILES: dict[str, ProfileName] = {
    "appointment_confirmation": "none",
    "inbound_reception": "none",
    "offer": "us_marketing",
}
SCENARIOS = tuple(
    Scenario(
        compliance=Compliance(profile=profile),
        name=name,
        description="d",
        instructions="i",
        opening=Opening(text="Hi."),
        limits=Limits(ring_seconds=5),
    )
    for name, profile in PROFILES.items()
)


class Listening(CallListener):
    def __init__(self) -> None:
        self.ended: list[str] = []

    def call_ended(self, call_id: str) -> None:
        self.ended.append(call_id)


@dataclass
class AgentHarness:
    agent: PhoneAgent
    carrier: NotingCarrier
    store: ShakyStore

    async def record(self, call_id: str) -> CallRecord:
        record = await self.store.get(call_id)
        assert record is not None
        return record

    async def the_record(self) -> CallRecord:
        (call,) = (await self.store.page()).items
        return await self.record(call.call_id)

    async def answer(self, call_id: str | None, call_sid: str, **form: str) -> str:
        """The voice webhook's TwiML."""
        query = f"?call_id={call_id}" if call_id else ""
        fields = {"CallSid": call_sid, "From": "+12025550199", "To": "+12025550100", **form}
        return (await self.agent.carrier_events.handle(webhook(f"/voice{query}", fields))).body

    async def tell(self, call_sid: str, status: Status) -> None:
        form = {"CallSid": call_sid, "CallStatus": status.value}
        await self.agent.carrier_events.handle(webhook("/status", form))

    def connect(self, twiml: str, call_sid: str) -> tuple[MemorySocket, asyncio.Task[None]]:
        """The media stream that the TwiML asks for."""
        socket = media_socket(token_of(twiml), call_sid)
        request = CarrierRequest(MEDIA_PATH, headers={HEADER.lower(): SIGNED})
        return socket, asyncio.create_task(self.agent.media_streams.receive(socket, request, None))

    @property
    def lines(self) -> int:
        return self.agent.active_calls.lines_taken


def token_of(twiml: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', twiml)
    assert found is not None, twiml
    return found.group(1)


def settings(tmp_path: Path, **changes: Any) -> Settings:
    fields: dict[str, Any] = {
        "twilio_account_sid": "AC1",
        "twilio_auth_token": SecretStr("secret"),
        "deepgram_api_key": SecretStr("d"),
        "anthropic_api_key": SecretStr("a"),
        "elevenlabs_api_key": SecretStr("e"),
        "elevenlabs_voice_id": "v",
        "public_host": ORIGIN,
        "api_keys": (SecretStr("key"),),
        "data_dir": tmp_path,
        "max_calls": 1,
        "max_loop_lag_ms": ANY_LAG_MS,
        "max_calls_per_number": ANY_CALLS,
        "host": "127.0.0.1",
        **changes,
    }
    return Settings(_env_file=None, **fields)


def build(
    tmp_path: Path,
    scenarios: tuple[Scenario, ...] = SCENARIOS,
    listener: CallListener | None = None,
    carrier: NotingCarrier | None = None,
    database: str | None = None,
    **changes: Any,
) -> AgentHarness:
    """`database`: a URL, of an SQLite file of its own if left out."""
    chosen = settings(tmp_path, **changes)
    database_of = parse_database_url(database, tmp_path / "calls.db")
    store, carrier = ShakyStore(Database(database_of)), carrier or NotingCarrier()
    agent = PhoneAgent(
        Backends(QuietResources(chosen), store, carrier),
        Scenarios(scenarios),
        present=as_event,
        listener=listener,
    )
    return AgentHarness(agent, carrier, store)


def record_of(call_id: str, *, age: float = 60.0, **fields: Any) -> CallRecord:
    created = datetime.now(UTC) - timedelta(seconds=age)
    return CallRecord(call_id, SPEC, Direction.OUTBOUND, Status.QUEUED, created, **fields)


async def ended(harness: AgentHarness, call_id: str) -> CallRecord:
    """The record once it has a final status."""
    async with asyncio.timeout(10):
        while not (record := await harness.record(call_id)).status.final:  # noqa: ASYNC110  # a store has no event
            await asyncio.sleep(0.02)
    return record
