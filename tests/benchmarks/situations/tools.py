"""Tools that take their time, while somebody waits on the line."""

from __future__ import annotations

from tests.benchmarks.acts import AgentQuiet, Say
from tests.benchmarks.rules import Lives, Rule, Says, Sounds
from tests.benchmarks.situations.situation import TALK, Situation, opened
from tests.simulators.llm_replies import MessagesRequest, Reply, ToolUse

FREE = "We are free on Friday at ten, and on Monday at three."
UNKNOWN = "I cannot look that up right now, but I will pass the question on."
BRIDGE_MS = 2400.0
"""The issue: a spoken bridge when a silent tool call takes longer than a second, after the turn and the model."""


def _replies(request: MessagesRequest) -> Reply:
    """Calls a tool without a word, and says what it found."""
    if results := request.tool_results:
        return Reply(FREE if any("Friday" in text for text in results.values()) else UNKNOWN)
    for word, tool in (("free", "free_times"), ("crown", "prices")):
        if word in request.last_user_text and tool in request.tool_names:
            return Reply("", (ToolUse(tool),))
    return TALK(request)


def _looked_up(name: str, question: Say, *rules: Rule) -> Situation:
    return Situation(
        name,
        "tools",
        opened(question, AgentQuiet(), AgentQuiet(within_ms=6000)),
        (*rules, Lives()),
        scenario="visit_tools",
        replies=_replies,
    )


SITUATIONS = (
    _looked_up(
        "slow and silent",
        Say("When else are you free?", name="question"),
        Sounds("question", BRIDGE_MS),
        Says(FREE, after="question", within_ms=6000.0),
    ),
    _looked_up(
        "never answers",
        Say("How much is a crown?", name="question"),
        Sounds("question", BRIDGE_MS),
        Says(UNKNOWN, after="question", within_ms=6000.0),
    ),
)
