"""A call that is listened to, spoken into and ended from outside, on a whole server without a key."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from bot.audio import mulaw_to_pcm
from tests.calls.server import RunningServer, hear, running_server, say, steps, texts_of, wait

FACT = "the payment has arrived"
WORDS = "Please hold the line for Dr. Smith."


async def test_a_supervisor_hears_both_sides_and_acts_once(tmp_path: Path) -> None:
    callee = steps(say("Hello?"), hear(), say("What about my payment?"), wait(60_000))
    async with running_server(tmp_path, callees=lambda _: callee) as server:
        call_id = await server.call(scenario="quick")
        url = f"/api/phone/calls/{call_id}"
        following = asyncio.create_task(_events(server, f"{url}/events"))
        await server.talking(call_id)
        listening = asyncio.create_task(_listen(server, call_id))
        await server.until(call_id, lambda call: "payment" in " ".join(texts_of(call, "callee")), 30)
        await _post(server, f"{url}/inject", {"fact": FACT, "reply": True})
        await server.until(call_id, lambda call: "The payment" in " ".join(texts_of(call, "agent")), 30)
        key = {"Idempotency-Key": "once"}
        done = await asyncio.gather(
            *(_post(server, f"{url}/say", {"text": WORDS, "now": True}, key) for _ in range(3))
        )
        assert len({each["result"] for each in done}) == 1
        other = await server.http.post(f"{url}/say", json={"text": "Else."}, headers=key)
        assert other.json()["error"]["code"] == "idempotency_conflict"
        nobody = await server.http.post(f"{url}/transfer", json={"target": "nobody"})
        assert (nobody.status_code, nobody.json()["error"]["field"]) == (422, "target")
        await server.until(call_id, lambda call: "Smith" in " ".join(texts_of(call, "agent")), 30)
        for _ in range(2):  # again: ended or about to be, and no conflict
            hung_up = await server.http.post(f"{url}/hangup", headers=key)
            assert hung_up.status_code == 200
            call = await server.ended(call_id)
        late = await server.http.post(f"{url}/say", json={"text": "Too late."})
        assert late.json()["error"]["code"] == "call_over"
        acts = [turn for turn in call["transcript"] if turn["speaker"] == "business"]
        assert [turn["tools"][0]["name"] for turn in acts] == ["inject", "say", "transfer", "hangup"]
        assert [turn["text"] for turn in acts][:2] == [FACT, WORDS]
        assert call["ended_reason"] == "api_hangup"
        assert sum(WORDS in text for text in texts_of(call, "agent")) == 1
        loudness, kinds = await asyncio.wait_for(listening, 10)
        assert kinds[0] == "start"
        assert kinds[-1] == "stop"
        assert min(loudness.values()) > 100, loudness
        seen = await asyncio.wait_for(following, 60)
        for name in ("callee_words", "agent_words", "turn_passed", "reply_timed", "outcome_written"):
            assert name in seen, name
        assert seen[-1] == "stream_ended"


async def _post(
    server: RunningServer, url: str, body: dict[str, Any], headers: dict[str, str] | None = None
) -> dict[str, Any]:
    answer = await server.http.post(url, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()
    return done


async def _listen(server: RunningServer, call_id: str) -> tuple[dict[str, float], list[str]]:
    """The loudest sample of each side, and the messages' kinds."""
    loudest, kinds = {"inbound": 0.0, "outbound": 0.0}, []
    url = server.url.replace("http", "ws", 1)
    async with connect(f"{url}/api/phone/calls/{call_id}/listen") as socket:
        async for text in socket:
            message = json.loads(text)
            kinds.append(message["event"])
            if message["event"] == "media":
                media = message["media"]
                pcm = memoryview(mulaw_to_pcm(base64.b64decode(media["payload"]))).cast("h")
                loudest[media["track"]] = max(loudest[media["track"]], *(float(abs(sample)) for sample in pcm))
    assert socket.close_code == 1000
    return loudest, kinds


async def _events(server: RunningServer, url: str) -> list[str]:
    """The names of a stream's events, to its end."""
    async with server.http.stream("GET", url, timeout=90) as answer:
        lines = [line async for line in answer.aiter_lines()]
    return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
