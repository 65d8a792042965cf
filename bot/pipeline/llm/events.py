"""What a streamed reply says, in the same words for every vendor."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class ToolBegun:
    index: int
    call_id: str
    name: str


@dataclass(frozen=True)
class ToolJson:
    """A part of the arguments of the tool of this index."""

    index: int
    json: str


@dataclass(frozen=True)
class ThoughtBegun:
    """`llm`: who thinks, as the context knows it; None: the thought is not kept."""

    llm: str | None = None


@dataclass(frozen=True)
class Thought:
    text: str


@dataclass(frozen=True)
class ThoughtSigned:
    signature: str


@dataclass(frozen=True)
class Tokens:
    """How many the reply took so far; None: not said here."""

    input: int | None = None
    output: int | None = None
    cache_creation: int | None = None
    cache_read: int | None = None

    def over(self, before: Tokens) -> Tokens:
        """Counts are cumulative: each that is said replaces the last."""
        return Tokens(*(b if a is None else a for a, b in zip(astuple(self), astuple(before), strict=True)))


class ReplyEnd(StrEnum):
    """What the reason of a reply's end calls for. Tools of a reply that is not whole do not run."""

    WHOLE = "whole"
    CUT = "cut"
    """It goes on where it stopped: asked for again, with its tools."""
    FULL = "full"
    """The same, by another model: this one has no room left."""
    REFUSED = "refused"
    """The vendor judged the request. With nothing said, another model is asked; else it ends here."""


@dataclass(frozen=True)
class Stopped:
    """The reply is over."""

    reason: str
    usage: Tokens
    ending: ReplyEnd = ReplyEnd.WHOLE


Event = Text | ToolBegun | ToolJson | ThoughtBegun | Thought | ThoughtSigned | Tokens | Stopped


def speaks(event: Event) -> bool:
    """Whether the model has begun to answer: an empty reply is one, too, a thought is none."""
    return isinstance(event, ToolBegun | Stopped) or (isinstance(event, Text) and bool(event.text))


def refuses(event: Event) -> bool:
    """Stopped by the vendor's own judgement of the request."""
    return isinstance(event, Stopped) and event.ending is ReplyEnd.REFUSED


def ends(event: Event) -> bool:
    return isinstance(event, Stopped)
