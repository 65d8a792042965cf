"""When is a turn over: trailing thoughts, quick words, digits in groups, questions with a pause in them."""

from __future__ import annotations

from tests.benchmarks.acts import AgentQuiet, Pause, Say
from tests.benchmarks.rules import Answers, Lives
from tests.benchmarks.situations.situation import (
    ASK_TIME,
    COST,
    NOTED,
    THANKS,
    TIME,
    Situation,
    opened,
)

THEME = "end of turn"
LATE_MS = 2200.0
"""For a reply to something that does not sound finished: it may be waited for a little longer."""


def _turn(
    name: str, *acts: Say | Pause, to: str, text: str, since: str | None = None, late: bool = False
) -> Situation:
    return Situation(
        name,
        THEME,
        opened(*acts, AgentQuiet()),
        (Answers(to, text, within_ms=LATE_MS if late else 1500.0, since=since), Lives()),
    )


SITUATIONS = (
    _turn("question", ASK_TIME, to="question", text=TIME),
    _turn("quick yes", Say("Yes.", speed=1.3), to="Yes.", text=THANKS),
    _turn("drawled yeah", Say("Yeah, sure, that works.", speed=0.7), to="Yeah, sure, that works.", text=THANKS),
    _turn(
        "trailing and",
        Say("I would like to come on Friday and,", name="begins", finished=False, speed=0.9),
        Pause(900),
        Say("how much does that cost?", name="ends"),
        to="ends",
        text=COST,
        since="begins",
    ),
    _turn(
        "trailing um",
        Say(
            "So, what I wanted to ask is, um,", heard="So what I wanted to ask is", name="begins", finished=False
        ),
        Pause(800),
        Say("how much does a visit cost?", name="ends"),
        to="ends",
        text=COST,
        since="begins",
    ),
    _turn(
        "question with a pause",
        Say("How much would it cost if I,", name="begins", finished=False),
        Pause(700),
        Say("bring both of my children along?", name="ends"),
        to="ends",
        text=COST,
        since="begins",
    ),
    _turn(
        "digits in groups",
        Say("My number is two oh two,", name="begins", finished=False, speed=0.8),
        Pause(600),
        Say("five five five,", finished=False, speed=0.8),
        Pause(600),
        Say("oh one two three.", name="ends", speed=0.8),
        to="ends",
        text=NOTED,
        since="begins",
        late=True,
    ),
    _turn(
        "digits one by one",
        Say("It is seven,", name="begins", finished=False, speed=0.8),
        Pause(450),
        Say("four,", finished=False, speed=0.8),
        Pause(450),
        Say("nine,", finished=False, speed=0.8),
        Pause(450),
        Say("one. That is my insurance number.", name="ends", speed=0.8),
        to="ends",
        text=NOTED,
        since="begins",
    ),
    _turn(
        "long answer",
        Say(
            "Well, you know, my daughter has school until noon on Thursdays, so I would have to pick her up "
            "first and then drive all the way across town.",
            name="answer",
        ),
        to="answer",
        text=NOTED,
    ),
    _turn(
        "two sentences",
        Say("That does not work for me.", name="begins"),
        Pause(350),
        Say("Could I come on Friday?", name="ends"),
        to="ends",
        text=NOTED,
        since="begins",
    ),
)
