"""What fails at a vendor is counted by vendor and kind, once, where it is noticed."""

from __future__ import annotations

import pytest

from bot.pipeline.stt import deepgram_link
from bot.pipeline.tts import utterance
from tests.simulators import anthropic, deepgram, elevenlabs
from tests.simulators.faults import Plan
from tests.unit.pipeline.conversation import until
from tests.unit.pipeline.llm.test_service import stage
from tests.unit.pipeline.stt.test_failures import WORDS, listening
from tests.unit.pipeline.tts.test_elevenlabs import speaking
from tests.unit.telemetry.test_metrics import value


class Count:
    """Counters from now on."""

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor
        kinds = ("refused", "unreachable", "connection_lost", "gave_up")
        self._before = {kind: self._now(kind) for kind in kinds}
        self._reconnects = value("phone_agent_vendor_reconnects_total", vendor=vendor)

    def _now(self, kind: str) -> float:
        return value("phone_agent_vendor_errors_total", vendor=self._vendor, kind=kind)

    @property
    def failures(self) -> dict[str, float]:
        grown = {kind: self._now(kind) - before for kind, before in self._before.items()}
        return {kind: count for kind, count in grown.items() if count}

    @property
    def reconnects(self) -> float:
        return value("phone_agent_vendor_reconnects_total", vendor=self._vendor) - self._reconnects


async def test_a_lost_ear_that_is_there_again() -> None:
    count = Count("deepgram")
    async with listening("nova", Plan((deepgram.Drop(after_audio_ms=900),))) as call:
        await call.say()
        await until(lambda: call.heard == WORDS)
    assert (count.failures, count.reconnects) == ({"connection_lost": 1}, 1)


async def test_an_ear_that_refuses_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram_link, "RECONNECT_WAITS", (0.0, 0.0))
    count = Count("deepgram")
    async with listening("flux", Plan(then=deepgram.Refuse(503))) as call:
        await until(lambda: bool(call.errors))
    assert (count.failures, count.reconnects) == ({"refused": 3, "gave_up": 1}, 0)


async def test_a_mind_that_refuses_once_and_one_that_has_no_answer() -> None:
    count = Count("anthropic")
    async with stage(anthropic.Refuse(529)) as it:
        await it.ask()
        await it.over()
    assert count.failures == {"refused": 1}
    count = Count("anthropic")
    async with stage(then=anthropic.Refuse(401)) as it:
        await it.ask()
        await until(it.error)
    assert count.failures["gave_up"] == 1


async def test_a_voice_that_is_lost_and_there_again() -> None:
    count = Count("elevenlabs")
    async with speaking(faults=Plan((elevenlabs.Drop(after_audio_ms=900),))) as call:
        await call.say()
        await call.over()
    assert (count.failures, count.reconnects) == ({"connection_lost": 1}, 1)


async def test_a_voice_that_is_refused_gives_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utterance, "LOST_SECONDS", 0.6)
    monkeypatch.setattr(utterance, "RETAKE_SECONDS", 0.2)
    count = Count("elevenlabs")
    async with speaking(faults=Plan(then=elevenlabs.Refuse(401)), ladder=True) as call:
        await call.say()
        await call.over()
    assert count.failures["gave_up"] == 1
    assert count.failures["refused"] >= 2
