"""Everything one server process holds, and what its routes ask of it: place, register, answer, hang up.

The composition root below the routes: it opens the parts in order, wires them, and closes them in reverse.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

from loguru import logger

from bot.carriers import TWILIO_KEYS, build_carrier
from bot.doors import AMD_PATH, HANDSHAKE_SECONDS, STATUS_PATH, UNAUTHORIZED_CLOSE, VOICE_PATH, Doors
from bot.errors import (
    BusyError,
    CarrierError,
    ConflictError,
    DialUnconfirmedError,
    NotFoundError,
    PhoneAgentError,
    RequestError,
)
from bot.hold import Holder
from bot.house_lock import HouseLock
from bot.plan import Plan
from bot.records import (
    CallRecord,
    CallSpec,
    Direction,
    EndedReason,
    Health,
    Registration,
    Slot,
    Status,
    Turn,
)
from bot.recovery import ENDED_BY_STATUS, REGISTRATION_SECONDS, Recovery
from bot.scenario import DEFAULT_OUTBOUND, Scenarios
from bot.settings import Settings
from bot.slots import Slots, choose
from bot.stages.resources import Resources
from bot.stages.socket import Socket
from bot.store import CallChange, CallStore, Page, open_store
from bot.switchboard import Seat, Switchboard
from bot.telephony import twiml
from bot.telephony.carrier import Carrier, DialOrder
from bot.telephony.offline import OfflineCarrier
from bot.transfers import Transfers

LOST_CALLBACK_SECONDS = 60.0
"""Beyond its ringing, a call without any word of the carrier keeps its line no longer."""
STOP_SECONDS = 8.0
"""What calls on the line get to end when the server stops, within the server's own 10."""


class PhoneAgent:
    """One process's phone agent. Use `open_phone_agent`."""

    def __init__(
        self,
        settings: Settings,
        scenarios: Scenarios,
        resources: Resources,
        store: CallStore,
        carrier: Carrier,
    ) -> None:
        self.settings = settings
        self.scenarios = scenarios
        self.carrier = carrier
        self.switchboard = Switchboard(settings.max_calls, resources)
        self._doors = Doors(settings, carrier, store, simulated=self.simulated_line)
        self._transfers = Transfers(carrier, self._doors)
        recordings = settings.data_dir / "recordings"
        self._holder = Holder(self.switchboard, resources, store, carrier, recordings, self._transfers)
        self.on_turn: Callable[[str, Turn], None] | None = None
        """Told of every complete turn, with its call's id."""
        self.on_ended: Callable[[str], None] | None = None
        """Told when a call has a final status and its record is complete."""
        self._resources = resources
        self._store = store
        self._house = HouseLock(settings.data_dir / "server.lock")
        self._ready = False

    @property
    def simulated_line(self) -> bool:
        return isinstance(self.carrier, OfflineCarrier)

    # -- life -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Ready to take calls when this returns. SettingsError when the environment forbids it."""
        await self._doors.open()
        await self._resources.open()
        await self._load_ears()
        await self._look_at_tools()
        self._name_strangers()
        await self._store.open()
        await self.carrier.open()
        if await self._house.enter():
            await Recovery(self._store, self.carrier, self.scenarios, self.settings).settle()
            self._house.share()
        else:
            logger.warning(
                "another server uses {}: calls left open are its own to settle", self.settings.data_dir
            )
        self._ready = True

    async def close(self) -> None:
        """End what is on the line and close everything."""
        await self.stop_calls()
        await self.carrier.close()
        await self._store.close()
        await self._resources.close()
        self._house.leave()

    async def stop_calls(self) -> None:
        """The server is told to stop: no new calls, those on the line end, phones stop ringing."""
        self._ready = False
        reason = EndedReason.SERVER_SHUTDOWN
        unanswered = await self.switchboard.end_all(reason, within_seconds=STOP_SECONDS)
        await asyncio.gather(*(self._call_off(seat, reason) for seat in unanswered))

    async def _call_off(self, seat: Seat, reason: EndedReason) -> None:
        if seat.call_sid is not None:
            await self._hang_up_quietly(seat.call_sid)
        change = CallChange(ended_reason=reason)
        try:
            await self._store.advance(seat.plan.call_id, Status.CANCELED, at=datetime.now(UTC), change=change)
        except Exception as e:
            # The other calls and the closing go on; the next start settles this one.
            logger.error("call {} could not be closed: {}", seat.plan.call_id, e)

    async def _hang_up_quietly(self, call_sid: str) -> None:
        try:
            await asyncio.wait_for(self.carrier.hang_up(call_sid), STOP_SECONDS)
        except (CarrierError, TimeoutError) as e:
            logger.error("the carrier could not be told to hang up {}: {}", call_sid, e)

    async def _load_ears(self) -> None:
        """Models that only some scenarios' ears need."""
        names = self.scenarios.names
        ears = {self._slots(name).stt.vendor for name in names}
        if "pocketsphinx" in ears:
            await asyncio.to_thread(self._resources.decoders.load)
        if "moonshine" in ears:
            await asyncio.to_thread(self._resources.moonshine.load)

    def _name_strangers(self) -> None:
        """One line a scenario whose language a local engine does not know: it works, with an accent."""
        for name in self.scenarios.names:
            language = self.scenarios.get(name).language
            if strangers := self._slots(name).strangers(language):
                who = " and ".join(strangers)
                logger.info("{}: {} takes {} for English; a key gives it the right sound", name, who, language)

    async def _look_at_tools(self) -> None:
        """Name what scenarios' tools miss in the environment, and load what MCP servers take."""
        for name in self.scenarios.names:
            missing = self.scenarios.get(name).missing(self._resources.environment)
            if missing:
                logger.warning("{}.toml: set {} in the environment or in .env", name, ", ".join(missing))
        if any(self.scenarios.get(name).mcp_servers for name in self.scenarios.names):
            await self._resources.mcp.load()

    def _slots(self, scenario: str) -> Slots:
        return choose(self.scenarios.get(scenario), self.settings, simulated_line=self.simulated_line)

    # -- what the routes ask --------------------------------------------------------------------------

    async def place_call(self, spec: CallSpec) -> CallRecord:
        """Dial. The record returned is as kept: dialled, its sid known."""
        origin = await self._doors.origin()
        plan, record = self._planned(spec, Direction.OUTBOUND)
        seat = self.switchboard.take_line(plan)
        try:
            await self._store.add(record)
            self.switchboard.prepare(seat)
            wait = plan.scenario.limits.ring_seconds + LOST_CALLBACK_SECONDS
            self.switchboard.release_after(seat, wait, functools.partial(self._never_told, seat))
            seat.call_sid = await self._dial(self._order(plan, origin), record.created_at)
            change = CallChange(call_sid=seat.call_sid, vendors=self._vendors(plan))
            await self._store.update(plan.call_id, change)
            await self._store.advance(plan.call_id, Status.INITIATED, at=datetime.now(UTC))
        except BaseException as e:
            await self._give_up(seat, e)
            raise
        record = await self.get_call(plan.call_id)
        if record.status is Status.CANCELED and record.answered_at is None:
            await self._hang_up_quietly(seat.call_sid)  # cancelled while the carrier was being asked
        return record

    async def _give_up(self, seat: Seat, failure: BaseException) -> None:
        """A call that could not be placed: its line, its ringing if there is one, its record."""
        call_id = seat.plan.call_id
        await self.switchboard.release(call_id)
        if seat.call_sid is not None:
            await self._hang_up_quietly(seat.call_sid)
        error = f"{type(failure).__name__} in this server"
        if isinstance(failure, PhoneAgentError):
            error = failure.message
        change = CallChange(ended_reason=EndedReason.DIAL_FAILED, error=error)
        try:
            await self._store.advance(call_id, Status.FAILED, at=datetime.now(UTC), change=change)
        except Exception as e:
            logger.error("call {} could not be closed: {}", call_id, e)

    async def _dial(self, order: DialOrder, since: datetime) -> str:
        """The sid. A dial without an answer may have rung all the same: its call is looked for, not repeated."""
        try:
            return await self.carrier.dial(order)
        except DialUnconfirmedError:
            for call in await self.carrier.recent_calls(order.to, since - timedelta(seconds=5)):
                if await self._store.get_by_sid(call.call_sid) is None:
                    logger.warning("the carrier did not answer and dialled all the same: {}", call.call_sid)
                    return call.call_sid
            raise

    async def register_call(self, spec: CallSpec) -> Registration:
        """Keep a call for a caller who dials by himself; our voice webhook answers it."""
        origin = await self._doors.origin()
        plan, record = self._planned(spec, Direction.OUTBOUND)
        await self._store.add(record)
        await self._store.update(plan.call_id, CallChange(vendors=self._vendors(plan)))
        seat = self.switchboard.expect(plan)
        if seat is not None:
            self.switchboard.prepare(seat)
            gone = functools.partial(self._never_came, plan.call_id, Status.CANCELED, EndedReason.CANCELED)
            self.switchboard.release_after(seat, REGISTRATION_SECONDS, gone)
        order = self._order(plan, origin)
        return Registration(
            call_id=plan.call_id,
            voice_url=order.voice_url,
            status_url=order.status_url,
            token_seconds=float(plan.scenario.limits.ring_seconds),
            expires_at=record.created_at + timedelta(seconds=REGISTRATION_SECONDS),
        )

    async def _never_came(self, call_id: str, status: Status, reason: EndedReason) -> None:
        """Nobody dialled a registered call, or an answered one never opened its media stream."""
        logger.warning("call {} never came: {}", call_id, reason)
        await self._store.advance(call_id, status, at=datetime.now(UTC), change=CallChange(ended_reason=reason))
        self._note_ended(call_id)

    async def _never_told(self, seat: Seat) -> None:
        """The callbacks of a ringing call were lost."""
        if seat.call_sid is not None:
            await self._hang_up_quietly(seat.call_sid)
        await self._never_came(seat.plan.call_id, Status.NO_ANSWER, EndedReason.DIAL_NO_ANSWER)

    async def voice_webhook(self, url_path_and_query: str, form: Mapping[str, str], signature: str | None) -> str:
        """TwiML that connects the media stream, or that turns the call away."""
        await self._doors.check(url_path_and_query, form, signature)
        call_sid = form.get("CallSid", "")
        try:
            record = await self._called(url_path_and_query, form)
        except ConflictError as e:
            logger.warning("a voice webhook for a call that is over: {}", e.message)
            return twiml.hang_up()
        plan = self._plan_of(record)
        try:
            seat = self.switchboard.take_line(plan)
        except BusyError:
            change = CallChange(ended_reason=EndedReason.DIAL_BUSY)
            await self._store.advance(plan.call_id, Status.BUSY, at=datetime.now(UTC), change=change)
            inbound = record.direction is Direction.INBOUND
            return twiml.reject_busy() if inbound else twiml.hang_up()
        seat.call_sid = call_sid
        # First of all: whatever fails from here on, the line is freed in time.
        seconds = plan.scenario.limits.ring_seconds
        gone = functools.partial(self._never_came, plan.call_id, Status.COMPLETED, EndedReason.ERROR_LINE)
        self.switchboard.release_after(seat, seconds + HANDSHAKE_SECONDS, gone)
        if record.call_sid is None:
            await self._store.update(plan.call_id, CallChange(call_sid=call_sid))
        await self._store.advance(plan.call_id, Status.IN_PROGRESS, at=datetime.now(UTC))
        self.switchboard.prepare(seat)
        self.switchboard.build_ahead(seat, call_sid)
        door = await self._doors.stream(plan.call_id, seconds)
        return twiml.connect_stream(door.url, door.parameters)

    async def transfer_webhook(
        self, url_path_and_query: str, form: Mapping[str, str], signature: str | None, *, token: str, step: str
    ) -> str:
        """TwiML for the leg of a person a call is put through to, or for the callee who comes back; or none."""
        await self._doors.check(url_path_and_query, form, signature)
        query = dict(parse_qsl(urlsplit(url_path_and_query).query))
        answer = await self._transfers.webhook(token, step, form, query)
        if step == "dialled" and _is_final(form.get("CallStatus")):
            # A callee who hangs up while it rings: a number without a status callback tells it nowhere else.
            for seat in self.switchboard.seats:
                if seat.call is not None and seat.call_sid == form.get("CallSid"):
                    seat.call.carrier_ended()
        return answer

    async def status_webhook(
        self, url_path_and_query: str, form: Mapping[str, str], signature: str | None
    ) -> None:
        """The carrier's news of a call. In any order, more than once, or of nobody we know: no error."""
        await self._doors.check(url_path_and_query, form, signature)
        record = await self._store.get_by_sid(form.get("CallSid", ""))
        if record is None:
            call_id = _query(url_path_and_query, "call_id")
            record = None if call_id is None else await self._store.get(call_id)
        try:
            status = Status(form.get("CallStatus", ""))
        except ValueError:
            return
        if record is None:
            logger.warning("status {} of a call nobody here knows", status)
            return
        seat = self.switchboard.seat_of(record.call_id)
        if status.final:
            await self._transfers.call_over(form.get("CallSid", ""))
        if status.final and seat is not None and seat.holding is not None:
            if seat.call is not None:
                seat.call.carrier_ended()
            return  # the line ends by itself in a moment, and its end knows more than this word
        change = CallChange(
            ended_reason=ENDED_BY_STATUS.get(status, EndedReason.CALLEE_HANGUP) if status.final else None,
            duration_seconds=_seconds(form.get("CallDuration")) if status is Status.COMPLETED else None,
        )
        await self._store.advance(record.call_id, status, at=datetime.now(UTC), change=change)
        if status.final:
            await self.switchboard.release(record.call_id)
            self._note_ended(record.call_id)

    async def amd_webhook(self, url_path_and_query: str, form: Mapping[str, str], signature: str | None) -> None:
        """Who the carrier thinks has answered. Late, again, or of a call that is over: no error."""
        await self._doors.check(url_path_and_query, form, signature)
        call_id, call_sid = _query(url_path_and_query, "call_id"), form.get("CallSid")
        seats = [s for s in self.switchboard.seats if s.plan.call_id == call_id or s.call_sid == call_sid]
        for seat in seats[:1]:
            logger.info("call {}: the carrier heard {}", seat.plan.call_id, form.get("AnsweredBy"))
            seat.note_amd(form.get("AnsweredBy", ""))

    async def media_stream(
        self, socket: Socket, path_and_query: str, signature: str | None, path_token: str | None
    ) -> None:
        """One media socket from handshake to close."""
        admitted = await self._doors.admit(socket, path_and_query, signature, path_token)
        if admitted is None:
            return
        started, record = admitted
        plan = self._plan_of(record)
        try:
            seat = self.switchboard.take_line(plan)
        except BusyError as e:
            logger.warning("a media socket was turned away: {}", e.message)
            return
        if seat.holding is not None:
            if seat.call is not None and await seat.call.attach(socket, started):
                return
            # A voice webhook that was sent twice gave two tokens.
            logger.warning("a second media socket of a call was refused")
            await socket.close(UNAUTHORIZED_CLOSE, "the call has its media stream")
            return
        with logger.contextualize(call_id=record.call_id):
            note = self._note_turn(record.call_id)
            await self.switchboard.hold(seat, self._holder.hold(seat, socket, started, note))
        self._note_ended(record.call_id)

    async def get_call(self, call_id: str) -> CallRecord:
        record = await self._store.get(call_id)
        if record is None:
            raise NotFoundError(f"There is no call {call_id!r}.", field="call_id")
        return record

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

    async def hang_up(self, call_id: str) -> CallRecord:
        """End a call wherever it stands."""
        record = await self.get_call(call_id)
        if record.status.final:
            raise ConflictError(f"Call {call_id!r} is over already: {record.status}.", field="call_id")
        seat = self.switchboard.seat_of(call_id)
        if seat is not None and seat.holding is not None:
            await seat.hang_up(EndedReason.AGENT_HANGUP)
            return record
        answered = record.status is Status.IN_PROGRESS
        reason = EndedReason.AGENT_HANGUP if answered else EndedReason.CANCELED
        status = Status.COMPLETED if answered else Status.CANCELED
        await self._store.advance(call_id, status, at=datetime.now(UTC), change=CallChange(ended_reason=reason))
        await self.switchboard.release(call_id)
        if record.call_sid is not None:
            await self.carrier.hang_up(record.call_sid)
        return await self.get_call(call_id)

    def health(self) -> Health:
        scenario = self.scenarios.get(DEFAULT_OUTBOUND)
        slots = choose(scenario, self.settings, simulated_line=self.simulated_line).described()
        why_not = None if self._ready else "starting"
        if self.switchboard.draining:
            why_not = "shutting down"
        return Health(
            ready=why_not is None,
            slots={"carrier": self._carrier_slot(), **slots},
            calls_on_line=self.switchboard.calls_on_line,
            capacity=self.settings.max_calls,
            version=version("phone-agent"),
            why_not_ready=why_not,
        )

    def _carrier_slot(self) -> Slot:
        if self.simulated_line:
            missing = [n for n in TWILIO_KEYS if not getattr(self.settings, n.lower())]
            return Slot("offline", "ready", f"{' and '.join(missing)} not set; callees are simulated")
        if self._doors.public_url is None:
            return Slot("twilio", "failed", "PUBLIC_HOST not set and no local ngrok agent runs")
        return Slot("twilio", "ready", f"{' and '.join(TWILIO_KEYS)} set; webhooks at {self._doors.public_url}")

    # -- one call -------------------------------------------------------------------------------------

    def _note_turn(self, call_id: str) -> Callable[[Turn], None]:
        def note(turn: Turn) -> None:
            if self.on_turn is not None:
                self.on_turn(call_id, turn)

        return note

    def _note_ended(self, call_id: str) -> None:
        if self.on_ended is not None:
            self.on_ended(call_id)

    # -- plans and identities -------------------------------------------------------------------------

    def _planned(self, spec: CallSpec, direction: Direction) -> tuple[Plan, CallRecord]:
        spec = replace(spec, scenario=spec.scenario or self.scenarios.default(direction))
        record = CallRecord(
            call_id=f"call_{secrets.token_hex(12)}",
            spec=spec,
            direction=direction,
            status=Status.QUEUED,
            created_at=datetime.now(UTC),
        )
        plan = self._plan_of(record)
        missing = plan.scenario.missing(self._resources.environment)
        if missing and direction is Direction.OUTBOUND and plan.calls_declared_tools:
            message = f"Scenario {spec.scenario!r} needs {', '.join(missing)} in the environment or in .env."
            raise RequestError(message, code="scenario_incomplete", field="scenario")
        return plan, record

    def _plan_of(self, record: CallRecord) -> Plan:
        scenario = self.scenarios.get(record.spec.scenario)
        slots = choose(scenario, self.settings, simulated_line=self.simulated_line)
        return Plan(record.call_id, record.spec, record.direction, scenario, slots)

    def _vendors(self, plan: Plan) -> dict[str, str]:
        return {"carrier": self.carrier.vendor, **plan.slots.vendors}

    def _order(self, plan: Plan, origin: str) -> DialOrder:
        limits = plan.scenario.limits
        return DialOrder(
            to=plan.spec.phone_number,
            from_number=plan.spec.from_number,
            voice_url=f"{origin}{VOICE_PATH}?call_id={quote(plan.call_id)}",
            status_url=f"{origin}{STATUS_PATH}?call_id={quote(plan.call_id)}",
            ring_seconds=limits.ring_seconds,
            time_limit_seconds=round(limits.max_duration_seconds) + 60,
            scenario=plan.scenario.name,
            call_id=plan.call_id,
            amd_url=f"{origin}{AMD_PATH}?call_id={quote(plan.call_id)}" if plan.scenario.pickup.amd else None,
        )

    async def _called(self, url_path_and_query: str, form: Mapping[str, str]) -> CallRecord:
        """The call a voice webhook is about; an unknown one is inbound. ConflictError when it is over."""
        call_id = _query(url_path_and_query, "call_id")
        record = None if call_id is None else await self._store.get(call_id)
        if record is None:
            record = await self._store.get_by_sid(form.get("CallSid", ""))
        if record is None:
            return await self._inbound(form)
        seat = self.switchboard.seat_of(record.call_id)
        if record.status.final or (seat is not None and seat.holding is not None):
            raise ConflictError(f"call {record.call_id} is {record.status}")
        return record

    async def _inbound(self, form: Mapping[str, str]) -> CallRecord:
        ours = form.get("To", "")
        spec = CallSpec(
            phone_number=form.get("From", ""), scenario=self.scenarios.for_number(ours), from_number=ours or None
        )
        plan, record = self._planned(spec, Direction.INBOUND)
        record = replace(record, call_sid=form.get("CallSid") or None)
        await self._store.add(record)
        await self._store.update(plan.call_id, CallChange(vendors=self._vendors(plan)))
        return record


@asynccontextmanager
async def open_phone_agent(settings: Settings) -> AsyncIterator[PhoneAgent]:
    """A phone agent, ready; closed when the block ends."""
    started = time.monotonic()
    scenarios = Scenarios.load(settings.pipelines_dir)
    resources = Resources(settings)
    store = open_store(settings)
    agent = PhoneAgent(settings, scenarios, resources, store, build_carrier(settings, resources))
    try:
        await agent.open()
        logger.debug("ready after {:.1f} s", time.monotonic() - started)
        yield agent
    finally:
        await agent.close()


def _is_final(status: str | None) -> bool:
    return any(known.final and known == status for known in Status)


def _query(path_and_query: str, name: str) -> str | None:
    values = parse_qs(urlsplit(path_and_query).query).get(name)
    return values[0] if values else None


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
