"""Which member fills each slot of a scenario's calls, and why.

A scenario names what it wants; a member whose environment is missing gives way to its slot's offline one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from loguru import logger

from bot.conversation.scenario.scenario import Scenario
from bot.pipeline.llm import vendors as llm
from bot.pipeline.stt import vendors as stt
from bot.pipeline.tts import vendors as tts
from bot.records import Slot
from bot.settings import Settings


class Member(Protocol):
    def missing(self, settings: Settings) -> list[str]: ...

    @property
    def needs(self) -> tuple[str, ...]: ...

    @property
    def vendor(self) -> str: ...


M = TypeVar("M", bound=Member)


@dataclass(frozen=True)
class Slots:
    """The members of one call, with a sentence each on why it is they."""

    stts: tuple[stt.SttVendor, ...]
    """A ladder, as the others: at least one, each stands in for the one before it."""
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

    def strangers(self, language: str) -> list[str]:
        """The vendors that work here in a language they do not know."""
        if language.split("-", maxsplit=1)[0] == "en":
            return []
        return [member.vendor for member in (self.stt, self.tts) if member.only_english]

    def described(self) -> dict[str, Slot]:
        """For health and the log at start."""
        return {name: Slot(vendor, "ready", self.why[name]) for name, vendor in self.vendors.items()}


def choose(scenario: Scenario, settings: Settings, *, simulated_line: bool) -> Slots:
    """`simulated_line`: the callee is ours and tells what it says."""
    why: dict[str, str] = {}

    def pick(slot: str, wanted: M, offline: M) -> M:
        missing = wanted.missing(settings)
        if not missing:
            keys = " and ".join(wanted.needs)
            why[slot] = f"{keys} set" if keys else "the scenario asks for it"
            return wanted
        why[slot] = f"{' and '.join(missing)} not set"
        return offline

    mind = pick("llm", scenario.llm or llm.Claude(), llm.offline())
    ear = pick("stt", scenario.stt or stt.DeepgramNova(), stt.offline(simulated_line=simulated_line))
    voice = pick("tts", scenario.tts or tts.ElevenLabs(), tts.offline())
    second_mind = llm.fallback_of(mind, settings)
    if second_mind is not None:
        second_mind = scenario.llm_fallback or second_mind
    second_voice = scenario.tts_fallback or tts.fallback_of(voice, scenario.language)
    return Slots(
        stts=(ear, *_standing_in("stt", ear, scenario.stt_fallback, scenario, settings)),
        llms=(mind, *_standing_in("llm", mind, second_mind, scenario, settings)),
        ttss=(voice, *_standing_in("tts", voice, second_voice, scenario, settings)),
        why=why,
    )


def _standing_in(slot: str, first: M, wanted: M | None, scenario: Scenario, settings: Settings) -> tuple[M, ...]:
    """`wanted`, where it may stand in for `first`: not for its equal, and not without its keys."""
    if wanted is None or wanted == first:
        return ()
    missing = wanted.missing(settings)
    if missing:
        logger.warning("{}: no {}_fallback, {} not set", scenario.name, slot, " and ".join(missing))
        return ()
    return (wanted,)
