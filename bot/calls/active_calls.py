"""Calls of this process, from the wish to dial to the freed line: capacity, preparation, drain.

One slot a call, and one way to free it: `release`. What comes late (a callback after the end, a hang-up during
the answer) finds the slot as it is, or none.

A process shuts down in three steps: it drains (no new call; the others go on), it apologises to callees who are
still on the line (heard to its end), it hangs up. Each may be skipped.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loguru import logger

from bot.audio import Speech
from bot.calls.capacity import LagWatch, LineRequest, Load, Refusal, refusal
from bot.conversation import opening
from bot.conversation.call import Call
from bot.conversation.call_plan import Plan, Services, build_services
from bot.conversation.fillers import PhraseBook
from bot.conversation.opening import NotKept, Openings, SpeechStream
from bot.conversation.prompt import lawful, opening_text, spare_opening
from bot.conversation.tools.declared.mcp_server import McpServers
from bot.errors import BusyError, PhoneAgentError, VendorError
from bot.pipeline.resources import Resources
from bot.pipeline.usage import NO_USAGE, Usage
from bot.records import Direction, EndedReason
from bot.telemetry import tracing

RETRY_AFTER_SECONDS = 10
"""The Retry-After of a request that was refused for lack of lines."""
KEPT_OPENINGS = 64
KEPT_SECONDS = 1.0
"""How long an opening is looked up in the store: by then a vendor has half spoken a new one."""
APOLOGY_READY_SECONDS = 3.0
"""For a voice to speak the apology once for all its calls; where it is not ready, each call's own says it."""


async def _not_billed(_plan: Plan) -> None:
    """Its costs are not kept."""


@dataclass
class CallSlot:
    """One call of this process. Its tasks are those of `ActiveCalls`."""

    plan: Plan
    has_line: bool = False
    """Counted against the capacity; a registered call is not until it is answered."""
    call_sid: str | None = field(default=None, init=False)
    call: Call | None = field(default=None, init=False)
    """On the line."""
    end_early: EndedReason | None = field(default=None, init=False)
    """A hang-up that came before there was a call to hang up."""
    opening: SpeechStream | None = field(default=None, init=False)
    making: asyncio.Task[None] | None = field(default=None, init=False)
    """Makes the opening; it goes on while the call is held."""
    services: asyncio.Task[Services] | None = field(default=None, init=False)
    holding: asyncio.Task[None] | None = field(default=None, init=False)
    expiry: asyncio.Task[None] | None = field(default=None, init=False)
    acts: dict[str, tuple[object, asyncio.Task[Any]]] = field(default_factory=dict, init=False)
    """What supervisors have done, by the key that they gave: each once."""

    async def hang_up(self, reason: EndedReason) -> None:
        """Now if it is on the line, else as soon as it would be."""
        self.end_early = self.end_early or reason
        if self.call is not None:
            await self.call.hang_up(reason)

    async def take_leave(self, reason: EndedReason) -> None:
        """With an apology if it is on the line, else it ends as soon as it would be."""
        if self.call is None:
            self.end_early = self.end_early or reason
        else:
            await self.call.take_leave(reason)


@dataclass
class ActiveCalls:
    """Admits, prepares and ends calls."""

    capacity: int
    """Lines for new calls; those that were answered already have a little more room: see `capacity`."""
    resources: Resources
    mcp: McpServers = field(default_factory=lambda: McpServers({}))
    """Asked for their tools while it rings."""
    lag: LagWatch = field(default_factory=LagWatch)
    openings: Openings = field(default_factory=NotKept)
    """Of calls that this process dialled, for the process that answers them."""
    spent: Callable[[Plan], Awaitable[None]] = _not_billed
    """Keeps what the opening of a call cost."""
    draining: bool = field(default=False, init=False)
    """No new call is taken."""
    closed: bool = field(default=False, init=False)
    """Nothing at all is taken."""
    _slots: dict[str, CallSlot] = field(default_factory=dict, init=False)
    _spoken: OrderedDict[tuple[str, str, str, frozenset[tuple[str, str]]], Speech] = field(
        default_factory=OrderedDict, init=False
    )
    """Openings by text, voice and language: those without a name in them come again."""
    _phrases: PhraseBook = field(init=False)
    _freed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """A slot was left."""

    def __post_init__(self) -> None:
        self._phrases = PhraseBook(self.resources)

    # -- slots ----------------------------------------------------------------------------------------

    @property
    def lines_taken(self) -> int:
        return sum(slot.has_line for slot in self.slots)  # a copy: the engine's threads ask, too

    @property
    def calls_on_line(self) -> int:
        return sum(slot.call is not None for slot in self._slots.values())

    @property
    def slots(self) -> list[CallSlot]:
        return list(self._slots.values())

    def slot_of(self, call_id: str) -> CallSlot | None:
        return self._slots.get(call_id)

    def holds(self, call_id: str) -> bool:
        """Whether the call's line is here."""
        slot = self._slots.get(call_id)
        return slot is not None and slot.holding is not None

    def refusal(self, request: LineRequest = LineRequest.NEW) -> Refusal | None:
        """Why no line is given now; None where one is."""
        load = Load(self.lines_taken, self.lag.late, draining=self.draining, closed=self.closed)
        return refusal(request, load, self.capacity)

    def take_line(self, plan: Plan, request: LineRequest = LineRequest.NEW) -> CallSlot:
        """A slot with a line; the same one for a call that has it. BusyError when there is none to give."""
        slot = self._slots.get(plan.call_id)
        if slot is not None and slot.has_line:
            return slot
        refused = self.refusal(request)
        if refused is not None:
            raise BusyError(refused.value, retry_after_seconds=RETRY_AFTER_SECONDS)
        slot = slot or self._slots.setdefault(plan.call_id, CallSlot(plan))
        slot.has_line = True
        return slot

    def expect(self, plan: Plan) -> CallSlot | None:
        """A slot for a call that its owner dials; None when too many are expected already."""
        if self.draining or len(self._slots) - self.lines_taken >= self.capacity:
            return None
        return self._slots.setdefault(plan.call_id, CallSlot(plan))

    def release_after(self, slot: CallSlot, seconds: float, then: Callable[[], Awaitable[None]]) -> None:
        """Unless the line is held by then, free the slot and do `then`. A new wait replaces the old one."""

        async def expire() -> None:
            await asyncio.sleep(seconds)
            if slot.holding is None:
                slot.expiry = None
                await self.release(slot.plan.call_id)
                try:
                    await then()
                except Exception as e:
                    logger.opt(exception=e).error(
                        "the expiry of call {} could not be recorded", slot.plan.call_id
                    )

        if slot.expiry is not None:
            slot.expiry.cancel()
        slot.expiry = asyncio.create_task(expire(), name=f"expiry {slot.plan.call_id}")

    async def hold(self, slot: CallSlot, holding: Coroutine[Any, Any, None]) -> None:
        """Run `holding` as a task of its own: a cancelled route does not cut a call's record short."""
        slot.holding = asyncio.create_task(holding, name=f"hold {slot.plan.call_id}")
        await asyncio.shield(slot.holding)

    async def release(self, call_id: str) -> None:
        """Forget a call: its line and whatever was prepared for it."""
        slot = self._slots.pop(call_id, None)
        if slot is not None:
            self._freed.set()
            await _drop(slot.making, slot.services, slot.expiry)

    # -- leaving --------------------------------------------------------------------------------------

    async def drain(self, *, within_seconds: float, hurry: asyncio.Event | None = None) -> None:
        """Take no new call from now on; returns when no line is taken, or in time, or with `hurry`.

        A call that rings is waited for as well, and held when it is answered. One that its owner is to dial
        (`expect`) is not waited for.
        """
        self.draining = True
        await _at_most(within_seconds, self._all_free(), hurry)

    async def _all_free(self) -> None:
        while self.lines_taken:
            self._freed.clear()
            await self._freed.wait()

    async def leave_waiting(self) -> list[CallSlot]:
        """Give up every slot whose call is not on the line; those for which a phone may be ringing."""
        self.draining = True
        waiting = [slot for slot in self.slots if slot.holding is None]
        for slot in waiting:
            await slot.hang_up(EndedReason.SERVER_SHUTDOWN)
            await self.release(slot.plan.call_id)
        return [slot for slot in waiting if slot.has_line]

    async def take_leave(
        self, reason: EndedReason, *, within_seconds: float, hurry: asyncio.Event | None = None
    ) -> None:
        """Apologise to all callees on the line; returns when they are gone, or in time, or with `hurry`."""
        self.draining = True
        await _at_most(within_seconds, self._all_take_leave(reason), hurry)

    async def _all_take_leave(self, reason: EndedReason) -> None:
        await self._speak_apologies()
        while talking := self._holding():
            for failure in await asyncio.gather(
                *(slot.take_leave(reason) for slot in self.slots), return_exceptions=True
            ):
                if isinstance(failure, BaseException):
                    logger.opt(exception=failure).error("a callee could not hear the apology")
            await asyncio.wait(talking)

    async def end_all(self, reason: EndedReason, *, within_seconds: float) -> None:
        """Take no call any more and hang up on all; what does not end in time is cut."""
        self.draining = self.closed = True
        talking = self._holding()
        for slot in self.slots:
            await slot.hang_up(reason)
        if talking:
            _, late = await asyncio.wait(talking, timeout=within_seconds)
            await _drop(*late)
        for slot in self.slots:
            await self.release(slot.plan.call_id)

    def _holding(self) -> list[asyncio.Task[None]]:
        return [slot.holding for slot in self.slots if slot.holding is not None and not slot.holding.done()]

    async def _speak_apologies(self) -> None:
        """Synthesise each voice's apology once, however many calls need it."""
        plans = [slot.plan for slot in self.slots if slot.call is not None]
        needed = {(p.slots.tts.model_dump_json(), p.scenario.name): p for p in plans}
        speaking = [self._prepare(plan, plan.scenario.apologies) for plan in needed.values()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(APOLOGY_READY_SECONDS):
                await asyncio.gather(*speaking)

    # -- preparation ----------------------------------------------------------------------------------

    def prepare(self, slot: CallSlot, *, answered: bool = False) -> None:
        """Write and speak the opening while the phone rings; once it was `answered`, another process may have."""
        if slot.opening is None:
            slot.opening = SpeechStream(opening_text(slot.plan.spec, slot.plan.scenario))
            making = self._make_and_bill(slot.plan, slot.opening, answered=answered)
            slot.making = asyncio.create_task(making, name=f"opening {slot.plan.call_id}")
            if slot.plan.calls_declared_tools:
                self.mcp.begin(slot.plan.scenario.mcp_servers)

    def build_ahead(self, slot: CallSlot, call_sid: str) -> None:
        """Build the services off the loop, now that the line is about to open."""
        if slot.services is None:
            build = asyncio.to_thread(build_services, slot.plan, self.resources, call_sid)
            slot.services = asyncio.create_task(build, name=f"services {slot.plan.call_id}")

    async def prepared(self, slot: CallSlot, call_sid: str) -> tuple[Plan, Services]:
        """The plan with its opening, ready or still being made, and the services. Makes what is not there."""
        self.prepare(slot, answered=True)
        self.build_ahead(slot, call_sid)
        assert slot.services is not None
        text = opening_text(slot.plan.spec, slot.plan.scenario)
        plan = replace(slot.plan, opening=slot.opening, opening_text=text, phrase_book=self._phrases)
        return plan, await slot.services

    async def _make_and_bill(self, plan: Plan, stream: SpeechStream, *, answered: bool) -> None:
        """The costs of an opening that is never heard are kept as well: it is billed."""
        try:
            with logger.contextualize(call_id=plan.call_id):
                await self._make(plan, stream, answered=answered)
        finally:
            if plan.opening_usage.items:
                try:
                    await self.spent(plan)
                except Exception as e:
                    logger.warning("what the opening cost cannot be kept: {}", e)

    async def _make(self, plan: Plan, stream: SpeechStream, *, answered: bool) -> None:
        """Write and speak the opening; what a vendor fails to give here, the pipeline tries for again."""
        # The process that dialled may have spent on an opening, too: each part of the costs has one writer.
        usage = plan.usage if answered else plan.opening_usage
        own = False
        try:
            kept = await self._kept(plan) if answered else None
            if kept is not None:
                stream.text = kept.text
                stream.add(kept)
            else:
                with tracing.span("opening", plan.call_id):
                    if stream.text is None:
                        stream.text = await self._written(plan, usage)
                    await self._speak(plan, stream.text, stream, usage)
                own = True
        except PhoneAgentError as e:
            logger.warning("the opening could not be prepared by {}: {}", e.provider, e.message)
        except Exception as e:
            logger.opt(exception=e).error("the opening could not be prepared")
        finally:
            stream.finish()
        if own and not answered:
            await self._keep(plan, stream.speech())
        # After the opening: it is the one the callee waits for.
        await self._prepare(plan, plan.phrases_ahead, usage)

    async def _prepare(self, plan: Plan, texts: Sequence[str], usage: Usage = NO_USAGE) -> None:
        """Speak phrases of a call's scenario in its voice."""
        scenario = plan.scenario
        await self._phrases.prepare(plan.slots.tts, scenario.language, texts, scenario.pronunciation, usage=usage)

    async def _kept(self, plan: Plan) -> Speech | None:
        """What the process that dialled has spoken; None where that is not complete, or cannot be had."""
        if plan.direction is Direction.INBOUND:
            return None
        try:
            return await asyncio.wait_for(self.openings.get(plan.call_id), KEPT_SECONDS)
        except Exception as e:
            logger.warning("the opening cannot be looked up: {}", e)
            return None

    async def _keep(self, plan: Plan, speech: Speech) -> None:
        try:
            await self.openings.put(plan.call_id, speech)
        except Exception as e:
            logger.warning("the opening cannot be kept for other processes: {}", e)

    async def _written(self, plan: Plan, usage: Usage) -> str:
        """The model's opening, or the language's own. VendorError where neither is there."""
        try:
            text = await opening.write(self.resources, plan.slots.llms, plan.brief, usage=usage)
            return lawful(text, plan.spec, plan.scenario)
        except VendorError as e:
            ready = spare_opening(plan.spec, plan.scenario)
            if ready is None:
                raise
            logger.warning("{} wrote no opening, the stock one is said: {}", e.provider, e.message)
            return ready

    async def _speak(self, plan: Plan, text: str, stream: SpeechStream, usage: Usage) -> None:
        voice, language = plan.slots.tts, plan.scenario.language
        pronunciation = plan.scenario.pronunciation
        key = (text, voice.model_dump_json(), language, frozenset(pronunciation.items()))
        known = self._spoken.get(key)
        if known is not None:
            stream.add(known)
            return
        self._spoken[key] = await opening.speak(
            self.resources,
            voice,
            text,
            language=language,
            pronunciation=pronunciation,
            stream=stream,
            usage=usage,
        )
        while len(self._spoken) > KEPT_OPENINGS:
            self._spoken.popitem(last=False)


async def _at_most(seconds: float, work: Coroutine[Any, Any, None], hurry: asyncio.Event | None) -> None:
    """Does `work` until it is done, the time is over, or `hurry` is set."""
    working = asyncio.create_task(work, name="leaving")
    hurried = asyncio.create_task((hurry or asyncio.Event()).wait(), name="hurry")
    try:
        await asyncio.wait({working, hurried}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _drop(working, hurried)
    if not working.cancelled():
        working.result()


async def _drop(*tasks: asyncio.Task[Any] | None) -> None:
    living = [task for task in tasks if task is not None and task is not asyncio.current_task()]
    for task in living:
        task.cancel()
    await asyncio.gather(*living, return_exceptions=True)
