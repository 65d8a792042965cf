"""What is decided about a call before it is answered, and the services that will hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipecat.services.llm_service import LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService

from bot.audio import Speech
from bot.conversation import prompt
from bot.conversation.fillers import PhraseBook
from bot.conversation.opening import SpeechStream
from bot.conversation.scenario.scenario import Scenario
from bot.conversation.slots import Slots
from bot.outcome_schema import Schema
from bot.pipeline.llm import vendors as llm
from bot.pipeline.llm.vendors import Mind
from bot.pipeline.offline.rules.learnt import RuleField
from bot.pipeline.resources import Resources
from bot.pipeline.usage import Usage, count_for
from bot.records import CallSpec, Direction, Speaker


@dataclass(frozen=True)
class Plan:
    """All that is decided about a call before it is answered."""

    call_id: str
    spec: CallSpec
    direction: Direction
    scenario: Scenario
    slots: Slots
    opening: SpeechStream | None = None
    """Being made since it rang; None or silent: the pipeline speaks `opening_text`, or the model's own."""
    opening_text: str | None = None
    phrase_book: PhraseBook | None = None
    """The phrases this process can say at once; None: no filler is ever ready."""
    carrier: str = ""
    """Its name among the call's vendors."""
    outcome_schema: Schema | None = None
    """What the request wants to know instead of the scenario's outcome fields, in plain form."""
    opening_usage: Usage = field(default_factory=Usage, compare=False)
    """What was spent while it rang, in this process."""
    usage: Usage = field(default_factory=Usage, compare=False)
    """What is spent on the line."""

    @property
    def first_speaker(self) -> Speaker:
        return self.scenario.speaks_first(self.spec.first_speaker)

    @property
    def phrases_ahead(self) -> tuple[str, ...]:
        """What may have to be said at once, so that it is spoken before the call is answered."""
        scenario = self.scenario
        own = [tool.meanwhile for tool in scenario.declared if tool.meanwhile]
        return (*scenario.phrases.fillers, *scenario.phrases.bridges, *own)

    @property
    def calls_declared_tools(self) -> bool:
        """Whether its mind can call HTTP tools and those of MCP servers: the rule-based one cannot."""
        return self.slots.vendors["llm"] != "rules"

    def spoken(self, text: str) -> Speech | None:
        """A phrase in this call's voice, None while it is not ready."""
        if self.phrase_book is None:
            return None
        return self.phrase_book.get(self.slots.tts, self.scenario.language, text)

    @property
    def mind(self) -> Mind:
        """What the language model is told."""
        scenario = self.scenario
        fields = tuple(RuleField(f.name, f.type, f.description, f.question, f.options) for f in scenario.outcome)
        instructions = prompt.system_prompt(self.spec, scenario, self.direction)
        spec = prompt.completed(self.spec, scenario)
        return Mind(spec, instructions, fields, frozenset(scenario.tools), scenario.goal, scenario.language)


@dataclass(frozen=True)
class Services:
    """The vendors' and engines' processors of one call, each slot a ladder: the next stands in for the last."""

    stts: tuple[STTService, ...]
    llms: tuple[LLMService[Any], ...]
    ttss: tuple[TTSService, ...]


def build_services(plan: Plan, resources: Resources, call_sid: str) -> Services:
    """To be run in a thread: vendor clients read certificates; some 20 ms."""
    language = plan.scenario.language
    services = Services(
        stts=tuple(ear.build(resources, call_sid=call_sid, language=language) for ear in plan.slots.stts),
        llms=llm.build(plan.slots.llms, resources, plan.mind),
        ttss=tuple(voice.build(resources, language=language) for voice in plan.slots.ttss),
    )
    count_for(plan.usage, (*services.stts, *services.llms, *services.ttss))
    return services
