"""The language model: the menu of minds.

A member is a vendor or the rule-based brain with its settings and the environment it `needs`. A call's members
are a ladder: each stands in for the one before it. `build` makes the services; models of one vendor share one,
because it can ask the second while the first still thinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pipecat.frames.frames import Frame, LLMContextFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.anthropic.llm import AnthropicLLMService
from pipecat.services.llm_service import LLMService
from pydantic import Field

from bot.pipeline.llm.claude import ClaudeModel, ClaudeService
from bot.pipeline.offline.brain import BrainField
from bot.pipeline.offline.brains import RuleBrain, brain_for
from bot.pipeline.offline.rule_llm import RuleLLMService
from bot.pipeline.resources import Resources
from bot.pipeline.vendor import Vendor
from bot.records import CallSpec
from bot.settings import Settings

TOOL_TIMEOUT_SECONDS = 10.0
"""A tool that has not answered by then is reported to the model as failed; the call goes on."""
SECOND_MODELS = ("claude-haiku-4-5", "claude-haiku-5-5")
"""Stands in for a Claude that fails where the scenario names nobody: as quick as the first, of another
generation, so that it runs on other machines. The second of them where the first is the first choice itself."""


@dataclass(frozen=True)
class Mind:
    """What a mind is told about its call."""

    spec: CallSpec
    instructions: str
    """The system prompt, complete."""
    fields: tuple[BrainField, ...]
    tools: frozenset[str]
    goal: str | None
    language: str = "en"
    """A code like "es-MX"."""


class Claude(Vendor):
    """Claude through the Messages API, streamed, the prompt cached."""

    vendor: Literal["anthropic"] = "anthropic"
    needs: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY",)
    model: str | None = None
    """None: ANTHROPIC_MODEL."""
    max_tokens: int = Field(default=300, ge=50, le=4096)
    """Bounds one reply; a phone answer is a few sentences."""
    first_token_seconds: float = Field(default=3.0, ge=0.5, le=30)
    """Without a word by then, the question is put again; after as long once more, to the next model."""
    stall_seconds: float = Field(default=5.0, ge=1, le=30)
    """A reply that stands still for so long in its middle is asked for again, from there on."""

    def model_name(self, settings: Settings) -> str:
        return self.model or settings.anthropic_model


class Rules(Vendor):
    """The rule-based brain: no model, no network, a sensible call from its spec."""

    vendor: Literal["rules"] = "rules"


LlmVendor = Claude | Rules
Llm = Annotated[LlmVendor, Field(discriminator="vendor")]


def offline() -> LlmVendor:
    """The member that stands in when keys are missing."""
    return Rules()


def fallback_of(first: Claude, settings: Settings) -> Claude:
    """Who stands in for a Claude where the scenario does not say: another one."""
    name = first.model_name(settings)
    other = next(model for model in SECOND_MODELS if not name.startswith(model))
    return first.model_copy(update={"model": other})


def build(members: Sequence[LlmVendor], resources: Resources, mind: Mind) -> tuple[LLMService[Any], ...]:
    """The services of a ladder, in the order they stand in the pipeline.

    The rule-based brain does not fail: nobody stands behind it.
    """
    services: list[LLMService[Any]] = []
    claudes: list[Claude] = []
    for member in members:
        if isinstance(member, Rules):
            if claudes:
                services.append(_claude(claudes, resources, mind, hands_on=True))
            brain = brain_for(mind.spec, mind.fields, mind.tools, mind.goal, mind.language)
            services.append(RulesService(stands_second=bool(claudes), brain=brain))
            return tuple(services)
        claudes.append(member)
    return (_claude(claudes, resources, mind, hands_on=False),)


def _claude(members: Sequence[Claude], resources: Resources, mind: Mind, *, hands_on: bool) -> ClaudeService:
    assert resources.anthropic is not None
    first, settings = members[0], resources.settings
    return ClaudeService(
        models=[ClaudeModel(member.model_name(settings), member.max_tokens) for member in members],
        circuit=resources.circuit,
        first_token_seconds=first.first_token_seconds,
        stall_seconds=first.stall_seconds,
        hands_on=hands_on,
        api_key="",  # the client below carries it
        client=resources.anthropic,
        function_call_timeout_secs=TOOL_TIMEOUT_SECONDS,
        settings=AnthropicLLMService.Settings(
            model=first.model_name(settings),
            system_instruction=mind.instructions,
            max_tokens=first.max_tokens,
            enable_prompt_caching=True,
        ),
    )


class RulesService(RuleLLMService):
    """The rule-based brain as a rung: behind Claude it answers only what Claude hands on."""

    def __init__(self, *, stands_second: bool, brain: RuleBrain) -> None:
        super().__init__(brain=brain)
        self._stands_second = stands_second

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if self._stands_second and direction is FrameDirection.UPSTREAM and isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)  # a tool's result is for Claude first
            return
        await super().process_frame(frame, direction)
