"""Everything one server process holds, and what its routes ask of it.

The composition root below the routes: it opens the parts in order, wires them, and closes them in reverse.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loguru import logger

from bot.calls.active_call import CallRunner
from bot.calls.active_calls import ActiveCalls, CallSlot
from bot.calls.after_call import AfterCall
from bot.calls.campaigns import Campaigns
from bot.calls.capacity import Asking, LagWatch, LoopProbe
from bot.calls.carrier_events import CarrierNews
from bot.calls.carriers import TWILIO_KEYS, build_carrier
from bot.calls.cluster import private_address
from bot.calls.cluster.elsewhere import Elsewhere
from bot.calls.dialling.dialler import LINES, Dialler, LineLimits
from bot.calls.dialling.gate import DialGate
from bot.calls.finish import keep_opening
from bot.calls.idempotency import UNASKED, Asked
from bot.calls.ingress import UNAUTHORIZED_CLOSE, Ingress
from bot.calls.outcome import Analyst
from bot.calls.placing import Placing
from bot.calls.planner import Planner
from bot.calls.retention import Retention
from bot.calls.shutdown import Shutdown
from bot.calls.webhooks import Webhooks
from bot.conversation.scenario.scenario import DEFAULT_OUTBOUND, Scenarios
from bot.conversation.tools.declared.mcp_server import McpServers
from bot.conversation.transfers.transfers import Transfers
from bot.errors import BusyError, NotFoundError
from bot.pipeline.resources import Resources
from bot.policy import DEFAULT_TERMS, Terms
from bot.records import (
    CallRecord,
    CallSpec,
    Direction,
    Health,
    Registration,
    Slot,
    Status,
    Turn,
)
from bot.settings import Settings
from bot.store import Page, SqlCallStore, open_database
from bot.store.campaign_records import Campaign
from bot.store.campaigns import SqlCampaignStore
from bot.store.deliveries import SqlDeliveryStore
from bot.store.durable.engine import DurableEngine
from bot.store.notify import open_news
from bot.store.openings import SqlOpeningStore
from bot.store.retention import SqlRetentionStore
from bot.supervisor import Supervisor
from bot.telemetry import metrics
from bot.telephony.carrier import Carrier
from bot.telephony.simulated.carrier import SimulatedCarrier
from bot.telephony.socket import Socket
from bot.telephony.twilio.media_streams import Started

ORPHAN_LOOK_SECONDS = 5.0
Present = Callable[[CallRecord], Any]


class PhoneAgent:
    """One process's phone agent. Use `open_phone_agent`.

    `present`: a call as webhooks tell it, a JSON value. `own_port`: where this process alone listens (PORT).
    """

    def __init__(
        self,
        settings: Settings,
        scenarios: Scenarios,
        resources: Resources,
        store: SqlCallStore,
        carrier: Carrier,
        *,
        present: Present,
        own_port: int | None = None,
        engine: DurableEngine | None = None,
    ) -> None:
        """`engine`: on the store's database; by default one that looks at its queues as often as it should."""
        self.settings = settings
        self.carrier = carrier
        self.openings = SqlOpeningStore(store.database)
        self._mcp = McpServers(resources.environment, lambda: resources.outgoing)
        self.active_calls = ActiveCalls(
            settings.max_calls,
            resources,
            self._mcp,
            LagWatch(late_seconds=settings.max_loop_lag_ms / 1000),
            openings=self.openings,
            spent=functools.partial(keep_opening, store),
        )
        self.on_turn: Callable[[str, Turn], None] | None = None
        """Told of every complete turn, with its call's id."""
        self.on_ended: Callable[[str], None] | None = None
        """Told when a call has a final status and its record is complete."""
        self._resources = resources
        self._store = store
        self._planner = Planner(
            scenarios, settings, resources.environment, carrier.vendor, simulated_line=self.simulated_line
        )
        address = private_address.find(settings, store.database.address, own_port or settings.port)
        self._ingress = Ingress(settings, carrier, store, simulated=self.simulated_line, address=address)
        self._transfers = Transfers(carrier, self._ingress)
        self.elsewhere = Elsewhere(open_news(store.database), self.active_calls, self._transfers, self._ingress)
        self.engine = engine or DurableEngine(store.database.address)
        self._gate = DialGate(store, settings, self._planner)
        self.do_not_call = self._gate.do_not_call
        self._dialler = Dialler(
            engine=self.engine,
            store=store,
            carrier=carrier,
            active_calls=self.active_calls,
            ingress=self._ingress,
            planner=self._planner,
            gate=self._gate,
        )
        self.webhooks = Webhooks(
            self.engine,
            SqlDeliveryStore(store.database),
            lambda: resources.outgoing,
            url=settings.webhook_url,
            secrets=settings.webhook_secret,
            allow_private=settings.webhook_allow_private,
        )
        self.webhooks.on_attempt = metrics.webhook_attempted
        analyst = Analyst(resources=resources, planner=self._planner, store=store)
        self._after = AfterCall(
            engine=self.engine,
            store=store,
            dialler=self._dialler,
            webhooks=self.webhooks,
            present=present,
            settle=analyst.settle,
            analyse=analyst.keep,
            retry_of=self._planner.retry_of,
        )
        self._after.promises = self.do_not_call.keep_promise
        self.campaigns = Campaigns(
            engine=self.engine,
            store=SqlCampaignStore(store.database),
            scenarios=lambda: self.scenarios,
            place=self._dialler.place,
            call_off=lambda record: self._dialler.cancel(record.call_id),
            still_due=self._after.still_due,
            check=self._check_campaign,
        )
        self._gate.campaign = self.campaigns.gate
        self._after.on_done = self.campaigns.contact_done
        self._after.on_retry, self._after.may_go_on = self.campaigns.retry, self.campaigns.goes_on
        self._dialler.after, self._dialler.started = self._after.begin, self._after.started
        self._dialler.on_released = self._note_ended
        self._news = CarrierNews(
            ingress=self._ingress,
            store=store,
            active_calls=self.active_calls,
            planner=self._planner,
            dialler=self._dialler,
            transfers=self._transfers,
            elsewhere=self.elsewhere,
            others=self.engine.others,
            max_lines=settings.max_lines,
            on_ended=self._note_ended,
        )
        self.placing = Placing(
            settings=settings,
            store=store,
            carrier=carrier,
            active_calls=self.active_calls,
            engine=self.engine,
            planner=self._planner,
            ingress=self._ingress,
            gate=self._gate,
            dialler=self._dialler,
            news=self._news,
            elsewhere=self.elsewhere,
            webhooks=self.webhooks,
            plan_again=self._after.plan_again,
        )
        self.retention = Retention(
            self.engine,
            SqlRetentionStore(store.database),
            settings,
            recordings=settings.data_dir / "recordings",
            cancel=self._dialler.cancel,
        )
        self._holder = CallRunner(
            self.active_calls,
            resources,
            store,
            carrier,
            settings.data_dir / "recordings",
            self._transfers,
            do_not_call=self.do_not_call,
            process=self.engine.name,
        )
        self.shutdown = Shutdown(
            self.active_calls,
            store,
            carrier,
            drain_seconds=settings.drain_seconds,
            stop_taking=functools.partial(self.engine.stop_taking, LINES),
        )
        self._probe = LoopProbe(self.active_calls.lag)
        self._background = Supervisor()
        self._ready = False

    @property
    def simulated_line(self) -> bool:
        return isinstance(self.carrier, SimulatedCarrier)

    @property
    def scenarios(self) -> Scenarios:
        return self._planner.scenarios

    @scenarios.setter
    def scenarios(self, scenarios: Scenarios) -> None:
        self._planner.scenarios = scenarios

    # -- life -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Ready to take calls when this returns. SettingsError when the environment forbids it."""
        await self._ingress.open()
        await self._resources.open()
        await self._load_ears()
        await self._look_at_tools()
        self._name_strangers()
        await self._store.open()
        await self.elsewhere.open()
        await self.carrier.open()
        self._register()
        await self.engine.open()
        await self.retention.open()
        self._background.keep("the adoption of orphaned calls", self._adopt_orphans)
        self._background.keep("the watch of the event loop", self._probe.run)
        self._ready = True

    def _register(self) -> None:
        settings = self.settings
        self._dialler.register(
            LineLimits(
                lines=settings.max_lines,
                per_process=settings.max_calls,
                per_number=settings.max_lines_per_number,
                per_key=settings.max_lines_per_key,
                per_second=settings.dials_per_second,
            )
        )
        self._after.register()
        self.webhooks.register()
        self.campaigns.register()
        self.retention.register()
        if self._store.database.shared:
            self.engine.schedule("sweep_openings", EVERY_MINUTE, self._sweep_openings)
        self.placing.register_work()

    async def _sweep_openings(self) -> None:
        await self.openings.sweep()

    async def _adopt_orphans(self) -> None:
        while True:
            await self._dialler.adopt_orphans()
            await asyncio.sleep(ORPHAN_LOOK_SECONDS)

    async def close(self) -> None:
        """End what is on the line and close everything."""
        await self.stop_calls()
        await self.retention.close()
        await self.engine.close()
        await self._background.close()
        await self.carrier.close()
        await self.elsewhere.close()
        await self._store.close()
        await self._mcp.close()
        await self._resources.close()

    async def drain(self, hurry: asyncio.Event | None = None) -> None:
        """No new calls; returns when those of now are over, after DRAIN_SECONDS, or with `hurry`."""
        self._ready = False
        await asyncio.gather(
            self.shutdown.drain(hurry), self.elsewhere.relay.drain(self.settings.drain_seconds, hurry)
        )

    async def stop_calls(self, *, apologise: bool = False, hurry: asyncio.Event | None = None) -> None:
        """The server is told to stop: no new calls, those on the line end, phones stop ringing."""
        self._ready = False
        await self.shutdown.end(apologise=apologise, hurry=hurry)

    async def _load_ears(self) -> None:
        """Models that only some scenarios' ears need."""
        names = self.scenarios.names
        ears = {self._planner.slots(name).stt.vendor for name in names}
        if "pocketsphinx" in ears:
            await asyncio.to_thread(self._resources.decoders.load)
        if "moonshine" in ears:
            await asyncio.to_thread(self._resources.moonshine.load)

    def _name_strangers(self) -> None:
        """One line a scenario whose language a local engine does not know: it works, with an accent."""
        for name in self.scenarios.names:
            language = self.scenarios.get(name).language
            if strangers := self._planner.slots(name).strangers(language):
                who = " and ".join(strangers)
                logger.info("{}: {} takes {} for English; a key gives it the right sound", name, who, language)

    async def _look_at_tools(self) -> None:
        """Name what scenarios' tools miss in the environment, and load what MCP servers take."""
        for name in self.scenarios.names:
            missing = self.scenarios.get(name).missing(self._resources.environment)
            if missing:
                logger.warning("{}.toml: set {} in the environment or in .env", name, ", ".join(missing))
        if any(self.scenarios.get(name).mcp_servers for name in self.scenarios.names):
            await self._mcp.load()

    # -- what the routes ask --------------------------------------------------------------------------

    async def place_call(
        self, spec: CallSpec, terms: Terms = DEFAULT_TERMS, asked: Asked = UNASKED
    ) -> CallRecord:
        """The call, dialled or queued: see Placing.place."""
        return await self.placing.place(spec, terms, asked)

    async def register_call(self, spec: CallSpec, terms: Terms = DEFAULT_TERMS) -> Registration:
        """Keep a call for a caller who dials by himself; our voice webhook answers it."""
        return await self.placing.register(spec, terms)

    async def hang_up(self, call_id: str) -> CallRecord:
        """End a call wherever it stands."""
        return await self.placing.hang_up(call_id)

    async def cancel_call(self, call_id: str) -> CallRecord:
        """Before it is dialled; the attempt that waits, where this one is over. ConflictError when none does."""
        return await self.placing.cancel(call_id)

    async def get_call(self, call_id: str) -> CallRecord:
        return await self.placing.get(call_id)

    def _check_campaign(self, campaign: Campaign) -> None:
        """RequestError when its calls could not be made, or told of."""
        self._planner.record(campaign.spec, Direction.OUTBOUND)
        self.webhooks.check_url(campaign.terms.webhook_url)

    async def voice_webhook(self, url_path_and_query: str, form: Mapping[str, str], signature: str | None) -> str:
        """TwiML that connects the media stream, or that turns the call away."""
        return await self._news.voice(url_path_and_query, form, signature)

    async def status_webhook(
        self, url_path_and_query: str, form: Mapping[str, str], signature: str | None
    ) -> None:
        """The carrier's news of a call. In any order, more than once, or of nobody we know: no error."""
        await self._news.status(url_path_and_query, form, signature)

    async def amd_webhook(self, url_path_and_query: str, form: Mapping[str, str], signature: str | None) -> None:
        """Who the carrier thinks has answered. Late, again, or of a call that is over: no error."""
        await self._news.amd(url_path_and_query, form, signature)

    async def transfer_webhook(
        self, url_path_and_query: str, form: Mapping[str, str], signature: str | None, *, token: str, step: str
    ) -> str:
        """TwiML for the leg of a person a call is put through to, or for the callee who comes back; or none."""
        return await self._news.transfer(url_path_and_query, form, signature, token=token, step=step)

    async def media_stream(
        self, socket: Socket, path_and_query: str, signature: str | None, path_token: str | None
    ) -> None:
        """One media socket from handshake to close."""
        admitted = await self._ingress.admit(socket, path_and_query, signature, path_token)
        if admitted is None:
            return
        started, record = admitted.started, admitted.record
        if admitted.home is not None and admitted.home.holds:
            await self.elsewhere.pass_on(socket, admitted, path_and_query, signature)
            return
        plan = self._planner.plan(record)
        try:
            slot = self.active_calls.take_line(plan, Asking.ANSWERED)
        except BusyError as e:
            if admitted.home is not None:  # where a line is kept for it
                await self.elsewhere.pass_on(socket, admitted, path_and_query, signature)
                return
            logger.warning("a media socket was turned away: {}", e.message)
            return
        if admitted.home is not None:
            await self.elsewhere.taken(record.call_id)
        if slot.holding is not None:
            if slot.call is not None and await slot.call.attach(socket, started):
                return
            # A voice webhook that was sent twice gave two tokens.
            logger.warning("a second media socket of a call was refused")
            await socket.close(UNAUTHORIZED_CLOSE, "the call has its media stream")
            return
        with logger.contextualize(call_id=record.call_id):
            note = self._note_turn(record.call_id)
            await self.active_calls.hold(slot, self._hold(slot, socket, started, note))

    async def _hold(self, slot: CallSlot, socket: Socket, started: Started, note: Callable[[Turn], None]) -> None:
        try:
            await self._holder.hold(slot, socket, started, note)
        finally:
            await self.engine.insist(lambda: self._news.ended(slot.plan.call_id))

    async def call_id_of(self, call_sid: str) -> str:
        """The call of a carrier's id, waiting up to five seconds for a call that is coming in."""
        deadline = time.monotonic() + 5.0
        while (record := await self._store.get_by_sid(call_sid)) is None:
            if time.monotonic() > deadline:
                raise NotFoundError(f"There is no call {call_sid!r}.", field="call_sid")
            await asyncio.sleep(0.05)
        return record.call_id

    async def list_calls(self, *, status: Status | None, limit: int, cursor: str | None) -> Page:
        return await self._store.page(status=status, limit=limit, cursor=cursor)

    async def recording_path(self, call_id: str) -> Path:
        record = await self.get_call(call_id)
        path = self.settings.data_dir / "recordings" / f"{call_id}.wav"
        if record.recording is None or not await asyncio.to_thread(path.is_file):
            raise NotFoundError(f"Call {call_id!r} has no recording.", field="call_id")
        return path

    def health(self) -> Health:
        slots = self._planner.slots(DEFAULT_OUTBOUND).described()
        why_not = None if self._ready else "starting"
        if self.active_calls.draining:
            why_not = "shutting down"
        return Health(
            ready=why_not is None,
            slots={"carrier": self._carrier_slot(), **slots},
            calls_on_line=self.active_calls.calls_on_line,
            capacity=self.settings.max_calls,
            version=version("phone-agent"),
            why_not_ready=why_not,
        )

    async def queue_depths(self) -> Mapping[str, metrics.Depth]:
        return await self.engine.waiting()

    def _carrier_slot(self) -> Slot:
        if self.simulated_line:
            missing = [n for n in TWILIO_KEYS if not getattr(self.settings, n.lower())]
            return Slot("simulated", "ready", f"{' and '.join(missing)} not set; callees are simulated")
        if self._ingress.public_url is None:
            return Slot("twilio", "failed", "PUBLIC_HOST not set and no local ngrok agent runs")
        return Slot("twilio", "ready", f"{' and '.join(TWILIO_KEYS)} set; webhooks at {self._ingress.public_url}")

    # -- one call -------------------------------------------------------------------------------------

    def _note_turn(self, call_id: str) -> Callable[[Turn], None]:
        def note(turn: Turn) -> None:
            if self.on_turn is not None:
                self.on_turn(call_id, turn)

        return note

    def _note_ended(self, call_id: str) -> None:
        if self.on_ended is not None:
            self.on_ended(call_id)


EVERY_MINUTE = "0 * * * * *"


@asynccontextmanager
async def open_phone_agent(
    settings: Settings, *, present: Present, own_port: int | None = None
) -> AsyncIterator[PhoneAgent]:
    """A phone agent, ready; closed when the block ends. `own_port`: see PhoneAgent."""
    started = time.monotonic()
    scenarios = Scenarios.load(settings.pipelines_dir)
    resources = Resources(settings)
    store = SqlCallStore(open_database(settings))
    carrier = build_carrier(settings, resources, own_port)
    agent = PhoneAgent(settings, scenarios, resources, store, carrier, present=present, own_port=own_port)
    try:
        await agent.open()
        logger.debug("ready after {:.1f} s", time.monotonic() - started)
        yield agent
    finally:
        await agent.close()
