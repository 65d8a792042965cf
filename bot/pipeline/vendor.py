"""What every member of a menu has: its settings, and the environment it needs."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from bot.settings import Settings


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
