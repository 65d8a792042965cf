"""The fixed set of situations of tests/benchmarks/conversation.py, a theme or a few per file, as data.

situation.py    the shape of a situation, and what callee and agent say in most of them
turns.py        when is a turn over
manners.py      what stops the agent and what does not
answering.py    who picked up, and what is done about it
pickups.py      who picked up, a hundred times
faults.py       a vendor fails
lines.py        bad lines, silence, goodbyes, Flux
spanish.py      Spanish by scenario
tools.py        tools that take their time
meaning.py      what commits, keys, what is dictated
lawful.py       what may be said to whom: disclosure, recording, opting out, privacy, holds, extensions, attacks
written.py      what a model writes that is no speech, and what it will not say
"""

from __future__ import annotations

from tests.benchmarks.situations import (
    answering,
    faults,
    lawful,
    lines,
    manners,
    meaning,
    pickups,
    spanish,
    tools,
    turns,
    written,
)
from tests.benchmarks.situations.situation import Situation

ALL: tuple[Situation, ...] = (
    *turns.SITUATIONS,
    *manners.SITUATIONS,
    *answering.SITUATIONS,
    *faults.SITUATIONS,
    *lines.SITUATIONS,
    *spanish.SITUATIONS,
    *tools.SITUATIONS,
    *meaning.SITUATIONS,
    *written.SITUATIONS,
    *lawful.SITUATIONS,
    *pickups.SITUATIONS,
)
