"""What the callee means: commitments that are none, keys, and what is dictated with pauses."""

from __future__ import annotations

from tests.benchmarks.acts import AgentQuiet, Pause, Press, Say
from tests.benchmarks.rules import Answers, Lives, Records, Says, Stops, Types
from tests.benchmarks.situations.situation import NOTED, PARKING, THANKS, Situation, opened, over_parking
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

ASK_NUMBER = "Which phone number can we reach you at?"
ASK_EMAIL = "And what is your email address?"
MORE = "It costs forty dollars. Do you have any other questions?"
GO_AHEAD = "Of course, what is it?"
CHANGED = "I see, then I will not count on you."
_EAGER = (ToolUse("record_outcome", {"confirmed": True, "reached_goal": True}),)
_REPLIES = RuleReplies(
    [
        (r"Keys pressed: 4711", NOTED),
        (r"\b(call me back)\b", ASK_NUMBER),
        (r"\b(write to me)\b", ASK_EMAIL),
        (r"\b(four three|dot com)\b", NOTED),
        (r"\b(actually)\b", CHANGED),
        (r"\b(cost)\b", MORE),
        (r"^(yes)\W*$", GO_AHEAD),
        (r"\b(fine|works)\b", Reply(THANKS, _EAGER)),
    ],
    otherwise="Pardon?",
)


def _meant(name: str, *acts: Say | AgentQuiet, value: bool | None) -> Situation:
    """The agent takes whatever it hears for a yes, and says so to its tool."""
    rules = (Records("confirmed", value, value is True), Lives())
    return Situation(name, "meaning", opened(*acts, AgentQuiet()), rules, replies=_REPLIES)


def _dictated(name: str, wish: Say, *pieces: str) -> Situation:
    """Pieces with pauses between them that would end another turn."""
    acts = [part for piece in pieces[:-1] for part in (Say(piece), Pause(1300))]
    rules = (Answers("last", NOTED, within_ms=3000.0, since="first"), Lives())
    first = Say(pieces[0], name="first")
    spoken = (wish, AgentQuiet(), first, *acts[1:], Say(pieces[-1], name="last"), AgentQuiet())
    return Situation(name, "meaning", opened(*spoken), rules, replies=_REPLIES)


SITUATIONS = (
    _meant("a clear yes", Say("Yes, that works for me."), value=True),
    _meant("a hedge", Say("It should be fine, I will see."), value=None),
    _meant(
        "a change of mind",
        Say("Yes, that works for me."),
        AgentQuiet(),
        Say("Actually no, I can't on Thursday."),
        value=False,
    ),
    _meant("a yes to another question", Say("What does it cost?"), AgentQuiet(), Say("Yes."), value=None),
    Situation(
        "keys",
        "meaning",
        opened(Press("4711#", name="keys"), AgentQuiet()),
        (Says(NOTED, after="keys", within_ms=4000.0), Types("4711"), Lives()),
        replies=_REPLIES,
    ),
    Situation(
        "keys over the agent's voice",
        "meaning",
        over_parking(1500, Press("4711#", name="keys"), AgentQuiet()),
        (Stops("keys"), Types("4711"), Lives()),
        replies=RuleReplies([(r"Keys pressed: 4711", NOTED), (r"\bpark\b", PARKING)], otherwise="Pardon?"),
    ),
    _dictated(
        "a phone number with pauses",
        Say("Could you call me back?"),
        "Two oh two",
        "five five five",
        "oh one four three",
    ),
    _dictated("an email address, spelled", Say("Could you write to me?"), "J O H N", "at example", "dot com"),
)
