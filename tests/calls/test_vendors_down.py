"""A vendor that is down from the start: the callee hears an apology, the record says which it was."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.calls.server import README_BODY, Vendors, hear, running_server, say, steps, texts_of, vendors, wait
from tests.simulators import anthropic, deepgram, elevenlabs, twilio
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import RuleReplies

APOLOGY = "I'm sorry, trouble. Goodbye."
LONGEST_SECONDS = 20.0


def break_vendor(sims: Vendors, case: str) -> dict[str, Any]:
    """Applies a fault; changes to the environment."""
    match case:
        case "deepgram refuses":
            sims.deepgram.faults = Plan(then=deepgram.Refuse(401, "Invalid credentials"))
        case "deepgram unreachable":
            with socket.create_server(("127.0.0.1", 0)) as nobody:
                return {"deepgram_base_url": f"ws://127.0.0.1:{nobody.getsockname()[1]}"}
        case "claude overloaded":
            sims.anthropic.faults = Plan(then=anthropic.Refuse(529))
        case "claude refuses":
            sims.anthropic.faults = Plan(then=anthropic.Refuse(401))
        case "elevenlabs refuses":
            sims.elevenlabs.faults = Plan(then=elevenlabs.Refuse(401))
    return {}


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("deepgram refuses", "error_stt"),
        ("deepgram unreachable", "error_stt"),
        ("claude overloaded", "error_llm"),
        ("claude refuses", "error_llm"),
        ("elevenlabs refuses", "error_tts"),
    ],
)
async def test_the_callee_hears_an_apology(tmp_path: Path, case: str, reason: str) -> None:
    callee = steps(hear(), say("Yes, it does."), wait())
    async with vendors(callee, RuleReplies([], otherwise="Fine.")) as sims:
        changes = break_vendor(sims, case)
        async with running_server(tmp_path, **(sims.keys() | changes)) as server:
            call = await server.ended(await server.call(scenario="quick_one_voice"), within=LONGEST_SECONDS)
            await server.all_over()
            assert (call["status"], call["ended_reason"]) == ("completed", reason)
            assert call["error"]
            assert texts_of(call, "agent")[-1] == APOLOGY
            stream = sims.stream
            (hang_up,) = [r for r in sims.twilio.requests if ("Status", "completed") in r.form]
            apology = stream.played()[-8 * 500 :]
            assert any(byte not in (0xFF, 0x7F) for byte in apology), "silence at the far end"
            assert stream.received_of("media")[-1].at < stream.sent_of("mark")[-1].at < hang_up.at


async def test_an_outage_of_twilio_is_a_502_and_nobody_is_dialled_twice(tmp_path: Path) -> None:
    """Whatever is asked of it: the dialling, and the list in which a dialling without an answer is looked for."""
    outages = {"+12025550155": twilio.ServerError(500), "+12025550156": twilio.ServerError(503, acted=True)}
    async with (
        vendors(steps(hear(), wait()), RuleReplies([], otherwise="Fine.")) as sims,
        running_server(tmp_path, **sims.keys()) as server,
    ):
        for number, outage in outages.items():
            sims.twilio.rest = Plan(then=outage)
            body = {**README_BODY, "phone_number": number}
            answer = await server.http.post("/api/phone/call", json=body, timeout=40.0)
            assert answer.status_code == 502, answer.text
            error = answer.json()["error"]
            assert (error["provider"], error["retryable"]) == ("twilio", True)
            assert "Traceback" not in answer.text
            dialled = [r for r in sims.twilio.requests if ("To", number) in r.form]
            assert len(dialled) == 1, "a dialling without an answer is not repeated"
