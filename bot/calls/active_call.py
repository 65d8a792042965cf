"""From an open media stream to the kept record: holds one call, and completes its record whatever happens."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from datetime import UTC, datetime

from loguru import logger

from bot.calls.active_calls import CallSlot
from bot.calls.finish import finish
from bot.calls.listener import CallListener
from bot.calls.process import Process
from bot.conversation.call import Call, CallBackend, CallEnd, NeverAgain
from bot.conversation.recorder import Recorder
from bot.conversation.transfers.transfers import Transfers
from bot.pipeline.line.line import Line
from bot.pipeline.line.recording import Recording
from bot.records import EndedReason
from bot.store import CallChange
from bot.telemetry import metrics, tracing
from bot.telephony.carrier import try_hang_up
from bot.telephony.media import MediaStream


@dataclass(frozen=True)
class CallRunner:
    """Holds calls on the line. One process's."""

    process: Process
    transfers: Transfers | None
    do_not_call: NeverAgain | None
    listener: CallListener

    async def hold(self, slot: CallSlot, stream: MediaStream) -> None:
        """The whole life of a line, which is free afterwards. An error ends its call, and only that."""
        try:
            await self._hold(slot, stream)
        finally:
            await self.process.active_calls.release(slot.plan.call_id)

    async def _hold(self, slot: CallSlot, stream: MediaStream) -> None:
        call_id = slot.plan.call_id
        answered_at = datetime.now(UTC)
        recording = Recording(self.process.recordings.path(call_id))
        recorded = await self._open(recording)
        line = Line(stream, recording=recording if recorded else None)
        vad_start_ms = round(slot.plan.scenario.vad.start_seconds * 1000)
        recorder = Recorder(
            call_id,
            self.process.store,
            lambda: line.media_ms,
            vad_start_ms=vad_start_ms,
            trace=tracing.trace_of(call_id),
            on_turn=functools.partial(self.listener.turn_completed, call_id),
        )
        keeping = asyncio.create_task(recorder.run(), name=f"recorder {call_id}")
        end = CallEnd(EndedReason.SERVER_SHUTDOWN)
        try:
            with metrics.call_on_line():
                end = await self._converse(slot, line, recorder, recorded=recorded)
        except Exception as e:
            logger.opt(exception=e).error("the call broke")
            end = CallEnd(EndedReason.ERROR_LINE, f"{type(e).__name__} in this server")
            await self._let_go(line)
        finally:
            await self._put_away(recorder, keeping, recording)
            metrics.turn_taken({"answer_to_first_audio": end.answer_to_first_audio_ms})
            self.process.active_calls.resources.scripts.forget(stream.call_sid)
            slot.call = None
            await self._complete(slot, end, recorder, answered_at)

    async def _put_away(self, recorder: Recorder, keeping: asyncio.Task[None], recording: Recording) -> None:
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

    async def _complete(self, slot: CallSlot, end: CallEnd, recorder: Recorder, answered_at: datetime) -> None:
        try:
            await finish(
                self.process.store,
                slot.plan,
                end,
                recorder.kept_turns(),
                answered_at=answered_at,
                counts=recorder.counts,
            )
        except Exception as e:
            logger.opt(exception=e).error("the record could not be completed")

    async def _converse(self, slot: CallSlot, line: Line, recorder: Recorder, *, recorded: bool) -> CallEnd:
        name = self.process.recordings.path(slot.plan.call_id).name if recorded else None
        change = CallChange(recording=name, held_by=self.process.engine.name)
        await self.process.store.update(slot.plan.call_id, change)
        recorder.trace.answered()
        active_calls = self.process.active_calls
        plan, services = await active_calls.prepared(slot, line.call_sid)
        call = Call(
            plan,
            line=line,
            services=services,
            recorder=recorder,
            backend=CallBackend(
                active_calls.resources,
                active_calls.mcp,
                self.process.carrier,
                self.transfers,
                self.do_not_call,
            ),
        )
        slot.call = call
        if slot.end_early is not None:
            await call.hang_up(slot.end_early)
        logger.info("answered: {}, {}", plan.scenario.name, plan.slots.vendors)
        return await call.hold()

    async def _open(self, recording: Recording) -> bool:
        """A call is worth more than its recording."""
        try:
            await recording.open()
        except OSError as e:
            logger.error("this call is not recorded: {}", e)
            return False
        return True

    async def _let_go(self, line: Line) -> None:
        await try_hang_up(self.process.carrier, line.call_sid)
        await line.close()
