"""A vendor fails in mid-call: what the callee hears of it."""

from __future__ import annotations

from tests.benchmarks.acts import (
    Act,
    AgentQuiet,
    AgentSaid,
    BreakClaude,
    BreakDeepgram,
    BreakElevenLabs,
    Garbage,
    Pause,
    Say,
    SpoilVoice,
    UntilHungUp,
)
from tests.benchmarks.garbage import STRAY
from tests.benchmarks.rules import Answers, Ends, Lives, Never, Rule, Says, Sounds
from tests.benchmarks.situations.situation import ASK_PARKING, ASK_TIME, PARKING, TIME, Situation, opened
from tests.simulators.anthropic import AnthropicFault, Drop, ErrorEvent, Hang, Refuse, Slow, Stall
from tests.simulators.anthropic import Garbage as Nonsense
from tests.simulators.contexts import Empty, Silent

PAUSE_MS = 2500.0
"""An outage of a second is not noticed beyond a pause."""
LATE_MS = 8000.0
"""For the answer behind a filler."""
OVERLOADED = Refuse(529)


def _fault(name: str, *acts: Act, rules: tuple[Rule, ...], theme: str = "vendor faults") -> Situation:
    return Situation(name, theme, opened(*acts), (*rules, Lives()))


def _claude(name: str, fault: AnthropicFault, *, times: int = 1, within_ms: float = LATE_MS) -> Situation:
    """A sound in 2.5 s, then the answer. The fault meets the whole question, not a reply begun too early."""
    return _fault(
        name,
        BreakClaude(fault, times=times, at="appointment"),
        ASK_TIME,
        AgentQuiet(),
        AgentQuiet(within_ms=6000),
        rules=(Sounds("question"), Says(TIME, after="question", within_ms=within_ms)),
    )


def _garbage(kind: str) -> Situation:
    return _fault(
        f"garbage, {kind}",
        Garbage(kind),
        Pause(300),
        ASK_TIME,
        AgentQuiet(),
        rules=(Answers("question", TIME), Never(STRAY)),
    )


SITUATIONS = (
    _fault(
        "STT away for a second before a question",
        BreakDeepgram(1000),
        Pause(100),
        ASK_TIME,
        AgentQuiet(),
        rules=(Answers("question", TIME, within_ms=PAUSE_MS),),
    ),
    _fault(
        "STT away for a second within a question",
        Say("What time is my appointment, and where do I park the car?", name="question", wait=False),
        Pause(1000),
        BreakDeepgram(1000),
        Pause(2000),
        AgentQuiet(),
        rules=(Answers("question", PARKING, within_ms=PAUSE_MS),),
    ),
    _fault(
        "TTS lost in mid-sentence",
        ASK_PARKING,
        AgentSaid(100),
        BreakElevenLabs(0),
        AgentQuiet(pause_ms=2000),
        rules=(Says(PARKING, after="question", within_ms=2000.0, longest_pause_ms=1500.0),),
    ),
    _fault(
        "TTS away for a second",
        ASK_PARKING,
        AgentSaid(100),
        BreakElevenLabs(1000),
        AgentQuiet(pause_ms=3000),
        rules=(Says(PARKING, after="question", within_ms=2000.0, longest_pause_ms=2500.0),),
    ),
    _fault(
        "TTS context without a sound",
        SpoilVoice(Silent()),
        ASK_TIME,
        AgentQuiet(),
        AgentQuiet(within_ms=6000),
        rules=(Sounds("question"), Says(TIME, after="question", within_ms=LATE_MS)),
    ),
    _fault(
        "TTS context that ends empty",
        SpoilVoice(Empty()),
        ASK_TIME,
        AgentQuiet(),
        AgentQuiet(within_ms=6000),
        rules=(Sounds("question"), Says(TIME, after="question", within_ms=4000.0)),
    ),
    _claude("Claude slow", Slow(4.2)),
    _claude("Claude overloaded once", OVERLOADED),
    _claude("Claude overloaded three times", OVERLOADED, times=3),
    _claude("Claude limited", Refuse(429, retry_after=1.0)),
    _claude("Claude hangs once", Hang()),
    _claude("Claude stalls in mid-sentence", Stall(4)),
    _claude("Claude fails in mid-sentence", ErrorEvent(4)),
    _claude("Claude's socket lost in mid-sentence", Drop(4)),
    _fault(
        "Claude sends garbage",
        BreakClaude(Nonsense(), at="appointment"),
        ASK_TIME,
        AgentQuiet(),
        rules=(Answers("question", TIME),),
    ),
    Situation(
        "Claude down for good",
        "vendor faults",
        (AgentQuiet(), Pause(200), BreakClaude(OVERLOADED, times=None), ASK_TIME, UntilHungUp(30_000)),
        (Sounds("question"), Ends(("error_llm",), after="question", within_ms=28_000.0)),
    ),
    _garbage("broken"),
    _garbage("unknown"),
    _garbage("oversized"),
    _garbage("stray"),
)
