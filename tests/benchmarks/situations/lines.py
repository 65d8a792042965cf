"""Bad lines and quiet people, silence, goodbyes, and the same with Flux as the STT."""

from __future__ import annotations

from dataclasses import replace

from tests.benchmarks.acts import AgentQuiet, AgentSaid, Circuit, Noise, Note, Pause, Say, UntilHungUp
from tests.benchmarks.rules import Answers, Ends, GoesOn, Lives, Says, Stops
from tests.benchmarks.situations.situation import (
    ASK_PARKING,
    ASK_TIME,
    COST,
    FAREWELL,
    INTERRUPTION,
    PARKING,
    THANKS,
    TIME,
    Situation,
    opened,
    over_parking,
)

SLOW_MS = 2000.0
"""For a reply where noise hides the end of the speech."""
_REST = (AgentQuiet(), Pause(1600))


def _asked(name: str, circuit: Circuit, theme: str = "bad lines") -> Situation:
    return Situation(
        name,
        theme,
        opened(ASK_TIME, AgentQuiet()),
        (Answers("question", TIME, within_ms=SLOW_MS), Lives()),
        circuit=circuit,
    )


_MHM = Say("Mm-hmm.", name="backchannel", heard="mhm")

_BASE = (
    _asked("street at 20 dB", Circuit(20, "pink")),
    _asked("hiss at 20 dB", Circuit(20, "white")),
    _asked("street at 10 dB", Circuit(10, "pink")),
    _asked("hiss at 10 dB", Circuit(10, "white")),
    _asked("quiet caller", Circuit(louder_db=-15)),
    Situation(
        "quick yes at 10 dB",
        "bad lines",
        opened(Say("Yes.", speed=1.2), AgentQuiet()),
        (Answers("Yes.", THANKS, within_ms=SLOW_MS), Lives()),
        circuit=Circuit(10, "pink"),
    ),
    Situation(
        "interruption at 20 dB",
        "bad lines",
        over_parking(3000, INTERRUPTION, AgentQuiet()),
        (Stops("interruption"), Answers("interruption", COST, since="interruption", within_ms=SLOW_MS), Lives()),
        circuit=Circuit(20, "pink"),
    ),
    Situation(
        "interruption by a quiet caller",
        "bad lines",
        over_parking(3000, INTERRUPTION, AgentQuiet()),
        (Stops("interruption"), Answers("interruption", COST, since="interruption"), Lives()),
        circuit=Circuit(louder_db=-12),
    ),
    Situation(
        "mhm at 20 dB",
        "bad lines",
        over_parking(3000, _MHM, *_REST),
        (GoesOn(PARKING, over="backchannel"), Lives()),
        circuit=Circuit(20, "pink"),
    ),
    Situation(
        "twelve seconds",
        "silence",
        (AgentQuiet(pause_ms=700), Note("quiet"), Pause(12_000), ASK_TIME, AgentQuiet()),
        (
            Says("Are you still there?", after="quiet", within_ms=10_000.0, not_before_ms=8500.0),
            Answers("question", TIME),
            Lives(),
        ),
    ),
    Situation(
        "to the end",
        "silence",
        (AgentQuiet(pause_ms=700), Note("quiet"), UntilHungUp(50_000)),
        (
            Says("I can't hear you, so I'll hang up now. Goodbye.", after="quiet", within_ms=38_000.0),
            Ends(("silence",)),
        ),
        longest_ms=70_000,
    ),
    Situation(
        "heard to its end",
        "goodbye",
        (AgentQuiet(), Pause(200), Say("That is all, goodbye.", name="bye"), UntilHungUp(12_000)),
        (Says(FAREWELL, after="bye", within_ms=1500.0), Ends(("agent_hangup",), after="bye", within_ms=5000.0)),
    ),
    Situation(
        "cough over it",
        "goodbye",
        (
            AgentQuiet(),
            Pause(200),
            Say("That is all, goodbye.", name="bye"),
            AgentSaid(300),
            Noise("cough", 450),
            UntilHungUp(12_000),
        ),
        (Says(FAREWELL, after="bye", within_ms=1500.0), Ends(("agent_hangup",), after="bye", within_ms=6500.0)),
    ),
)


def _by_flux(situation: Situation) -> Situation:
    return replace(situation, theme="Flux", scenario="visit_flux")


_FLUX = (
    Situation(
        "question",
        "Flux",
        opened(ASK_TIME, AgentQuiet()),
        (Answers("question", TIME), Lives()),
    ),
    Situation(
        "trailing and",
        "Flux",
        opened(
            Say("I would like to come on Friday and,", name="begins", finished=False, speed=0.9),
            Pause(900),
            Say("how much does that cost?", name="ends"),
            AgentQuiet(),
        ),
        (Answers("ends", COST, since="begins"), Lives()),
    ),
    Situation(
        "mhm",
        "Flux",
        over_parking(3000, _MHM, *_REST),
        (GoesOn(PARKING, over="backchannel"), Lives()),
    ),
    Situation(
        "interruption",
        "Flux",
        opened(ASK_PARKING, AgentSaid(3000), INTERRUPTION, AgentQuiet()),
        (Stops("interruption"), Answers("interruption", COST, since="interruption"), Lives()),
    ),
)

SITUATIONS = (*_BASE, *(_by_flux(situation) for situation in _FLUX))
