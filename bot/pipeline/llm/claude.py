"""Claude as a pipecat service: one reply asked of one or two models until it is there, all of its tools run.

pipecat's own way of a reply was replaced: it announces a reply before there is one, so a filler that was heard
meanwhile could not begin it; it gives up at the first error; it keeps one tool block, so of two parallel
calls only the last runs; and arguments that are not JSON end the reply. Its requests, tools, metrics and gate for
speculations are used as they are.

A reply that breaks off in its middle is asked for once more, from where it stopped. Starting over without
saying so was rejected: what was pushed may have been heard.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from anthropic import APIError, APIStatusError, APITimeoutError
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    FunctionCallFromLLM,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMThoughtEndFrame,
    LLMThoughtStartFrame,
    LLMThoughtTextFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.anthropic.llm import _THINKING_DEFAULTS, AnthropicLLMService, _model_name
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.tracing.service_decorators import traced_llm

from bot.pipeline.llm import claude_stream as stream
from bot.pipeline.llm.claude_usage import RequestMeter
from bot.pipeline.llm.fallback import LAST_PAUSE_SECONDS, AttemptError, Circuit, Ladder, Rung
from bot.pipeline.usage import Metered
from bot.telemetry import metrics

_BETAS = ["interleaved-thinking-2025-05-14"]
"""pipecat's: lets a model that thinks do so between the calls of tools."""
_GO_ON = (
    "(Your reply broke off after these words; only they were said. Go on from there with the very next word. "
    "Do not repeat them, and do not mention this.)"
)


@dataclass(frozen=True)
class ClaudeModel:
    """A rung of the ladder."""

    name: str
    max_tokens: int


@dataclass
class _ToolBlock:
    call_id: str
    name: str
    json: str = ""


@dataclass
class _Reply:
    """What has come of a reply."""

    text: str = ""
    blocks: dict[int, _ToolBlock] = field(default_factory=dict)
    reason: str = ""
    begun: bool = False
    """Its start was pushed."""
    tokens: dict[str, int] = field(default_factory=dict)


class ClaudeService(Metered, AnthropicLLMService):
    """`models` are asked in order. `hands_on`: a context that no model answers goes to the service behind,
    unannounced; otherwise that is an ErrorFrame.
    """

    def __init__(
        self,
        *,
        models: Sequence[ClaudeModel],
        circuit: Circuit,
        first_token_seconds: float,
        stall_seconds: float,
        hands_on: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._models = tuple(models)
        self._circuit = circuit
        self._first_token_seconds = first_token_seconds
        self._stall_seconds = stall_seconds
        self._hands_on = hands_on
        self._reply = _Reply()
        self._asked = LLMContextFrame(LLMContext())
        self._turn_over = asyncio.Event()
        self._at_work = False

    @property
    def busy(self) -> bool:
        """A reply is being made that somebody waits for."""
        return self._at_work and not self._speculation_gate.is_speculating

    @property
    def reply_has_text(self) -> bool:
        """Whether the reply being read has said something."""
        return bool(self._reply.text.strip())

    @property
    def reply_was_empty(self) -> bool:
        """Whether the last reply was whole and neither said nor called anything."""
        return bool(self._reply.reason) and not (self.reply_has_text or self._reply.blocks)

    @property
    def reply_tools(self) -> frozenset[str]:
        """The tools the reply being read has called."""
        return frozenset(block.name for block in self._reply.blocks.values())

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if getattr(frame.metadata.get("guess"), "withdrawn", False):
            return  # the withdrawal overtook it
        if isinstance(frame, LLMContextFrame):
            self._asked = frame
        await super().process_frame(frame, direction)
        if isinstance(frame, UserStoppedSpeakingFrame):
            self._turn_over.set()

    def _should_inject_trailing_user_message(self) -> bool:
        # A second model may refuse what the first would take: a request that ends with the assistant.
        return True

    @traced_llm
    async def _process_context(self, context: LLMContext) -> None:
        self._reply = reply = _Reply()
        self._at_work = True
        try:
            await self.start_processing_metrics()
            await self.start_ttfb_metrics()
            await self._answer(context)
            await self.run_function_calls(self._calls(context))
        except asyncio.CancelledError:
            reply.tokens["output"] = self._estimate_tokens(reply.text)
            raise
        except AttemptError as e:
            await self._give_up(e)
        except Exception as e:  # the rim of a request: the reply is lost, the call decides what follows
            logger.opt(exception=e).error("no reply")
            await self.push_error(f"{type(e).__name__}: {e}", exception=e, category=ErrorCategory.UNKNOWN)
        finally:
            self._at_work = False
            await self.stop_processing_metrics()
            if reply.begun:
                await self.push_frame(LLMFullResponseEndFrame())
            await self._report(reply)

    async def _answer(self, context: LLMContext) -> None:
        """AttemptError: no model had an answer; a speculation is asked for again once its turn is over."""
        guessed = self._speculation_gate.is_speculating
        request = await self._request(context)
        try:
            await self._climb_and_mend(request)
        except AttemptError:
            if self._hands_on or not guessed or self._reply.begun:
                raise
            # Nobody waited for that reply. If the turn ends as guessed, no other request is made for it.
            await self._settled()
            await self._climb_and_mend(request)

    async def _settled(self) -> None:
        """Until the turn that is answered is over; a guess that is withdrawn cancels whoever waits here."""
        while self._speculation_gate.is_speculating:
            self._turn_over.clear()
            await self._turn_over.wait()

    async def _give_up(self, error: AttemptError) -> None:
        metrics.vendor_failed("anthropic", "gave_up")
        if self._hands_on and not self._reply.begun:
            logger.warning("Claude is passed over: {}", error)
            await self.push_frame(self._asked)
        else:
            await self._settled()
            await self.push_error(f"Claude: {error}", exception=error, category=ErrorCategory.UNKNOWN)

    # -- one reply ------------------------------------------------------------------------------------

    async def _climb_and_mend(self, request: Mapping[str, Any]) -> None:
        """A reply that breaks off is asked for once more, from where it stopped."""
        try:
            await self._climb(request, None)
        except AttemptError as e:
            reply = self._reply
            if not reply.begun:
                raise
            logger.warning("Claude's reply broke off: {}", e)
            metrics.vendor_failed("anthropic", "broke_off")
            said, reply.blocks = reply.text, {}
            messages = request["messages"]
            if said.strip():
                told = {"role": "assistant", "content": said.strip()}
                messages = [*messages, told, {"role": "user", "content": _GO_ON}]
            try:
                await self._climb({**request, "messages": messages}, Repeated(said))
            except AttemptError:
                reply.blocks = {}
                if not re.search(r"[.!?…]", said):
                    raise
                logger.warning("it ends there; what was said holds whole sentences")

    async def _climb(self, request: Mapping[str, Any], repeated: Repeated | None) -> None:
        rungs = [Rung(model.name, partial(self._ask, model, request)) for model in self._models]
        if self._hands_on and all(self._circuit.is_open(rung.name) for rung in rungs):
            raise AttemptError("all of its models failed a moment ago")
        ladder = Ladder(
            rungs,
            self._circuit,
            first_seconds=self._first_token_seconds,
            stall_seconds=self._stall_seconds,
            speaks=stream.speaks,
            ends=stream.ends,
            last_pause=0.0 if self._hands_on else LAST_PAUSE_SECONDS,
        )
        async with aclosing(ladder.climb()) as events:
            async for event in events:
                await self._take(event, repeated)

    async def _ask(self, model: ClaudeModel, request: Mapping[str, Any]) -> AsyncGenerator[stream.Event, None]:
        params: dict[str, Any] = {**request, "model": model.name, "max_tokens": model.max_tokens}
        self._apply_thinking_default(
            params,
            model.name,
            _THINKING_DEFAULTS.get(_model_name(model.name)),
            can_think=model.name.startswith("claude-"),
            provider="Anthropic",
            settings_fields="`thinking` or `effort`",
        )
        meter = RequestMeter(self.usage, model.name, params)
        try:
            try:
                response = await self._client.beta.messages.create(stream=True, betas=_BETAS, **params)
            except APIError as e:
                meter.refused = not isinstance(e, APITimeoutError)
                metrics.vendor_failed("anthropic", "refused" if isinstance(e, APIStatusError) else "unreachable")
                raise stream.refusal(e) from e
            async with aclosing(stream.events(response)) as events:
                async for event in events:
                    meter.note(event)
                    yield event
        finally:
            meter.settle()

    async def _request(self, context: LLMContext) -> dict[str, Any]:
        """What is the same for all models: the prompt, the messages, the tools."""
        params = await self._get_llm_invocation_params(context)
        self._log_llm_response(context)
        return dict(params)

    async def _take(self, event: stream.Event, repeated: Repeated | None) -> None:
        reply = self._reply
        match event:
            case stream.Text(text):
                await self.stop_ttfb_metrics()
                await self._say(text if repeated is None else repeated.feed(text))
            case stream.ToolBegun(index, call_id, name):
                await self.stop_ttfb_metrics()
                await self._begin()
                reply.blocks[index] = _ToolBlock(call_id, name)
            case stream.ToolJson(index, part):
                if index in reply.blocks:
                    reply.blocks[index].json += part
            case stream.ThoughtBegun():
                whose = self.get_llm_adapter().id_for_llm_specific_messages
                await self.push_frame(LLMThoughtStartFrame(append_to_context=True, llm=whose))
            case stream.Thought(text):
                await self.push_frame(LLMThoughtTextFrame(text=text))
            case stream.ThoughtSigned(signature):
                await self.push_frame(LLMThoughtEndFrame(signature=signature))
            case stream.Usage():
                self._count(event)
            case stream.Stopped(reason, usage):
                await self._begin()  # an empty reply is one, too
                reply.reason = reason or reply.reason
                self._count(usage)
                if reason in ("max_tokens", "refusal", "model_context_window_exceeded"):
                    logger.warning("Claude stopped early: {}", reason)

    async def _begin(self) -> None:
        if not self._reply.begun:
            self._reply.begun = True
            await self.push_frame(LLMFullResponseStartFrame())

    async def _say(self, text: str) -> None:
        if text:
            await self._begin()
            self._reply.text += text
            await self._push_llm_text(text)

    def _calls(self, context: LLMContext) -> list[FunctionCallFromLLM]:
        """All tools of the reply; none of one that was cut short, whose last arguments are cut, too."""
        if self._reply.reason == "max_tokens":
            return []
        return [
            FunctionCallFromLLM(
                context=context,
                tool_call_id=block.call_id,
                function_name=block.name,
                arguments=_arguments(block),
            )
            for _, block in sorted(self._reply.blocks.items())
        ]

    def _count(self, usage: stream.Usage) -> None:
        """Cumulative: each count replaces the last."""
        counts = {
            "input": usage.input,
            "output": usage.output,
            "cache_creation": usage.cache_creation,
            "cache_read": usage.cache_read,
        }
        self._reply.tokens |= {name: count for name, count in counts.items() if count is not None}

    async def _report(self, reply: _Reply) -> None:
        await self._report_usage_metrics(
            prompt_tokens=reply.tokens.get("input", 0),
            completion_tokens=reply.tokens.get("output", 0),
            cache_creation_input_tokens=reply.tokens.get("cache_creation", 0),
            cache_read_input_tokens=reply.tokens.get("cache_read", 0),
        )


class Repeated:
    """Takes away what a second try says again of the first, and joins the two. Pure.

    Only letters and digits are compared: a repetition with another comma is one.
    """

    def __init__(self, said: str) -> None:
        self._said = said
        self._letters = _letters(said)
        self._held = ""
        self._through = not self._letters

    def feed(self, text: str) -> str:
        """What of `text` is new. Text is held while it may be a repetition; what is held at the end is one."""
        if self._through:
            return text
        self._held += text
        letters = _letters(self._held)
        if len(letters) <= len(self._letters) and self._letters.startswith(letters):
            return ""
        self._through = True
        if not letters.startswith(self._letters):
            return self._joined(self._held)
        end = 0
        for end in range(1, len(self._held) + 1):
            if len(_letters(self._held[:end])) == len(self._letters):
                break
        return self._joined(self._held[end:].lstrip(",.;:!?…"))

    def _joined(self, text: str) -> str:
        apart = self._said[-1:].isspace() or text[:1].isspace() or text[:1] in ",.;:!?…"
        return text if apart or not text else f" {text}"


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _arguments(block: _ToolBlock) -> dict[str, Any]:
    try:
        value = json.loads(block.json) if block.json else {}
    except json.JSONDecodeError:
        logger.warning("arguments of {} are not JSON; the tool is called without", block.name)
        return {}
    return value if isinstance(value, dict) else {}
