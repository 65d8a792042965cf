"""Who is not let in: unsigned webhooks and handshakes, and media sockets without a good token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bot.telephony.twilio import signatures
from tests.calls.handmade import close_code, media_socket, post, start, token_for
from tests.calls.server import RunningServer, Vendors, running_server, steps, vendors, wait
from tests.simulators.llm_replies import RuleReplies

SID = "CA" + "1" * 32
OTHER_SID = "CA" + "2" * 32
WEBHOOKS = ("/api/phone/twilio/status", "/api/phone/twilio/voice")


@asynccontextmanager
async def served(tmp_path: Path) -> AsyncIterator[tuple[RunningServer, Vendors]]:
    async with (
        vendors(steps(wait()), RuleReplies([], otherwise="Hm.")) as sims,
        running_server(tmp_path, **sims.keys()) as server,
    ):
        yield server, sims


async def test_webhooks_that_twilio_did_not_sign(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, sims):
        for path in WEBHOOKS:  # the voice webhook opens a record: the last one
            await check_signatures(server, sims, path)


async def check_signatures(server: RunningServer, sims: Vendors, path: str) -> None:
    fields = {"CallSid": SID, "From": "+12025550100", "To": "+15005550006", "CallStatus": "completed"}
    elsewhere = signatures.sign(sims.twilio.auth_token, f"https://evil.example{path}", fields)
    stolen = signatures.sign(sims.twilio.auth_token, f"{server.url}{path}", {**fields, "From": "+12025550101"})
    stranger = signatures.sign("another token", f"{server.url}{path}", fields)
    for signature in (None, "nonsense", elsewhere, stolen, stranger):
        answer = await post(server, sims.twilio, path, fields, signature=signature)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "forbidden"
    assert (await server.http.get("/api/phone/calls")).json()["calls"] == []
    assert (await post(server, sims.twilio, path, fields)).status_code in (200, 204)


async def test_a_status_that_twilio_did_not_sign_changes_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, sims):
        call_id = await server.call(scenario="quick")
        before = await server.talking(call_id)
        fields = {"CallSid": before["call_sid"], "CallStatus": "busy"}
        answer = await post(server, sims.twilio, WEBHOOKS[1], fields, signature="nonsense")
        assert answer.status_code == 403
        assert (await server.read(call_id))["status"] == "in-progress"


async def test_media_handshakes_that_twilio_did_not_sign(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, sims):
        token = await token_for(server, sims.twilio, SID)
        wrong = signatures.sign("another token", server.media_url)
        for headers in ({}, {signatures.HEADER: wrong}):
            with pytest.raises(InvalidStatus) as refused:
                await connect(server.media_url, additional_headers=headers, proxy=None)
            assert refused.value.response.status_code == 403
        assert sims.deepgram.connections == []
        async with media_socket(server, sims.twilio) as socket:  # the token is still good
            await socket.send(start(SID, token))
            await socket.recv()


async def test_sockets_without_a_good_token(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, sims):
        token = await token_for(server, sims.twilio, SID)
        async with media_socket(server, sims.twilio) as socket:
            await socket.send(start(SID, token))
            await socket.recv()
        await server.all_over()
        await token_for(server, sims.twilio, OTHER_SID)
        of_a_third = await token_for(server, sims.twilio, "CA" + "3" * 32)
        connections, requests = len(sims.deepgram.connections), len(sims.anthropic.exchanges)
        for case, sid, bad in (
            ("used", SID, token),
            ("unknown", OTHER_SID, "x" * 43),
            ("none", OTHER_SID, None),
            ("of another call", OTHER_SID, of_a_third),
        ):
            async with media_socket(server, sims.twilio) as socket:
                await socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
                await socket.send(start(sid, bad))
                assert await close_code(socket) == 4401, case
        assert len(sims.deepgram.connections) == connections, "a vendor was contacted"
        assert len(sims.anthropic.exchanges) == requests


async def test_sockets_that_come_too_late_or_say_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, sims):
        token = await token_for(server, sims.twilio, SID)

        async def silent() -> int:
            async with media_socket(server, sims.twilio) as socket:
                return await close_code(socket)

        async def chatty() -> int:
            """Keeps talking and never starts."""
            async with media_socket(server, sims.twilio) as socket:
                closed = asyncio.create_task(close_code(socket))
                while not closed.done():
                    await socket.send('{"event":"media","media":{"payload":"/w=="}}')
                    await asyncio.wait({closed}, timeout=0.1)
                return await closed

        async def late() -> int:
            await asyncio.sleep(5.1)  # ring_seconds of the scenario: the token's life
            async with media_socket(server, sims.twilio) as socket:
                await socket.send(start(SID, token))
                return await close_code(socket)

        silence, chatter, lateness = await asyncio.gather(silent(), chatty(), late())
        assert (silence, chatter, lateness) == (4401, 4401, 4401)
        assert sims.deepgram.connections == []
