"""ElevenLabs as it fails: what was owed is said, once, in order; where it cannot be, the next voice goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from loguru import logger
from pipecat.frames.frames import (
    AggregatedTextFrame,
    ErrorFrame,
    InterruptionFrame,
    LLMAssistantPushAggregationFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pydantic import SecretStr

from bot.pipeline.resources import Resources
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.tts import utterance
from bot.pipeline.tts.elevenlabs import ElevenLabsService, parse
from bot.pipeline.tts.vendors import ElevenLabs, Hibari
from bot.settings import Settings
from bot.telemetry import metrics
from tests.calls.server import shared_voice
from tests.simulators.contexts import ContextFault, Empty, Silent
from tests.simulators.elevenlabs import (
    VOICE,
    Babble,
    Drop,
    ElevenLabsLatency,
    ElevenLabsSimulator,
    Refuse,
    Say,
    SocketFault,
)
from tests.simulators.faults import Plan
from tests.unit.pipeline.conversation import Collector, running, until

TEXT = (
    "Hello, this is Alex from Downtown Dental. I'm calling about Thursday at 2 p.m. with Dr. Smith. "
    "Does that still work for you?"
)
QUICK = ElevenLabsLatency(first_audio_ms=10, speed=30)


@dataclass
class Speaking:
    sim: ElevenLabsSimulator
    services: Sequence[ElevenLabsService]
    before: Collector
    behind: Collector
    pipeline: RunningPipeline
    said: int = field(default=0)

    async def say(self, text: str = TEXT) -> None:
        words = [LLMTextFrame(f"{word} ") for word in text.split()]
        await self.pipeline.queue(LLMFullResponseStartFrame(), *words, LLMFullResponseEndFrame())

    async def over(self) -> None:
        """Until the reply's end has passed behind its sound."""
        self.said += 1
        await until(lambda: len(self.behind.of(LLMFullResponseEndFrame)) == self.said)

    @property
    def words(self) -> str:
        return " ".join(f.text.strip() for f in self.behind.down if isinstance(f, TTSTextFrame))

    @property
    def audio_ms(self) -> float:
        return sum(len(f.audio) for f in self.behind.down if isinstance(f, TTSAudioRawFrame)) / 16

    @property
    def errors(self) -> list[str]:
        return [frame.error for frame in self.before.up if isinstance(frame, ErrorFrame)]


@asynccontextmanager
async def speaking(
    *,
    faults: Plan[SocketFault] | None = None,
    context_faults: Plan[ContextFault] | None = None,
    latency: ElevenLabsLatency = QUICK,
    ladder: bool = False,
    sim: ElevenLabsSimulator | None = None,
) -> AsyncIterator[Speaking]:
    sim = sim or ElevenLabsSimulator(
        api_key="secret", latency=latency, faults=faults, context_faults=context_faults
    )
    async with sim:
        settings = Settings(
            _env_file=None,
            elevenlabs_api_key=SecretStr("secret"),
            elevenlabs_voice_id=VOICE,
            elevenlabs_base_url=sim.url,
        )
        resources = Resources(settings, voice=shared_voice())
        members = (ElevenLabs(), Hibari()) if ladder else (ElevenLabs(),)
        services = [member.build(resources, language="en") for member in members]
        before, behind = Collector("Before"), Collector("Behind")
        async with running([before, *services, behind]) as pipeline:
            yield Speaking(sim, services, before, behind, pipeline)  # type: ignore[arg-type]
        await sim.all_closed()


def places_grow(call: Speaking) -> bool:
    frames = [f for f in call.behind.down if isinstance(f, TTSTextFrame)]
    by_context: dict[str | None, list[float]] = {}
    for frame in frames:
        by_context.setdefault(frame.context_id, []).append(frame.metadata["offset_ms"])
    return all(a < b for places in by_context.values() for a, b in pairwise(places))


async def test_a_healthy_reply_is_one_context_closed_when_all_of_it_has_come() -> None:
    async with speaking() as call:
        await call.say()
        await call.over()
        assert call.words == TEXT
        assert len(call.behind.of(TTSStartedFrame)) == len(call.behind.of(TTSStoppedFrame)) == 1
        (context,) = call.sim.contexts
        assert context.text.split() == TEXT.split()
        assert (context.flushes, context.closed) == (1, True)
        assert context.sent_text.split() == TEXT.split(), "closed before it was through"
        assert not call.errors


@pytest.mark.parametrize("after_ms", [60, 900, 1700, 3333, 5000])
async def test_a_socket_lost_in_mid_sentence(after_ms: float) -> None:
    async with speaking(faults=Plan((Drop(after_audio_ms=after_ms),))) as call:
        await call.say()
        await call.over()
        assert call.words == TEXT
        assert places_grow(call)
        assert len(call.behind.of(TTSStartedFrame)) == len(call.behind.of(TTSStoppedFrame)) == 1
        first, second = call.sim.contexts
        rest = second.text.strip()
        assert TEXT.endswith(rest)
        logged = len(first.sent_text.strip()) + 4  # the chunk the socket broke at came, and is not logged
        assert logged >= len(TEXT) - len(rest) - 1, "a word was left out"
        lost_ms = after_ms + len(rest) * 60 - len(TEXT) * 60
        assert -130 < lost_ms < 1000, "no more than the word that broke off is said twice"
        assert not call.errors


async def test_an_outage_of_a_second_and_a_second_one_at_once() -> None:
    faults: Plan[SocketFault] = Plan(
        (Drop(after_audio_ms=1500), Refuse(503), Refuse(503), Refuse(503), Drop(after_audio_ms=700), Refuse(503))
    )
    async with speaking(faults=faults) as call:
        await call.say()
        await call.over()
        assert call.words == TEXT
        assert places_grow(call)
        assert not call.errors


async def test_a_context_that_ends_without_audio_is_said_again() -> None:
    async with speaking(context_faults=Plan((Silent(),))) as call:
        await call.say("Yes, it does.")
        await call.over()
        assert call.words == "Yes, it does."
        assert call.audio_ms == pytest.approx(60 * len("Yes, it does."), abs=130)
        assert not call.errors


async def test_a_context_that_says_it_is_through_and_is_not() -> None:
    """The vendor ends it at once, without a sound, twice."""
    async with speaking(context_faults=Plan((Empty(at_once=True), Empty(at_once=True)))) as call:
        await call.say("Yes, it does.")
        await call.over()
        assert call.words == "Yes, it does."
        assert len([c for c in call.sim.contexts if c.text.strip()]) == 3


async def test_nonsense_is_dropped() -> None:
    nonsense = (
        "[" * 100_000,
        "{",
        "[1, 2]",
        "null",
        '{"event": "weather"}',
        '{"contextId": "who", "audio": "AAAA"}',
        '{"contextId": 7, "isFinal": true}',
        '{"contextId": null, "audio": "AAAA", "alignment": null}',
    )
    async with speaking(faults=Plan(then=Babble(nonsense))) as call:
        await call.say()
        await call.over()
        assert call.words == TEXT
        assert call.audio_ms == pytest.approx(60 * len(TEXT), rel=0.05)
        assert len(call.sim.sockets) == 1
        assert not call.errors


async def test_wrong_fields_of_a_known_context_are_dropped() -> None:
    async with speaking() as call:
        (service,) = call.services
        await until(lambda: service._is_connected)
        await call.say()
        await until(lambda: call.audio_ms > 500)
        name = next(iter(service._takes))
        for fields in (
            '"audio": "%"',
            '"audio": 5',
            '"alignment": [1]',
            '"alignment": {"chars": ["a"], "charStartTimesMs": [], "charDurationsMs": [1]}',
            '"alignment": {"chars": 4}',
        ):
            assert not await service._read(f'{{"contextId": "{name}", {fields}}}')
        await call.over()
        assert call.words == TEXT


@pytest.mark.parametrize(
    "alignment",
    [
        "null",
        "[1]",
        '{"chars": ["a"]}',
        '{"chars": ["a", "b"], "charStartTimesMs": [0], "charDurationsMs": [1]}',
        '{"chars": ["a"], "charStartTimesMs": [1e999], "charDurationsMs": [1]}',
        f'{{"chars": ["a"], "charStartTimesMs": [0], "charDurationsMs": [1{"0" * 400}]}}',
        '{"chars": ["a"], "charStartTimesMs": [NaN], "charDurationsMs": [1]}',
        '{"chars": ["a"], "charStartTimesMs": [-1], "charDurationsMs": [1]}',
    ],
)
def test_audio_is_heard_whatever_its_alignment(alignment: str) -> None:
    chunk = parse(f'{{"contextId": "c", "audio": "AAAA", "alignment": {alignment}}}')
    assert chunk is not None
    assert (chunk.audio, chunk.chars, chunk.starts_ms) == (bytes(3), (), ())


async def test_second_takes_stay_in_the_vendors_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three utterances, each asked for twice, are six contexts: ElevenLabs closes the socket at the sixth."""
    monkeypatch.setattr(utterance, "RETAKE_SECONDS", 0.3)
    async with speaking(context_faults=Plan((Silent(), Silent(), Silent()))) as call:
        texts = [f"This is sentence number {n}." for n in range(3)]
        await call.pipeline.queue(*(TTSSpeakFrame(text, append_to_context=True) for text in texts))
        await until(lambda: len(call.behind.of(TTSStoppedFrame)) == len(texts))
        assert call.words == " ".join(texts)
        assert len(call.sim.sockets) == 1


async def test_an_oversized_message_costs_the_socket_and_not_a_word() -> None:
    async with speaking(faults=Plan((Babble(("x" * (17 * 2**20),)),))) as call:
        await call.say()
        await call.over()
        assert call.words == TEXT
        assert len(call.sim.sockets) == 2


async def test_late_audio_of_a_cancelled_context_is_not_heard() -> None:
    async with speaking(latency=ElevenLabsLatency(first_audio_ms=10, speed=10)) as call:
        await call.say()
        await until(lambda: call.audio_ms > 500)
        await call.pipeline.queue(InterruptionFrame())
        await until(lambda: bool(call.behind.of(InterruptionFrame)))
        stopped_at = call.audio_ms
        (old,) = call.sim.contexts
        await until(lambda: old.final)
        assert old.sent_ms > stopped_at + 300, "the vendor went on"
        assert call.audio_ms == stopped_at
        seen = len(call.behind.down)
        await call.say("Sure, no problem.")
        await call.over()
        fresh = [f for f in call.behind.down[seen:] if isinstance(f, TTSTextFrame)]
        assert " ".join(f.text.strip() for f in fresh) == "Sure, no problem."
        assert fresh[0].metadata["offset_ms"] == 0


@pytest.mark.parametrize("fault", [Refuse(401), Refuse(503)])
async def test_the_next_voice_says_what_a_refused_one_owes(
    fault: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utterance, "LOST_SECONDS", 0.6)
    monkeypatch.setattr(utterance, "RETAKE_SECONDS", 0.2)
    async with speaking(faults=Plan(then=fault), ladder=True) as call:
        await call.say()
        await call.over()
        assert call.words == TEXT
        await call.pipeline.queue(TTSSpeakFrame("Are you still there?", append_to_context=True))
        await call.say("Goodbye.")
        await call.over()
        assert call.words == f"{TEXT} Are you still there? Goodbye."
        assert not call.errors
        assert [f.text for f in call.behind.down if type(f) is LLMTextFrame] == []


@pytest.mark.parametrize(
    "fault",
    [
        Say({"message": "This request exceeds your quota of 10000.", "error": "quota_exceeded", "code": 1008}),
        Say({"message": "Unusual activity detected.", "error": "detected_unusual_activity", "code": 1008}, 1008),
        Say({"detail": {"status": "invalid_api_key", "message": "Invalid API key"}}),
        Say({"message_type": "quota_exceeded", "error": "You have exceeded your quota."}),
        Say(
            {"type": "error", "message": "received 1002 (protocol error) This request exceeds your quota limit."}
        ),
        Say({"error": "voice_id_does_not_exist", "message": "A voice with voice_id x does not exist."}, 1008),
        Say({"error": "rate_limit_exceeded", "message": "Too many concurrent requests."}),
        Say({"error": "something_new", "message": "No.", "code": 1011}),
        Say({}, 1008, "This request exceeds your quota of 10000. You have 3 credits remaining."),
        Say({}, 3000, "A voice with the voice_id x was not found."),
    ],
)
async def test_the_next_voice_speaks_at_once_where_this_one_says_that_it_will_not(
    fault: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[str, str]] = []
    monkeypatch.setattr(metrics, "vendor_failed", lambda *what: counted.append(what))
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    try:
        async with speaking(faults=Plan(then=fault), ladder=True) as call:
            await call.say()
            await call.over()
            assert call.words == TEXT
            assert len(call.sim.sockets) == 1, "no second try, and the open socket is left"
            await call.sim.all_closed()
            assert not call.errors
    finally:
        logger.remove(sink)
    assert len([line for line in lines if "ElevenLabs" in line]) == 1
    assert counted.count(("elevenlabs", "gave_up")) == 1


@pytest.mark.parametrize(
    "passing",
    [
        {"error": "input_timeout_exceeded", "message": "Have not received a new text input.", "code": 1008},
        {"error": "hm"},
        {"message": "hello"},
        {"contextId": "x", "isFinal": True},
    ],
)
def test_what_passes_is_no_reason_to_change_the_voice(passing: dict[str, object]) -> None:
    parse(json.dumps(passing))


async def test_the_next_voice_goes_on_in_mid_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utterance, "LOST_SECONDS", 0.5)
    monkeypatch.setattr(utterance, "RETAKE_SECONDS", 0.2)
    async with speaking(faults=Plan((Drop(after_audio_ms=2000),), then=Refuse(503)), ladder=True) as call:
        await call.pipeline.queue(TTSSpeakFrame(TEXT, append_to_context=True))
        await call.say("Goodbye then.")
        await call.over()
        assert call.words == f"{TEXT} Goodbye then."
        frames = call.behind.down
        kinds = [type(f) for f in frames if isinstance(f, TTSStartedFrame | TTSStoppedFrame)]
        contexts = [f.context_id for f in frames if isinstance(f, TTSStartedFrame)]
        assert len(set(contexts)) in (3, 4), "the second one is handed on where it had not sounded whole"
        assert kinds == [TTSStartedFrame, TTSStoppedFrame] * len(set(contexts))
        assert len(call.behind.of(LLMAssistantPushAggregationFrame)) == 1, "one utterance in the context"
        assert len(call.behind.of(LLMFullResponseStartFrame)) == 1
        orders = [f for f in frames if isinstance(f, AggregatedTextFrame) and not isinstance(f, TTSTextFrame)]
        assert all(frame.will_be_spoken for frame in orders)
        assert not call.errors


async def test_the_last_voice_says_that_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utterance, "LOST_SECONDS", 0.5)
    monkeypatch.setattr(utterance, "RETAKE_SECONDS", 0.2)
    async with speaking(context_faults=Plan(then=Silent())) as call:
        await call.say()
        await call.over()
        assert call.words == ""
        (error,) = call.errors
        assert "no audio" in error
        assert not call.services[0].is_usable


async def test_many_utterances_at_once_stay_in_the_vendors_bounds() -> None:
    async with speaking() as call:
        texts = [f"This is sentence number {n}." for n in range(8)]
        await call.pipeline.queue(*(TTSSpeakFrame(text, append_to_context=True) for text in texts))
        await until(lambda: len(call.behind.of(TTSStoppedFrame)) == len(texts))
        assert call.words == " ".join(texts)
        assert len(call.sim.sockets) == 1
        assert not call.errors


async def test_a_reply_of_mere_punctuation_ends() -> None:
    async with speaking() as call:
        await call.say("...")
        await call.over()
        await call.say("Yes.")
        await call.over()
        assert call.words.endswith("Yes.")
        assert not call.errors


async def test_the_socket_is_closed_with_the_call() -> None:
    async with speaking() as call:
        await call.say()
        await until(lambda: call.audio_ms > 500)
        await asyncio.sleep(0)
    assert all(socket.close_code is not None for socket in call.sim.sockets)
