"""The LLM stage: one reply asked of one model after another until it is there, all of its tools run.

pipecat's own way of a reply was replaced: it announces a reply before there is one, so a filler that was heard
meanwhile could not begin it; it gives up at the first error; of two parallel calls it may run only the last; and
arguments that are not JSON end the reply. Its adapters, tools, metrics and gate for speculations are used as
they are.

A reply that breaks off in its middle is asked for once more, from where it stopped. Starting over without
saying so was rejected: what was pushed may have been heard. One that is refused in its middle is not: a phrase of
the language ends it, and its turn leaves the messages (`refusals`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from loguru import logger
from pipecat.adapters.llm.base_llm_adapter import BaseLLMAdapter
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
from pipecat.metrics.metrics import LLMTokenUsage
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import FunctionCallParams, LLMService
from pipecat.services.settings import LLMSettings
from pipecat.utils.errors import ErrorCategory
from pipecat.utils.tracing.service_decorators import traced_llm

from bot.pipeline.line.line_ends import UnfinishedFrame
from bot.pipeline.llm import events
from bot.pipeline.llm.fallback import AttemptError, Attempts, Candidate, Waits
from bot.pipeline.llm.refusals import Refusals
from bot.pipeline.llm.reply_text import ReplyText, is_met
from bot.pipeline.usage import Metered, Usage
from bot.pipeline.vendor import Circuit
from bot.telemetry import metrics

_GO_ON = (
    "(Your reply broke off after these words; only they were said. Go on from there with the very next word. "
    "Do not repeat them, and do not mention this.)"
)
_TOOLS_CUT = "(No tool of your reply was run: it broke off. Call again what is needed, and do not mention this.)"
_NO_SPEECH = (
    "(You wrote a tool call, or your reasoning, as text. Nothing of it was said and no tool was run. Call the "
    "tool itself, or say your reply alone; do not mention this.)"
)
_NOT_JSON = "The arguments were not a JSON object, so the tool was not run. Call it again with a JSON object."
_CHARACTERS_PER_TOKEN = 4


class _CutError(AttemptError):
    """The model stopped before the end of its reply."""

    def __init__(self, reason: str, ending: events.ReplyEnd) -> None:
        super().__init__(f"it stopped early: {reason}")
        self.ending = ending


class Model(Protocol):
    """A model that replies can be asked of."""

    @property
    def vendor(self) -> str: ...
    @property
    def name(self) -> str:
        """Of this model alone in the process: failures are remembered by it."""
        ...

    @property
    def adapter(self) -> BaseLLMAdapter[Any]:
        """Turns a context into the vendor's messages."""
        ...

    def ask(self, context: LLMContext, usage: Usage) -> AsyncGenerator[events.Event, None]:
        """Open a request and yield what comes. AttemptError: it failed; closing it closes the request."""
        ...


@dataclass
class _ToolBlock:
    call_id: str
    name: str
    json: str = ""


@dataclass
class _Reply:
    """What has come of a reply."""

    text: str = ""
    speech: ReplyText = field(default_factory=ReplyText)
    blocks: dict[int, _ToolBlock] = field(default_factory=dict)
    reason: str = ""
    begun: bool = False
    """Its start was pushed."""
    usage: events.Tokens = field(default_factory=events.Tokens)
    refused_by: set[str] = field(default_factory=set)
    """The models that would not answer."""
    barred: set[str] = field(default_factory=set)
    """Those that are not asked again for it."""


class FallbackLLMService(Metered, LLMService[Any]):
    """`models` are asked in order. `hands_on`: a context that no model answers goes to the service behind,
    unannounced; otherwise that is an ErrorFrame. `cannot_answer`: said of what all of them refuse. `names`: the
    agent's, with which a model may sign its lines.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        instructions: str,
        circuit: Circuit,
        waits: Waits,
        cannot_answer: str,
        hands_on: bool = False,
        names: tuple[str, ...] = (),
    ) -> None:
        self._models = tuple(models)
        super().__init__(
            settings=settings_of(self._models[0].name, instructions),
            function_call_timeout_secs=waits.tool,
        )
        self._names = names
        self._refusals = Refusals(cannot_answer)
        self._circuit = circuit
        self._waits = replace(waits, last_pause=0.0) if hands_on else waits
        self._hands_on = hands_on
        self._reply = _Reply()
        self._asked = LLMContextFrame(LLMContext())
        self._not_json: set[str] = set()
        """Calls of tools whose arguments cannot be read, by id."""
        self._turn_over = asyncio.Event()
        self._at_work = False
        self.replied: set[str] = set()
        """The vendors whose words replies were made of."""

    def get_llm_adapter(self) -> BaseLLMAdapter[Any]:
        return self._models[0].adapter

    def can_generate_metrics(self) -> bool:
        return True

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

    def register_function(
        self, function_name: str | None, handler: Callable[[FunctionCallParams], Awaitable[None]], **options: Any
    ) -> None:
        async def with_readable_arguments(params: FunctionCallParams) -> None:
            if params.tool_call_id in self._not_json:
                self._not_json.discard(params.tool_call_id)
                await params.result_callback({"error": _NOT_JSON})
                return
            await handler(params)

        super().register_function(function_name, with_readable_arguments, **options)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if getattr(frame.metadata.get("guess"), "withdrawn", False):
            return  # the withdrawal overtook it
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            self._asked = frame
            await self._process_context(frame.context)
        else:
            await self.push_frame(frame, direction)
        if isinstance(frame, UserStoppedSpeakingFrame):
            self._turn_over.set()

    @traced_llm
    async def _process_context(self, context: LLMContext) -> None:
        self._reply = reply = _Reply(speech=ReplyText(self._names, greeted=_has_greeted(context)))
        self._at_work = True
        try:
            # Not pipecat's line, which holds all that was said, and secret keys.
            logger.debug("{}: a reply to {} messages is asked for", self, len(context.messages))
            await self.start_processing_metrics()
            await self.start_ttfb_metrics()
            await self._answer(context)
            self._refusals.answered(context, reply.refused_by)
            await self.run_function_calls(self._calls(context))
        except asyncio.CancelledError:
            # A stream begins with a count of one.
            written = max(reply.usage.output or 0, len(reply.text) // _CHARACTERS_PER_TOKEN)
            reply.usage = replace(reply.usage, output=written)
            raise
        except AttemptError as e:
            await self._give_up(e, context)
        except Exception as e:  # the rim of a request: the reply is lost, the call decides what follows
            logger.opt(exception=e).error("no reply")
            await self.push_error(f"{type(e).__name__}: {e}", exception=e, category=ErrorCategory.UNKNOWN)
        finally:
            self._at_work = False
            await self.stop_processing_metrics()
            if reply.begun:
                await self.push_frame(LLMFullResponseEndFrame())
            await self._report(reply.usage)

    async def _answer(self, context: LLMContext) -> None:
        """AttemptError: no model had an answer; a speculation is asked for again once its turn is over."""
        guessed = self._speculation_gate.is_speculating
        try:
            await self._ask_and_mend(context)
        except AttemptError:
            if self._hands_on or not guessed or self._reply.begun or self._reply.refused_by:
                raise
            # Nobody waited for that reply. If the turn ends as guessed, no other request is made for it.
            await self._settled()
            await self._ask_and_mend(context)

    async def _settled(self) -> None:
        """Until the turn that is answered is over; a guess that is withdrawn cancels this wait."""
        while self._speculation_gate.is_speculating:
            self._turn_over.clear()
            await self._turn_over.wait()

    async def _give_up(self, error: AttemptError, context: LLMContext) -> None:
        reply = self._reply
        metrics.vendor_failed(self._models[0].vendor, "gave_up")
        if self._hands_on and not reply.begun:
            logger.warning("no model replies, the next LLM is asked: {}", error)
            self._refusals.answered(context, reply.refused_by)
            await self.push_frame(self._asked)
            return
        await self._settled()
        if reply.refused_by and self._refusals.may_be_declined(context):
            logger.warning("refused by {}: the agent says that it cannot answer", ", ".join(reply.refused_by))
            await self._say(self._refusals.declined(context, reply.text))
            reply.reason = "refusal"
        else:
            await self.push_error(f"no model replies: {error}", exception=error, category=ErrorCategory.UNKNOWN)

    # -- one reply ------------------------------------------------------------------------------------

    async def _ask_and_mend(self, context: LLMContext) -> None:
        """A reply that breaks off is asked for once more, from where it stopped."""
        reply = self._reply
        try:
            await self._ask(context, None)
        except AttemptError as e:
            said, called = reply.text, bool(reply.blocks)
            reply.blocks = {}
            if not (reply.begun or called or isinstance(e, _CutError)) or (reply.refused_by and said.strip()):
                raise
            logger.warning("the reply broke off: {}", e)
            metrics.vendor_failed(self._models[0].vendor, "broke_off")
            hint = _NO_SPEECH if reply.speech.called_or_reasoned else _GO_ON if said.strip() else ""
            if called and not reply.refused_by:
                hint = f"{hint} {_TOOLS_CUT}".strip()
            reply.speech = ReplyText(self._names)
            try:
                await self._ask(_going_on(context, said, hint), Repeated(said))
            except AttemptError:
                reply.blocks = {}
                if reply.refused_by or not any(sign in reply.text for sign in ".!?…"):
                    raise
                logger.warning("it ends there, with its last whole sentence")
                await self.push_frame(UnfinishedFrame())

    async def _ask(self, context: LLMContext, repeated: Repeated | None) -> None:
        """AttemptError: no reply, or one that broke off; _CutError where its model says so."""
        reply, refusals = self._reply, self._refusals
        models = [model for model in self._models if model.name not in reply.barred]
        models.sort(key=lambda model: model.name in refusals.models)
        shown = ((model, refusals.shown_to(model.name, context)) for model in models)
        candidates = [Candidate(model.name, partial(model.ask, what, self.usage)) for model, what in shown]
        if repeated is None and self._hands_on and all(self._circuit.is_open(one.name) for one in candidates):
            raise AttemptError("all of its models failed a moment ago")
        if not candidates:
            raise AttemptError("there is no other model to ask")
        attempts = Attempts(candidates, self._circuit, waits=self._waits)
        try:
            async with aclosing(attempts.reply()) as said:
                async for event in said:
                    if attempts.speaking is not None:
                        self.replied.add(models[attempts.speaking].vendor)
                    await self._take(event, repeated)
        except _CutError as e:
            if attempts.speaking is not None and e.ending is not events.ReplyEnd.CUT:
                reply.barred.add(candidates[attempts.speaking].name)
                if e.ending is events.ReplyEnd.REFUSED:
                    attempts.refused.add(candidates[attempts.speaking].name)
            raise
        finally:
            reply.refused_by |= attempts.refused
            refusals.models |= attempts.refused

    async def _take(self, event: events.Event, repeated: Repeated | None) -> None:
        reply = self._reply
        match event:
            case events.Text(text):
                await self.stop_ttfb_metrics()
                spoken = reply.speech.feed(text)
                await self._say(spoken if repeated is None else repeated.feed(spoken))
            case events.ToolBegun(index, call_id, name):
                await self.stop_ttfb_metrics()
                reply.blocks[index] = _ToolBlock(call_id, name)
            case events.ToolJson(index, part):
                if index in reply.blocks:
                    reply.blocks[index].json += part
            case events.ThoughtBegun(llm):
                await self.push_frame(LLMThoughtStartFrame(append_to_context=llm is not None, llm=llm))
            case events.Thought(text):
                await self.push_frame(LLMThoughtTextFrame(text=text))
            case events.ThoughtSigned(signature):
                await self.push_frame(LLMThoughtEndFrame(signature=signature))
            case events.Tokens():
                reply.usage = event.over(reply.usage)
            case events.Stopped(reason, usage, ending):
                held = reply.speech.finish()
                await self._say(held if repeated is None else repeated.feed(held))
                reply.usage = usage.over(reply.usage)
                if ending is not events.ReplyEnd.WHOLE:
                    raise _CutError(reason, ending)
                await self._begin()  # an empty reply is one, too
                reply.reason = reason or reply.reason
                if reply.speech.called_or_reasoned and not reply.blocks:
                    raise AttemptError("it wrote no speech, but a tool call or its reasoning")

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
        """All tools of the reply."""
        calls = []
        for _, block in sorted(self._reply.blocks.items()):
            arguments = _object(block.json or "{}")
            if arguments is None:
                logger.warning("the arguments of {} are not a JSON object; it is not run", block.name)
                self._not_json.add(block.call_id)
            calls.append(FunctionCallFromLLM(block.name, block.call_id, arguments or {}, context))
        return calls

    async def _report(self, usage: events.Tokens) -> None:
        prompt, completion = usage.input or 0, usage.output or 0
        if not (prompt or completion):
            return
        await self.start_llm_usage_metrics(
            LLMTokenUsage(
                prompt_tokens=prompt,
                completion_tokens=completion,
                total_tokens=prompt + completion,
                cache_creation_input_tokens=usage.cache_creation,
                cache_read_input_tokens=usage.cache_read,
            )
        )


def _has_greeted(context: LLMContext) -> bool:
    """Whether the agent has spoken, and the callee's last words are none that are answered with a greeting."""
    messages = [m for m in context.get_messages() if isinstance(m, dict) and isinstance(m.get("content"), str)]
    spoke = any(m["role"] == "assistant" for m in messages)
    last = next((str(m["content"]) for m in reversed(messages) if m["role"] == "user"), "")
    return spoke and not is_met(last)


def settings_of(model: str, instructions: str | None) -> LLMSettings:
    """pipecat's settings of a stage that keeps no others."""
    return LLMSettings(
        model=model,
        system_instruction=instructions,
        temperature=None,
        max_tokens=None,
        top_p=None,
        top_k=None,
        frequency_penalty=None,
        presence_penalty=None,
        seed=None,
        filter_incomplete_user_turns=False,
        user_turn_completion_config=None,
        use_provider_thinking_default=False,
    )


def _going_on(context: LLMContext, said: str, hint: str) -> LLMContext:
    """The same request, behind what was said of its reply already, with what to do now."""
    if not hint:
        return context
    spoken = [{"role": "assistant", "content": said.strip()}] if said.strip() else []
    messages: list[Any] = [*context.get_messages(), *spoken, {"role": "user", "content": hint}]
    return LLMContext(messages, context.tools, context.tool_choice)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


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
