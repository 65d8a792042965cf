"""Media sockets of this process: let in, passed on to the process that has their call, or given their line."""

from __future__ import annotations

from dataclasses import dataclass

from loguru import logger

from bot.calls.active_call import CallRunner
from bot.calls.active_calls import CallSlot
from bot.calls.capacity import LineRequest
from bot.calls.carrier_events import CarrierEvents
from bot.calls.cluster.other_processes import OtherProcesses
from bot.calls.ingress import UNAUTHORIZED_CLOSE, Ingress
from bot.calls.process import Process
from bot.errors import BusyError
from bot.store.connections import retry_database
from bot.telephony.carrier import CarrierRequest
from bot.telephony.media import MediaStream
from bot.telephony.socket import Socket


@dataclass(frozen=True)
class MediaStreams:
    """One process's."""

    process: Process
    ingress: Ingress
    others: OtherProcesses
    runner: CallRunner
    carrier_events: CarrierEvents

    async def receive(self, socket: Socket, request: CarrierRequest, path_token: str | None) -> None:
        """One media socket, which is not yet accepted, from its handshake to its close."""
        admitted = await self.ingress.admit(socket, request, path_token)
        if admitted is None:
            return
        stream, record = admitted.stream, admitted.record
        if admitted.home is not None and admitted.home.holds:
            await self.others.pass_on(admitted, request)
            return
        try:
            slot = self.process.active_calls.take_line(self.process.planner.plan(record), LineRequest.ANSWERED)
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
            await self.process.active_calls.hold(slot, self._run(slot, stream))

    async def _run(self, slot: CallSlot, stream: MediaStream) -> None:
        try:
            await self.runner.hold(slot, stream)
        finally:
            await retry_database(lambda: self.carrier_events.ended(slot.plan.call_id))
