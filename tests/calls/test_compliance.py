"""The law in whole calls: what has to be heard is, who wants no more calls is let go at once, little is kept."""

from __future__ import annotations

import asyncio
import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger

from tests.busy import Lateness
from tests.calls.server import (
    SCENARIO_FOLDERS,
    TO,
    RunningServer,
    hear,
    interrupt,
    press,
    running_server,
    say,
    steps,
    texts_of,
    vendors,
    wait,
)
from tests.simulators.llm_replies import RuleReplies

AT_ANY_TIME = {"hours": {"start": "00:00", "end": "24:00"}}
GOODBYE = "We won't call you again. Goodbye."
CARD = "My card is 4111 1111 1111 1111."
DISCREET = """
[compliance]
disclosure = false

[storage]
transcript = "redacted"
recording = "redacted"
numbers = "redacted"
"""
LET_GO_MS = 4000
"""The promise is two seconds: 1.6 where the call has the machine to itself. Here ten tests share it."""


async def test_who_says_so_is_let_go_soon(tmp_path: Path) -> None:
    callee = steps(interrupt("Please stop calling me.", 300), wait())
    async with (
        vendors(callee, RuleReplies([], otherwise="I call for Thursday.")) as sims,
        running_server(tmp_path, profile="us_service", **sims.keys()) as server,
    ):
        call = await let_go(server, await server.call(scenario="quick", **AT_ANY_TIME), TO)
        assert texts_of(call, "agent")[0].startswith("This is an AI assistant."), "not cut off by the callee"
        assert call["disclosed_at"] is not None
        assert call["compliance"] == {"profile": "us_service", "changed": {}, "switched_off": []}


async def test_who_calls_back_after_a_message_is_let_go_too(tmp_path: Path) -> None:
    caller = steps(hear(), say("Take me off your list."), wait())
    async with (
        vendors(caller, RuleReplies([], otherwise="Pardon?")) as sims,
        running_server(tmp_path, profile="us_service", **sims.keys()) as server,
    ):
        sims.twilio.call_in(
            voice_url=f"{server.url}/api/phone/twilio/voice",
            status_url=f"{server.url}/api/phone/twilio/status",
            scenario=caller,
            from_number="+12025550188",
            to="+15005550006",
        )
        call = await let_go(server, await server.only_call(), "+12025550188")
        assert call["direction"] == "inbound"


async def test_a_key_lets_go_as_well_and_little_is_kept_of_a_discreet_call(tmp_path: Path) -> None:
    """Whose file says nothing of an AI: the record and the log say that this is switched off."""
    quick = (SCENARIO_FOLDERS[1] / "quick.toml").read_text(encoding="utf-8")
    (tmp_path / "discreet.toml").write_text(f"{quick}\n{DISCREET}", encoding="utf-8")
    callee = steps(hear(), say(CARD), hear(), press("9"), wait())
    async with (
        vendors(callee, RuleReplies([], otherwise="I call for Thursday.")) as sims,
        running_server(
            tmp_path, profile="us_service", more_scenarios=[tmp_path / "discreet.toml"], **sims.keys()
        ) as server,
    ):
        body = {"scenario": "discreet", "callee_name": f"John {CARD}", **AT_ANY_TIME}
        lines: list[str] = []
        sink = logger.add(lines.append, level="INFO")
        call = await let_go(server, await server.call(**body), TO)
        logger.remove(sink)
        assert "AI" not in texts_of(call, "agent")[0]
        assert call["compliance"]["switched_off"] == ["compliance.disclosure"]
        assert any("answered: discreet" in line and "off: compliance.disclosure" in line for line in lines)
        assert "4111" not in "".join(lines)
        await little_is_kept(server, call)


async def let_go(server: RunningServer, call_id: str, number: str) -> dict[str, Any]:
    """The call that the callee's last words, or key, have ended."""
    lateness = Lateness()
    call = await server.ended(call_id)
    assert call["ended_reason"] == "opted_out"
    assert texts_of(call, "agent")[-1] == GOODBYE, "it is confirmed"
    assert call["outcome"]["fields"]["do_not_call"] is True
    listed = await server.http.get(f"/api/phone/do-not-call/{number}")
    assert listed.json()["source"] == "call"
    # Four things wait for this machine between the last word and the goodbye's end: words, clock, voice, mark.
    assert let_go_ms(call) <= LET_GO_MS + 4 * lateness.worst_ms(), call["transcript"]
    return call


def let_go_ms(call: dict[str, Any]) -> int:
    """From the end of what the callee said or pressed last to the end of the goodbye, by the media clock."""
    asked = [turn for turn in call["transcript"] if turn["speaker"] == "callee"][-1]
    goodbye = call["transcript"][-1]
    return int(goodbye["end_ms"] - asked["end_ms"])


async def little_is_kept(server: RunningServer, call: dict[str, Any]) -> None:
    assert call["phone_number"] == "+1…23", "from its end on, whether the rest is dropped yet or not"
    dropped = await server.until(call["call_id"], lambda found: found["phone_number"] == "+1…23", within=10.0)
    raw = await server.agent.store.find(call["call_id"])
    deadline = asyncio.get_running_loop().time() + 20
    while raw.spec.phone_number != "+1…23":
        assert asyncio.get_running_loop().time() < deadline, "the number is still kept"
        await asyncio.sleep(0.1)
        raw = await server.agent.store.find(call["call_id"])
    assert "4111" not in f"{raw} {dropped}"
    assert texts_of(dropped, "callee")[0] == "My card is [redacted]."
    found = await server.http.get("/", params={"q": TO})
    assert call["call_id"] in found.text, "found by its whole number"
    card = next(turn for turn in dropped["transcript"] if turn["speaker"] == "callee")
    sound = await server.http.get(dropped["recording_url"])
    with wave.open(io.BytesIO(sound.content)) as file:
        pairs = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
    said = pairs[card["start_ms"] * 8 : card["end_ms"] * 8]
    assert len(said) > 4000
    assert not said.any()
    assert pairs.any()
