"""The rule-based brain as a pipecat LLM service: same frames, same tool calls, no model.

The brain keeps state, and pipecat may run one turn twice: ahead of its end as a speculation, then again when
the words turned out otherwise or a tool was wanted. So each run of a turn starts from a copy of the brain as it
was before that turn; which turn it is follows from the number of user messages. What the callee has heard is
read from the context, where the assistant's messages hold exactly the words that were played.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    FunctionCallFromLLM,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext, LLMSpecificMessage, standard_message_text
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings

from bot.engines.brain import Brain, BrainReply


@dataclass(frozen=True)
class Exchange:
    """What a context asks of the brain: the turn's number, what was heard, what of the agent was heard."""

    turn: int
    heard: str | None
    """None where there is nothing to answer."""
    spoken: str


class RuleLLMService(LLMService[Any]):
    """`brain` belongs to this call. Tools are registered or advertised as for any LLM service."""

    def __init__(self, *, brain: Brain, **kwargs: Any) -> None:
        super().__init__(
            settings=LLMSettings(
                model="rules",
                system_instruction=None,
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
            ),
            **kwargs,
        )
        self._brain = brain
        self._before = copy.deepcopy(brain)
        """The brain as it was before the turn it last answered."""
        self._turn = -1

    @property
    def brain(self) -> Brain:
        """The brain after its last reply."""
        return self._brain

    def can_generate_metrics(self) -> bool:
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            await self._process_context(frame.context)
        else:
            await self.push_frame(frame, direction)

    async def _process_context(self, context: LLMContext) -> None:
        await self.push_frame(LLMFullResponseStartFrame())
        await self.start_processing_metrics()
        await self.start_ttfb_metrics()
        try:
            reply = self._reply(exchange(context.get_messages()))
            await self.stop_ttfb_metrics()
            for word in reply.text.split():
                await self._push_llm_text(f"{word} ")
            await self.run_function_calls(
                [
                    FunctionCallFromLLM(
                        function_name=call.name,
                        tool_call_id=uuid.uuid4().hex,
                        arguments=dict(call.arguments),
                        context=context,
                    )
                    for call in reply.tools
                ]
            )
        except Exception as error:  # the rim of a request: the turn is lost, the call goes on
            logger.exception(f"{self}: no reply")
            await self.push_error(f"rules: {error}", exception=error)
        finally:
            await self.stop_processing_metrics()
            await self.push_frame(LLMFullResponseEndFrame())

    def _reply(self, asked: Exchange) -> BrainReply:
        if asked.heard is None:
            # Nothing was said yet: the agent speaks first. Else a tool's result, and all was said with the call.
            return BrainReply(self._brain.opening()) if asked.turn == 0 and not asked.spoken else BrainReply("")
        if asked.turn == self._turn:
            self._brain = copy.deepcopy(self._before)
        else:
            self._before = copy.deepcopy(self._brain)
            self._turn = asked.turn
        return self._brain.reply(asked.heard, spoken=asked.spoken)


def exchange(messages: Sequence[Any]) -> Exchange:
    """Reads a context's messages. Pure.

    Only a user message at the end is answered (instructions may follow it); after a tool call or its result
    there is nothing left to say.
    """
    talk = [
        m for m in messages if not isinstance(m, LLMSpecificMessage) and _role(m) not in ("system", "developer")
    ]
    users = [number for number, message in enumerate(talk) if _role(message) == "user"]
    if not users or users[-1] != len(talk) - 1:
        since = users[-1] + 1 if users else 0
        return Exchange(len(users), None, _spoken(talk[since:]))
    previous = users[-2] + 1 if len(users) > 1 else 0
    return Exchange(len(users), standard_message_text(talk[-1]), _spoken(talk[previous:-1]))


def _spoken(messages: Sequence[Any]) -> str:
    texts = (standard_message_text(message) for message in messages if _role(message) == "assistant")
    return " ".join(text.strip() for text in texts if text.strip())


def _role(message: Any) -> str:
    return str(message.get("role", ""))
