"""The language model: the menu of minds.

A member is a vendor or the rule-based brain with its settings, the environment it `needs`, and `build`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from loguru import logger
from pipecat.frames.frames import FunctionCallFromLLM
from pipecat.services.anthropic.llm import AnthropicLLMService
from pipecat.services.llm_service import LLMService
from pydantic import Field

from bot.engines.brain import Brain, BrainField
from bot.engines.rule_llm import RuleLLMService
from bot.records import CallSpec
from bot.stages.menu import Member
from bot.stages.resources import Resources

TOOL_TIMEOUT_SECONDS = 10.0
"""A tool that has not answered by then is reported to the model as failed; the call goes on."""


@dataclass(frozen=True)
class Mind:
    """What a mind is told about its call."""

    spec: CallSpec
    instructions: str
    """The system prompt, complete."""
    fields: tuple[BrainField, ...]
    tools: frozenset[str]
    goal: str | None


class Claude(Member):
    """Claude through the Messages API, streamed, the prompt cached."""

    vendor: Literal["anthropic"] = "anthropic"
    needs: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY",)
    model: str | None = None
    """None: ANTHROPIC_MODEL."""
    max_tokens: int = Field(default=300, ge=50, le=4096)
    """Bounds one reply; a phone answer is a few sentences."""

    def build(self, resources: Resources, mind: Mind) -> LLMService[Any]:
        assert resources.anthropic is not None
        return ClaudeService(
            api_key="",  # the client below carries it
            client=resources.anthropic,
            function_call_timeout_secs=TOOL_TIMEOUT_SECONDS,
            settings=AnthropicLLMService.Settings(
                model=self.model or resources.settings.anthropic_model,
                system_instruction=mind.instructions,
                max_tokens=self.max_tokens,
                enable_prompt_caching=True,
            ),
        )


class Rules(Member):
    """The rule-based brain: no model, no network, a sensible call from its spec."""

    vendor: Literal["rules"] = "rules"

    def build(self, resources: Resources, mind: Mind) -> LLMService[Any]:
        brain = Brain(mind.spec, mind.fields, mind.tools, mind.goal)
        return RuleLLMService(brain=brain)


LlmMember = Claude | Rules
Llm = Annotated[LlmMember, Field(discriminator="vendor")]


def offline() -> LlmMember:
    """The member that stands in when keys are missing."""
    return Rules()


@dataclass
class _ToolBlock:
    call_id: str
    name: str
    json: str = ""


class ClaudeService(AnthropicLLMService):
    """pipecat's service that runs every tool call of a reply.

    pipecat 1.14 keeps one tool block while it reads the stream, so of two parallel calls only the last
    runs. Here the blocks are collected as they pass, and what pipecat found is replaced by all of them.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._blocks: dict[int, _ToolBlock] = {}
        self.reply_has_text = False
        """Whether the reply being read has said something."""

    @property
    def reply_tools(self) -> frozenset[str]:
        """The tools the reply being read has called."""
        return frozenset(block.name for block in self._blocks.values())

    async def _push_llm_text(self, text: str) -> None:
        self.reply_has_text = self.reply_has_text or bool(text.strip())
        await super()._push_llm_text(text)

    async def _create_message_stream(self, api_call: Any, params: Any) -> Any:
        self._blocks = {}
        self.reply_has_text = False
        stream = await super()._create_message_stream(api_call, params)  # type: ignore[no-untyped-call]
        return self._collecting(stream)

    async def _collecting(self, stream: Any) -> AsyncIterator[Any]:
        async for event in stream:
            if event.type == "content_block_start" and event.content_block.type == "tool_use":
                self._blocks[event.index] = _ToolBlock(event.content_block.id, event.content_block.name)
            elif event.type == "content_block_delta" and event.index in self._blocks:
                self._blocks[event.index].json += getattr(event.delta, "partial_json", "")
            yield event

    async def run_function_calls(self, function_calls: Sequence[FunctionCallFromLLM]) -> None:
        if function_calls:
            context = function_calls[0].context
            function_calls = [
                FunctionCallFromLLM(
                    context=context,
                    tool_call_id=block.call_id,
                    function_name=block.name,
                    arguments=_arguments(block),
                )
                for _, block in sorted(self._blocks.items())
            ]
        await super().run_function_calls(function_calls)


def _arguments(block: _ToolBlock) -> dict[str, Any]:
    try:
        value = json.loads(block.json) if block.json else {}
    except json.JSONDecodeError:
        logger.warning("arguments of {} are not JSON; the tool is called without", block.name)
        return {}
    return value if isinstance(value, dict) else {}
