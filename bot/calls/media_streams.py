"""Media sockets of this process: let in, passed on to the process that has their call, or held to their end.

Whatever happens on a line, its call's record is completed.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from loguru import logger

from bot.calls.active_calls import CallSlot
from bot.calls.capacity import LineRequest
from bot.calls.carrier_events import CarrierEvents
from bot.calls.cluster.other_processes import OtherProcesses
from bot.calls.finish import finish
from bot.calls.ingress import UNAUTHORIZED_CLOSE, Ingress
from bot.calls.live.reporting import LiveCall
from bot.calls.process import Process
from bot.conversation.call import Call, CallBackend, CallEnd, NeverAgain
from bot.conversation.recorder import Recorder
from bot.conversation.scenario.compliance import Storage
from bot.errors import BusyError
from bot.phone_numbers import is_browser
from bot.pipeline.line.line import Line
from bot.pipeline.line.recording import Recording
from bot.records import EndedReason
from bot.store import CallChange
from bot.store.connections import retry_database
from bot.telemetry import metrics, trouble
from bot.telephony.browser.carrier import WithClients
from bot.telephony.carrier import CarrierRequest, try_hang_up
from bot.telephony.media import MediaStream, Socket

AROUND_MS = 700
"""Silenced before and after a turn: its beginning and end are known by the VAD, to half a second."""


@dataclass(frozen=True)
class MediaStreams:
    """One process's."""

    process: Process
    ingress: Ingress
    others: OtherProcesses
    carrier_events: CarrierEvents
    do_not_call: NeverAgain | None
    clients: WithClients

    async def receive(
        self, socket: Socket, request: CarrierRequest, path_token: str | None, bound: str | None = None
    ) -> None:
        """One media socket, which is not yet accepted, from its handshake to its close.

        `bound`: a browser's, and what its token has to be bound to.
        """
        admitted = await self.ingress.admit(socket, request, path_token, bound)
        if admitted is None:
            return
        stream, record, active_calls = admitted.stream, admitted.record, self.process.active_calls
        if admitted.home is not None and admitted.home.holds:
            await self.others.pass_on(admitted, request)
            return
        try:
            slot = active_calls.take_line(self.process.planner.plan(record), LineRequest.ANSWERED)
        except BusyError as e:
            if admitted.home is not None:  # where a line is kept for it
                await self.others.pass_on(admitted, request)
                return
            logger.warning("a media socket was turned away: {}", e.message)
            return
        if admitted.home is not None:
            await self.others.taken(record.call_id)
        if slot.holding is not None:
            if slot.call is not None and await slot.call.attach(stream):
                return
            # A webhook that was sent twice gave two tokens.
            logger.warning("a second media socket of a call was refused")
            await socket.close(UNAUTHORIZED_CLOSE, "the call has its media stream")
            return
        with logger.contextualize(call_id=record.call_id):
            stream = stream if bound is None else self.clients.taken(stream)
            await active_calls.hold(slot, self.hold(slot, stream))

    async def hold(self, slot: CallSlot, stream: MediaStream) -> None:
        """The whole life of a line, which is free afterwards. An error ends its call, and only that."""
        call_id = slot.plan.call_id
        try:
            await self._hold(slot, stream)
        finally:
            await self.process.active_calls.release(call_id)
            await retry_database(lambda: self.carrier_events.ended(call_id))

    async def _hold(self, slot: CallSlot, stream: MediaStream) -> None:
        process, plan, answered_at = self.process, slot.plan, datetime.now(UTC)
        recording = Recording(process.recordings.path(plan.call_id))
        mode = plan.scenario.recording.mode
        recorded = mode not in ("off", "ask") and await _opened(recording)
        line = Line(stream, recording=recording if recorded or mode == "ask" else None)
        live = LiveCall(plan.call_id, process.live, process.listener)
        recorder = Recorder(
            plan.call_id,
            process.store,
            lambda: line.media_ms,
            vad_start_ms=round(plan.scenario.vad.start_seconds * 1000),
            reports=live,
            redact=plan.redact,
        )
        keeping = asyncio.create_task(recorder.run(), name=f"recorder {plan.call_id}")
        end = CallEnd(EndedReason.SERVER_SHUTDOWN)
        try:
            with metrics.call_on_line(), trouble.heard_by(live.vendor_trouble):
                end = await self._converse(slot, line, recorder, recorded=recorded)
        except Exception as e:
            logger.opt(exception=e).error("the call broke")
            end = CallEnd(EndedReason.ERROR_LINE, f"{type(e).__name__} in this server")
            await try_hang_up(process.carrier, line.call_sid)
            await line.close()
        finally:
            await put_away(recorder, keeping, recording, plan.scenario.storage)
            metrics.turn_taken({"answer_to_first_audio": end.answer_to_first_audio_ms})
            process.active_calls.resources.scripts.forget(stream.call_sid)
            slot.call = None
            turns, counts, met = recorder.kept_turns(), recorder.counts, recorder.greeted()
            kept = recording.path.name if recording.kept else ""
            try:
                await finish(
                    process.store,
                    plan,
                    end,
                    turns,
                    answered_at=answered_at,
                    counts=counts,
                    recording=kept,
                    observations=live.observations,
                    met=met,
                )
            except Exception as e:
                logger.opt(exception=e).error("the record could not be completed")

    async def _converse(self, slot: CallSlot, line: Line, recorder: Recorder, *, recorded: bool) -> CallEnd:
        process, active_calls = self.process, self.process.active_calls
        # One that is to be redacted has no name before: should this process die, nobody gets it as it is.
        named = recorded and slot.plan.scenario.storage.recording != "redacted"
        name = process.recordings.path(slot.plan.call_id).name if named else None
        await process.store.update(slot.plan.call_id, CallChange(recording=name, held_by=process.engine.name))
        recorder.trace.answered()
        plan, services = await active_calls.prepared(slot, line.call_sid)
        transfers = None if is_browser(plan.spec.phone_number) else self.others.transfers
        backend = CallBackend(
            active_calls.resources,
            active_calls.mcp,
            process.carrier,
            transfers,
            self.do_not_call,
            simulated=process.planner.is_simulated(plan.spec.phone_number),
            declared=process.listener.tools,
        )
        slot.call = call = Call(plan, line=line, services=services, recorder=recorder, backend=backend)
        if slot.end_early is not None:
            await call.hang_up(slot.end_early)
        logger.info("answered: {}, {}, {}", plan.scenario.name, plan.slots, plan.scenario.rules)
        return await call.hold()


async def _opened(recording: Recording) -> bool:
    """Whether the call is recorded: it is worth more than its recording."""
    try:
        await recording.open()
    except OSError as e:
        logger.error("this call is not recorded: {}", e)
        return False
    return True


async def put_away(
    recorder: Recorder, keeping: asyncio.Task[None], recording: Recording, storage: Storage
) -> None:
    """Keep the last turns, and of the recording what may be."""
    recorder.trace.close()
    try:
        await recorder.close()
        await keeping
    except Exception as e:
        logger.opt(exception=e).error("the last turns could not be kept")
    finally:
        keeping.cancel()
    try:
        await recording.close()
    except OSError as e:
        logger.error("the recording is cut short: {}", e)
    if storage.recording == "redacted":
        await _redact(recording, recorder.cut_spans())


async def _redact(recording: Recording, spans: Iterable[tuple[int, int | None]]) -> None:
    """Silent around what was cut out of the transcript; deleted, where that fails."""
    around = [(begin - AROUND_MS, None if end is None else end + AROUND_MS) for begin, end in spans]
    try:
        await recording.silence(around)
    except OSError as e:
        logger.error("the recording cannot be redacted, and is deleted: {}", e)
        await recording.stop(delete=True)
