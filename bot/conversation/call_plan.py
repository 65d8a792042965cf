"""What is decided about a call before it is answered, and the services that will hold it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from loguru import logger
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService

from bot import languages
from bot.audio import Speech
from bot.conversation import prompt
from bot.conversation.fillers import PhraseBook
from bot.conversation.machine_words import Detections
from bot.conversation.masking import Redact
from bot.conversation.opening import SpeechStream
from bot.conversation.scenario.scenario import Scenario
from bot.json_schema import Schema
from bot.phone_numbers import country_of, zones_of_number
from bot.pipeline.llm import vendors as llm
from bot.pipeline.llm.vendors import LlmBrief
from bot.pipeline.offline.rules.state import RuleField
from bot.pipeline.offline.rules.tool_rules import ToolRule
from bot.pipeline.offline.rules.values import Frame
from bot.pipeline.resources import Resources
from bot.pipeline.stt import vendors as stt
from bot.pipeline.tts import vendors as tts
from bot.pipeline.tts.spoken_text import SpokenText
from bot.pipeline.turns.vad import VoiceActivity
from bot.pipeline.usage import Usage, count_for
from bot.pipeline.vendor import Vendor
from bot.records import CallSpec, Direction, Slot, Speaker, Turn
from bot.settings import Settings

V = TypeVar("V", bound=Vendor)


@dataclass(frozen=True)
class Slots:
    """The members of one call, with a sentence each on why it is they."""

    stts: tuple[stt.SttVendor, ...]
    """At least one, as the others; each stands in for the one before it."""
    llms: tuple[llm.LlmVendor, ...]
    ttss: tuple[tts.TtsVendor, ...]
    why: Mapping[str, str]

    @property
    def stt(self) -> stt.SttVendor:
        """The one that listens first."""
        return self.stts[0]

    @property
    def tts(self) -> tts.TtsVendor:
        """The one that speaks first."""
        return self.ttss[0]

    @property
    def llm(self) -> llm.LlmVendor:
        """The one that is asked first."""
        return self.llms[0]

    @property
    def vendors(self) -> dict[str, str]:
        return {"stt": self.stt.vendor, "llm": self.llm.vendor, "tts": self.tts.vendor}

    def __str__(self) -> str:
        """For the log: who holds the call, and what keeps the scenario's own vendor from it."""
        return ", ".join(
            f"{slot} {vendor}"
            + (f" in its vendor's place ({why})" if (why := self.why[slot]).endswith("not set") else "")
            for slot, vendor in self.vendors.items()
        )

    def strangers(self, language: str) -> list[str]:
        """The vendors that work here in a language they do not know."""
        if language.split("-", maxsplit=1)[0] == "en":
            return []
        return [member.vendor for member in (self.stt, self.tts) if member.only_english]

    def described(self) -> dict[str, Slot]:
        """For health and the log at start."""
        return {name: Slot(vendor, "ready", self.why[name]) for name, vendor in self.vendors.items()}


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
    time_zone: str | None = None
    """The callee's, where the request names it; None: their number's."""
    extension: str | None = field(default=None, repr=False)
    """Keys pressed once the call was answered: a menu's, behind which somebody has still to answer."""
    simulated_callee: str | None = None
    """Who picks up on the simulated line, where the request says so."""
    our_number: str | None = None
    """The number the callee sees, and may call back."""
    tool_rules: tuple[ToolRule, ...] = ()
    """When the local LLM calls declared tools: a suite's, or of `simulate --tools-from`."""
    outcome_schema: Schema | None = None
    """What the request wants to know instead of the scenario's outcome fields, in plain form."""
    opening_usage: Usage = field(default_factory=Usage, compare=False)
    """What was spent while it rang, in this process."""
    detections: Detections = field(default_factory=Detections, compare=False)
    """What the carrier hears of who answered."""
    usage: Usage = field(default_factory=Usage, compare=False)
    """What is spent on the line."""

    @property
    def first_speaker(self) -> Speaker:
        return self.scenario.speaks_first(self.spec.first_speaker)

    @property
    def redact(self) -> Redact | None:
        """What is done to what was said before it is kept; None: nothing."""
        return self.scenario.storage.redact(languages.of(self.scenario.language))

    @property
    def phrases_ahead(self) -> tuple[str, ...]:
        """What may have to be said at once, so that it is spoken before the call is answered."""
        scenario = self.scenario
        own = [tool.meanwhile for tool in scenario.declared if tool.meanwhile]
        last = [scenario.phrases.opted_out] if scenario.compliance.opt_out else []
        return (*scenario.phrases.fillers, *scenario.phrases.bridges, *own, *last)

    @property
    def calls_declared_tools(self) -> bool:
        """Whether its LLM can call HTTP tools and those of MCP servers: the rule-based one cannot."""
        return self.slots.vendors["llm"] != "rules"

    def spoken(self, text: str) -> Speech | None:
        """A phrase in this call's voice, None while it is not ready."""
        if self.phrase_book is None:
            return None
        return self.phrase_book.get(self.slots.tts, self.scenario.language, text, self.scenario.pronunciation)

    @property
    def zone(self) -> str:
        """Where the callee's days begin: theirs, or the first their number may be in, or the business's."""
        return next(iter(self._zones), self.scenario.time_zone or "UTC")

    def frame_of(self, turns: Sequence[Turn]) -> Frame:
        """What the values of a talk are read by: its day where the callee is, their country, the language.

        A call may be judged days after it: "tomorrow" is counted from when it was held. Without turns: now.
        """
        now = turns[0].started_at if turns else datetime.now(UTC)
        numbers = (self.spec.phone_number, self.spec.from_number)
        country = next((found for number in numbers if (found := country_of(number))), None)
        return Frame(now.astimezone(ZoneInfo(self.zone)).date(), country, self.scenario.language)

    def rule_fields(self, turns: Sequence[Turn]) -> tuple[RuleField, ...]:
        """The scenario's outcome fields, as rules read them in such a talk."""
        frame, fields = self.frame_of(turns), self.scenario.outcome
        return tuple(RuleField(f.name, f.type, f.description, f.question, f.options, frame) for f in fields)

    @property
    def _zones(self) -> tuple[str, ...]:
        return (self.time_zone,) if self.time_zone else zones_of_number(self.spec.phone_number)

    @property
    def withholds(self) -> bool:
        """Whether action and context are held back until the person has said who they are."""
        return self.scenario.withholds and self.direction is Direction.OUTBOUND

    @property
    def first_brief(self) -> LlmBrief:
        """What the LLM knows when the call is answered: of a matter that is held back, nothing."""
        brief = self.brief
        return replace(brief, spec=replace(brief.spec, action="", context="")) if self.withholds else brief

    @property
    def brief(self) -> LlmBrief:
        """What the LLM knows of its call."""
        scenario = self.scenario
        when = prompt.today(datetime.now(UTC), self._zones, scenario.time_zone)
        spec = prompt.completed(self.spec, scenario)
        return LlmBrief(
            spec,
            prompt.own_prompt(self.spec, scenario, self.direction, when),
            self.rule_fields(()),
            frozenset(scenario.tools),
            scenario.goal,
            scenario.language,
            scenario.phrases.cannot_answer,
            prompt.shared_prompt(scenario),
            self.tool_rules,
        )


class SpeechDetector(FrameProcessor):
    """What tells that the callee speaks."""

    voice: VoiceActivity


@dataclass(frozen=True)
class Services:
    """The vendors' and engines' processors of one call; in each stage the next stands in for the one before."""

    stts: tuple[STTService, ...]
    llms: tuple[LLMService[Any], ...]
    ttss: tuple[TTSService, ...]
    vad: SpeechDetector | None = None
    """None: Silero on the callee's audio."""

    def replied(self, slots: Slots) -> list[str]:
        """The vendors that gave a reply, in the scenario's order."""
        replied = {vendor for llm in self.llms for vendor in getattr(llm, "replied", ())}
        return [member.vendor for member in slots.llms if member.vendor in replied]

    def stood_in(self, slots: Slots) -> dict[str, str]:
        """Slot → the vendor that went on where the one before it was lost."""
        listens = sum(getattr(stt, "lost", False) for stt in self.stts[:-1])
        speaks = sum(getattr(tts, "gave_up", False) for tts in self.ttss[:-1])
        replied = self.replied(slots)
        stood_in = {"llm": replied[-1]} if len(replied) > 1 else {}
        stood_in |= {"stt": slots.stts[listens].vendor} if listens else {}
        return stood_in | ({"tts": slots.ttss[speaks].vendor} if speaks else {})


def build_services(plan: Plan, resources: Resources, call_sid: str) -> Services:
    """To be run in a thread: vendor clients read certificates; some 20 ms."""
    language = plan.scenario.language
    forms = languages.of(language).speech
    services = Services(
        stts=tuple(vendor.build(resources, call_sid=call_sid, language=language) for vendor in plan.slots.stts),
        llms=llm.build(plan.slots.llms, resources, plan.first_brief),
        ttss=tuple(
            vendor.build(resources, language=language, speech=SpokenText(forms, plan.scenario.pronunciation))
            for vendor in plan.slots.ttss
        ),
    )
    count_for(plan.usage, (*services.stts, *services.llms, *services.ttss))
    return services


def choose(
    scenario: Scenario,
    settings: Settings,
    *,
    simulated_line: bool,
    words_given: bool = False,
    local_stt: stt.SttVendor | None = None,
) -> Slots:
    """`simulated_line`: the callee is ours and tells what it says. `words_given`: the line brings the words, and
    nobody else listens. `local_stt`: listens where a key is missing; None: by the line."""
    why: dict[str, str] = {}

    def pick(slot: str, wanted: V, offline: V) -> V:
        missing = wanted.missing(settings)
        if not missing:
            keys = " and ".join(wanted.needs)
            why[slot] = f"{keys} set" if keys else "the scenario asks for it"
            return wanted
        why[slot] = f"{' and '.join(missing)} not set"
        return offline

    first_llm = pick("llm", scenario.llm or llm.Claude(), llm.offline())
    if words_given:
        first_stt: stt.SttVendor = stt.Scripted()
        why["stt"] = "the line gives the words"
    else:
        first_stt = pick(
            "stt", scenario.stt or stt.DeepgramNova(), local_stt or stt.offline(simulated_line=simulated_line)
        )
    first_tts = pick("tts", scenario.tts or tts.ElevenLabs(), tts.offline())
    second_llm = llm.fallback_of(first_llm, settings)
    if second_llm is not None:
        second_llm = scenario.llm_fallback or second_llm
    second_tts = scenario.tts_fallback or tts.fallback_of(first_tts, scenario.language)
    return Slots(
        stts=(
            first_stt,
            *_standing_in("stt", first_stt, None if words_given else scenario.stt_fallback, scenario, settings),
        ),
        llms=(first_llm, *_standing_in("llm", first_llm, second_llm, scenario, settings)),
        ttss=(first_tts, *_standing_in("tts", first_tts, second_tts, scenario, settings)),
        why=why,
    )


def _standing_in(slot: str, first: V, wanted: V | None, scenario: Scenario, settings: Settings) -> tuple[V, ...]:
    """`wanted`, where it may stand in for `first`: not for its equal, and not without its keys."""
    if wanted is None or wanted == first:
        return ()
    missing = wanted.missing(settings)
    if missing:
        logger.warning("{}: no {}_fallback, {} not set", scenario.name, slot, " and ".join(missing))
        return ()
    return (wanted,)
