"""What the parts of one server process share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bot.calls.active_calls import ActiveCalls
from bot.calls.live.hub import EventHub
from bot.calls.planner import Planner
from bot.calls.recordings import Recordings
from bot.conversation.call_plan import Plan
from bot.conversation.tools import Tool
from bot.pipeline.offline.rules.tool_rules import ToolRule
from bot.records import Turn
from bot.settings import Settings
from bot.store import SqlCallStore
from bot.store.durable.engine import DurableEngine
from bot.telephony.carrier import Carrier


class CallListener:
    """A program that holds calls in its own process; this one hears nothing.

    Called in the event loop; it must not block.
    """

    tools: Callable[[Plan], Iterable[Tool]] | None = None
    """What its calls use in the place of the scenario's HTTP tools and MCP servers: a suite's mocks."""
    tool_rules: tuple[ToolRule, ...] = ()
    """When the local LLM calls them."""

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
