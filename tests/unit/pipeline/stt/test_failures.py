"""Deepgram as it fails, nova and Flux: the callee's words are heard once, whole, in order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    EagerTranscriptionFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.services.stt_service import STTService
from pydantic import SecretStr

from bot.pipeline.resources import Resources
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.stt import deepgram_flux, deepgram_link, interims
from bot.pipeline.stt.deepgram_flux import FluxService
from bot.pipeline.stt.deepgram_link import DeepgramLink
from bot.pipeline.stt.deepgram_nova import NovaService
from bot.pipeline.stt.vendors import DeepgramFlux, DeepgramNova
from bot.pipeline.turns.speculation import ASKED_AT
from bot.pipeline.turns.vad import VoiceFadedFrame
from bot.settings import Settings
from tests.simulators.deepgram import (
    Babble,
    CloseWith,
    DeepgramFault,
    DeepgramLatency,
    DeepgramSimulator,
    Drop,
    FallSilent,
    Finals,
    HangConnect,
    Refuse,
)
from tests.simulators.faults import Plan
from tests.simulators.stt_recogniser import ScriptedRecogniser, Utterance
from tests.simulators.test_stt_recogniser import noise, voice
from tests.unit.pipeline.conversation import Collector, running, until

FRAME = 512
MEMBERS: dict[str, DeepgramNova | DeepgramFlux] = {"nova": DeepgramNova(), "flux": DeepgramFlux()}
WORDS = "Yes Thursday works fine."


@dataclass
class Listening:
    sim: DeepgramSimulator
    services: Sequence[DeepgramLink]
    before: Collector
    behind: Collector
    pipeline: RunningPipeline

    async def hear(self, pcm: bytes, *, pace: float = 8.0) -> None:
        """In frames of 32 ms, at `pace` times real time."""
        for at in range(0, len(pcm), FRAME):
            frame = InputAudioRawFrame(audio=pcm[at : at + FRAME], sample_rate=8000, num_channels=1)
            await self.pipeline.queue(frame)
            await asyncio.sleep(0.032 / pace)

    async def say(self, length_ms: int = 1500, *, pace: float = 8.0) -> None:
        """Noise, speech as the VAD sees it, and noise."""
        await self.hear(noise(200), pace=pace)
        await self.pipeline.queue(VADUserStartedSpeakingFrame())
        await self.hear(voice(length_ms) + noise(220), pace=pace)
        await self.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        await self.hear(noise(700), pace=pace)

    def of(self, kind: type[Frame]) -> list[Any]:
        return self.behind.of(kind)

    @property
    def heard(self) -> str:
        return " ".join(f.text.strip() for f in self.of(TranscriptionFrame))

    @property
    def errors(self) -> list[str]:
        return [frame.error for frame in self.before.up if isinstance(frame, ErrorFrame)]


@asynccontextmanager
async def listening(
    vendor: str,
    faults: Plan[DeepgramFault] | None = None,
    *,
    says: Sequence[str | Utterance] = (WORDS,),
    second: DeepgramSimulator | None = None,
) -> AsyncIterator[Listening]:
    latency = DeepgramLatency(interim_ms=1, final_ms=2)
    async with DeepgramSimulator(
        ScriptedRecogniser(says), api_key="secret", latency=latency, faults=faults
    ) as sim:
        services: list[STTService] = []
        for one in [sim] if second is None else [sim, second]:
            settings = Settings(_env_file=None, deepgram_api_key=SecretStr("secret"), deepgram_base_url=one.url)
            services.append(MEMBERS[vendor].build(Resources(settings), call_sid="CA1", language="en"))
        before, behind = Collector("Before"), Collector("Behind")
        async with running([before, *services, behind]) as pipeline:
            yield Listening(sim, services, before, behind, pipeline)  # type: ignore[arg-type]
        await sim.all_closed()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audio comes at eight times its pace here."""
    monkeypatch.setattr(deepgram_link, "RECONNECT_WAITS", (0.0, 0.03, 0.06, 0.1, 0.1, 0.1))
    monkeypatch.setattr(deepgram_link, "CONNECT_SECONDS", 0.4)


async def is_whole(call: Listening, vendor: str) -> None:
    """The words came once, and the turn was not torn."""
    await until(lambda: len(call.heard) >= len(WORDS))
    assert call.heard == WORDS
    if vendor == "flux":
        await until(lambda: bool(call.of(ProposedUserStoppedSpeakingFrame)))
        assert len(call.of(ProposedUserStartedSpeakingFrame)) == 1
        assert len(call.of(ProposedUserStoppedSpeakingFrame)) == 1
    assert not call.errors


@pytest.mark.parametrize("vendor", MEMBERS)
@pytest.mark.parametrize("after_ms", [400, 900, 1500, 2000])
async def test_a_socket_lost_while_the_callee_speaks(vendor: str, after_ms: float) -> None:
    async with listening(vendor, Plan((Drop(after_audio_ms=after_ms),))) as call:
        await call.say()
        await is_whole(call, vendor)
        assert len(call.sim.connections) == 2


@pytest.mark.parametrize("vendor", MEMBERS)
async def test_an_outage_of_a_second_and_another_at_once(vendor: str) -> None:
    faults: Plan[DeepgramFault] = Plan(
        (CloseWith(after_audio_ms=800), Refuse(503), Refuse(503), Drop(after_audio_ms=600), HangConnect())
    )
    async with listening(vendor, faults) as call:
        await call.say()
        await is_whole(call, vendor)


@pytest.mark.parametrize("vendor", MEMBERS)
async def test_what_was_understood_is_not_heard_again(vendor: str) -> None:
    async with listening(vendor, Plan((Drop(after_audio_ms=4000),)), says=("Hello?", WORDS)) as call:
        await call.say(600)
        await until(lambda: call.heard == "Hello?")
        await call.say(1500)
        await call.say(10)
        await until(lambda: len(call.sim.connections) == 2)
        await until(lambda: call.heard == f"Hello? {WORDS}")
        again = call.sim.connections[1].audio_ms
        assert again < 4000, f"{again} ms"


@pytest.mark.parametrize("vendor", MEMBERS)
async def test_a_socket_that_says_nothing_any_more(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram_link, "DEAF_SECONDS", 0.3)
    monkeypatch.setattr(deepgram_flux, "DEAF_SECONDS", 0.3)
    monkeypatch.setattr("bot.pipeline.stt.deepgram_nova.DEAF_SECONDS", 0.3)
    async with listening(vendor, Plan((FallSilent(after_audio_ms=700),))) as call:
        await call.say(pace=3.0)
        await call.hear(noise(1600), pace=3.0)
        await is_whole(call, vendor)
        assert len(call.sim.connections) == 2


@pytest.mark.parametrize("vendor", MEMBERS)
async def test_a_socket_that_takes_no_more_audio(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is dead while nobody speaks: what is sent piles up, and nothing is owed."""
    monkeypatch.setattr(deepgram_link, "DEAF_SECONDS", 0.3)
    async with listening(vendor) as call:
        (service,) = call.services
        await until(lambda: service.is_connected)
        with monkeypatch.context() as stuck:
            stuck.setattr(
                service._socket, "drain" if vendor == "nova" else "send", lambda *_: asyncio.Event().wait()
            )
            await call.hear(noise(300))
            await until(lambda: len(call.sim.connections) == 2)
        await call.say()
        await is_whole(call, vendor)


@pytest.mark.parametrize("vendor", MEMBERS)
async def test_a_socket_that_takes_nothing_does_not_hold_up_the_end_of_a_call(
    vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(vendor) as call:
        (service,) = call.services
        await until(lambda: service.is_connected)
        stuck = "drain" if vendor == "nova" else "send"
        monkeypatch.setattr(service._socket, stuck, lambda *_: asyncio.Event().wait())
        async with asyncio.timeout(4 * deepgram_link.GOODBYE_SECONDS):
            await service._disconnect()


@pytest.mark.parametrize("vendor", MEMBERS)
async def test_a_handshake_that_is_never_answered_is_left_in_time(vendor: str) -> None:
    """The other side neither answers nor hangs up: the SDK alone would wait ten seconds for it to close."""
    came: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(lambda _, writer: came.append(writer), "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        settings = Settings(
            _env_file=None, deepgram_api_key=SecretStr("secret"), deepgram_base_url=f"ws://{host}:{port}"
        )
        stt = MEMBERS[vendor].build(Resources(settings), call_sid="CA1", language="en")
        async with running([stt]):
            await until(lambda: len(came) == 3)
        for writer in came:
            writer.transport.abort()


async def test_a_finalize_that_is_not_answered_costs_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deepgram answers none where it had heard nothing, and need say nothing while nobody speaks."""
    monkeypatch.setattr(deepgram_link, "DEAF_SECONDS", 0.2)
    monkeypatch.setattr("bot.pipeline.stt.deepgram_nova.DEAF_SECONDS", 0.2)
    monkeypatch.setattr(deepgram_link, "IDLE_SECONDS", 0.05)
    async with listening("nova", Plan(then=FallSilent())) as call:
        await call.hear(noise(200))
        await call.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        await until(lambda: [c.control_types() for c in call.sim.connections] == [["Finalize"]] * 2)
        await call.hear(noise(6000))
        assert len(call.sim.connections) == 2
        assert not call.errors


async def test_a_final_that_does_not_say_whose_answer_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram_link, "DEAF_SECONDS", 0.2)
    monkeypatch.setattr("bot.pipeline.stt.deepgram_nova.DEAF_SECONDS", 0.2)
    async with listening("nova", Plan(then=FallSilent())) as call:
        await until(lambda: call.services[0].is_connected)
        await call.hear(noise(200))
        await call.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        await until(lambda: call.sim.connections[0].control_types() == ["Finalize"])
        words = {"transcript": "Yes.", "confidence": 1.0, "words": []}
        final = {
            "type": "Results",
            "channel_index": [0, 1],
            "is_final": True,
            "channel": {"alternatives": [words]},
        }
        await call.sim.say(json.dumps(final))
        await until(lambda: call.heard == "Yes.")
        await call.hear(noise(4000))
        assert len(call.sim.connections) == 1


def results(words: str, *, from_finalize: bool) -> str:
    """A final as Deepgram sends it."""
    heard = {"transcript": words, "confidence": 1.0, "words": []}
    final = {"type": "Results", "channel_index": [0, 1], "is_final": True, "speech_final": True}
    return json.dumps(final | {"channel": {"alternatives": [heard]}, "from_finalize": from_finalize})


async def test_a_final_of_its_own_is_not_taken_for_the_answer() -> None:
    """The words were asked for at a hush and again at the stop; Deepgram's own endpointing falls between."""
    async with listening("nova", Plan(then=FallSilent())) as call:
        await until(lambda: call.services[0].is_connected)
        await call.hear(voice(300))
        await call.pipeline.queue(VADUserStartedSpeakingFrame())
        await call.hear(voice(300))
        await call.pipeline.queue(VoiceFadedFrame())
        await until(lambda: call.sim.connections[0].control_types() == ["Finalize"])
        between = time.monotonic()
        await call.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        await until(lambda: call.sim.connections[0].control_types() == ["Finalize"] * 2)
        await call.sim.say(results("I want", from_finalize=False))
        await call.sim.say(results("a table", from_finalize=True))
        await call.sim.say(results("for two.", from_finalize=True))
        await until(lambda: call.heard == "I want a table for two.")
        of_itself, first, second = call.of(TranscriptionFrame)
        assert ASKED_AT not in of_itself.metadata and not of_itself.finalized
        assert first.metadata[ASKED_AT] < between < second.metadata[ASKED_AT]


@pytest.mark.parametrize(
    ("vendor", "how"), [("nova", "empty"), ("nova", "first word"), ("nova", "missing"), ("flux", "empty")]
)
async def test_words_that_came_as_interims_only_are_words(
    vendor: str, how: Literal["empty", "first word", "missing"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interims, "LATE_SECONDS", 0.1)
    async with listening(vendor, Plan(then=Finals(how)), says=(WORDS, "Goodbye then.")) as call:
        await call.say()
        await is_whole(call, vendor)
        assert len(call.sim.connections) == 1
        await call.say()
        await until(lambda: call.heard.startswith(f"{WORDS} Goodbye"))  # the last interim may lack a word
        if (vendor, how) == ("nova", "empty"):
            assert all(frame.finalized for frame in call.of(TranscriptionFrame)), "the answer to a Finalize"


async def test_an_empty_answer_does_not_mark_the_next_words() -> None:
    """What was asked for had been said already; what Deepgram sends of its own accord after that is no answer."""
    async with listening("nova", Plan(then=FallSilent())) as call:
        await until(lambda: call.services[0].is_connected)
        await call.pipeline.queue(VADUserStartedSpeakingFrame())
        await call.hear(voice(300))
        await call.pipeline.queue(VoiceFadedFrame())
        await until(lambda: call.sim.connections[0].control_types() == ["Finalize"])
        await call.sim.say(results("", from_finalize=True))
        await call.sim.say(results("I want", from_finalize=False))
        await until(lambda: call.heard == "I want")
        (words,) = call.of(TranscriptionFrame)
        assert not words.finalized


async def test_a_flux_that_never_confirms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram_flux, "DEAF_SECONDS", 0.2)
    monkeypatch.setattr(deepgram_link, "DEAF_SECONDS", 0.2)
    async with listening("flux", Plan((FallSilent(),))) as call:
        await call.say(pace=3.0)
        await is_whole(call, "flux")


async def test_the_end_of_speech_waits_for_the_words_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that ends on the VAD's word would be answered with half of what was said."""
    monkeypatch.setattr("bot.pipeline.stt.deepgram_nova.HOLD_SECONDS", 60.0)
    monkeypatch.setattr(deepgram_link, "RECONNECT_WAITS", (0.02,) * 3000)
    async with listening("nova", Plan((Drop(after_audio_ms=900),), then=Refuse(503))) as call:
        await call.hear(noise(200), pace=16.0)
        await call.pipeline.queue(VADUserStartedSpeakingFrame())
        await call.hear(voice(1500) + noise(220), pace=16.0)
        await until(lambda: len(call.sim.connections) >= 2)
        await call.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.2))
        await call.hear(noise(700), pace=16.0)
        assert not call.of(VADUserStoppedSpeakingFrame)
        call.sim.faults = Plan()
        await is_whole(call, "nova")
        await until(lambda: bool(call.of(VADUserStoppedSpeakingFrame)))
        final, stop = call.of(TranscriptionFrame)[-1], call.of(VADUserStoppedSpeakingFrame)[0]
        assert call.behind.down.index(final) < call.behind.down.index(stop)


async def test_the_end_of_speech_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.pipeline.stt.deepgram_nova.HOLD_SECONDS", 0.2)
    async with listening("nova", Plan((Drop(after_audio_ms=100),), then=HangConnect())) as call:
        await call.say(pace=16.0)
        await until(lambda: bool(call.of(VADUserStoppedSpeakingFrame)))


@pytest.mark.parametrize("vendor", MEMBERS)
async def test_nonsense_is_dropped(vendor: str) -> None:
    nonsense = (
        "[" * 100_000,
        "{",
        "[1]",
        "null",
        "7",
        '{"type": 5}',
        '{"no": "type"}',
        '{"type": "Weather", "sun": true}',
        '{"type": "Results"}',
        '{"type": "Results", "start": "x", "duration": 1, "channel": 7}',
        '{"type": "Results", "start": 0, "duration": 0, "is_final": true, "channel": {"alternatives": 3}}',
        '{"type": "Results", "start": 0, "duration": 1e999, "is_final": true,'
        ' "channel": {"alternatives": [{"transcript": "", "confidence": 0, "words": []}]}}',
        '{"type": "TurnInfo", "event": "Update", "transcript": "", "audio_window_end": 1e999}',
        '{"type": "TurnInfo", "event": 5}',
        '{"type": "TurnInfo", "event": "Sunrise"}',
        '{"type": "TurnInfo", "event": "Update", "audio_window_end": "noon"}',
        '{"type": "ConfigureSuccess"}',
        '{"type": "Error", "code": "X", "description": "an error that ends nothing"}',
    )
    async with listening(vendor, Plan((Babble(nonsense),))) as call:
        await call.say()
        await is_whole(call, vendor)
        assert len(call.sim.connections) == 1


@pytest.mark.parametrize("vendor", MEMBERS)
async def test_an_oversized_message_costs_the_socket_and_not_a_word(vendor: str) -> None:
    huge = json.dumps({"type": "Metadata", "much": "x" * (5 * 2**20)})
    async with listening(vendor, Plan((Babble((huge,)),))) as call:
        await call.say()
        await is_whole(call, vendor)
        assert len(call.sim.connections) == 2


@pytest.mark.parametrize("vendor", MEMBERS)
async def test_the_next_ear_hears_what_the_lost_one_had_not_understood(vendor: str) -> None:
    latency = DeepgramLatency(interim_ms=1, final_ms=2)
    faults: Plan[DeepgramFault] = Plan((Drop(after_audio_ms=900),), then=Refuse(401))
    async with (
        DeepgramSimulator(ScriptedRecogniser([WORDS]), api_key="secret", latency=latency) as second,
        listening(vendor, faults, says=("Nobody hears this.",), second=second) as call,
    ):
        await call.hear(noise(300))
        assert second.connections == [], "a standby stt does not connect"
        await call.say()
        await until(lambda: len(call.heard) >= len(WORDS))
        assert call.heard == WORDS
        assert call.services[0].lost
        assert not call.errors


@pytest.mark.parametrize("vendor", MEMBERS)
async def test_the_last_ear_says_that_it_is_lost(vendor: str) -> None:
    async with listening(vendor, Plan(then=Refuse(503))) as call:
        await until(lambda: bool(call.errors))
        assert "cannot be reached" in call.errors[-1]
        assert not call.services[0].is_usable


async def test_flux_says_early_that_a_turn_is_about_to_end() -> None:
    async with listening("flux") as call:
        await call.say()
        await is_whole(call, "flux")
        query = call.sim.connections[0].query
        assert (query.get("eager_eot_threshold"), query.get("eot_threshold")) == ("0.5", "0.7")
        (eager,) = call.of(EagerTranscriptionFrame)
        (final,) = call.of(TranscriptionFrame)
        assert eager.text == final.text == WORDS
        assert call.behind.down.index(eager) < call.behind.down.index(final)


async def test_an_early_end_is_withdrawn_with_its_connection() -> None:
    """The socket goes between the early end and the end."""
    async with listening("flux") as call:
        call.sim._flux_certain_ms = 2000
        await call.hear(noise(200) + voice(900) + noise(1100))
        await until(lambda: bool(call.of(EagerTranscriptionFrame)))
        call.sim.drop_connections()
        await until(lambda: bool(call.of(EagerEndOfTurnCancelFrame)))
        await call.hear(noise(1500))
        await is_whole(call, "flux")


async def test_a_turn_nobody_takes_up_again_ends_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram_flux, "FORGOTTEN_SECONDS", 0.3)
    async with listening("flux", says=(Utterance("Well, you know,", finished=False),)) as call:
        await call.hear(noise(200) + voice(900) + noise(300))
        await until(lambda: bool(call.of(ProposedUserStartedSpeakingFrame)))
        (service,) = call.services
        service.kept.understood(1e9)
        call.sim.drop_connections()
        await until(lambda: len(call.sim.connections) == 2)
        await call.hear(noise(1500))
        await until(lambda: bool(call.of(ProposedUserStoppedSpeakingFrame)))
        assert len(call.of(ProposedUserStartedSpeakingFrame)) == 1


async def test_a_change_of_thresholds_is_configured() -> None:
    async with listening("flux") as call:
        (service,) = call.services
        await until(lambda: service.is_connected)
        await service._update_settings(FluxService.Settings(eot_threshold=0.8))
        await until(lambda: call.sim.connections[0].control_types() == ["Configure"])


async def test_deepgram_is_kept_awake_while_the_line_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.pipeline.stt.deepgram_nova.KEEP_ALIVE_SECONDS", 0.2)
    monkeypatch.setattr(deepgram_link, "IDLE_SECONDS", 0.05)
    async with listening("nova") as call:
        assert isinstance(call.services[0], NovaService)
        await until(
            lambda: call.sim.connections != [] and call.sim.connections[0].control_types() == ["KeepAlive"] * 2
        )
