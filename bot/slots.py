"""Which member fills each slot of a scenario's calls, and why.

A scenario names what it wants; a member whose environment is missing gives way to its slot's offline one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bot.records import Slot
from bot.scenario import Scenario
from bot.settings import Settings
from bot.stages import llm, stt, tts


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

    stt: stt.SttMember
    llm: llm.LlmMember
    tts: tts.TtsMember
    why: Mapping[str, str]

    @property
    def vendors(self) -> dict[str, str]:
        return {"stt": self.stt.vendor, "llm": self.llm.vendor, "tts": self.tts.vendor}

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

    return Slots(
        stt=pick("stt", scenario.stt or stt.DeepgramNova(), stt.offline(simulated_line=simulated_line)),
        llm=pick("llm", scenario.llm or llm.Claude(), llm.offline()),
        tts=pick("tts", scenario.tts or tts.ElevenLabs(), tts.offline()),
        why=why,
    )
