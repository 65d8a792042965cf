"""Who picked up, in whole calls: mailboxes, screeners, menus, carriers' messages, and the person behind them.

Calls that do not need a server of their own share one and are held at the same time: each lasts many
seconds of talk.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.telephony.simulated.script import Conversation
from tests.calls.server import (
    HANG_UP,
    hear,
    interrupt,
    running_server,
    say,
    silence,
    steps,
    texts_of,
    vendors,
    wait,
)
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse
from tests.simulators.twilio import AmdNews

MESSAGE = "This is Alex. I was calling about Thursday. Please call us back."
ANSWER = "This is Alex. It is about Thursday."
OPENING = "Hi John. Does Thursday work?"
GREETING = "You have reached the voicemail of John. Please leave a message after the beep."
MENU_TEXT = "Thank you for calling. For opening hours, press 1. For appointments, press 2."


def beep(for_ms: int = 400, hertz: int = 1000) -> dict[str, Any]:
    return {"do": "beep", "for_ms": for_ms, "hertz": hertz}


def music(for_ms: int) -> dict[str, Any]:
    return {"do": "music", "for_ms": for_ms}


def menu(text: str, keys: str) -> dict[str, Any]:
    return {"do": "menu", "text": text, "keys": keys, "pause_ms": 2500}


CONFIRMS = (hear(), say("Yes, Thursday works."), hear(), HANG_UP)
"""A person, once the agent has spoken."""


async def held(tmp_path: Path, callees: Mapping[str, Conversation], **changes: Any) -> dict[str, dict[str, Any]]:
    """The record of each callee's call, all of them on the line at once."""
    waiting = iter(callees.values())
    async with running_server(tmp_path, callees=lambda _: next(waiting)) as server:
        scenarios = {"hung up on": "mailboxes_not_wanted", "held back": "private"}
        ids = {name: await server.call(scenario=scenarios.get(name, "machines"), **changes) for name in callees}
        return {name: await server.ended(call_id, within=60.0) for name, call_id in ids.items()}


async def test_machines_with_nobody_behind_them(tmp_path: Path) -> None:
    screened = (hear(), say("Please hold."), wait())
    calls = await held(
        tmp_path,
        {
            "beep": steps(say(GREETING), silence(300), beep(), wait()),
            "hung up on": steps(say(GREETING), silence(300), beep(), wait()),
            "late beep": steps(say(GREETING), silence(3200), beep(hertz=440), wait()),
            "no beep": steps(say(GREETING), wait()),
            "screener": steps(say("Please state your name and why you are calling."), *screened),
            "menu": steps(menu("For billing, press 4. For sales, press 5.", keys="9")),
            "hold": steps(say("Miller and Sons, please hold."), music(32_000), wait()),
            "carrier": steps(
                say("The number you have dialed is not in service. Please check the number."), wait()
            ),
        },
    )
    assert {name: (call["status"], call["ended_reason"]) for name, call in calls.items()} == {
        "beep": ("completed", "voicemail_reached"),
        "hung up on": ("completed", "voicemail_reached"),
        "late beep": ("completed", "voicemail_reached"),
        "no beep": ("completed", "voicemail_reached"),
        "screener": ("completed", "screening_unanswered"),
        "menu": ("completed", "menu_reached"),
        "hold": ("completed", "hold_timeout"),
        "carrier": ("completed", "dial_failed"),
    }
    assert {name: call["answered_by"] for name, call in calls.items()} == {
        "beep": "voicemail",
        "hung up on": "voicemail",
        "late beep": "voicemail",
        "no beep": "voicemail",
        "screener": "screening",
        "menu": "menu",
        "hold": "hold",
        "carrier": "unavailable",
    }
    waits_ms = {}
    for name in ("beep", "no beep"):
        greeting, message = calls[name]["transcript"]
        waits_ms[name] = message["start_ms"] - greeting["end_ms"]
    # The beep lasts 700 ms, and times are known to a frame of 20.
    assert 680 <= waits_ms["beep"] < waits_ms["no beep"], "right behind the beep, not behind a silence"
    said = {name: texts_of(call, "agent") for name, call in calls.items()}
    cut, whole = said.pop("late beep")
    assert said == {
        "beep": [MESSAGE],
        "hung up on": [],
        "no beep": [MESSAGE],
        "screener": [ANSWER],
        "menu": [],
        "hold": ["I have been on hold for a while, so I'll hang up now. Goodbye."],
        "carrier": [],
    }
    assert whole == MESSAGE, "the beep came over it, so it was said again from its beginning"
    assert MESSAGE.startswith(cut.rstrip("—").rstrip())
    assert len(cut) < len(MESSAGE)


async def test_persons_behind_machines(tmp_path: Path) -> None:
    calls = await held(
        tmp_path,
        {
            "mailbox": steps(
                say("You have reached the voicemail of John. Please leave a message"),
                silence(500),
                say("Hello? Yes, I'm here."),
                *CONFIRMS,
            ),
            "screener": steps(
                say("If you record your name and reason for calling, I'll see if this person is available."),
                hear(),
                say("Thank you. Please stay on the line."),
                silence(1500),
                say("Hello?"),
                *CONFIRMS,
            ),
            "menu": steps(
                menu(MENU_TEXT, keys="2"),
                silence(500),
                say("Hello front desk."),
                *CONFIRMS,
            ),
            "hold": steps(
                say("Hello?"),
                hear(),
                say("Let me transfer you."),
                music(5600),
                say("You are number two in the queue."),
                silence(1200),
                say("Thanks for holding, how can I help?"),
                *CONFIRMS,
            ),
        },
    )
    assert {call["answered_by"] for call in calls.values()} == {"person"}
    said = {name: texts_of(call, "agent") for name, call in calls.items()}
    assert said["mailbox"][0] == OPENING
    assert said["screener"][:2] == [ANSWER, OPENING]
    assert said["menu"][0] == OPENING
    assert [(turn["speaker"], turn["text"]) for turn in calls["hold"]["transcript"]][:6] == [
        ("callee", "Hello?"),
        ("agent", OPENING),
        ("callee", "Let me transfer you."),
        ("recording", "You are number two in the queue."),
        ("callee", "Thanks for holding, how can I help?"),
        ("agent", "Hi, this is Alex again."),
    ]
    assert {call["outcome"]["fields"].get("confirmed") for call in calls.values()} == {True}
    tools = [(tool["name"], tool["arguments"]) for turn in calls["menu"]["transcript"] for tool in turn["tools"]]
    assert ("send_digits", {"digits": "2"}) in tools


async def test_a_person_s_hello_is_answered_at_once_and_silence_soon(tmp_path: Path) -> None:
    calls = await held(
        tmp_path,
        {
            "hello": steps(silence(700), say("Hello?"), *CONFIRMS),
            "nobody": steps(*CONFIRMS),
            "held back": steps(
                say("Hello?"),
                hear(),
                say("What is this about?"),
                hear(),
                say("Yes, this is John."),
                *CONFIRMS,
            ),
        },
    )
    hello, opening, *_ = calls["hello"]["transcript"]
    assert (hello["speaker"], opening["text"]) == ("callee", OPENING)
    assert calls["hello"]["answered_by"] == "person"
    silence_ms = calls["nobody"]["answer_to_first_audio_ms"]
    assert 200 <= opening["start_ms"] - hello["end_ms"] < silence_ms
    assert 1500 <= silence_ms <= 5000
    assert texts_of(calls["nobody"], "agent")[0] == OPENING
    talk = [turn["text"] for turn in calls["held back"]["transcript"]]
    told = talk.index("Yes, this is John.")
    before = " ".join(talk[:told])
    assert "Hello, this is Alex, calling for Downtown Dental. Am I speaking with John?" in before
    assert "I can only say what it is about to John." in before
    assert "Thursday" not in before
    assert "Does Thursday work?" in talk[told + 1]
    assert calls["held back"]["outcome"]["fields"]["confirmed"] is True


async def test_a_hello_over_the_opening_of_an_agent_who_speaks_first_interrupts_nothing(tmp_path: Path) -> None:
    calls = await held(tmp_path, {"hello": steps(interrupt("Hello?", 300), *CONFIRMS)}, first_speaker="agent")
    call = calls["hello"]
    first = call["transcript"][0]
    assert (first["speaker"], first["text"]) == ("agent", OPENING)
    assert call["interruptions"] == 0


# A receptionist's sentence without a machine's words; only Twilio knows that nobody is there.
UNCLEAR = "Good day, here is the home of the Miller family in the old mill by the river and we all are out."


@pytest.mark.parametrize(
    ("verdict", "reason"), [("machine_end_beep", "voicemail_reached"), ("human", "agent_hangup")]
)
async def test_twilio_s_detection_settles_what_the_words_left_open(
    tmp_path: Path, verdict: str, reason: str
) -> None:
    script = (AmdNews("unheard_of", 0), AmdNews(verdict, 3800), AmdNews(verdict, 3850), AmdNews("unknown", 3900))
    callee = steps(say(UNCLEAR), hear(), say("Who is calling please?"), wait())
    replies = RuleReplies([], otherwise=Reply("Thank you, goodbye.", (ToolUse("end_call"),)))
    async with vendors(callee, replies) as sims, running_server(tmp_path, **sims.keys()) as server:
        sims.twilio.amd = script
        call = await server.ended(await server.call(scenario="machines"))
    assert call["ended_reason"] == reason
    assert (MESSAGE in texts_of(call, "agent")) == (verdict == "machine_end_beep")
