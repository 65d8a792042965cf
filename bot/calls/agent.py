"""Everything one server process holds: the composition root below the routes.

It makes the parts in order, each from those before it, opens them, and closes them in reverse.
"""

import asyncio
import functools
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Protocol

from loguru import logger

from bot.calls.active_calls import ActiveCalls
from bot.calls.after_call import AfterCall, Retries
from bot.calls.browser_calls import BrowserCalls
from bot.calls.campaigns import Campaigns
from bot.calls.capacity import LagWatch, LoopProbe
from bot.calls.carrier_events import CarrierEvents
from bot.calls.carriers import build_carrier, callees_of, carrier_slot, with_clients
from bot.calls.cluster import private_address
from bot.calls.cluster.other_processes import OtherProcesses
from bot.calls.dialling.dial_once import DialGate
from bot.calls.dialling.dialler import Dialler
from bot.calls.dialling.do_not_call import DoNotCall
from bot.calls.finish import keep_opening
from bot.calls.hang_ups import HangUps
from bot.calls.ingress import Ingress
from bot.calls.live import EventHub, Feeds
from bot.calls.live.neighbours import Neighbours
from bot.calls.live.reporting import LiveStore
from bot.calls.media_streams import MediaStreams
from bot.calls.outcome import Analyst
from bot.calls.placing import Placing
from bot.calls.planner import Planner
from bot.calls.process import CallListener, Process
from bot.calls.queues import LINES, DialQueue
from bot.calls.registrations import Registrations
from bot.calls.retention import Retention
from bot.calls.shutdown import Shutdown
from bot.calls.supervision import Supervision
from bot.calls.webhooks import Webhooks
from bot.calls.webhooks.delivery import CallEvents, Present
from bot.conversation.scenario.scenario import DEFAULT_OUTBOUND, Scenarios
from bot.conversation.tools.declared.mcp_server import McpServers
from bot.conversation.transfers.transfers import Transfers
from bot.phone_numbers import BROWSER
from bot.pipeline import warm_up
from bot.pipeline.resources import Resources
from bot.records import Health
from bot.settings import Settings
from bot.store import SqlCallStore, open_database
from bot.store.campaigns import SqlCampaignStore
from bot.store.connections import DATABASE_ERRORS
from bot.store.consents import SqlConsentStore
from bot.store.deliveries import SqlDeliveryStore
from bot.store.do_not_call import SqlDoNotCallStore
from bot.store.durable.engine import DurableEngine
from bot.store.notify import open_news
from bot.store.openings import SqlOpeningStore
from bot.store.retention import SqlRetentionStore
from bot.telemetry.supervisor import Supervisor
from bot.telephony.carrier import Carrier

ORPHAN_LOOK_SECONDS = 5.0
EVERY_MINUTE = "0 * * * * *"


@dataclass(frozen=True)
class Backends:
    """What a process stands on: opened and closed with it."""

    resources: Resources
    store: SqlCallStore
    carrier: Carrier
    engine: DurableEngine | None = None
    """On the store's database; None: one that looks at its queues as often as it should."""
    live: EventHub = field(default_factory=EventHub)
    """Hears of the store's writings, where that was made with a LiveStore."""


class PhoneAgent:
    """One process's phone agent, made of parts that the routes use directly. See `open_phone_agent`."""

    def __init__(
        self,
        backends: Backends,
        scenarios: Scenarios,
        *,
        present: Present,
        listener: CallListener | None = None,
        own_port: int | None = None,
    ) -> None:
        """`own_port`: where this process alone listens, where several listen on PORT."""
        resources, store = backends.resources, backends.store
        settings, database, listener = resources.settings, store.database, listener or CallListener()
        carrier = with_clients(backends.carrier, resources, own_port)
        self.settings, self.store, self.carrier, self._resources = settings, store, backends.carrier, resources
        self.engine = backends.engine or DurableEngine(database.address)
        self._clients = carrier
        self.planner = Planner(
            scenarios,
            settings,
            resources.environment,
            carrier.vendor,
            simulated_line=carrier.simulated,
            callees=callees_of(backends.carrier),
            tool_rules=lambda: listener.tool_rules,
        )
        self._mcp = McpServers(resources.environment, lambda: resources.outgoing)
        self._openings = SqlOpeningStore(database)
        self.active_calls = ActiveCalls(
            settings.max_calls,
            resources,
            self._mcp,
            LagWatch(late_seconds=settings.max_loop_lag_ms / 1000),
            openings=self._openings,
            spent=functools.partial(keep_opening, store),
        )
        process = Process(
            settings,
            store,
            self.engine,
            carrier,
            self.planner,
            self.active_calls,
            listener,
            backends.live,
        )
        self.recordings = process.recordings

        # What is begun durably, and what decides about it.
        self.do_not_call = DoNotCall(SqlDoNotCallStore(database))
        self.consents = SqlConsentStore(database)
        self._queue = DialQueue(process)
        deliveries = SqlDeliveryStore(database)
        self.webhooks = Webhooks(
            self.engine, deliveries, lambda: resources.outgoing, settings, live=backends.live
        )
        events = CallEvents(self.engine, store, self.webhooks, lambda record: present(self.planner.kept(record)))
        self.campaigns = Campaigns(
            engine=self.engine,
            store=SqlCampaignStore(database),
            planner=self.planner,
            queue=self._queue,
            check_url=self.webhooks.check_url,
        )
        gate = DialGate(store, self.planner, self.do_not_call, self.campaigns)
        retries = Retries(store, self.planner, self._queue, self.campaigns)
        self._after_call = AfterCall(
            self.engine,
            store,
            events,
            Analyst(resources=resources, planner=self.planner, store=store),
            retries,
            self.do_not_call,
            SqlRetentionStore(database),
        )

        # What the carrier and the other processes reach.
        address = private_address.find(settings, database.address, own_port or settings.port)
        self._ingress = Ingress(settings, carrier, store, address)
        self._dialler = Dialler(process, self._queue, gate=gate, ingress=self._ingress, events=events)
        transfers = Transfers(carrier, self._ingress)
        news = open_news(database)
        self._others = OtherProcesses(news, self.active_calls, transfers, self._ingress, self.engine.others)
        self._neighbours = Neighbours(backends.live, news, self.active_calls.holds)
        self.supervision = Supervision(store, self.active_calls, news)
        self.feeds = Feeds(
            *(backends.live, self._neighbours, store, deliveries),
            held_here=self.active_calls.holds,
            shown=self.planner.shown,
        )
        self.carrier_events = CarrierEvents(process, self._ingress, self._dialler, self._others)
        self.media_streams = MediaStreams(
            process, self._ingress, self._others, self.carrier_events, self.do_not_call, carrier
        )

        # What clients ask for.
        self.placing = Placing(process, self._ingress, gate, self._queue, retries, self.webhooks)
        self.registrations = Registrations(
            *(process, self._ingress, self.do_not_call, self.webhooks, self.carrier_events),
            self.consents,
        )
        self.browser_calls = BrowserCalls(
            process, self._ingress, self._dialler, self.carrier_events, self.placing, carrier
        )
        self.hang_ups = HangUps(process, self._queue, self._others, self.carrier_events)
        self.retention = Retention(
            self.engine,
            SqlRetentionStore(database),
            settings,
            recordings=self.recordings,
            cancel=self._queue.cancel,
        )

        self._shutdown = Shutdown(
            self.active_calls,
            store,
            carrier,
            drain_seconds=settings.drain_seconds,
            stop_taking=functools.partial(self.engine.stop_taking, LINES),
        )
        self._background = Supervisor()
        self._opened = AsyncExitStack()
        self._ready = False

    # -- life -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Ready to take calls when this returns. SettingsError when the environment forbids it.

        What was opened is closed again when a later part cannot be.
        """
        async with AsyncExitStack() as stack:
            await self._ingress.open()
            await _open(self._resources, stack)
            stack.push_async_callback(self._mcp.close)
            await self._prepare_scenarios()
            await _open(self.store, stack)
            await _open(self._others, stack)
            await _open(self._clients, stack)
            self._register()
            await _open(self.engine, stack)
            stack.push_async_callback(self._background.close)
            self._background.keep("the sweep of recordings", self.retention.sweep_hourly)
            self._background.keep("the adoption of orphaned calls", self._adopt_orphans)
            self._background.keep("the watch of the event loop", LoopProbe(self.active_calls.lag).run)
            if self.store.database.shared:
                self._background.keep("events for other processes", self._neighbours.send)
                self._background.keep("events of other processes", self._neighbours.renew)
            stack.push_async_callback(self.stop_calls)
            self._opened = stack.pop_all()
        self._ready = True

    def _register(self) -> None:
        """Name all workflows and queues: the engine takes none once it is open."""
        for part in (self._dialler, self._after_call, self.webhooks, self.campaigns, self.retention):
            part.register()
        self.registrations.register_work()
        if self.store.database.shared:
            self.engine.schedule("sweep_openings", EVERY_MINUTE, self._sweep_openings)

    async def _sweep_openings(self) -> None:
        await self._openings.sweep()

    async def _adopt_orphans(self) -> None:
        while True:
            try:
                await self._dialler.adopt_orphans()
            except DATABASE_ERRORS as e:
                logger.warning("calls of processes that died cannot be looked for: {}", e)
            await asyncio.sleep(ORPHAN_LOOK_SECONDS)

    async def _prepare_scenarios(self) -> None:
        """Load what only some scenarios need, and say what they miss."""
        vendors: set[str] = set()
        for scenario in map(self.planner.scenarios.get, self.planner.scenarios.names):
            slots = self.planner.slots(scenario.name)
            vendors |= {slots.stt.vendor, *(member.vendor for member in slots.llms)}
            if self.planner.slots(scenario.name, BROWSER).stt.vendor == "moonshine":
                vendors.add("moonshine")
            if missing := scenario.missing(self._resources.environment):
                logger.warning("{}.toml: set {} in the environment or in .env", scenario.name, ", ".join(missing))
            if strangers := slots.strangers(scenario.language):
                # It works, with an accent.
                who, language = " and ".join(strangers), scenario.language
                logger.debug(
                    "{}: {} takes {} for English; a key gives it the right sound", scenario.name, who, language
                )
            if scenario.mcp_servers:
                await self._mcp.load()
        if "pocketsphinx" in vendors:
            await asyncio.to_thread(self._resources.decoders.load)
        if "openai_compatible" in vendors:
            await asyncio.to_thread(warm_up.openai)
        if "moonshine" in vendors:
            await asyncio.to_thread(self._resources.moonshine.load)

    async def close(self) -> None:
        """End what is on the line and close everything; also what is left when a part fails to close."""
        await self._opened.aclose()

    async def drain(self, hurry: asyncio.Event | None = None) -> None:
        """No new calls; returns when those on the line are over, after DRAIN_SECONDS, or with `hurry`."""
        self._ready = False
        await asyncio.gather(
            self._shutdown.drain(hurry), self._others.relay.drain(self.settings.drain_seconds, hurry)
        )

    async def stop_calls(self, *, apologise: bool = False, hurry: asyncio.Event | None = None) -> None:
        """No new calls; those on the line end, phones stop ringing."""
        self._ready = False
        await self._shutdown.end(apologise=apologise, hurry=hurry)
        self.feeds.hub.close()

    # -- how it stands --------------------------------------------------------------------------------

    def health(self) -> Health:
        slots = self.planner.slots(DEFAULT_OUTBOUND).described()
        why_not = None if self._ready else "starting"
        if self.active_calls.draining:
            why_not = "shutting down"
        return Health(
            ready=why_not is None,
            slots={"carrier": carrier_slot(self.carrier, self.settings, self._ingress.public_url), **slots},
            calls_on_line=self.active_calls.calls_on_line,
            capacity=self.settings.max_calls,
            version=version("phone-agent"),
            why_not_ready=why_not,
        )


class _Part(Protocol):
    async def open(self) -> None: ...
    async def close(self) -> None: ...


async def _open(part: _Part, stack: AsyncExitStack) -> None:
    """Its closing is kept first: half of it may be open when it fails."""
    stack.push_async_callback(part.close)
    await part.open()


@asynccontextmanager
async def open_phone_agent(
    settings: Settings,
    *,
    present: Present,
    scenarios: Scenarios | None = None,
    listener: CallListener | None = None,
    own_port: int | None = None,
) -> AsyncIterator[PhoneAgent]:
    """A phone agent, ready; closed when the block ends. `scenarios`: default those of the settings' folder."""
    started = time.monotonic()
    scenarios = scenarios or Scenarios.load(settings.pipelines_dir, settings.compliance_profile)
    resources, live = Resources(settings), EventHub()
    store = SqlCallStore(open_database(settings), LiveStore(live))
    backends = Backends(resources, store, build_carrier(settings, resources, own_port), live=live)
    agent = PhoneAgent(backends, scenarios, present=present, listener=listener, own_port=own_port)
    await agent.open()
    try:
        logger.debug("ready after {:.1f} s", time.monotonic() - started)
        yield agent
    finally:
        await agent.close()
