"""The ElevenLabs simulator, driven by its WebSocket protocol."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from bot.audio import mulaw_to_pcm
from tests.simulators.contexts import Empty, Silent
from tests.simulators.elevenlabs import (
    VOICE,
    Drop,
    ElevenLabsLatency,
    ElevenLabsSimulator,
    Refuse,
)
from tests.simulators.faults import Plan
from tests.simulators.tts_sound import speak

QUICK = ElevenLabsLatency(first_audio_ms=20, speed=100)
HELLO = "Hello, this is Alex. "


@asynccontextmanager
async def dial(
    sim: ElevenLabsSimulator, *, voice: str = VOICE, key: str | None = "secret", **query: str
) -> AsyncIterator[ClientConnection]:
    asked = {"model_id": "eleven_flash_v2_5", "output_format": "pcm_8000", "auto_mode": "true"} | query
    path = f"/v1/text-to-speech/{voice}/multi-stream-input?" + "&".join(f"{k}={v}" for k, v in asked.items())
    headers = {"xi-api-key": key} if key else {}
    async with connect(sim.websocket_url + path, additional_headers=headers) as socket:
        yield socket


async def say(socket: ClientConnection, context: str | None = None, **message: object) -> None:
    await socket.send(json.dumps(message | ({"context_id": context} if context else {})))


async def speak_once(socket: ClientConnection, context: str, text: str = HELLO) -> None:
    """As pipecat does: open, text, flush, close."""
    await say(socket, context, text=" ", voice_settings={"stability": 0.5})
    await say(socket, context, text=text)
    await say(socket, context, flush=True)
    await say(socket, context, close_context=True)


async def until_final(socket: ClientConnection, context: str) -> list[dict[str, Any]]:
    """The context's messages, the final one not included."""
    messages: list[dict[str, Any]] = []
    async with asyncio.timeout(3):
        while True:
            message = json.loads(await socket.recv())
            if message["contextId"] != context:
                continue
            if message.get("isFinal"):
                assert "audio" not in message
                return messages
            messages.append(message)


async def quiet(socket: ClientConnection, seconds: float = 0.2) -> None:
    """Nothing comes."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await socket.recv()


def audio_of(messages: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(message["audio"]) for message in messages)


def text_of(messages: list[dict[str, Any]]) -> str:
    return "".join("".join(message["alignment"]["chars"]) for message in messages)


def test_the_voice_has_the_length_of_its_text_and_the_shape_of_speech() -> None:
    sound = speak("Hello there, my friend. How are you?", 8000)
    samples = np.frombuffer(sound.pcm, dtype="<i2").astype(float)
    assert sound.duration_ms == 36 * 60 == len(samples) // 8
    assert speak.__wrapped__("Hello there, my friend. How are you?", 8000) == sound
    envelope = np.sqrt((samples.reshape(-1, 160) ** 2).mean(axis=1))
    assert envelope.max() > 20 * envelope.min(), "a syllable and a pause differ"
    loud = envelope > 32768 * 10 ** (-45 / 20)
    assert 0.7 < loud.mean() < 1.0, "speech, with pauses in it"
    spectrum = np.abs(np.fft.rfft(samples))
    bins = np.fft.rfftfreq(len(samples), 1 / 8000)
    assert spectrum[(bins > 80) & (bins < 1500)].sum() > 3 * spectrum[bins > 3000].sum()
    assert speak("", 8000).pcm == b""


async def test_a_context_speaks_its_text_with_its_times() -> None:
    latency = ElevenLabsLatency(first_audio_ms=120, speed=8)
    async with ElevenLabsSimulator(api_key="secret", latency=latency) as sim, dial(sim) as socket:
        clock = asyncio.get_running_loop().time
        started = clock()
        await speak_once(socket, "one")
        first = json.loads(await socket.recv())
        began = clock() - started
        messages = [first, *await until_final(socket, "one")]
        took = clock() - started
        assert 0.11 < began < 0.8
        length = len(HELLO) * 60 / 1000
        assert 0.12 + 0.7 * length / 8 < took < 0.12 + length, "faster than it plays"
        assert audio_of(messages) == speak(HELLO, 8000).pcm
        assert text_of(messages) == HELLO
        for message in messages:
            times = message["alignment"]
            assert message["normalizedAlignment"] == times
            assert times["charStartTimesMs"][0] == 0
            assert len(times["chars"]) == len(times["charStartTimesMs"]) == len(times["charDurationsMs"])
            assert sum(times["charDurationsMs"]) * 16 == len(base64.b64decode(message["audio"]))
            assert message["contextId"] == "one"
        (log,) = sim.contexts
        assert (log.text, log.sent_text) == (" " + HELLO, HELLO)
        assert log.voice_settings == {"stability": 0.5}
        assert log.closed
        assert log.final
        assert sim.sockets[0].query["model_id"] == "eleven_flash_v2_5"


async def test_ulaw_and_other_rates() -> None:
    async with ElevenLabsSimulator(latency=QUICK) as sim:
        async with dial(sim, output_format="ulaw_8000") as socket:
            await speak_once(socket, "u")
            ulaw = audio_of(await until_final(socket, "u"))
        async with dial(sim, output_format="pcm_16000") as socket:
            await speak_once(socket, "p")
            pcm = audio_of(await until_final(socket, "p"))
    assert len(ulaw) == len(HELLO) * 60 * 8
    assert len(pcm) == len(HELLO) * 60 * 32
    error = np.frombuffer(mulaw_to_pcm(ulaw), "<i2") - np.frombuffer(speak(HELLO, 8000).pcm, "<i2").astype(int)
    assert np.abs(error).max() < 600


async def test_a_flush_alone_speaks_but_does_not_end() -> None:
    async with ElevenLabsSimulator(latency=QUICK) as sim, dial(sim, auto_mode="false") as socket:
        await say(socket, "a", text=" ")
        await say(socket, "a", text="Hi. ")
        await quiet(socket)
        await say(socket, "a", flush=True)
        async with asyncio.timeout(1):
            assert text_of([json.loads(await socket.recv())]) == "Hi. "
        await quiet(socket)
        assert not sim.contexts[0].final
        await say(socket, "a", close_context=True)
        assert await until_final(socket, "a") == []


async def test_without_auto_mode_text_is_gathered_by_the_schedule() -> None:
    async with ElevenLabsSimulator(latency=QUICK) as sim, dial(sim, auto_mode="false") as socket:
        config = {"chunk_length_schedule": [50, 500]}
        await say(socket, "a", text=" ", generation_config=config)
        for _ in range(6):
            await say(socket, "a", text="one two three ")
        said = ""
        async with asyncio.timeout(1):
            while len(said) < 50:
                said += text_of([json.loads(await socket.recv())])
        assert said == "one two three " * 3 + "one two "
        await quiet(socket)
        assert sim.contexts[0].sent_text == said


async def test_closing_unflushed_text_breaks_off_and_flushed_text_is_spoken_to_its_end() -> None:
    slow = ElevenLabsLatency(first_audio_ms=20, speed=8)
    async with ElevenLabsSimulator(latency=slow) as sim, dial(sim) as socket:
        await say(socket, "cut", text=" ")
        await say(socket, "cut", text="This is a rather long sentence that nobody will hear to its end. ")
        await socket.recv()
        await say(socket, "cut", close_context=True)
        await until_final(socket, "cut")
        assert 0 < len(sim.contexts[0].sent_text) < 60
        await say(socket, "early", text=" ")
        await say(socket, "early", text="Closed before a sound. ")
        await say(socket, "early", close_context=True)
        assert await until_final(socket, "early") == []
        await speak_once(socket, "flushed")
        assert text_of(await until_final(socket, "flushed")) == HELLO


async def test_contexts_speak_side_by_side_and_a_name_can_be_used_again() -> None:
    async with ElevenLabsSimulator(latency=QUICK) as sim, dial(sim) as socket:
        await speak_once(socket, "a", "First. ")
        await speak_once(socket, "b", "Aside. ")
        assert text_of(await until_final(socket, "a")) == "First. "
        await speak_once(socket, "a", "Second. ")
        assert text_of(await until_final(socket, "a")) == "Second. "
        assert [context.sent_text for context in sim.contexts] == ["First. ", "Aside. ", "Second. "]
        await say(socket, text="No name. ", flush=True)
        async with asyncio.timeout(1):
            while (message := json.loads(await socket.recv()))["contextId"] != "default":
                pass
        assert message["audio"]


async def test_a_sixth_context_closes_the_socket() -> None:
    async with ElevenLabsSimulator(latency=QUICK) as sim, dial(sim) as socket:
        for name in "abcde":
            await say(socket, name, text=" ")
        await say(socket, "e", close_context=True)
        await until_final(socket, "e")
        await say(socket, "f", text=" ")
        await say(socket, "g", flush=True)
        error = json.loads(await socket.recv())
        assert error["error"] == "max_active_conversations"
        assert error["code"] == 1008
        with pytest.raises(ConnectionClosedError) as caught:
            await socket.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1008
        assert caught.value.rcvd.reason.startswith("Maximum simultaneous contexts")


@pytest.mark.parametrize(
    ("voice", "messages", "error"),
    [
        ("nobody", [{"text": " "}], "voice_id_does_not_exist"),
        (VOICE, [[]], "invalid_message"),
        (
            VOICE,
            [
                {"text": "hi ", "context_id": "a"},
                {"text": " ", "context_id": "a", "voice_settings": {"stability": 1}},
            ],
            "invalid_message",
        ),
    ],
)
async def test_violations_are_told_and_close_with_1008(voice: str, messages: list[Any], error: str) -> None:
    async with ElevenLabsSimulator() as sim, dial(sim, voice=voice) as socket:
        for message in messages:
            await socket.send(json.dumps(message))
        assert json.loads(await socket.recv())["error"] == error
        with pytest.raises(ConnectionClosedError):
            await socket.recv()
        await sim.all_closed()
        assert socket.close_code == sim.sockets[0].close_code == 1008


async def test_inactivity_closes_and_an_empty_text_keeps_alive() -> None:
    async with ElevenLabsSimulator(inactivity_ms=400) as sim, dial(sim) as socket:
        for _ in range(4):
            await asyncio.sleep(0.15)
            await say(socket, text="")
        assert sim.contexts == []
        assert json.loads(await socket.recv())["error"] == "input_timeout_exceeded"
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_keys() -> None:
    async with ElevenLabsSimulator(api_key="secret", latency=QUICK) as sim:
        with pytest.raises(InvalidStatus) as caught:
            async with dial(sim, key="wrong"):
                pass
        assert caught.value.response.status_code == 401
        async with dial(sim, key=None) as socket:
            await say(socket, "a", text=" ", xi_api_key="secret")
            await speak_once(socket, "b")
            assert text_of(await until_final(socket, "b")) == HELLO
        async with dial(sim, key=None) as socket:
            await say(socket, "a", text=" ")
            assert json.loads(await socket.recv())["error"] == "invalid_api_key"


async def test_close_socket_lets_flushed_speech_end_and_closes_normally() -> None:
    async with ElevenLabsSimulator(latency=QUICK) as sim, dial(sim) as socket:
        await say(socket, "a", text=HELLO, flush=True)
        await say(socket, close_socket=True)
        messages = [json.loads(message) async for message in socket]
        assert text_of(messages[:-1]) == HELLO
        assert messages[-1] == {"isFinal": True, "contextId": "a"}
        assert socket.close_code == 1000


async def test_faults_of_sockets_and_contexts() -> None:
    sim = ElevenLabsSimulator(
        latency=QUICK,
        faults=Plan((Refuse(403, "quota_exceeded", "Quota exceeded"), Drop(after_audio_ms=500))),
        context_faults=Plan((None, Silent(), Empty())),
    )
    async with sim:
        with pytest.raises(InvalidStatus) as caught:
            async with dial(sim):
                pass
        assert caught.value.response.status_code == 403
        async with dial(sim) as socket:
            await speak_once(socket, "dropped", HELLO * 3)
            with pytest.raises(ConnectionClosedError):
                while True:
                    await socket.recv()
        assert socket.close_code == 1006
        await sim.all_closed()
        assert 500 <= sim.sockets[1].sent_ms < 800
        assert sim.sockets[1].close_code == 1006
        async with dial(sim) as socket:
            await speak_once(socket, "silent")
            await quiet(socket)
            await speak_once(socket, "empty")
            assert await until_final(socket, "empty") == []
            await speak_once(socket, "well")
            assert text_of(await until_final(socket, "well")) == HELLO


async def test_a_voice_is_looked_up() -> None:
    async with ElevenLabsSimulator(api_key="secret") as sim, httpx.AsyncClient(base_url=sim.url) as http:
        for key, voice, status, found in (
            ("secret", VOICE, 200, "George"),
            ("secret", "nobody", 404, "voice_not_found"),
            ("wrong", VOICE, 401, "invalid_api_key"),
        ):
            answer = await http.get(f"/v1/voices/{voice}", headers={"xi-api-key": key})
            body = answer.json()
            assert answer.status_code == status
            assert (body["name"] if status == 200 else body["detail"]["status"]) == found


async def test_leaving_in_mid_speech_leaves_nothing_behind() -> None:
    async with ElevenLabsSimulator(latency=ElevenLabsLatency(speed=1)) as sim, dial(sim) as one, dial(sim) as two:
        await speak_once(one, "a", HELLO * 5)
        await speak_once(two, "b", HELLO * 5)
        await one.recv()
        sim.drop_sockets()
        async with dial(sim) as three:
            await speak_once(three, "c", HELLO * 5)
            await three.recv()
            await sim.stop()
            with pytest.raises(ConnectionClosed):
                while True:
                    await three.recv()
        assert three.close_code == 1001
    assert sim.open_sockets == 0
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
