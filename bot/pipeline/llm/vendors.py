"""The vendors of the LLM stage: Claude, any OpenAI-compatible server, and the rule-based LLM of this machine.

A member is a vendor with its settings. A call's members are a row: each stands in for the one before it, and
models of any vendor are asked by one service, because it can ask the second while the first still thinks. The
rule-based LLM is a service of its own behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pipecat.frames.frames import Frame, LLMContextFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pydantic import Field, field_validator

from bot.pipeline.llm.fallback import Waits
from bot.pipeline.llm.service import FallbackLLMService, Model
from bot.pipeline.offline.rules.dialogue import Dialogue
from bot.pipeline.offline.rules.llm import RuleLLMService
from bot.pipeline.offline.rules.state import RuleField
from bot.pipeline.offline.rules.tool_rules import ToolRule
from bot.pipeline.resources import Resources
from bot.pipeline.vendor import Vendor
from bot.records import CallSpec
from bot.settings import Settings, environment, filled, names_in

TOOL_TIMEOUT_SECONDS = 10.0
"""A tool that has not answered by then is reported to the model as failed; the call goes on."""
SECOND_MODELS = ("claude-haiku-4-5", "claude-haiku-5-5")
"""Stands in for a Claude that fails where the scenario names nobody: as quick as the first, of another
generation, so that it runs on other machines. The second of them where the first is the first choice itself."""


@dataclass(frozen=True)
class LlmBrief:
    """What an LLM knows of its call."""

    spec: CallSpec
    instructions: str
    """The system prompt, behind `shared`."""
    fields: tuple[RuleField, ...]
    tools: frozenset[str]
    goal: str | None
    language: str = "en"
    """A code like "es-MX"."""
    cannot_answer: str = "I'm sorry, I can't help you with that."
    """Said of what no model answers."""
    shared: str = ""
    """The beginning of the system prompt: the same for all calls of a scenario, so that a cache keeps it."""
    tool_rules: tuple[ToolRule, ...] = ()
    """When the rule-based LLM calls tools that the scenario declares."""

    @property
    def prompt(self) -> str:
        """The whole system prompt."""
        return "\n\n".join(part for part in (self.shared, self.instructions) if part)


class LanguageModel(Vendor):
    """The settings that all models asked over a network have in common."""

    model: str | None = None
    max_tokens: int = Field(default=400, ge=50, le=4096)
    """Bounds one reply, a few sentences on a phone; the newest models count 30 % more for the same words."""
    first_token_seconds: float = Field(default=3.0, ge=0.5, le=30)
    """Without a word by then, the question is put again; after as long once more, to the next model."""
    stall_seconds: float = Field(default=5.0, ge=1, le=30)
    """A reply that stands still for so long in its middle is asked for again, from there on."""


class Claude(LanguageModel):
    """Claude through the Messages API, streamed, the prompt cached."""

    vendor: Literal["anthropic"] = "anthropic"
    needs: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY",)
    model: str | None = None
    """None: ANTHROPIC_MODEL."""

    def model_name(self, settings: Settings) -> str:
        return self.model or settings.anthropic_model


class OpenAICompatible(LanguageModel):
    """A server that speaks OpenAI's chat completions: Ollama, llama.cpp, vLLM, a gateway."""

    vendor: Literal["openai_compatible"] = "openai_compatible"
    model: str = Field(min_length=1)
    base_url: str
    """Up to and with its version: http://127.0.0.1:11434/v1."""
    api_key: str = ""
    """{env:NAME}; left out where the server asks for none."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """None: the server's own."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Sent with each request as it stands: what only this server knows."""

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("give an http:// or https:// URL, such as http://127.0.0.1:11434/v1")
        return value.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _named(cls, value: str) -> str:
        if value and not names_in(value):
            raise ValueError("keep the key in the environment and write {env:NAME} here")
        return value

    def missing(self, settings: Settings) -> list[str]:
        known = environment() if self.api_key else {}
        return [*super().missing(settings), *(name for name in names_in(self.api_key) if not known.get(name))]

    def key(self) -> str:
        """The key, or a word for servers that ask for none: the SDK wants one."""
        return filled(self.api_key, environment()) if self.api_key else "none"


class Rules(Vendor):
    """The rule-based LLM: no model, no network, a sensible call from its spec."""

    vendor: Literal["rules"] = "rules"


LlmVendor = Claude | OpenAICompatible | Rules
Llm = Annotated[LlmVendor, Field(discriminator="vendor")]


def offline() -> LlmVendor:
    """The member that stands in when keys are missing."""
    return Rules()


def fallback_of(first: LlmVendor, settings: Settings) -> LlmVendor | None:
    """The stand-in of `first` where the scenario names none; None for the rules, which do not fail."""
    if isinstance(first, Claude):
        name = first.model_name(settings)
        other = next(model for model in SECOND_MODELS if not name.startswith(model))
        return first.model_copy(update={"model": other})
    return Rules() if isinstance(first, OpenAICompatible) else None


def build(members: Sequence[LlmVendor], resources: Resources, brief: LlmBrief) -> tuple[LLMService[Any], ...]:
    """The services of a row of them, in the order they stand in the pipeline.

    The rule-based LLM does not fail, so it is the last.
    """
    asked: list[LanguageModel] = []
    models: list[Model] = []
    rules: tuple[RulesService, ...] = ()
    for member in members:
        if isinstance(member, Rules):
            dialogue = _dialogue(brief)
            rules = (RulesService(stands_second=bool(models), dialogue=dialogue, tool_rules=brief.tool_rules),)
            break
        asked.append(member)
        if isinstance(member, Claude):
            models.append(build_claude(member, resources, brief))
        else:
            models.append(build_openai(member, resources, brief))
    if not models:
        return rules
    service = FallbackLLMService(
        models,
        instructions=brief.prompt,
        circuit=resources.circuit,
        waits=Waits(asked[0].first_token_seconds, asked[0].stall_seconds, TOOL_TIMEOUT_SECONDS),
        cannot_answer=brief.cannot_answer,
        hands_on=bool(rules),
        names=(brief.spec.agent_name,) if brief.spec.agent_name else (),
    )
    return (service, *rules)


def tell(services: Sequence[LLMService[Any]], brief: LlmBrief) -> None:
    """Let the rule-based LLM know of the call what was held back; models are told in the context."""
    for service in services:
        if isinstance(service, RulesService):
            service.begin_again(_dialogue(brief))


def _dialogue(brief: LlmBrief) -> Dialogue:
    return Dialogue(brief.spec, brief.fields, brief.tools, brief.goal, brief.language)


def build_claude(member: Claude, resources: Resources, brief: LlmBrief) -> Model:
    from bot.pipeline.llm.claude import ClaudeModel

    assert resources.anthropic is not None
    name = member.model_name(resources.settings)
    return ClaudeModel(name, member.max_tokens, brief.instructions, resources.anthropic, shared=brief.shared)


def build_openai(member: OpenAICompatible, resources: Resources, brief: LlmBrief) -> Model:
    from pipecat.services.openai.base_llm import OpenAILLMSettings

    from bot.pipeline.llm.openai_compatible import OpenAIModel

    settings = OpenAILLMSettings(
        model=member.model,
        system_instruction=brief.prompt,
        max_tokens=member.max_tokens,
        extra={"extra_body": dict(member.extra)} if member.extra else {},
    )
    if member.temperature is not None:
        settings.temperature = member.temperature
    client = resources.openai(member.base_url, member.key())
    # Two requests beside each other have been given up before patience ends a call.
    return OpenAIModel(client, settings, read_seconds=2 * member.first_token_seconds + 1)


class RulesService(RuleLLMService):
    """The rule-based LLM beside models: behind others it answers only what they hand on."""

    def __init__(self, *, stands_second: bool, dialogue: Dialogue, tool_rules: Sequence[ToolRule] = ()) -> None:
        super().__init__(dialogue=dialogue, tool_rules=tool_rules)
        self._stands_second = stands_second

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if self._stands_second and direction is FrameDirection.UPSTREAM and isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)  # a tool's result goes to the model that called it
            return
        await super().process_frame(frame, direction)
