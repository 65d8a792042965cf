"""What every vendor of a stage has: its settings, and the environment it needs; and which model failed lately."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from bot.settings import Settings

CIRCUIT_SECONDS = 20.0
"""How long a model that failed is asked after the others, so that not every turn waits for it again."""


class Vendor(BaseModel):
    """A vendor or an engine that can fill a slot. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    needs: ClassVar[tuple[str, ...]] = ()
    """Environment names."""
    only_english: ClassVar[bool] = False
    """Hears or pronounces any other language as if it were English."""

    def missing(self, settings: Settings) -> list[str]:
        """The names of `needs` that are not set."""
        return [name for name in self.needs if not getattr(settings, name.lower())]


@dataclass
class Circuit:
    """Which models failed lately, by name. One per process: a model that is down is down for all calls."""

    clock: Callable[[], float] = time.monotonic
    _open_until: dict[str, float] = field(default_factory=dict)

    def trip(self, name: str) -> None:
        self._open_until[name] = self.clock() + CIRCUIT_SECONDS

    def close(self, name: str) -> None:
        self._open_until.pop(name, None)

    def is_open(self, name: str) -> bool:
        """Failed lately."""
        return self._open_until.get(name, 0.0) > self.clock()
