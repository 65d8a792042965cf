"""Carries callees to a server: ours is asked to dial through the simulated Twilio, stock is connected to.

The far end is the product's own SimulatedStream; what answers in it is the benchmark's callee.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bot.telephony.simulated.callee import SpokenLine
from bot.telephony.simulated.network import SimulatedCall, new_sid
from bot.telephony.simulated.script import CalleePickup, Conversation
from bot.telephony.simulated.stream import SimulatedStream, StreamIds
from tests.benchmarks.callee import Callee
from tests.benchmarks.servers import Server
from tests.simulators.twilio import OWN_NUMBER, TwilioSimulator

ROOT = Path(__file__).parents[2]
STAGGER_SECONDS = 0.127
"""Between the starts of two calls; no multiple of 20 ms, so that their frames do not come in step."""
RING_MS = 2500
"""Outbound calls ring for seconds; the opening is made meanwhile."""
_ORDER = {
    "phone_number": "+12025550123",
    "action": "Confirm your visit",
    "context": "Dr. Smith, Suite 200. Rescheduling available Mon-Fri.",
    "callee_name": "John",
    "agent_name": "Alex",
    "first_speaker": "agent",
}


class Operator:
    """A Twilio account whose dialled numbers are answered by the callees in `waiting`, in order."""

    def __init__(self, twilio: TwilioSimulator, pipelines: Path) -> None:
        """`pipelines`: a folder for the shipped scenarios, which call at any hour from there."""
        self.twilio = twilio
        self._pipelines = pipelines
        for path in (ROOT / "pipelines").glob("*.toml"):
            text = re.sub(
                r'^profile = ".*"', 'profile = "none"', path.read_text(encoding="utf-8"), flags=re.MULTILINE
            )
            (pipelines / path.name).write_text(text, encoding="utf-8")
        self.ring_ms = RING_MS
        self._waiting: deque[Callee] = deque()
        twilio.conversations = self._nobody
        twilio.network._callee = self._pick_up  # type: ignore[method-assign, assignment]  # a Callee in all it does

    @property
    def environment(self) -> dict[str, str]:
        return {
            "TWILIO_ACCOUNT_SID": self.twilio.account_sid,
            "TWILIO_AUTH_TOKEN": self.twilio.auth_token,
            "TWILIO_PHONE_NUMBER": OWN_NUMBER,
            "TWILIO_BASE_URL": self.twilio.url,
            "PIPELINES_DIR": str(self._pipelines),
        }

    async def hold(self, server: Server, callees: Sequence[Callee]) -> list[dict[str, Any]]:
        """All callees on the line until each has hung up; our records of the calls, none from stock."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            tasks = []
            for index, callee in enumerate(callees):
                one = self._ours if server.name == "ours" else self._stock
                tasks.append(group.create_task(one(session, server, callee, index * STAGGER_SECONDS)))
        return [record for task in tasks if (record := task.result()) is not None]

    async def _ours(
        self, session: aiohttp.ClientSession, server: Server, callee: Callee, after: float
    ) -> dict[str, Any] | None:
        await asyncio.sleep(after)
        self._waiting.append(callee)
        async with session.post(f"{server.origin}/api/phone/call", json=_ORDER) as answer:
            placed = await answer.json()
            if answer.status not in (201, 202):
                raise RuntimeError(f"no call: {answer.status} {placed}")
        url = f"{server.origin}/api/phone/calls/{placed['call_id']}"
        call = self.twilio.network.get(await _sid(session, url, placed))
        assert call is not None
        await call.ended.wait()
        return await _record(session, url)

    async def _stock(self, session: aiohttp.ClientSession, server: Server, callee: Callee, after: float) -> None:
        await asyncio.sleep(after)
        url = f"{server.origin.replace('http', 'ws')}/ws"
        socket = await session.ws_connect(url, timeout=aiohttp.ClientWSTimeout(ws_close=2.0))
        ids = StreamIds(self.twilio.account_sid, new_sid("CA"), new_sid("MZ"))
        await SimulatedStream(ids=ids, parameters={}, far_end=callee).run(socket)

    def _nobody(self, _number: str) -> Conversation:
        """A conversation without steps: the benchmark's callee brings its own."""
        return Conversation(name="benchmark", description="", pickup=CalleePickup(ring_ms=self.ring_ms))

    def _pick_up(self, _call: SimulatedCall, _lines: Mapping[str, SpokenLine]) -> Callee:
        return self._waiting.popleft()


async def _sid(session: aiohttp.ClientSession, url: str, placed: dict[str, Any]) -> str:
    """Of a call that may have to wait for a free line first."""
    while placed["call_sid"] is None:
        await asyncio.sleep(0.1)
        async with session.get(url) as answer:
            placed = await answer.json()
    return str(placed["call_sid"])


async def _record(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """The record once it is closed; as it is after five seconds."""
    record: dict[str, Any] = {}
    for _ in range(50):
        async with session.get(url) as answer:
            record = await answer.json()
        if record["status"] == "completed" and record["duration_seconds"] is not None:
            break
        await asyncio.sleep(0.1)
    return record


@asynccontextmanager
async def operator() -> AsyncIterator[Operator]:
    """The account, in this process: it is the far end whose clock is read."""
    with tempfile.TemporaryDirectory() as folder:
        async with TwilioSimulator(max_lines=200) as twilio:
            yield Operator(twilio, Path(folder))
