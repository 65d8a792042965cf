"""Calls of this process, from the wish to dial to the freed line: capacity, preparation, drain.

One seat a call, and one way to leave it: `release`. Whoever is late (a callback after the end, a hang-up
during the answer) finds the seat as it is or finds none.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from loguru import logger

from bot import opening
from bot.audio import Speech
from bot.call import Call
from bot.errors import BusyError, PhoneAgentError, VendorError
from bot.fillers import PhraseBook
from bot.opening import Recital
from bot.plan import Plan, Services, build_services
from bot.prompt import opening_text, spare_opening
from bot.records import EndedReason
from bot.stages.resources import Resources

RETRY_AFTER_SECONDS = 10
"""What a caller refused for lack of lines is told to wait."""
KEPT_OPENINGS = 64


@dataclass
class Seat:
    """One call of this process. Its tasks are the switchboard's."""

    plan: Plan
    has_line: bool = False
    """Counted against the capacity; a registered call is not until it is answered."""
    call_sid: str | None = None
    call: Call | None = None
    """On the line."""
    wish: EndedReason | None = None
    """A hang-up that came before there was a call to hang up."""
    answered_by: str | None = None
    """What the carrier's machine detection said before there was a call to tell."""
    opening: Recital | None = None
    making: asyncio.Task[None] | None = None
    """Makes the opening; it goes on while the call is held."""
    services: asyncio.Task[Services] | None = None
    holding: asyncio.Task[None] | None = None
    expiry: asyncio.Task[None] | None = None

    def note_amd(self, answered_by: str) -> None:
        """The carrier's machine detection, in Twilio's words."""
        self.answered_by = answered_by
        if self.call is not None:
            self.call.note_amd(answered_by)

    async def hang_up(self, reason: EndedReason) -> None:
        """Now if it is on the line, else as soon as it would be."""
        self.wish = self.wish or reason
        if self.call is not None:
            await self.call.hang_up(reason)


@dataclass
class Switchboard:
    """Admits, prepares and ends calls."""

    capacity: int
    resources: Resources
    draining: bool = False
    _seats: dict[str, Seat] = field(default_factory=dict)
    _spoken: OrderedDict[tuple[str, str, str], Speech] = field(default_factory=OrderedDict)
    """Openings by text, voice and language: those without a name in them come again."""
    _phrases: PhraseBook = field(init=False)

    def __post_init__(self) -> None:
        self._phrases = PhraseBook(self.resources)

    # -- seats ----------------------------------------------------------------------------------------

    @property
    def lines_taken(self) -> int:
        return sum(seat.has_line for seat in self._seats.values())

    @property
    def calls_on_line(self) -> int:
        return sum(seat.call is not None for seat in self._seats.values())

    @property
    def seats(self) -> list[Seat]:
        return list(self._seats.values())

    def seat_of(self, call_id: str) -> Seat | None:
        return self._seats.get(call_id)

    def take_line(self, plan: Plan) -> Seat:
        """A seat with a line; the same one for a call that has it. BusyError when there is none to give."""
        seat = self._seats.get(plan.call_id)
        if seat is not None and seat.has_line:
            return seat
        if self.draining:
            raise BusyError("This server is shutting down.", retry_after_seconds=RETRY_AFTER_SECONDS)
        if self.lines_taken >= self.capacity:
            raise BusyError(
                f"All {self.capacity} lines are in use; ask again.", retry_after_seconds=RETRY_AFTER_SECONDS
            )
        seat = seat or self._seats.setdefault(plan.call_id, Seat(plan))
        seat.has_line = True
        return seat

    def expect(self, plan: Plan) -> Seat | None:
        """A seat for a call that somebody else dials; None when too many are expected already."""
        if self.draining or len(self._seats) - self.lines_taken >= self.capacity:
            return None
        return self._seats.setdefault(plan.call_id, Seat(plan))

    def release_after(self, seat: Seat, seconds: float, then: Callable[[], Awaitable[None]]) -> None:
        """Unless the line is held by then, free the seat and do `then`. A new wait replaces the old one."""

        async def expire() -> None:
            await asyncio.sleep(seconds)
            if seat.holding is None:
                seat.expiry = None
                await self.release(seat.plan.call_id)
                try:
                    await then()
                except Exception as e:
                    logger.opt(exception=e).error("call {} left no word of its expiry", seat.plan.call_id)

        if seat.expiry is not None:
            seat.expiry.cancel()
        seat.expiry = asyncio.create_task(expire(), name=f"expiry {seat.plan.call_id}")

    async def hold(self, seat: Seat, holding: Coroutine[Any, Any, None]) -> None:
        """Run `holding` as the switchboard's own: a cancelled route does not cut a call's record short."""
        seat.holding = asyncio.create_task(holding, name=f"hold {seat.plan.call_id}")
        await asyncio.shield(seat.holding)

    async def release(self, call_id: str) -> None:
        """Forget a call: its line and whatever was prepared for it."""
        seat = self._seats.pop(call_id, None)
        if seat is not None:
            await _drop(seat.making, seat.services, seat.expiry)

    async def end_all(self, reason: EndedReason, *, within_seconds: float) -> list[Seat]:
        """Take no more calls, end those on the line; gives back the seats that nobody had answered."""
        self.draining = True
        held = [seat.holding for seat in self.seats if seat.holding is not None]
        for seat in self.seats:
            await seat.hang_up(reason)
        if held:
            _, late = await asyncio.wait(held, timeout=within_seconds)
            await _drop(*late)
        waiting = self.seats
        for seat in waiting:
            await self.release(seat.plan.call_id)
        return waiting

    # -- preparation ----------------------------------------------------------------------------------

    def prepare(self, seat: Seat) -> None:
        """Write and speak the opening while the phone rings."""
        if seat.opening is None:
            seat.opening = Recital(opening_text(seat.plan.spec, seat.plan.scenario))
            making = self._make(seat.plan, seat.opening)
            seat.making = asyncio.create_task(making, name=f"opening {seat.plan.call_id}")
            if seat.plan.calls_declared_tools:
                self.resources.mcp.begin(seat.plan.scenario.mcp_servers)

    def build_ahead(self, seat: Seat, call_sid: str) -> None:
        """Build the services off the loop, now that the line is about to open."""
        if seat.services is None:
            build = asyncio.to_thread(build_services, seat.plan, self.resources, call_sid)
            seat.services = asyncio.create_task(build, name=f"services {seat.plan.call_id}")

    async def prepared(self, seat: Seat, call_sid: str) -> tuple[Plan, Services]:
        """The plan with its opening, ready or still being made, and the services. Makes what is not there."""
        self.prepare(seat)
        self.build_ahead(seat, call_sid)
        assert seat.services is not None
        text = opening_text(seat.plan.spec, seat.plan.scenario)
        plan = replace(seat.plan, opening=seat.opening, opening_text=text, phrase_book=self._phrases)
        return plan, await seat.services

    async def _make(self, plan: Plan, recital: Recital) -> None:
        """Write and speak the opening; what a vendor fails to give here, the pipeline tries for again."""
        try:
            if recital.text is None:
                recital.text = await self._written(plan)
            await self._speak(plan, recital.text, recital)
        except PhoneAgentError as e:
            logger.warning("the opening could not be prepared by {}: {}", e.provider, e.message)
        except Exception as e:
            logger.opt(exception=e).error("the opening could not be prepared")
        finally:
            recital.finish()
        # After the opening: it is the one the callee waits for.
        await self._phrases.prepare(plan.slots.tts, plan.scenario.language, plan.phrases_ahead)

    async def _written(self, plan: Plan) -> str:
        """The model's opening, or the language's own. VendorError where neither is there."""
        try:
            return await opening.write(self.resources, plan.slots.llms, plan.mind)
        except VendorError as e:
            ready = spare_opening(plan.spec, plan.scenario)
            if ready is None:
                raise
            logger.warning("{} wrote no opening, the stock one is said: {}", e.provider, e.message)
            return ready

    async def _speak(self, plan: Plan, text: str, recital: Recital) -> None:
        voice, language = plan.slots.tts, plan.scenario.language
        key = (text, voice.model_dump_json(), language)
        known = self._spoken.get(key)
        if known is not None:
            recital.add(known)
            return
        self._spoken[key] = await opening.speak(self.resources, voice, text, language=language, recital=recital)
        while len(self._spoken) > KEPT_OPENINGS:
            self._spoken.popitem(last=False)


async def _drop(*tasks: asyncio.Task[Any] | None) -> None:
    living = [task for task in tasks if task is not None and task is not asyncio.current_task()]
    for task in living:
        task.cancel()
    await asyncio.gather(*living, return_exceptions=True)
