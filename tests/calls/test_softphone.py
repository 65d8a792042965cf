"""The browsers' door: who may ask for a call, and whose socket gets it. No browser is needed to knock."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import orjson
from pydantic import SecretStr
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bot.calls.access import SESSION_COOKIE, session_of
from tests.calls.server import HANG_UP, RunningServer, running_server, steps, vendors
from tests.simulators.llm_replies import RuleReplies

KEY = "secret-one"


class SignedIn:
    """A browser with a session."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.http = httpx.AsyncClient(base_url=server.url, trust_env=False)
        self.headers: dict[str, str] = {}

    async def sign_in(self) -> None:
        await self.http.post("/sign-in", data={"key": KEY})
        session = session_of(self.http.cookies[SESSION_COOKIE], [KEY], time.time())
        assert session is not None
        self.headers = {"X-CSRF-Token": session.csrf}

    async def post(self, path: str, body: Any, status: int = 201) -> dict[str, Any]:
        answer = await self.http.post(f"/api/phone/softphone{path}", json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def knock(
        self, placed: dict[str, Any], *, cookie: bool = True, path: str | None = None, **changes: str
    ) -> str:
        """What became of a socket with this call's token: the first message's event, or why it was refused."""
        url = self.server.url.replace("http", "ws", 1) + (path or placed["media_path"])
        headers = {"Cookie": f"{SESSION_COOKIE}={self.http.cookies[SESSION_COOKIE]}"} if cookie else {}
        origin = changes.pop("origin", self.server.url)
        fields = {"callSid": placed["call_sid"], "token": placed["token"], **changes}
        start = {"streamSid": "BR1", "callSid": fields["callSid"], "customParameters": {"token": fields["token"]}}
        try:
            async with connect(url, additional_headers={**headers, "Origin": origin}) as socket:
                await socket.send(orjson.dumps({"event": "start", "start": start}).decode())
                return str(orjson.loads(await socket.recv())["event"])
        except InvalidStatus as refused:
            return f"handshake {refused.response.status_code}"
        except ConnectionClosed as closed:
            return f"closed {closed.rcvd.code if closed.rcvd is not None else None}"


async def test_a_browser_needs_its_session_and_its_token_once(tmp_path: Path) -> None:
    async with running_server(tmp_path, api_keys=(SecretStr(KEY),)) as server:
        mine, other = SignedIn(server), SignedIn(server)
        async with mine.http, other.http:
            await mine.sign_in()
            await other.sign_in()
            assert (await server.http.post("/api/phone/softphone/calls", json={})).status_code == 401
            body = {"words": "given", "callee_name": "John"}
            placed = await mine.post("/calls", body)
            assert placed["call_sid"].startswith("BR")
            assert await mine.knock(placed, cookie=False) == "handshake 403"
            assert await mine.knock(placed, origin="https://elsewhere.example") == "handshake 403"
            assert await other.knock(placed) == "closed 4401", "of another session"
            assert await mine.knock(placed, path="/api/phone/media-stream") == "closed 4401", "the carrier's door"
            assert await mine.knock(placed, token="guessed") == "closed 4401"
            assert await mine.knock(placed) == "media", "the opening"
            assert await mine.knock(placed) == "closed 4401", "used"
            call = await server.http.get(
                f"/api/phone/calls/{placed['call_id']}", headers={"Authorization": f"Bearer {KEY}"}
            )
            assert call.json()["phone_number"] == "client:typed"

            placed = await mine.post("/calls", body)
            assert await mine.knock(placed, callSid="CA0123") == "closed 4401", "of another call"
            assert await mine.knock(placed) == "closed 4401", "and that try has burnt it"

            deaf = await mine.post("/calls", {"words": "heard"}, status=422)
            assert (deaf["error"]["code"], deaf["error"]["field"]) == ("no_recogniser", "words")
            nobody = await mine.post("/watch", {"callee": "nobody"}, status=422)
            assert nobody["error"]["code"] == "no_such_callee"
            speech = await mine.post("/speech", {"text": "Yes please."}, status=200)
            assert speech["text"] == "Yes please."
            assert len(speech["words"]) == 2


async def test_neither_browsers_nor_watched_callees_are_twilios(tmp_path: Path) -> None:
    """Nor do they need an address where Twilio reaches us."""
    async with (
        vendors(steps(HANG_UP), RuleReplies([], otherwise="Pardon?")) as accounts,
        running_server(
            tmp_path, api_keys=(SecretStr(KEY),), **{**accounts.keys(), "public_host": None}
        ) as server,
    ):
        mine = SignedIn(server)
        async with mine.http:
            await mine.sign_in()
            placed = await mine.post("/calls", {"words": "heard", "callee_name": "John"})
            assert await mine.knock(placed) == "media", "the opening"
            watched = await mine.post("/watch", {"callee": "hangs_up", "callee_name": "John"})
            server.http.headers["Authorization"] = f"Bearer {KEY}"
            for call_id, carrier in ((placed["call_id"], "browser"), (watched["call_id"], "simulated")):
                call = await server.ended(call_id)
                assert (call["status"], call["ended_reason"]) == ("completed", "callee_hangup")
                assert call["vendors"] == {
                    "carrier": carrier,
                    "stt": "deepgram",
                    "llm": "anthropic",
                    "tts": "elevenlabs",
                }
        assert accounts.twilio.streams == []
