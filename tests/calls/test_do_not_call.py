"""Who asks not to be called again hears a goodbye, is on the list, and is not called again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.calls.server import TO, hear, running_server, say, steps, texts_of, vendors, wait
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

URL = f"/api/phone/do-not-call/{TO}"
SPANISH = {
    "scenario": "confirmacion_de_cita",
    "action": "Confirme la cita de Juan el jueves a las dos de la tarde",
    "context": "",
    "callee_name": "Juan",
    "agent_name": "Elena",
    "organization": "Clínica Sonrisa",
}


@pytest.mark.parametrize(
    ("hello", "words", "goodbye", "changes"),
    [
        (
            "Hello?",
            "Please don't call me again.",
            "I'm sorry to have bothered you. I'll make sure you are not called again. "
            "Thank you, John, and goodbye!",
            {},
        ),
        (
            "¿Dígame?",
            "No me llamen más.",
            "Lamento la molestia. Me aseguraré de que no le vuelvan a llamar. Muchas gracias, Juan, y adiós.",
            SPANISH,
        ),
    ],
    ids=["english", "spanish"],
)
async def test_a_whole_offline_call(
    tmp_path: Path, hello: str, words: str, goodbye: str, changes: dict[str, Any]
) -> None:
    callee = steps(say(hello), hear(within_ms=15_000), say(words), wait())
    async with running_server(tmp_path, callees=lambda _: callee) as server:
        call_id = await server.call(**changes)
        call = await server.ended(call_id)
        assert (call["status"], call["ended_reason"], call["error"]) == ("completed", "agent_hangup", None)
        assert texts_of(call, "agent")[-1] == goodbye
        assert call["outcome"]["reached_goal"] is False
        assert call["outcome"]["fields"]["do_not_call"] is True
        listed = await server.http.get(URL)
        assert listed.status_code == 200
        entry = listed.json()
        assert (entry["source"], entry["call_id"]) == ("call", call_id)
        assert entry["reason"].strip(".").lower() == words.strip(".").lower()
        # The same number again, also by whoever dials himself.
        for path in ("call", "register-call"):
            again = await server.http.post(f"/api/phone/{path}", json={"phone_number": TO, "action": "Try again"})
            assert again.status_code == 422
            error = again.json()["error"]
            assert (error["code"], error["field"], error["retryable"]) == ("do_not_call", "phone_number", False)
        # Nobody but the list's owner takes it off.
        assert (await server.http.delete(URL)).status_code == 204
        assert (await server.http.get(URL)).status_code == 404


async def test_claude_uses_the_tool(tmp_path: Path) -> None:
    callee = steps(say("Hello?"), hear(within_ms=12_000), say("Stop calling me."), wait())
    goodbye = "I'm sorry. You will not be called again. Goodbye."
    said = Reply(goodbye, (ToolUse("do_not_call", {"reason": "Stop calling me."}), ToolUse("end_call", {})))
    replies = RuleReplies([("stop calling", said)], otherwise="Pardon?")
    async with vendors(callee, replies) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call())
        await server.all_over()
        assert (call["ended_reason"], call["error"]) == ("agent_hangup", None)
        assert texts_of(call, "agent")[-1] == goodbye
        assert call["outcome"]["fields"]["do_not_call"] is True
        assert (await server.http.get(URL)).json()["call_id"] == call["call_id"]
        assert "do_not_call" in sims.anthropic.exchanges[0].request.tool_names


async def test_a_number_that_came_onto_the_list_while_its_call_waited(tmp_path: Path) -> None:
    async with running_server(tmp_path, callees=lambda _: steps(wait())) as server:
        answer = await server.http.post(
            "/api/phone/call",
            json={"phone_number": TO, "action": "Try", "schedule_at": _in_seconds(2)},
        )
        assert answer.status_code == 202, answer.text
        await server.http.post("/api/phone/do-not-call", json={"phone_number": TO})
        call = await server.ended(answer.json()["call_id"])
        assert (call["status"], call["ended_reason"]) == ("canceled", "do_not_call")
        assert call["call_sid"] is None
        assert call["answered_at"] is None


def _in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
