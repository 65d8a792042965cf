"""The server is told to stop in mid-call: calls are let finish, or taken leave of, and their records say so."""

from __future__ import annotations

import asyncio
import signal
import time
import wave
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI

from bot.api import router
from bot.api.answers import as_event
from bot.calls.agent import open_phone_agent
from bot.conversation.scenario.scenario import Scenarios
from bot.settings import Settings
from tests.busy import ANY_CALLS, ANY_LAG_MS
from tests.calls.process import ServerProcess, free_port, server_process
from tests.calls.server import CHARACTER_MS, hear, say, silence, steps, texts_of, vendors, wait
from tests.profiles import held_to
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

REPLIES = RuleReplies([("goodbye", Reply("Goodbye now.", (ToolUse("end_call"),)))], otherwise="Pardon?")
TALKS_ON = steps(hear(), say("Well, it is a nice day."), hear(), silence(2000), say("Goodbye."), wait())
RINGS_FIRST = TALKS_ON.model_copy(update={"pickup": TALKS_ON.pickup.model_copy(update={"ring_ms": 2500})})
STAYS = steps(*[act for _ in range(20) for act in (hear(), say("And what else is there?"))], wait())
APOLOGY = "I'm sorry, trouble. Goodbye."
"""[phrases] trouble of the scenario `quick`."""


async def records(folder: Path, environment: dict[str, Any], *call_ids: str) -> list[dict[str, Any]]:
    """As the next start of the server shows them."""
    async with server_process(folder, environment) as server:
        found = [await server.read(call_id) for call_id in call_ids]
        server.tell(signal.SIGTERM)
        assert await server.gone(within=15) == 0
    return found


async def test_sigterm_lets_calls_finish(tmp_path: Path) -> None:
    async with vendors(TALKS_ON, REPLIES) as sims:
        environment = sims.keys()
        async with server_process(tmp_path, environment) as server:
            calls = [await server.call(scenario="quick", phone_number=f"+1202555012{n}") for n in range(3)]
            sims.twilio.conversations = lambda _: RINGS_FIRST
            for call in calls:
                await server.talking(call)
            ringing = await server.call(scenario="quick", phone_number="+12025550129")
            server.tell(signal.SIGTERM)
            await _not_ready(server.http)
            health = (await server.http.get("/api/phone/health")).json()
            assert (health["ready"], health["why_not_ready"]) == (False, "shutting down")
            assert (await server.http.get("/api/phone/health/live")).status_code == 200
            for call in calls:
                assert (await server.read(call))["status"] == "in-progress"
            assert (await server.read(ringing))["status"] in ("initiated", "ringing")
            assert await server.gone(within=30) == 0
        ended = await records(tmp_path, environment, *calls, ringing)
    how = [(call["status"], call["ended_reason"]) for call in ended]
    assert how == [("completed", "agent_hangup")] * 4, [texts_of(call, "agent") for call in ended]
    assert all(texts_of(call, "agent")[-1] == "Goodbye now." for call in ended)
    assert len(sims.twilio.network.calls) == 4


async def test_a_call_beyond_the_drain_hears_an_apology(tmp_path: Path) -> None:
    async with vendors(STAYS, REPLIES) as sims:
        environment = {**sims.keys(), "drain_seconds": 1.5}
        async with server_process(tmp_path, environment) as server:
            call_id = await server.call(scenario="quick")
            await server.talking(call_id)
            server.tell(signal.SIGTERM)
            told_at = time.monotonic()
            assert await server.gone(within=30) == 0
        (simulated,) = sims.twilio.network.calls
        await simulated.ended.wait()
        assert simulated.status == "completed"
        (call,) = await records(tmp_path, environment, call_id)
        stream = sims.stream
    assert (call["status"], call["ended_reason"]) == ("completed", "server_shutdown")
    assert texts_of(call, "agent")[-1] == APOLOGY, "heard to its end"
    played_ms = len(stream.played(since=told_at + 1.5)) / 8
    assert played_ms >= 0.95 * len(APOLOGY) * CHARACTER_MS
    last_sent = stream.received_of("mark")[-1].name
    assert last_sent in [mark.name for mark in stream.sent_of("mark")], "it hung up before the end was heard"


async def test_without_vendors_the_callee_hears_it_too(tmp_path: Path) -> None:
    environment = {"drain_seconds": 0}
    async with server_process(tmp_path, environment) as server:
        call_id = await server.call()
        await server.talking(call_id)
        server.tell(signal.SIGTERM)
        assert await server.gone(within=40) == 0
    (call,) = await records(tmp_path, environment, call_id)
    assert (call["status"], call["ended_reason"]) == ("completed", "server_shutdown")
    apology = call["transcript"][-1]
    assert apology["text"].startswith("I'm sorry, I'm having technical trouble")
    assert apology["text"].endswith("Goodbye.")
    with wave.open(str(tmp_path / "recordings" / f"{call_id}.wav")) as recording:
        pairs = np.frombuffer(recording.readframes(recording.getnframes()), dtype="<i2").reshape(-1, 2)
    said = pairs[apology["start_ms"] * 8 : apology["end_ms"] * 8, 1].astype(np.float64)
    assert len(said) > 8 * 2500
    assert np.sqrt((said**2).mean()) > 300


async def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    async with vendors(STAYS, REPLIES) as sims:
        environment = sims.keys()
        async with server_process(tmp_path, environment) as server:
            call_id = await server.call(scenario="quick")
            await server.talking(call_id)
            server.tell(signal.SIGTERM)
            await _not_ready(server.http)
            await asyncio.sleep(0.6)
            server.tell(signal.SIGTERM)
            assert await server.gone(within=11) == 0
        (call,) = await records(tmp_path, environment, call_id)
    assert (call["status"], call["ended_reason"]) == ("completed", "server_shutdown")
    assert APOLOGY not in texts_of(call, "agent")


async def test_ctrl_c_apologises_and_does_not_drain(tmp_path: Path) -> None:
    async with vendors(STAYS, REPLIES) as sims:
        environment = sims.keys()
        async with server_process(tmp_path, environment) as server:
            call_id = await server.call(scenario="quick")
            await server.talking(call_id)
            server.tell(signal.SIGINT)
            assert await server.gone(within=30) == 0
        (call,) = await records(tmp_path, environment, call_id)
    assert (call["status"], call["ended_reason"]) == ("completed", "server_shutdown")
    assert texts_of(call, "agent")[-1] == APOLOGY


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
async def test_without_calls_it_ends_at_once(tmp_path: Path, sig: signal.Signals) -> None:
    async with server_process(tmp_path, {}) as server:
        started = time.monotonic()
        server.tell(sig)
        assert await server.gone(within=5) == 0
        assert time.monotonic() - started < 3
        assert f"{sig.name}: the server stops" in server.log.read_text()


async def test_an_app_of_somebody_else_records_its_own_end(tmp_path: Path) -> None:
    port = free_port()
    async with vendors(STAYS, REPLIES) as sims:
        settings = Settings(
            _env_file=None,
            port=port,
            public_host=f"http://127.0.0.1:{port}",
            data_dir=tmp_path,
            max_loop_lag_ms=ANY_LAG_MS,
            max_calls_per_number=ANY_CALLS,
            **sims.keys(),
        )
        # Without a profile's calling hours: it passes at night, too.
        scenarios = Scenarios(held_to("none", path) for path in sorted(settings.pipelines_dir.glob("*.toml")))
        async with open_phone_agent(settings, present=as_event, scenarios=scenarios) as agent:
            app = FastAPI()
            app.state.phone_agent = agent
            app.include_router(router)
            theirs = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
            serving = asyncio.create_task(theirs.serve())
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
                server = ServerProcess(None, http, tmp_path)  # type: ignore[arg-type]  # its API is all that is used
                while not theirs.started:  # noqa: ASYNC110  # uvicorn has no event for it
                    await asyncio.sleep(0.02)
                call_id = await server.call(scenario="appointment_confirmation")
                await server.talking(call_id)
            theirs.should_exit = True
            await serving
            record = await agent.store.find(call_id)
    assert (record.status, record.ended_reason) == ("completed", "server_shutdown")


async def _not_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(2):
        while (await http.get("/api/phone/health/ready")).status_code == 200:  # noqa: ASYNC110  # of another process
            await asyncio.sleep(0.02)
