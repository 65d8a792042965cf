"""Which calls a process takes on: by how late its event loop is and by a hard number of lines. Pure.

Processor load was rejected as the measure: a core at 95 % whose loop is on time holds its calls without a gap,
and one at 50 % whose loop waits for somebody else's thread does not.

A call that somebody is listening to already is worth more than a good moment: one of ours that was answered, or
a media stream that was promised, is refused by nothing but the ceiling. That lies above the lines given to new
calls, because with several servers the call may have been dialled by another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

ROOM_FOR_ANSWERED = 0.25
"""Of the lines, on top of them."""


class Asking(Enum):
    """Who asks for a line."""

    NEW = "new"
    """A call to be dialled, or one that comes in: it can wait, or try elsewhere."""
    ANSWERED = "answered"
    """A call of ours that was answered, or a media stream of a call that was let in."""


class Refusal(Enum):
    """Why a call is not taken, as it is said to whoever asked."""

    DRAINING = "This server is shutting down."
    FULL = "All lines are in use; ask again."
    LATE = "This server is at its limit; ask again."


@dataclass(frozen=True)
class Load:
    """The process at one moment."""

    lines_taken: int
    late: bool
    """Its event loop, as `loop_lag` sees it."""
    draining: bool = False
    """No new call is to be taken."""
    closed: bool = False
    """Nothing is."""


def ceiling(lines: int) -> int:
    """How many calls are held at most, with those that were answered already."""
    return lines + max(1, math.ceil(lines * ROOM_FOR_ANSWERED))


def refusal(asking: Asking, load: Load, lines: int) -> Refusal | None:
    """Why not, or None: the call is taken. `lines`: what the process gives to new calls at most.

    A process that holds no call takes one although its loop is late: there is nobody to disturb, and what makes
    it late would not go away by waiting for its own calls to end.
    """
    if load.closed or (load.draining and asking is Asking.NEW):
        return Refusal.DRAINING
    if asking is Asking.ANSWERED:
        return Refusal.FULL if load.lines_taken >= ceiling(lines) else None
    if load.lines_taken >= lines:
        return Refusal.FULL
    return Refusal.LATE if load.late and load.lines_taken else None
