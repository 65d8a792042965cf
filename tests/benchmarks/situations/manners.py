"""What stops the agent and what does not: backchannels, noises, interruptions, stop words, double talk."""

from __future__ import annotations

from tests.benchmarks.acts import AgentQuiet, AgentSaid, Noise, Pause, Say
from tests.benchmarks.rules import Answers, GoesOn, Lives, Silent, Stops
from tests.benchmarks.situations.situation import (
    ASK_PARKING,
    ASK_TIME,
    COST,
    HOLD,
    INTERRUPTION,
    OPENING,
    PARKING,
    THANKS,
    TIME,
    Situation,
    opened,
    over_parking,
)
from tests.benchmarks.voiceprint import CHARACTER_MS

PARKING_MS = len(PARKING) * CHARACTER_MS
REST = (AgentQuiet(), Pause(1600))


def _backchannel(name: str, at_ms: int, text: str, heard: str, **changes: float) -> Situation:
    said = Say(text, name="backchannel", heard=heard, **changes)  # type: ignore[arg-type]
    return Situation(
        name,
        "backchannels",
        over_parking(at_ms, said, *REST),
        (GoesOn(PARKING, over="backchannel"), Lives()),
    )


def _noise(name: str, at_ms: int, noise: Noise) -> Situation:
    return Situation(
        name, "noises", over_parking(at_ms, noise, *REST), (GoesOn(PARKING, over=noise.label), Lives())
    )


def _interrupted(name: str, at_ms: int, *, theme: str = "interruption") -> Situation:
    return Situation(
        name,
        theme,
        over_parking(at_ms, INTERRUPTION, AgentQuiet()),
        (Stops("interruption"), Answers("interruption", COST, since="interruption"), Lives()),
    )


def _stop_word(name: str, text: str) -> Situation:
    return Situation(
        name,
        "stop words",
        over_parking(3000, Say(text, name="stop"), AgentQuiet()),
        (Stops("stop"), Answers("stop", HOLD, since="stop"), Lives()),
    )


SITUATIONS = (
    _backchannel("mhm", 2500, "Mm-hmm.", "mhm"),
    _backchannel("uh-huh", 3200, "Uh huh.", "uh-huh"),
    _backchannel("okay", 4000, "Okay.", "Okay."),
    _backchannel("right", 2000, "Right.", "Right."),
    _backchannel("yeah", 5000, "Yeah.", "Yeah."),
    _backchannel("mhm that is not written", 2800, "Mm-hmm.", ""),
    _noise("cough", 2500, Noise("cough", 450)),
    _noise("click", 3000, Noise("click", 40)),
    _noise("door slam", 3500, Noise("slam", 500)),
    _noise("music behind", 1500, Noise("music", 4000, louder_db=-12)),
    _noise("talk behind", 1500, Noise("talk", 4000, louder_db=-15)),
    Situation(
        "cough in silence",
        "noises",
        opened(Noise("cough", 450), Pause(3000)),
        (Silent("cough", for_ms=2900), Lives()),
    ),
    Situation(
        "question over music",
        "noises",
        opened(Noise("music", 9000, louder_db=-15, wait=False), Pause(1500), ASK_TIME, AgentQuiet()),
        (Answers("question", TIME, within_ms=2200), Lives()),
    ),
    _interrupted("early", 700),
    _interrupted("middle", PARKING_MS // 2),
    _interrupted("near the end", PARKING_MS - 1300),
    _stop_word("wait", "Wait, wait."),
    _stop_word("hold on", "Hold on a second."),
    Situation(
        "double talk",
        "double talk",
        opened(
            ASK_PARKING,
            AgentSaid(0),
            Say("and how much does it cost?", name="adds"),
            AgentQuiet(),
        ),
        (Answers("adds", COST, since="adds"), Lives()),
    ),
    Situation(
        "answer over the last word",
        "double talk",
        (AgentSaid(len(OPENING) * CHARACTER_MS - 350), Say("Yes, it does.", name="answer"), AgentQuiet()),
        (Answers("answer", THANKS, since="answer"), Lives()),
    ),
)
