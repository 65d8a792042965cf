"""Rules for the local LLM: which words of the callee call which tool, with which arguments. Pure.

It understands no schema, so by itself it calls none but the agent's own. A suite says when one is to be called,
with what, and how its result is spoken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.pipeline.offline.rules.state import RuleReply, RuleToolCall


@dataclass(frozen=True)
class ToolRule:
    """One tool's."""

    name: str
    when: str
    """A regular expression over the callee's words, upper or lower case."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    say: str | None = None
    """With the result; {key} stands for what it holds under that key."""


def rule_reply(rules: Sequence[ToolRule], heard: str, messages: Sequence[Any]) -> RuleReply | None:
    """The call that is due, or the words with its result; None where the talk goes on without."""
    result = _last_result(messages)
    if result is not None:
        name, said = result
        rule = next((rule for rule in rules if rule.name == name), None)
        return None if rule is None or rule.say is None else RuleReply(spoken(rule.say, said))
    for rule in rules:
        if heard and re.search(rule.when, heard, re.IGNORECASE):
            return RuleReply("", (RuleToolCall(rule.name, dict(rule.arguments)),))
    return None


def spoken(say: str, result: Mapping[str, Any]) -> str:
    """`say`, filled with the result; its error where it failed."""
    if "error" in result:
        return str(result["error"])
    return re.sub(r"\{(\w+)\}", lambda m: str(result.get(m[1], m[0])), say)


def _last_result(messages: Sequence[Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The tool and its result, where that is what came last."""
    plain = [message for message in messages if isinstance(message, dict)]
    if not plain or plain[-1].get("role") != "tool":
        return None
    call_id = plain[-1].get("tool_call_id")
    calls = [call for message in plain for call in message.get("tool_calls") or ()]
    name = next((call["function"]["name"] for call in calls if call["id"] == call_id), None)
    try:
        result = json.loads(plain[-1].get("content") or "")
    except ValueError:
        return None
    return (name, result) if name is not None and isinstance(result, dict) else None
