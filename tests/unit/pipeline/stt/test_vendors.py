"""Deepgram's nova-3 against the simulator: the connection may drop, the callee's words may not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pydantic import SecretStr, TypeAdapter, ValidationError
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request

from bot.pipeline.resources import Resources
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.stt import deepgram_link
from bot.pipeline.stt.deepgram_flux import FluxService
from bot.pipeline.stt.deepgram_nova import NovaService
from bot.pipeline.stt.vendors import DeepgramFlux, DeepgramNova, PocketSphinx, Scripted, Stt, offline
from bot.settings import Settings
from tests.simulators.deepgram import CloseWith, DeepgramFault, DeepgramLatency, DeepgramSimulator, Drop, Refuse
from tests.simulators.faults import Plan
from tests.simulators.stt_recogniser import ScriptedRecogniser
from tests.simulators.test_stt_recogniser import noise, voice
from tests.unit.pipeline.conversation import Collector, running, until

FRAME = 512


@dataclass
class Listening:
    sim: DeepgramSimulator
    service: NovaService
    before: Collector
    behind: Collector
    pipeline: RunningPipeline

    async def hear(self, pcm: bytes) -> None:
        await self.pipeline.queue(*audio(pcm))

    async def stop(self) -> None:
        await self.pipeline.queue(VADUserStoppedSpeakingFrame(stop_secs=0.2))

    @property
    def finals(self) -> list[str]:
        return [f.text for f in self.behind.down if isinstance(f, TranscriptionFrame)]

    @property
    def received(self) -> bytes:
        """All audio that arrived, whatever the connection."""
        return b"".join(bytes(log.audio) for log in self.sim.connections)


def audio(pcm: bytes) -> list[Frame]:
    return [
        InputAudioRawFrame(audio=pcm[at : at + FRAME], sample_rate=8000, num_channels=1)
        for at in range(0, len(pcm), FRAME)
    ]


@asynccontextmanager
async def listening(
    utterances: Sequence[str], faults: Plan[DeepgramFault] | None = None, connect_ms: float = 0.0
) -> AsyncIterator[Listening]:
    latency = DeepgramLatency(connect_ms=connect_ms, interim_ms=1, final_ms=2)
    async with DeepgramSimulator(
        ScriptedRecogniser(utterances), api_key="secret", latency=latency, faults=faults
    ) as sim:
        settings = Settings(_env_file=None, deepgram_api_key=SecretStr("secret"), deepgram_base_url=sim.url)
        service = DeepgramNova(keyterms=("Smith",)).build(Resources(settings), call_sid="CA1", language="en")
        assert isinstance(service, NovaService)
        before, behind = Collector("Before"), Collector("Behind")
        async with running([before, service, behind]) as pipeline:
            yield Listening(sim, service, before, behind, pipeline)
        await sim.all_closed()


async def connected(call: Listening, count: int = 1) -> None:
    await until(lambda: len(call.sim.connections) >= count and call.service.is_connected)


async def test_a_quiet_connection_hears_and_finalizes() -> None:
    async with listening(["Yes, speaking."]) as call:
        await connected(call)
        await call.hear(noise(200) + voice(900) + noise(220))
        await call.stop()
        await until(lambda: call.finals == ["Yes, speaking."])
        query = call.sim.connections[0].query
        assert query.get("encoding", "") == "linear16"
        assert query.get("sample_rate", "") == "8000"
        assert query.get("keyterm", "") == "Smith"
        assert call.sim.connections[0].control_types() == ["Finalize"]


async def test_the_pipeline_starts_before_the_socket_is_open_and_nothing_said_is_lost() -> None:
    async with listening(["Hello?"], connect_ms=300) as call:
        assert not call.service.is_connected, "the start does not wait for Deepgram"
        pcm = noise(100) + voice(600) + noise(300)
        await call.hear(pcm)
        await call.stop()
        await until(lambda: call.finals == ["Hello?"])
        assert call.received == pcm
        assert call.sim.connections[0].control_types() == ["Finalize"], "the Finalize of the gap is owed"


async def test_a_dropped_connection_is_replaced_at_once_and_the_gap_is_replayed() -> None:
    """The socket is reset after 300 ms; what could not be sent since comes first on the next one."""
    async with listening(["One moment please."], Plan((Drop(after_audio_ms=300),))) as call:
        await connected(call)
        await call.hear(noise(320))
        await until(lambda: not call.service.is_connected or len(call.sim.connections) == 2)
        said = voice(900) + noise(260)
        await call.hear(said)
        await call.stop()
        await until(lambda: call.finals == ["One moment please."])
        assert len(call.sim.connections) == 2
        second = bytes(call.sim.connections[1].audio)
        assert said in second or second in noise(320) + said
        assert "Finalize" in call.sim.connections[1].control_types()


async def test_words_said_while_deepgram_refuses_are_heard_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket closes, two attempts are refused; meanwhile a whole utterance is spoken."""
    monkeypatch.setattr(deepgram_link, "RECONNECT_WAITS", (0.0, 0.05, 0.1, 0.1))
    faults: Plan[DeepgramFault] = Plan((CloseWith(after_audio_ms=200), Refuse(503), Refuse(503)))
    async with listening(["I am still here."], faults) as call:
        await connected(call)
        await call.hear(noise(256))
        await until(lambda: not call.service.is_connected)
        said = noise(96) + voice(900) + noise(288)
        await call.hear(said)
        await call.stop()
        await until(lambda: call.finals == ["I am still here."])
        assert bytes(call.sim.connections[3].audio) == noise(256) + said, "the gap, once, whole and in order"
        assert call.sim.connections[3].control_types()[0] == "Finalize"
        assert call.service.is_usable
        live = noise(96)
        await call.hear(live)
        await until(lambda: bytes(call.sim.connections[3].audio) == noise(256) + said + live)


@pytest.mark.parametrize("base", ["ws://{}", "http://{}", "http://{}/eu/"])
async def test_nova_is_reached_through_the_sdk(base: str) -> None:
    asked: list[Request] = []

    async def listen(socket: ServerConnection) -> None:
        assert socket.request is not None
        asked.append(socket.request)
        await socket.wait_closed()

    async with serve(listen, "127.0.0.1", 0) as server:
        host, port = next(iter(server.sockets)).getsockname()
        settings = Settings(
            _env_file=None,
            deepgram_api_key=SecretStr("secret"),
            deepgram_base_url=base.format(f"{host}:{port}"),
        )
        stt = DeepgramNova(keyterms=("Smith & Sons", "Ann")).build(
            Resources(settings), call_sid="CA1", language="en"
        )
        async with running([stt]):
            await until(lambda: bool(asked))
    (request,) = asked
    address = urlsplit(request.path)
    assert address.path == ("/eu/v1/listen" if "eu" in base else "/v1/listen")
    assert parse_qs(address.query)["keyterm"] == ["Smith & Sons", "Ann"]
    assert request.headers["Authorization"] == "Token secret"
    assert request.headers["User-Agent"].startswith("deepgram-sdk/")


async def test_a_refused_key_is_final() -> None:
    errors: list[ErrorFrame] = []
    async with DeepgramSimulator(ScriptedRecogniser([]), api_key="other") as sim:
        settings = Settings(_env_file=None, deepgram_api_key=SecretStr("wrong"), deepgram_base_url=sim.url)
        service = DeepgramNova().build(Resources(settings), call_sid="CA1", language="en")
        before = Collector("Before")
        async with running([before, service]):
            await until(lambda: any(isinstance(frame, ErrorFrame) for frame in before.up))
            errors += [frame for frame in before.up if isinstance(frame, ErrorFrame)]
            await asyncio.sleep(0.05)
            assert sim.refused == 1, "a key does not become right by asking again"
    assert "401" in errors[0].error
    assert not service.is_usable


async def test_an_ear_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram_link, "RECONNECT_WAITS", (0.0, 0.01))
    async with listening([], Plan(then=Refuse(503))) as call:
        await until(lambda: any(isinstance(frame, ErrorFrame) for frame in call.before.up))
        assert not call.service.is_usable
        assert len(call.sim.connections) == 3
        errors = [frame.error for frame in call.before.up if isinstance(frame, ErrorFrame)]
        assert "cannot be reached" in errors[-1]


def test_the_menu_of_ears() -> None:
    menu: TypeAdapter[Any] = TypeAdapter(Stt)
    assert menu.validate_python({"vendor": "deepgram"}) == DeepgramNova()
    assert menu.validate_python(json.loads('{"vendor": "deepgram_flux", "eot_threshold": 0.8}')) == DeepgramFlux(
        eot_threshold=0.8
    )
    for wrong in (
        {"vendor": "whisper"},
        {"vendor": "deepgram", "modle": "x"},
        {"vendor": "deepgram_flux", "eot_timeout_ms": 1},
    ):
        with pytest.raises(ValidationError):
            menu.validate_python(wrong)
    assert offline(simulated_line=True) == Scripted()
    assert offline(simulated_line=False) == PocketSphinx()
    assert DeepgramFlux.detects_turns
    assert not DeepgramNova.detects_turns
    empty = Settings(_env_file=None)
    assert DeepgramNova().missing(empty) == ["DEEPGRAM_API_KEY"]


def test_flux_is_asked_on_its_own_path() -> None:
    settings = Settings(_env_file=None, deepgram_api_key=SecretStr("k"), deepgram_base_url="https://dg.example/")
    service = DeepgramFlux().build(Resources(settings), call_sid="CA1", language="en")
    assert isinstance(service, FluxService)
    assert service._url == "wss://dg.example/v2/listen"
