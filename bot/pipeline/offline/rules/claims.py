"""What the agent says it has done without a tool that did it: "I've booked you in". Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bot.languages import plain
from bot.pipeline.offline.rules.commitment import commitment_words
from bot.records import Speaker, ToolUse, Turn

_SENTENCES = re.compile(r"(?<=[.!?…])\s+")
_NOT_YET = re.compile(
    r"\b(?:once|if|when|after|until|till|before|unless|as soon as|not|cuando|si|hasta que|en cuanto|no)\s*$"
)
OWN = frozenset(
    {
        "do_not_call",
        "end_call",
        "record_outcome",
        "schedule_callback",
        "send_digits",
        "take_message",
        "transfer_call",
    }
)
"""Tools of the product: they act in this call only, whatever their names sound like."""
_OWN_TOOLS = {"schedule_callback": r"call ?back|llam", "do_not_call": r"\blist|remov|\bborra|elimin"}
"""Tools of ours that keep a note: what they may be said to have done."""
LATE_MS = 3000
"""A tool may end so long after the words that announce it."""


def claims_in(text: str, language: str, known: str = "") -> list[tuple[str, re.Pattern[str]]]:
    """The sentences that claim a deed, each with what a tool's name or description has to hold to have done it.

    `known`: what the agent was given to say; a deed that stands there was done before the call.
    """
    found = []
    given = plain(known)
    for sentence in _SENTENCES.split(text):
        words = plain(sentence)
        for said, done in commitment_words(language).claims if not sentence.rstrip().endswith("?") else ():
            claim = said.search(words)
            if claim and not _NOT_YET.search(words[: claim.start()]) and not _stands_in(given, claim[0]):
                found.append((sentence.strip(), done))
                break
    return found


def _stands_in(known: str, claim: str) -> bool:
    deed = claim.rsplit(maxsplit=1)[-1]
    return bool(
        re.search(rf"\b(?:is|was|been|are|have|has|esta|ha sido|fue|queda) (?:\w+ )?{re.escape(deed)}\b", known)
    )


def backed(sentence: str, done: re.Pattern[str], uses: Sequence[ToolUse], described: Mapping[str, str]) -> bool:
    """Whether a tool that could have done it was successful. `described`: tools of others → description."""
    for use in uses:
        if isinstance(use.result, Mapping) and "error" in use.result:
            continue
        own = _OWN_TOOLS.get(use.name, "(?!)") if use.name in OWN else None
        if own is None and done.search(f"{use.name} {described.get(use.name, '')}"):
            return True
        if own is not None and re.search(own, plain(sentence)):
            return True
    return False


def unbacked_claims(
    turns: Sequence[Turn], language: str, *, described: Mapping[str, str], known: str = ""
) -> list[str]:
    """The agent's sentences of a call that no tool is behind. `described`: tool → its description."""
    uses = [use for turn in turns for use in turn.tools]
    found: list[str] = []
    for turn in turns:
        if turn.speaker is Speaker.AGENT:
            until = LATE_MS + (turn.end_ms if turn.end_ms is not None else turn.start_ms)
            so_far = [use for use in uses if use.at_ms <= until]
            claims = claims_in(turn.text, language, known)
            found += [sentence for sentence, done in claims if not backed(sentence, done, so_far, described)]
    return list(dict.fromkeys(found))
