"""The Deepgram simulator, driven by the real SDK, by pipecat's services and by bare sockets."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from bot.audio import pcm_to_mulaw
from tests.simulators.deepgram import (
    CloseWith,
    DeepgramFault,
    DeepgramSimulator,
    Drop,
    FallSilent,
    HangConnect,
    Refuse,
)
from tests.simulators.faults import Plan
from tests.simulators.stt_recogniser import ScriptedRecogniser, Utterance
from tests.simulators.test_stt_recogniser import noise, voice

with warnings.catch_warnings():
    # The SDK prefers the websockets library's legacy client, which says so at import.
    warnings.simplefilter("ignore", DeprecationWarning)
    import deepgram.listen.v1.client
    import deepgram.listen.v2.client  # noqa: F401

V1 = "/v1/listen?model=nova-3&encoding=linear16&sample_rate=8000"
V2 = "/v2/listen?model=flux-general-en&encoding=linear16&sample_rate=8000"
CHUNK = 320
"""20 ms."""


def client(sim: DeepgramSimulator, key: str = "secret") -> AsyncDeepgramClient:
    http = sim.url.replace("ws://", "http://")
    places = DeepgramClientEnvironment(base=http, production=sim.url, agent=sim.url, agent_rest=http)
    return AsyncDeepgramClient(api_key=key, environment=places)


@asynccontextmanager
async def dial(sim: DeepgramSimulator, path: str, key: str = "secret") -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": f"Token {key}"}
    async with connect(sim.url + path, additional_headers=headers, compression=None) as socket:
        yield socket


async def send(socket: ClientConnection, pcm: bytes) -> None:
    for at in range(0, len(pcm), CHUNK):
        await socket.send(pcm[at : at + CHUNK])


async def say(socket: ClientConnection, **message: object) -> None:
    await socket.send(json.dumps(message))


async def rest(socket: ClientConnection) -> list[dict[str, Any]]:
    """Everything until the server closes."""
    return [json.loads(message) async for message in socket]


async def until(socket: ClientConnection, **wanted: object) -> list[dict[str, Any]]:
    """Messages up to and with the first that carries `wanted`."""
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(3):
        while True:
            seen.append(json.loads(await socket.recv()))
            if all(seen[-1].get(key) == value for key, value in wanted.items()):
                return seen


def transcript(result: dict[str, Any]) -> str:
    return str(result["channel"]["alternatives"][0]["transcript"])


async def test_the_sdk_hears_interims_finals_and_metadata() -> None:
    async with DeepgramSimulator(ScriptedRecogniser(["Hello, who is this?"]), api_key="secret") as sim:
        messages: list[Any] = []
        async with client(sim).listen.v1.connect(
            model="nova-3",
            encoding="linear16",
            sample_rate="8000",
            interim_results="true",
            punctuate="true",
            vad_events="true",
            keyterm=["Alex", "Downtown Dental"],
        ) as socket:
            socket.on(EventType.MESSAGE, messages.append)
            listening = asyncio.create_task(socket.start_listening())
            pcm = noise(300) + voice(1200) + noise(400)
            for at in range(0, len(pcm), CHUNK):
                await socket.send_media(pcm[at : at + CHUNK])
            await socket.send_keep_alive()
            await socket.send_close_stream()
            await listening
        await sim.all_closed()
        kinds = [message.type for message in messages]
        assert kinds.count("SpeechStarted") == 1
        assert kinds[-1] == "Metadata"
        results = [message for message in messages if message.type == "Results"]
        finals = [m for m in results if m.is_final and m.channel.alternatives[0].transcript]
        assert [m.channel.alternatives[0].transcript for m in finals] == ["Hello, who is this?"]
        assert finals[0].speech_final
        words = finals[0].channel.alternatives[0].words
        assert [word.punctuated_word for word in words] == ["Hello,", "who", "is", "this?"]
        assert [word.word for word in words] == ["hello", "who", "is", "this"]
        assert 0.25 < words[0].start < 0.4
        assert 1.4 < words[-1].end < 1.6
        interims = [m.channel.alternatives[0].transcript for m in results if not m.is_final]
        grown = [text for text in interims if text]
        assert grown
        assert all("Hello, who is this?".startswith(text) for text in grown)
        log = sim.connections[0]
        assert log.query.all("keyterm") == ["Alex", "Downtown Dental"]
        assert log.audio_bytes == len(pcm)
        assert bytes(log.audio) == pcm
        assert log.control_types() == ["KeepAlive", "CloseStream"]
        assert log.close_code == 1000


async def test_the_sdk_sees_a_wrong_key_as_401() -> None:
    async with DeepgramSimulator(ScriptedRecogniser([]), api_key="secret") as sim:
        with pytest.raises(ApiError) as caught:
            async with client(sim, "wrong").listen.v1.connect(model="nova-3", encoding="linear16"):
                pass
        assert caught.value.status_code == 401
        assert sim.connections == []
        assert sim.refused == 1


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/v1/listen?model=nova-3&encoding=linear16", 400, "sample_rate is required"),
        ("/v1/listen?model=nova-3&encoding=opus&sample_rate=8000", 400, "opus"),
        (V1 + "&interim_results=yes", 400, "interim_results"),
        (V1 + "&utterance_end_ms=1000", 400, "interim_results=true"),
        (V1.replace("nova-3", "flux-general-en"), 400, "No such model"),
        (V2.replace("flux-general-en", "nova-3"), 400, "No such model"),
        (V2 + "&interim_results=true", 400, "interim_results"),
        (V2 + "&eot_threshold=0.2", 400, "eot_threshold"),
        (V2 + "&language_hint=en", 400, "flux-general-multi"),
        ("/v3/listen", 404, "/v3/listen"),
    ],
)
async def test_a_bad_query_is_refused_with_its_reason(path: str, status: int, reason: str) -> None:
    async with DeepgramSimulator(ScriptedRecogniser([])) as sim:
        with pytest.raises(InvalidStatus) as caught:
            async with dial(sim, path):
                pass
    assert caught.value.response.status_code == status
    assert reason in caught.value.response.headers["dg-error"]
    assert caught.value.response.headers["dg-request-id"]


async def test_finalize_forces_the_final_at_once() -> None:
    async with (
        DeepgramSimulator(ScriptedRecogniser(["Yes that works", "Thanks"])) as sim,
        dial(sim, V1 + "&endpointing=2000") as socket,
    ):
        await send(socket, noise(200) + voice(700) + noise(100))
        before = asyncio.get_running_loop().time()
        await say(socket, type="Finalize")
        (final,) = await until(socket, from_finalize=True)
        took = asyncio.get_running_loop().time() - before
        assert transcript(final) == "yes that works"
        assert took > 0.09
        await say(socket, type="Finalize")
        (empty,) = await until(socket, from_finalize=True)
        assert transcript(empty) == ""


async def test_results_tile_the_audio_and_utterance_end_follows() -> None:
    path = V1 + "&interim_results=true&utterance_end_ms=1000&endpointing=300"
    async with DeepgramSimulator(ScriptedRecogniser(["one", "two"])) as sim, dial(sim, path) as socket:
        await send(socket, voice(400) + noise(800) + voice(400) + noise(1400))
        await say(socket, type="CloseStream")
        messages = await rest(socket)
    finals = [m for m in messages if m.get("is_final")]
    for earlier, later in pairwise(finals):
        assert later["start"] == pytest.approx(earlier["start"] + earlier["duration"], abs=0.002)
    assert [transcript(m) for m in finals if transcript(m)] == ["one", "two"]
    ends = [m for m in messages if m["type"] == "UtteranceEnd"]
    assert [round(m["last_word_end"], 1) for m in ends] == [1.6]
    assert messages[-1]["type"] == "Metadata"
    assert messages[-1]["duration"] == pytest.approx(3.0, abs=0.02)


async def test_mulaw_and_odd_chunks_are_heard() -> None:
    path = V1.replace("linear16", "mulaw")
    async with DeepgramSimulator(ScriptedRecogniser(["hello"])) as sim, dial(sim, path) as socket:
        mulaw = pcm_to_mulaw(voice(500) + noise(400))
        await socket.send(mulaw[:1001])
        await socket.send(mulaw[1001:])
        assert transcript((await until(socket, is_final=True))[-1]) == "hello"
    async with DeepgramSimulator(ScriptedRecogniser(["hello"])) as sim, dial(sim, V1) as socket:
        pcm = voice(500) + noise(400)
        await socket.send(pcm[:2001])
        await socket.send(pcm[2001:])
        assert transcript((await until(socket, is_final=True))[-1]) == "hello"


async def test_without_interims_asked_for_there_are_none() -> None:
    async with DeepgramSimulator(ScriptedRecogniser(["hello"])) as sim, dial(sim, V1) as socket:
        await send(socket, voice(600) + noise(400))
        await say(socket, type="CloseStream")
        assert all(m["is_final"] for m in await rest(socket) if m["type"] == "Results")


async def test_an_idle_connection_is_closed_with_net_0001_and_keepalive_prevents_it() -> None:
    async with (
        DeepgramSimulator(ScriptedRecogniser([]), idle_timeout_ms=400) as sim,
        dial(sim, V1) as socket,
    ):
        for _ in range(4):
            await asyncio.sleep(0.15)
            await say(socket, type="KeepAlive")
        with pytest.raises(ConnectionClosedError) as caught:
            await socket.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1011
        assert "NET-0001" in caught.value.rcvd.reason


async def test_an_empty_binary_message_ends_the_stream() -> None:
    async with DeepgramSimulator(ScriptedRecogniser([])) as sim, dial(sim, V1) as socket:
        await socket.send(b"")
        assert (await rest(socket))[-1]["type"] == "Metadata"


async def test_unknown_text_is_an_error_but_not_the_end() -> None:
    async with DeepgramSimulator(ScriptedRecogniser([])) as sim, dial(sim, V1) as socket:
        await socket.send("hello?")
        (error,) = await until(socket, type="Error")
        assert error["variant"] == "SchemaError"
        await say(socket, type="Configure", keyterms=["Alex"])
        (success,) = await until(socket, type="ConfigureSuccess")
        assert success["keyterms"] == ["Alex"]


async def test_the_sdk_follows_a_flux_turn() -> None:
    recogniser = ScriptedRecogniser(["I would like to reschedule.", "Friday please."])
    async with DeepgramSimulator(recogniser, api_key="secret") as sim:
        messages: list[Any] = []
        async with client(sim).listen.v2.connect(
            model="flux-general-en", encoding="linear16", sample_rate="8000", eager_eot_threshold="0.5"
        ) as socket:
            socket.on(EventType.MESSAGE, messages.append)
            listening = asyncio.create_task(socket.start_listening())
            for pcm in (noise(300) + voice(1500) + noise(900), voice(800) + noise(600)):
                for at in range(0, len(pcm), CHUNK):
                    await socket.send_media(pcm[at : at + CHUNK])
            await socket.send_close_stream()
            await listening
        assert messages[0].type == "Connected"
        assert [message.sequence_id for message in messages] == list(range(len(messages)))
        turns = [message for message in messages if message.type == "TurnInfo"]
        changes = [(m.turn_index, m.event) for m in turns if m.event != "Update"]
        one_turn = ["StartOfTurn", "EagerEndOfTurn", "EndOfTurn"]
        assert changes == [*((0, event) for event in one_turn), *((1, event) for event in one_turn)]
        ends = [m for m in turns if m.event == "EndOfTurn"]
        assert [m.transcript for m in ends] == ["I would like to reschedule.", "Friday please."]
        assert all(m.end_of_turn_confidence >= 0.7 and m.trigger == "model" for m in ends)
        eager = [m for m in turns if m.event == "EagerEndOfTurn"]
        assert [m.transcript for m in eager] == [m.transcript for m in ends]
        assert all(0.5 <= m.end_of_turn_confidence < 0.7 for m in eager)
        updates = [m.audio_window_end for m in turns if m.event == "Update"]
        assert all(later - earlier >= 0.24 for earlier, later in pairwise(updates[:-1]))
        assert turns[-1].event == "Update"


async def test_flux_close_stream_ends_without_a_status_and_without_end_of_turn() -> None:
    async with DeepgramSimulator(ScriptedRecogniser(["cut off here"])) as sim, dial(sim, V2) as socket:
        await send(socket, voice(700))
        await say(socket, type="CloseStream")
        messages = await rest(socket)
        assert messages[-1]["event"] == "Update"
        assert all(m.get("event") != "EndOfTurn" for m in messages)
        assert socket.close_code == 1005


async def test_flux_takes_a_turn_back_when_speech_goes_on() -> None:
    recogniser = ScriptedRecogniser(["Well I think so", "yes."], join_ms=250)
    path = V2 + "&eager_eot_threshold=0.4&eot_threshold=0.9"
    async with DeepgramSimulator(recogniser) as sim, dial(sim, path) as socket:
        await send(socket, voice(900) + noise(350) + voice(400) + noise(700))
        messages = await until(socket, event="EndOfTurn")
    events = [m["event"] for m in messages if m.get("event", "Update") != "Update"]
    assert events == ["StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn", "EndOfTurn"]
    assert messages[-1]["transcript"] == "Well I think so yes."


async def test_flux_timeout_force_and_configure() -> None:
    recogniser = ScriptedRecogniser([Utterance("I would like to", finished=False), "go on", "stop"])
    async with DeepgramSimulator(recogniser) as sim, dial(sim, V2 + "&eot_timeout_ms=800") as socket:
        await send(socket, voice(900) + noise(1000))
        assert (await until(socket, event="EndOfTurn"))[-1]["trigger"] == "timeout"
        await say(socket, type="Configure", thresholds={"eot_threshold": 1.0}, keyterms=["dentist"])
        success = (await until(socket, type="ConfigureSuccess"))[-1]
        assert success["thresholds"] == {"eot_threshold": 1.0, "eot_timeout_ms": 800.0}
        assert success["keyterms"] == ["dentist"]
        await say(socket, type="Configure", thresholds={"eot_threshold": 0.1})
        assert (await until(socket, type="ConfigureFailure"))[-1]["code"] == "INVALID_QUERY_PARAMETER"
        await send(socket, voice(500) + noise(600))
        await say(socket, type="ForceEndTurn")
        messages = await until(socket, event="EndOfTurn")
        assert messages[-1]["trigger"] == "manual"
        assert messages[-1]["transcript"] == "go on"
        await say(socket, type="Nonsense")
        assert (await until(socket, type="Error"))[-1]["code"] == "UNPARSABLE_CLIENT_MESSAGE"
        with pytest.raises(ConnectionClosedError):
            await socket.recv()


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Drop(after_audio_ms=100), 1006), (CloseWith(after_audio_ms=100, code=1011), 1011)],
)
async def test_a_lost_connection_comes_back_and_hears_the_rest(fault: DeepgramFault, code: int) -> None:
    async with DeepgramSimulator(ScriptedRecogniser(["hello there"]), faults=Plan((fault,))) as sim:
        with pytest.raises(ConnectionClosed):
            async with dial(sim, V1) as socket:
                for _ in range(100):
                    await send(socket, voice(20))
                    await asyncio.sleep(0.005)
        assert socket.close_code == code
        async with dial(sim, V1) as socket:
            await send(socket, voice(600) + noise(400))
            assert transcript((await until(socket, is_final=True))[-1]) == "hello there"


async def test_refusals_silence_and_hangs() -> None:
    faults: Plan[DeepgramFault] = Plan((Refuse(429, "Too many requests"), FallSilent(), HangConnect()))
    async with DeepgramSimulator(ScriptedRecogniser(["hello"]), faults=faults) as sim:
        with pytest.raises(InvalidStatus) as caught:
            async with dial(sim, V1):
                pass
        assert caught.value.response.status_code == 429
        async with dial(sim, V2) as socket:
            await send(socket, voice(600) + noise(400))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await socket.recv()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), dial(sim, V1):
                pass
        assert [log.audio_ms for log in sim.connections] == [0, 1000, 0]


async def test_leaving_with_open_connections_leaves_nothing_behind() -> None:
    async with (
        DeepgramSimulator(ScriptedRecogniser(["hello"])) as sim,
        dial(sim, V1) as one,
        dial(sim, V2) as two,
    ):
        await send(one, voice(300))
        await send(two, voice(300))
        sim.drop_connections()
        with pytest.raises(ConnectionClosed):
            await one.recv()
            await one.recv()
        async with dial(sim, V1):
            pass
    assert sim.open_connections == 0
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_calls_side_by_side_have_their_own_ears() -> None:
    async with (
        DeepgramSimulator(lambda query: ScriptedRecogniser([f"I am {query.get('tag')}"])) as sim,
        dial(sim, V1 + "&tag=one") as one,
        dial(sim, V1 + "&tag=two") as two,
    ):
        for socket, name in ((one, "one"), (two, "two")):
            await send(socket, voice(700) + noise(400))
            assert transcript((await until(socket, is_final=True))[-1]) == f"i am {name}"


async def test_the_key_can_be_checked_over_http() -> None:
    async with (
        DeepgramSimulator(ScriptedRecogniser([]), api_key="secret") as sim,
        aiohttp.ClientSession() as http,
    ):
        url = sim.url.replace("ws://", "http://") + "/v1/projects"
        async with http.get(url, headers={"Authorization": "Token secret"}) as good:
            assert good.status == 200
            assert (await good.json())["projects"]
        async with http.get(url, headers={"Authorization": "Token wrong"}) as bad:
            assert bad.status == 401
            assert (await bad.json())["err_code"] == "INVALID_AUTH"
