"""What the parts of one server process share."""

from __future__ import annotations

from dataclasses import dataclass

from bot.calls.active_calls import ActiveCalls
from bot.calls.planner import Planner
from bot.calls.recordings import Recordings
from bot.settings import Settings
from bot.store import SqlCallStore
from bot.store.durable.engine import DurableEngine
from bot.telephony.carrier import Carrier


@dataclass(frozen=True)
class Process:
    """One server process among those that may share a database."""

    settings: Settings
    store: SqlCallStore
    engine: DurableEngine
    carrier: Carrier
    planner: Planner
    active_calls: ActiveCalls

    @property
    def recordings(self) -> Recordings:
        return Recordings(self.settings.data_dir / "recordings")
