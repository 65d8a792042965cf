"""Calls we did not dial: inbound ones, and those that the API's caller dials by himself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls.server import hear, running_server, say, steps, texts_of, vendors, wait
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

MESSAGE = {"message": "Please move my appointment", "name": "Ann", "phone_number": "+12025550111"}
REPLIES = RuleReplies(
    [("message", Reply("I will pass it on. Goodbye.", (ToolUse("take_message", MESSAGE), ToolUse("end_call"))))],
    otherwise="Pardon?",
)
CALLER = steps(hear(), say("Take a message please."), wait())
FROM = "+12025550188"


@pytest.mark.parametrize(
    ("number", "scenario", "opening"),
    [
        ("+15005550006", "inbound_reception", "Hello, Alex speaking. How can I help you?"),
        ("+15005550009", "night_desk", "Night desk."),
    ],
)
async def test_somebody_calls_us(tmp_path: Path, number: str, scenario: str, opening: str) -> None:
    async with vendors(CALLER, REPLIES) as sims, running_server(tmp_path, **sims.keys()) as server:
        sid = sims.twilio.call_in(
            voice_url=f"{server.url}/api/phone/twilio/voice",
            status_url=f"{server.url}/api/phone/twilio/status",
            scenario=CALLER,
            from_number=FROM,
            to=number,
        )
        call = await server.ended(await server.only_call())
        assert (call["direction"], call["scenario"], call["call_sid"]) == ("inbound", scenario, sid)
        assert (call["phone_number"], call["from_number"]) == (FROM, number)
        assert (call["status"], call["ended_reason"]) == ("completed", "agent_hangup")
        assert texts_of(call, "agent") == [opening, "I will pass it on. Goodbye."]
        assert call["transcript"][0]["speaker"] == "agent", "the agent answers the phone"
        assert call["outcome"]["fields"]["messages"] == [MESSAGE]
        assert len((await server.http.get("/api/phone/calls")).json()["calls"]) == 1
        assert "You answer this call." in sims.anthropic.exchanges[0].request.system


@pytest.mark.parametrize(("number", "told"), [("+15005550006", "busy"), ("+15005550009", "completed")])
async def test_somebody_calls_us_while_all_lines_are_taken(tmp_path: Path, number: str, told: str) -> None:
    """The busy tone; or a message, where the scenario has one. Who is talking notices nothing."""
    async with vendors(CALLER, REPLIES) as sims, running_server(tmp_path, max_calls=1, **sims.keys()) as server:
        talking = await server.call(scenario="quick")
        await server.talking(talking)
        sid = sims.twilio.call_in(
            voice_url=f"{server.url}/api/phone/twilio/voice",
            status_url=f"{server.url}/api/phone/twilio/status",
            scenario=CALLER,
            from_number=FROM,
            to=number,
        )
        simulated = sims.twilio.network.get(sid)
        assert simulated is not None
        await simulated.ended.wait()
        assert simulated.status == told
        refused = (await server.http.get("/api/phone/calls")).json()["calls"][0]
        assert (refused["direction"], refused["status"], refused["ended_reason"]) == (
            "inbound",
            "busy",
            "dial_busy",
        )
        call = await server.ended(talking)
        assert (call["status"], call["ended_reason"]) == ("completed", "agent_hangup")
        assert len(sims.twilio.streams) == 1


async def test_a_registered_call(tmp_path: Path) -> None:
    callee = steps(hear(), say("Take a message please."), wait())
    async with vendors(callee, REPLIES) as sims, running_server(tmp_path, **sims.keys()) as server:
        registered = await server.http.post(
            "/api/phone/register-call",
            json={
                "phone_number": "+12025550123",
                "action": "Confirm Thursday",
                "callee_name": "John",
                "scenario": "quick",
                "metadata": {"id": 7},
            },
        )
        assert registered.status_code == 201
        body = registered.json()
        assert body["voice_url"].startswith(f"{server.url}/api/phone/twilio/voice")
        assert body["token_seconds"] > 0
        assert (await server.read(body["call_id"]))["status"] == "queued"
        form = {"To": "+12025550123", "From": "+15005550006", "Url": body["voice_url"]}
        async with server.http.__class__(trust_env=False) as dialer:
            dialled = await dialer.post(
                f"{sims.twilio.url}/2010-04-01/Accounts/{sims.twilio.account_sid}/Calls.json",
                data=form,
                auth=(sims.twilio.account_sid, sims.twilio.auth_token),
            )
        assert dialled.status_code == 201
        call = await server.ended(body["call_id"])
        assert call["call_sid"] == dialled.json()["sid"]
        assert (call["direction"], call["ended_reason"]) == ("outbound", "agent_hangup")
        assert texts_of(call, "agent")[0] == "Hi John. Does Thursday work?"
        assert call["metadata"] == {"id": 7}
        late = await server.http.post(f"/api/phone/calls/{body['call_id']}/hangup")
        assert late.status_code == 409
