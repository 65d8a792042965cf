"""The tokens that one request is billed for, also when it is withdrawn.

The stream reports tokens: the prompt's at its beginning or end, the reply's at its end. A request that is
withdrawn before its end (a wrong guess, an interruption, the slower of two) is billed for what was read and
written until then, which no end reports: that is estimated, four characters a token.
"""

import json
from collections.abc import Mapping
from typing import Any

from bot.pipeline.llm import events
from bot.pipeline.usage import Usage

_CHARACTERS_PER_TOKEN = 4


class RequestMeter:
    """Of one request to a vendor's model. `note` each event, `settle` once; `refused`: it was never read."""

    def __init__(self, usage: Usage, vendor: str, model: str, params: Mapping[str, Any]) -> None:
        self._usage = usage
        self._vendor = vendor
        self._model = model
        self._params = params
        self._reported = events.Tokens()
        self._written = 0
        self._whole = False
        self.refused = False

    def note(self, event: events.Event) -> None:
        match event:
            case events.Tokens():
                self._reported = event.over(self._reported)
            case events.Stopped(_, usage):
                self._whole = True
                self._reported = usage.over(self._reported)
            case events.Text(text) | events.Thought(text):
                self._written += len(text)
            case events.ToolJson(_, part):
                self._written += len(part)
            case _:
                pass

    def settle(self) -> None:
        if self.refused:
            return
        reported = self._reported
        read = _tokens(len(json.dumps(self._params, default=str))) if reported.input is None else reported.input
        written = reported.output or 0
        if not self._whole or reported.output is None:
            written = max(written, _tokens(self._written))
        counts = {
            "input_tokens": read,
            "output_tokens": written,
            "cache_write_tokens": reported.cache_creation,
            "cache_read_tokens": reported.cache_read,
        }
        for unit, count in counts.items():
            self._usage.add(self._vendor, self._model, unit, count or 0)


def _tokens(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)
