"""One request to a vendor's model, through its SDK; and the tokens it is billed for, also when it is withdrawn.

The stream reports tokens: the prompt's at its beginning or end, the reply's at its end. A request that is
withdrawn before its end (a wrong guess, an interruption, the slower of two) is billed for what was read and
written until then, which no end reports: that is estimated, four characters a token.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import httpx2

from bot.pipeline.llm import events
from bot.pipeline.llm.fallback import AttemptError, refused
from bot.pipeline.usage import Usage
from bot.telemetry import metrics

_CHARACTERS_PER_TOKEN = 4
_S = TypeVar("_S")


class RequestMeter:
    """Of one request to a vendor's model. `note` each event, `settle` once; `refused`: it was never read."""

    def __init__(self, usage: Usage, vendor: str, model: str, params: Mapping[str, Any]) -> None:
        self._usage, self._vendor, self._model, self._params = usage, vendor, model, params
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

    async def ask(
        self,
        request: Awaitable[_S],
        read: Callable[[_S], AsyncGenerator[events.Event, None]],
        sdk_error: type[Exception],
    ) -> AsyncGenerator[events.Event, None]:
        """What `request`'s stream says. AttemptError: there is none, or it broke. `sdk_error`: the SDK's base."""
        try:
            try:
                stream = await request
            except sdk_error as e:
                self.refused = not isinstance(e.__cause__, httpx2.TimeoutException)
                metrics.vendor_failed(self._vendor, "unreachable" if _status(e) is None else "refused")
                raise refusal(e) from e
            async with aclosing(read(stream)) as said:
                async for event in said:
                    self.note(event)
                    yield event
        finally:
            self.settle()

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
        read_back, written_down = reported.cache_read or 0, reported.cache_creation or 0
        metrics.prompt_read(self._vendor, fresh=read, written=written_down, cached=read_back)
        for unit, count in counts.items():
            self._usage.add(self._vendor, self._model, unit, count or 0)


def _tokens(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)


def refusal(error: Exception) -> AttemptError:
    """Why a request got no stream. The errors of the SDKs of Anthropic and OpenAI are made alike."""
    status, cause = _status(error), error.__cause__
    if status is None:
        return AttemptError(f"{type(error).__name__}: {type(cause).__name__ if cause else error}")
    body, response = getattr(error, "body", None), getattr(error, "response", None)
    said = body.get("error", body) if isinstance(body, Mapping) else None  # OpenAI's gives the error itself
    return refused(status, said, None if response is None else response.headers.get("retry-after"))


def _status(error: Exception) -> int | None:
    """The HTTP status of an answer; None: there was none."""
    return getattr(error, "status_code", None)
