"""What the parts of one server process share."""

from dataclasses import dataclass, field

from bot.calls.active_calls import ActiveCalls
from bot.calls.live.hub import EventHub
from bot.calls.planner import Planner
from bot.calls.recordings import Recordings
from bot.records import Turn
from bot.settings import Settings
from bot.store import SqlCallStore
from bot.store.durable.engine import DurableEngine
from bot.telephony.carrier import Carrier


class CallListener:
    """A program that holds calls in its own process; this one hears nothing.

    Called in the event loop; it must not block.
    """

    def turn_completed(self, call_id: str, turn: Turn) -> None:
        return

    def call_ended(self, call_id: str) -> None:
        """The call has its final status, by this process's knowledge. May come twice."""


@dataclass(frozen=True)
class Process:
    """One server process among those that may share a database."""

    settings: Settings
    store: SqlCallStore
    engine: DurableEngine
    carrier: Carrier
    planner: Planner
    active_calls: ActiveCalls
    listener: CallListener = field(default_factory=CallListener)
    live: EventHub = field(default_factory=EventHub)
    """What happens in calls, for those who follow."""

    @property
    def recordings(self) -> Recordings:
        return Recordings(self.settings.data_dir / "recordings")
