"""A carrier with a wire of its own: JSON webhooks under a key, media frames of one letter and hex."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bot.calls.ingress import MEDIA_PATH
from bot.errors import ForbiddenError
from bot.records import EndedReason, Status
from bot.telephony.carrier import (
    Answered,
    CarrierEvent,
    CarrierReply,
    CarrierRequest,
    Detected,
    Detection,
    Instruction,
    packed,
)
from bot.telephony.media import AudioReceived, MalformedFrame, MediaEvent, StreamStarted, StreamStopped
from tests.unit.calls.agent.agents import build
from tests.unit.calls.calls_in_memory import NotingCarrier, QuietCall
from tests.unit.pipeline.conversation import until
from tests.unit.pipeline.memory_socket import MemorySocket

KEY = {"x-key": "secret"}


class LetterFrames:
    """S: a start with call and token; A: audio; E: the end."""

    def parse(self, frame: str | bytes) -> MediaEvent:
        kind, _, rest = str(frame).partition(" ")
        match kind:
            case "S":
                call_sid, token = rest.split()
                return StreamStarted("stream-1", call_sid, token)
            case "A":
                return AudioReceived(bytes.fromhex(rest), None)
            case "E":
                return StreamStopped()
        return MalformedFrame("an unknown letter")

    def media(self, stream_id: str, mulaw: bytes) -> str:
        return f"A {mulaw.hex()}"

    def mark(self, stream_id: str, name: str) -> str:
        return f"M {name}"

    def clear(self, stream_id: str) -> str:
        return "C"

    def with_token(self, start: str, token: str) -> str:
        return f"{start.rpartition(' ')[0]} {token}"


class JsonCarrier(NotingCarrier):
    """All of its wire replaced."""

    vendor = "json"
    media = LetterFrames()

    def read(self, request: CarrierRequest, origin: str) -> CarrierEvent | None:
        if not self.admits(request, origin):
            raise ForbiddenError("The key does not hold.")
        said = json.loads(request.body)
        if said["event"] == "picked up":
            return Answered(said["call"], None, to=said["to"], from_number=said["from"])
        return Detected(said["call"], None, Detection.MACHINE)

    def reply(self, request: CarrierRequest, instruction: Instruction | None, origin: str) -> CarrierReply:
        return CarrierReply("" if instruction is None else json.dumps(packed(instruction)), "application/json")

    def admits(self, request: CarrierRequest, origin: str) -> bool:
        return request.headers.get("x-key") == KEY["x-key"]


def request(**said: str) -> CarrierRequest:
    return CarrierRequest("/api/phone/json/events", "/events", json.dumps(said).encode(), KEY)


async def test_a_call_is_answered_and_held_on_it(tmp_path: Path) -> None:
    agents = build(tmp_path, carrier=JsonCarrier())
    await agents.agent.open()
    handle = agents.agent.carrier_events.handle
    with pytest.raises(ForbiddenError):
        await handle(CarrierRequest("/api/phone/json/events", "/events", b"{}"))
    reply = await handle(request(event="picked up", call="J1", to="+12025550100", **{"from": "+12025550199"}))
    assert reply.media_type == "application/json"
    stream = json.loads(reply.body)["fields"]["stream"]
    socket = MemorySocket()
    socket.say("?", f"S J1 {stream['token']}")
    streams = agents.agent.media_streams
    holding = asyncio.create_task(streams.receive(socket, CarrierRequest(MEDIA_PATH, headers=KEY), None))
    await until(lambda: bool(QuietCall.made))
    (call,) = QuietCall.made
    assert not (await handle(request(event="heard", call="J1"))).body
    assert call.heard == [Detection.MACHINE]
    await call.hang_up(EndedReason.AGENT_HANGUP)
    await holding
    record = await agents.the_record()
    assert (record.call_sid, record.status, record.vendors["carrier"]) == ("J1", Status.COMPLETED, "json")
    await agents.agent.close()
