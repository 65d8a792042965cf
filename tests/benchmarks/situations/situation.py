"""The shape of a situation: what the callee's end does, on which line, and what is right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.acts import Act, AgentQuiet, AgentSaid, Circuit, HangUp, Pause, Say
from tests.benchmarks.rules import Rule
from tests.simulators.llm_replies import MessagesRequest, Replies, Reply, RuleReplies, ToolUse, text_of
from tests.simulators.twilio import AmdNews

OPENING = "Hi John, this is Alex from Downtown Dental. Does Thursday at two still work for you?"
"""What tests/benchmarks/pipelines/visit.toml says with the order below."""
TIME = "It is on Thursday, at two in the afternoon."
PARKING = (
    "There is a car park behind the building. It is free for the first two hours, and then it costs three "
    "dollars an hour. The entrance is on Mill Street, right beside the bakery."
)
"""Long enough to be interrupted early, in the middle and near its end: some eight seconds."""
NOTED = "Thank you, I have noted that down."
THANKS = "Great, thank you. We look forward to seeing you."
COST = "A visit like that costs forty dollars."
AGAIN = "I am sorry, could you say that again?"
HOLD = "Of course, take your time."
FAREWELL = "Thank you, John. Goodbye."
ASK_PARKING = Say("Where can I park the car?", name="question")
ASK_TIME = Say("What time is my appointment?", name="question")
INTERRUPTION = Say("No, sorry, how much does a visit cost?", name="interruption")

TALK: Replies = RuleReplies(
    [
        (r"\b(bye|goodbye)\b", Reply(FAREWELL, (ToolUse("end_call"),))),
        (r"\b(cost|how much)\b", COST),
        (r"\bpark\b", PARKING),
        (r"\b(what time|when is)\b", TIME),
        (r"\b(wait|hold on|one second|moment)\b", HOLD),
        (r"\b(number|five five|insurance|birth|friday|monday|daughter|stairs|knee)\b", NOTED),
        (r"\b(yes|yeah|yep|sure|works|fine|okay)\b", THANKS),
    ],
    otherwise=AGAIN,
)


def menu_replies(request: MessagesRequest) -> Reply:
    """TALK, and the first key of a menu."""
    if re.search(r"press (one|1)", request.last_user_text, re.IGNORECASE):
        if "send_digits" in request.tool_names:
            return Reply("", (ToolUse("send_digits", {"digits": "1"}),))
        return Reply("Appointments.")
    return TALK(request)


def going_on(replies: Replies) -> Replies:
    """As a model does: asked to go on with a reply that broke off, it says what is left of it."""

    def answer(request: MessagesRequest) -> Reply:
        if "broke off" not in request.last_user_text:
            return replies(request)
        at = max(i for i, message in enumerate(request.messages) if message["role"] == "assistant")
        said = " ".join(text_of(request.messages[at]["content"])).split()
        whole = replies(MessagesRequest({**request.body, "messages": request.messages[:at]}))
        return Reply(" ".join(whole.text.split()[len(said) :]), whole.tools)

    return answer


@dataclass(frozen=True)
class Situation:
    """One call. `acts` begin when the line opens."""

    name: str
    theme: str
    acts: tuple[Act, ...]
    rules: tuple[Rule, ...]
    circuit: Circuit = field(default_factory=Circuit)
    scenario: str = "visit"
    replies: Replies = TALK
    first_speaker: str = "agent"
    order: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the request that places the call."""
    amd: tuple[AmdNews, ...] = ()
    """What Twilio's own detection says of who answered."""
    longest_ms: int = 60_000


def opened(*acts: Act) -> tuple[Act, ...]:
    """The agent opens and is heard out; then `acts`, then the callee hangs up."""
    return (AgentQuiet(), Pause(200), *acts, HangUp())


def over_parking(at_ms: int, *acts: Act) -> tuple[Act, ...]:
    """The agent is asked about parking; `at_ms` into its answer come `acts`."""
    return opened(ASK_PARKING, AgentSaid(at_ms), *acts)
