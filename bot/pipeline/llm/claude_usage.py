"""What one request to Claude is billed for, also one that nobody waits for any more.

Tokens are told by the stream: the prompt's at its beginning, the reply's at its end. A request that is withdrawn
before its end (a guess that came to nothing, an interruption, the slower of two) is billed for what was read and
written until then, of which the end never tells: that is estimated, four characters a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bot.pipeline.llm import claude_stream as stream
from bot.pipeline.usage import Usage

VENDOR = "anthropic"
_CHARACTERS_PER_TOKEN = 4


class RequestMeter:
    """Of one request. `note` each event, `settle` once; `refused`: it was never read."""

    def __init__(self, usage: Usage, model: str, params: Mapping[str, Any]) -> None:
        self._usage = usage
        self._model = model
        self._params = params
        self._told: dict[str, int] = {}
        self._written = 0
        self._whole = False
        self.refused = False

    def note(self, event: stream.Event) -> None:
        match event:
            case stream.Usage():
                self._take(event)
            case stream.Stopped(_, usage):
                self._whole = True
                self._take(usage)
            case stream.Text(text) | stream.Thought(text):
                self._written += len(text)
            case stream.ToolJson(_, part):
                self._written += len(part)
            case _:
                pass

    def settle(self) -> None:
        if self.refused:
            return
        told = self._told
        if "input_tokens" not in told:
            told["input_tokens"] = _tokens(len(json.dumps(self._params, default=str)))
        if not self._whole:
            told["output_tokens"] = max(told.get("output_tokens", 0), _tokens(self._written))
        count(self._usage, self._model, told)

    def _take(self, usage: stream.Usage) -> None:
        """Cumulative: each count replaces the last."""
        counts = {
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "cache_write_tokens": usage.cache_creation,
            "cache_read_tokens": usage.cache_read,
        }
        self._told |= {unit: number for unit, number in counts.items() if number is not None}


def count(usage: Usage, model: str, tokens: Mapping[str, int]) -> None:
    """`tokens` by unit: input_tokens, output_tokens, cache_write_tokens, cache_read_tokens."""
    for unit, number in tokens.items():
        usage.add(VENDOR, model, unit, number)


def _tokens(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)
