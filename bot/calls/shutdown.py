"""How a process shuts down: it drains, it apologises to callees on the line, it hangs up.

SIGTERM is an orchestrator's word and has time: all three. Ctrl-C is a person's who waits: the drain is skipped,
so that a server without calls ends at once and one with calls after a sentence. A second signal skips the rest.

While it drains, the listening socket stays open: the answer of a phone that rings, the status of a call that
talks, the media stream of a call that another process dialled come in by it. What `POST /call` brings is accepted
and queued: with a shared database another process dials it, with SQLite the next start does. A 503 was rejected:
it would throw away what the queue is there to keep.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from loguru import logger

from bot.calls.active_calls import ActiveCalls, CallSlot
from bot.records import EndedReason, Status
from bot.store import CallChange, SqlCallStore
from bot.telephony.carrier import Carrier, try_hang_up

APOLOGY_SECONDS = 12.0
"""For all apologies together: the voice, a sentence of about five seconds, its mark."""
STOP_SECONDS = 8.0
"""What calls on the line get to end once they are hung up."""
_REASON = EndedReason.SERVER_SHUTDOWN


class Shutdown:
    """One process's. `stop_taking`: no call that waits to be dialled is begun here any more; what is due after
    calls still is."""

    def __init__(
        self,
        active_calls: ActiveCalls,
        store: SqlCallStore,
        carrier: Carrier,
        *,
        drain_seconds: float,
        stop_taking: Callable[[], Awaitable[None]],
    ) -> None:
        self._active_calls, self._store, self._carrier = active_calls, store, carrier
        self._drain_seconds = drain_seconds
        self._stop_taking = stop_taking

    async def drain(self, hurry: asyncio.Event | None = None) -> None:
        """Take no new calls and let those on the line end; no longer than the setting or until `hurry`."""
        board = self._active_calls
        board.draining = True
        await self._dial_nothing()
        if board.lines_taken:
            seconds = self._drain_seconds
            logger.info("shutting down: {} calls are let finish, up to {:.0f} s", board.lines_taken, seconds)
            await board.drain(within_seconds=seconds, hurry=hurry)
        if board.lines_taken:
            logger.warning("{} calls are cut by the shutdown", board.lines_taken)

    async def end(self, *, apologise: bool = False, hurry: asyncio.Event | None = None) -> None:
        """End what there is: phones stop ringing, callees hear an apology if they are to, lines are hung up.

        Harmless where nothing is left. Registered calls stay as they are: another process, or the next start,
        answers them.
        """
        board = self._active_calls
        board.draining = True
        await self._dial_nothing()
        ringing = await board.leave_waiting()
        await asyncio.gather(
            self._take_leave(apologise=apologise, hurry=hurry), *(self._call_off(slot) for slot in ringing)
        )
        await board.end_all(_REASON, within_seconds=STOP_SECONDS)

    async def _dial_nothing(self) -> None:
        try:
            await self._stop_taking()
        except Exception as e:
            logger.opt(exception=e).error("the queue of lines could not be left")

    async def _take_leave(self, *, apologise: bool, hurry: asyncio.Event | None) -> None:
        if apologise and self._active_calls.lines_taken:
            await self._active_calls.take_leave(_REASON, within_seconds=APOLOGY_SECONDS, hurry=hurry)
        else:
            await self._active_calls.end_all(_REASON, within_seconds=STOP_SECONDS)

    async def _call_off(self, slot: CallSlot) -> None:
        """A call that is not answered stops ringing."""
        if slot.call_sid is not None:
            await try_hang_up(self._carrier, slot.call_sid)
        change = CallChange(ended_reason=_REASON)
        try:
            await self._store.advance(slot.plan.call_id, Status.CANCELED, at=datetime.now(UTC), change=change)
        except Exception as e:
            # The other calls and the closing go on; the next start settles this one.
            logger.error("call {} could not be closed: {}", slot.plan.call_id, e)
