"""What models refused in one call, and what of it their next requests hold: a neutral note in its place.

Where a refused turn stays, the turns after it are refused with it (platform.claude.com, "Streaming refusals").
Only the requests leave it out. The call's context and its transcript keep what was said and heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContext

LEFT_OUT = "(Something was said here that is left out. Go on with the matter of the call; do not mention this.)"
_RAN = "Tools that ran meanwhile: {}."
MOST_IN_A_ROW = 3
"""So many turns that no model answers are no conversation."""


@dataclass(frozen=True)
class _Turn:
    """`messages` stood at `at`. `said`: what the agent said in place of a reply; None: a model had one."""

    at: int
    messages: tuple[Any, ...]
    said: str | None
    models: frozenset[str] | None
    """Who refused; None: the turn is left out for all."""


@dataclass
class Refusals:
    """Of one call."""

    phrase: str
    """Said where no model answers."""
    models: set[str] = field(default_factory=set)
    """Who refused something: asked last from then on."""
    in_a_row: int = 0
    _turns: list[_Turn] = field(default_factory=list)

    def may_be_declined(self, context: LLMContext) -> bool:
        """Whether the phrase answers: the callee has said something (our own notes stand in brackets), and it is
        not the only answer they get."""
        messages: list[Any] = context.get_messages()
        said = (str(m["content"]) for m in messages if _is_user(m) and m.get("content"))
        heard = any(not text.startswith("(") for text in said)
        return bool(self.phrase) and heard and self.in_a_row < MOST_IN_A_ROW

    def answered(self, context: LLMContext, refused_by: set[str]) -> None:
        """A model had a reply, maybe after others had refused."""
        self.in_a_row = 0
        if refused_by:
            self._note(context, None, frozenset(refused_by))

    def declined(self, context: LLMContext, said: str) -> str:
        """No model has a reply, or one broke off with these words said; returns what is to be said now."""
        self.in_a_row += 1
        self._note(context, self.phrase, None)
        words = said.rstrip()
        return (
            f" {self.phrase}" if words and words[-1] in ".!?…" else f"… {self.phrase}" if words else self.phrase
        )

    def _note(self, context: LLMContext, said: str | None, models: frozenset[str] | None) -> None:
        messages = context.get_messages()
        at = len(messages)
        while at > 1 and not _is_words(messages[at - 1]):  # the first message is ours
            at -= 1
        if at < len(messages):
            self._turns.append(_Turn(at, tuple(messages[at:]), said, models))

    def shown_to(self, model: str, context: LLMContext) -> LLMContext:
        """`context` without what this model refused. A turn that came out otherwise in the end is not in it."""
        messages = context.get_messages()
        shown: list[Any] = []
        at = 0
        for turn in self._turns:
            end = turn.at + len(turn.messages)
            if turn.at < at or (turn.models is not None and model not in turn.models):
                continue
            if tuple(messages[turn.at : end]) != turn.messages:
                continue
            shown += [*messages[at : turn.at], {"role": "user", "content": _note_of(turn.messages)}]
            at = end
            if turn.said is not None:
                while at < len(messages) and not _is_user(messages[at]):
                    at += 1
                if at > end:
                    shown.append({"role": "assistant", "content": turn.said})
        if not at:
            return context
        return LLMContext([*shown, *messages[at:]], context.tools, context.tool_choice)


def _note_of(messages: Sequence[Any]) -> str:
    calls = [call for m in messages if isinstance(m, dict) for call in m.get("tool_calls") or ()]
    names = dict.fromkeys(str(call["function"]["name"]) for call in calls)
    return f"{LEFT_OUT[:-1]} {_RAN.format(', '.join(names))})" if names else LEFT_OUT


def _is_words(message: Any) -> bool:
    return isinstance(message, dict) and message["role"] == "assistant" and not message.get("tool_calls")


def _is_user(message: Any) -> bool:
    return isinstance(message, dict) and message["role"] in ("user", "developer")
