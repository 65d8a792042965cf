"""One question to Claude with a structured answer: two ways to ask, some patience, then AnalysisError.

The first way is `output_config.format` with a JSON schema, the API's own for data
(https://platform.claude.com/docs/en/build-with-claude/structured-outputs). A model or gateway that refuses it,
or answers in prose all the same, is asked to call a tool with the same schema: older ones know nothing else,
newer ones refuse that. No line waits for this answer, so requests are seconds apart; a response that
is streamed without having been asked for is read as well.
"""

import asyncio
import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anthropic import APIError, APIStatusError, APITimeoutError, AsyncAnthropic, Timeout, transform_schema
from loguru import logger

from bot.calls.outcome.reading import AnalysisError, as_object
from bot.json_schema import Schema
from bot.pipeline.llm import claude, events
from bot.pipeline.llm.fallback import AttemptError
from bot.pipeline.llm.request_meter import RequestMeter, refusal
from bot.pipeline.usage import Usage

WAITS = (0.0, 1.0, 4.0, 15.0)
"""Seconds before each request; a vendor that names a longer wait gets it, up to LONGEST_WAIT."""
LONGEST_WAIT = 30.0
REQUEST_TIMEOUT = Timeout(connect=5.0, read=60.0, write=10.0, pool=10.0)
MAX_TOKENS = 4096
_TOOL = "fill_in"


@dataclass(frozen=True)
class Question:
    system: str
    text: str
    schema: Schema

    def by_format(self) -> dict[str, Any]:
        return {"output_config": {"format": {"type": "json_schema", "schema": self._strict()}}}

    def by_tool(self) -> dict[str, Any]:
        tool = {"name": _TOOL, "description": "Hands in the filled form.", "input_schema": self._strict()}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": _TOOL}}

    def _strict(self) -> Schema:
        """As Anthropic takes it: every object closed, limits it does not know put into words."""
        strict: Schema = transform_schema(copy.deepcopy(self.schema))
        return strict


class Asker:
    """`models` in order; each is asked twice at most before the next."""

    def __init__(
        self,
        client: AsyncAnthropic,
        models: Sequence[str],
        usage: Usage,
        *,
        waits: Sequence[float],
    ) -> None:
        self._client = client.with_options(timeout=REQUEST_TIMEOUT, max_retries=0)
        self._models = list(models)
        self._usage = usage
        self._waits = waits

    async def ask(self, system: str, text: str, schema: Schema) -> dict[str, Any]:
        """The object the model answers with. AnalysisError: why there is none."""
        question = Question(system, text, schema)
        asked: list[str] = [model for model in self._models for _ in range(2)]
        named_wait = 0.0
        why = AttemptError("no model was asked")
        for wait in self._waits:
            if not asked:
                break
            model = asked.pop(0)
            pause = max(wait, min(named_wait, LONGEST_WAIT))
            if pause:
                await asyncio.sleep(pause)
            try:
                return await self._answer(model, question)
            except AttemptError as e:
                logger.warning("{} did not analyse the call: {}", model, e)
                why, named_wait = e, e.retry_after or 0.0
                if isinstance(e, _BarredError):
                    break
                if not e.retryable:
                    asked = [other for other in asked if other != model]
        raise AnalysisError(str(why))

    async def _answer(self, model: str, question: Question) -> dict[str, Any]:
        try:
            return await self._once(model, question, question.by_format())
        except _NotTakenError as e:
            logger.info("{} is asked by a tool: {}", model, e)
            return await self._once(model, question, question.by_tool())

    async def _once(self, model: str, question: Question, way: Mapping[str, Any]) -> dict[str, Any]:
        params: dict[str, Any] = {
            "model": model,
            "max_tokens": MAX_TOKENS,
            "system": question.system,
            "messages": [{"role": "user", "content": question.text}],
            **way,
        }
        for name, default in claude.thinking_default(model).items():
            params[name] = {**params.get(name, {}), **default}
        meter = RequestMeter(self._usage, claude.VENDOR, model, params)
        try:
            response = await self._client.messages.with_raw_response.create(**params)
            said = _events(response.http_response.text)
        except APIError as e:
            meter.refused = not isinstance(e, APITimeoutError)
            refused = refusal(e)
            status = e.status_code if isinstance(e, APIStatusError) else 0
            if status in (400, 422):
                raise _NotTakenError(str(refused), retryable=False) from e
            if status in (401, 403):
                raise _BarredError(str(refused), retryable=False) from e
            raise refused from e
        finally:
            if meter.refused:
                meter.settle()
        for event in said:
            meter.note(event)
        meter.settle()
        return _object_in(said)


class _NotTakenError(AttemptError):
    """The request, or this way to ask for a structured answer, is not understood there."""


class _BarredError(AttemptError):
    """The key is not taken, by no model."""


def _events(body: str) -> list[events.Event]:
    """A message, whole or streamed, as the events of a stream."""
    try:
        message = json.loads(body)
    except ValueError:
        return [event for event in map(_line_event, body.splitlines()) if event is not None]
    found: list[events.Event] = []
    content = message.get("content") if isinstance(message, dict) else None
    for index, block in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(block, dict):
            continue
        if block.get("type") == "text" and isinstance(block.get("text"), str):
            found.append(events.Text(block["text"]))
        elif block.get("type") == "tool_use":
            found.append(events.ToolJson(index, json.dumps(block.get("input"))))
    if isinstance(message, dict):
        final = claude.read({"type": "message_delta", "delta": message, "usage": message.get("usage")})
        found += [final] if final is not None else []
    return found


def _line_event(line: str) -> events.Event | None:
    data = as_object(line.removeprefix("data:")) if line.startswith("data:") else None
    return None if data is None else claude.read(data)


def _object_in(said: Sequence[events.Event]) -> dict[str, Any]:
    stopped = next((event for event in said if isinstance(event, events.Stopped) and event.reason), None)
    if stopped is not None and stopped.ending is not events.ReplyEnd.WHOLE:
        why = f"the answer was cut short: {stopped.reason}"
        raise AttemptError(why, retryable=stopped.ending is not events.ReplyEnd.REFUSED)
    tool = "".join(event.json for event in said if isinstance(event, events.ToolJson))
    text = "".join(event.text for event in said if isinstance(event, events.Text))
    found = as_object(tool) or as_object(text)
    if found is None:
        raise _NotTakenError("the answer is not a JSON object")
    return found
