"""A live media socket that carries nonsense: the call goes on to its goodbye."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.calls.server import hear, running_server, say, silence, steps, texts_of, vendors, wait
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

REPLIES = RuleReplies(
    [("goodbye", Reply("Goodbye now.", (ToolUse("end_call"),))), ("where", "In Suite 200.")], otherwise="Pardon?"
)
CALLEE = steps(hear(), silence(600), say("Where is it?"), hear(), say("Thanks, goodbye."), wait())
QUIET = base64.b64encode(b"\xff" * 160).decode()


def nonsense() -> list[str]:
    """Text frames that Twilio would never send, with the stream's own words among them."""
    media: list[dict[str, Any]] = [
        {"payload": QUIET, "timestamp": stamp} for stamp in ("5", "1", "-7", "99999999999", "x", None, 3.5)
    ]
    wrong: tuple[Any, ...] = ("@@@", "QQ", None, 17, [], "")
    media += [{"payload": payload} for payload in wrong]
    return [
        "",
        "hello",
        "{",
        "null",
        "17",
        '"media"',
        "[]",
        '[{"event":"media"}]',
        "[" * 10_000 + "]" * 10_000,
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        "{}",
        '{"event":null}',
        '{"event":"dance"}',
        '{"event":"media"}',
        '{"event":"media","media":null}',
        '{"event":"media","media":[]}',
        *(json.dumps({"event": "media", "media": fields}) for fields in media),
        '{"event":"mark"}',
        '{"event":"mark","mark":{"name":"nobody asked"}}',
        '{"event":"mark","mark":{"name":null}}',
        '{"event":"dtmf","dtmf":{"digit":"long"}}',
        '{"event":"connected","protocol":"Call","version":"1.0.0"}',
        '{"event":"start","start":{"streamSid":"MZ9","callSid":"CA9","customParameters":{"token":"x"}}}',
        '{"event":"start","start":null}',
    ]


async def test_nonsense_in_the_middle_of_a_call(tmp_path: Path) -> None:
    async with vendors(CALLEE, REPLIES) as sims, running_server(tmp_path, **sims.keys()) as server:
        call_id = await server.call(scenario="quick")
        await server.talking(call_id)
        socket = sims.twilio.client.sockets[-1].raw
        for text in nonsense():
            await socket.send_str(text)
        await socket.send_bytes(b"\x00\xff" * 100)
        await socket.send_bytes(b"")
        call = await server.ended(call_id)
        assert (call["status"], call["ended_reason"], call["error"]) == ("completed", "agent_hangup", None)
        assert texts_of(call, "agent") == ["Hi John. Does Thursday work?", "In Suite 200.", "Goodbye now."]
        assert call["duration_seconds"] < 30


async def test_a_huge_frame_closes_its_own_socket_only(tmp_path: Path) -> None:
    async with vendors(CALLEE, REPLIES) as sims, running_server(tmp_path, **sims.keys()) as server:
        healthy = await server.call(scenario="quick")
        await server.talking(healthy)
        struck = await server.call(scenario="quick")
        await server.talking(struck)
        sid = (await server.read(struck))["call_sid"]
        socket = next(s for s in sims.twilio.client.sockets if s.log.call_sid == sid)
        await socket.raw.send_str(f'{{"event":"media","media":{{"payload":"{"A" * (1 << 20)}"}}}}')
        call = await server.ended(struck)
        assert (call["status"], call["ended_reason"]) == ("completed", "callee_hangup")
        assert "Goodbye now." not in texts_of(call, "agent")
        assert (await server.ended(healthy))["ended_reason"] == "agent_hangup"
        assert texts_of(await server.read(healthy), "agent")[-1] == "Goodbye now."
