"""The contract of a carrier: its own words stay in its folder, and what it lets a call do travels as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import bot
from bot.telephony.carrier import (
    AskPerson,
    ConnectStream,
    EndCall,
    Instruction,
    JoinConference,
    SayAndEnd,
    StreamAddress,
    packed,
    unpacked,
)

ROOT = Path(bot.__file__).parent
WIRE = re.compile(
    r"\b(?:CallSid|CallStatus|CallDuration|DialCallStatus|SpeechResult|streamSid|callSid|accountSid|customParameters"
    r"|machine_(?:start|end)\w*|[tT]wi[mM][lL])\b|[\"']AnsweredBy[\"']|</?(?:Response|Connect|Stream|Dial|Gather|Say)\b"
)
"""Form fields, stream fields and verbs of Twilio."""
KNOWN = ("telephony/twilio/", "telephony/simulated/", "cli/doctor.py")
"""The doctor posts to our own status webhook as Twilio would."""


def test_twilio_s_words_occur_in_its_folder_and_its_simulation_only() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {word.group()}"
        for path in sorted(ROOT.rglob("*.py"))
        if not path.relative_to(ROOT).as_posix().startswith(KNOWN)
        for word in WIRE.finditer(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "instruction",
    [
        ConnectStream(StreamAddress("wss://a.example/media", "t")),
        AskPerson("Take it?", "en-US", "yes, no", 5, "t", "https://a.example", round=2),
        JoinConference("c"),
        SayAndEnd("Bye."),
        EndCall(),
    ],
)
def test_an_instruction_reaches_another_process_whole(instruction: Instruction) -> None:
    assert unpacked(json.loads(json.dumps(packed(instruction)))) == instruction
