"""What takes one call off its media stream: keys to press, and the ways to another person.

A tool only begins it and returns: pipecat cancels a tool when the callee interrupts, and a call that is half
put through must not be left there. One task does it behind the tool's back, one thing at a time; its
result reaches the callee as a phrase and the model as a note.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from loguru import logger

from bot.conversation import prompt
from bot.conversation.call_plan import Plan
from bot.conversation.disclosure import DisclosureWatch
from bot.conversation.hang_up import SYNTHESIS_CAP_SECONDS, Goodbye
from bot.conversation.stages import Stages
from bot.conversation.tools.transfer_call import TransferTarget
from bot.conversation.transfers.transfers import LOST_CALLBACK_SECONDS, Caller, Transfer, Transfers, Verdict
from bot.errors import CarrierError, DialUnconfirmedError
from bot.pipeline.line.line_ends import AllHeardFrame
from bot.records import EndedReason
from bot.telephony.carrier import seconds_for

RECONNECT_SECONDS = 10.0
"""The carrier takes about one to end a stream, do its part and open the next."""
UNSURE_SECONDS = 3.0
"""After an order that was not answered: for so long the stream's end may show that it was carried out."""
LAST_WORD_SECONDS = 4.0
"""A person who has said yes waits so long for the agent's sentence to end, or the callee's."""
_LOOK_SECONDS = 0.1


class Handover:
    """One call's. `transfers` None: a call whose carrier cannot be asked for anything."""

    def __init__(
        self,
        plan: Plan,
        transfers: Transfers | None,
        *,
        stages: Stages,
        goodbye: Goodbye,
        disclosure: DisclosureWatch,
        callee_speaks: Callable[[], bool],
        no_reply_owed: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._transfers = transfers
        self._stages, self._line, self._goodbye = stages, stages.line, goodbye
        self._disclosure = disclosure
        self._callee_speaks = callee_speaks
        self._no_reply_owed = no_reply_owed
        self._caller = Caller(
            plan.call_id, self._line.call_sid, plan.scenario.name, plan.scenario.language, plan.spec.from_number
        )
        self._task: asyncio.Task[None] | None = None
        self._transfer: Transfer | None = None
        self.handed_over = False
        """The call lives on without us: it is not ours to hang up."""

    @property
    def waiting(self) -> bool:
        """The callee waits for somebody to take the call: their silence is ours."""
        return self._transfer is not None

    async def close(self) -> None:
        """The call is over: what was begun is not finished, and no phone rings on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._transfer is not None and self._transfers is not None:
            await self._transfers.give_up(self._transfer)

    # -- keys -----------------------------------------------------------------------------------------

    async def send_digits(self, digits: str) -> dict[str, Any]:
        """Press keys when what is being said was heard. Returns the tool's result at once."""
        refusal = self._refusal()
        if refusal is not None or self._transfers is None:
            return {"error": refusal}
        self._begin(self._press(self._transfers, digits), f"keys {self._plan.call_id}")
        return {"status": "pressing the keys; wait for what you hear"}

    async def _press(self, transfers: Transfers, digits: str) -> None:
        await self._all_said()
        if self._goodbye.begun:
            return
        self._no_reply_owed()
        seconds = RECONNECT_SECONDS + seconds_for(digits)
        self._line.expect_stream(seconds)
        try:
            await transfers.press(self._caller, digits, seconds)
        except CarrierError as e:
            if not await self._done_all_the_same(e):
                logger.error("the keys could not be pressed: {}", e.message)
                await self._keys_refused()
                return
        await self._back_within(seconds)

    async def _keys_refused(self) -> None:
        self._stages.note(prompt.KEYS_REFUSED)
        await self._stages.run_model()

    # -- transfers ------------------------------------------------------------------------------------

    async def transfer(self, name: str, summary: str) -> dict[str, Any]:
        """Begin to put the callee through. Returns the tool's result at once."""
        target = next((t for t in self._plan.scenario.transfer if t.name == name), None)
        if target is None:
            known = ", ".join(t.name for t in self._plan.scenario.transfer)
            return {"error": f"there is no {name!r} to put the call through to; there are: {known}"}
        refusal = self._refusal()
        if refusal is not None or self._transfers is None:
            return {"error": refusal}
        transfer = self._transfer = Transfer(self._caller, target, summary)
        way = self._cold if target.mode == "cold" else self._warm
        self._begin(way(self._transfers, transfer), f"transfer {self._plan.call_id}")
        return {"status": f"calling {name}; you are told if nobody takes the call"}

    async def _warm(self, transfers: Transfers, transfer: Transfer) -> None:
        try:
            await transfers.ring(transfer)
        except DialUnconfirmedError as e:
            logger.warning("{} may ring or not: {}", transfer.target.name, e.message)
        except CarrierError as e:
            logger.error("{} could not be called: {}", transfer.target.name, e.message)
            transfer.decide(Verdict.FAILED)
        await self._announce(transfer.target)
        verdict = await transfer.outcome()
        if verdict is Verdict.ACCEPTED:
            await self._breath()
            if await self._join(transfers, transfer):
                self._hand_over()
                return
            verdict = Verdict.FAILED
        await transfers.give_up(transfer)
        if not self._line.ended:
            await self._not_taken(transfer.target, verdict)

    async def _join(self, transfers: Transfers, transfer: Transfer) -> bool:
        """Whether the two are together; if not, the callee is still, or again, with the agent."""
        if transfer.leg_over or transfer.over or self._goodbye.begun:
            return False
        # The stream ends with the move; were it to fail, the next one would be awaited.
        self._line.expect_stream(RECONNECT_SECONDS)
        try:
            await transfers.join(transfer)
        except CarrierError as e:
            if not await self._done_all_the_same(e):
                logger.error("the call could not be joined with {}: {}", transfer.target.name, e.message)
                return False
            transfer.settle(joined=True)
        if not transfer.leg_over and not transfer.over:
            return True
        # The person left while the callee was being moved: they would wait there alone.
        await transfers.bring_back(transfer, RECONNECT_SECONDS)
        await self._back_within(RECONNECT_SECONDS)
        return False

    async def _cold(self, transfers: Transfers, transfer: Transfer) -> None:
        await self._announce(transfer.target)
        if self._goodbye.begun:
            return
        ringing = transfer.target.ring_seconds + LOST_CALLBACK_SECONDS
        self._line.expect_stream(ringing + RECONNECT_SECONDS)
        try:
            await transfers.dial_on(transfer)
        except CarrierError as e:
            if not await self._done_all_the_same(e):
                logger.error("the call could not be dialled on: {}", e.message)
                await transfers.give_up(transfer)
                await self._not_taken(transfer.target, Verdict.FAILED)
                return
        verdict = await transfer.outcome()
        if verdict is Verdict.ACCEPTED or (verdict is Verdict.UNREPORTED and self._line.away):
            # Where the carrier's word is lost, they are taken to be talking: the ringing is over.
            self._hand_over()
        elif await self._back_within(RECONNECT_SECONDS):
            await self._not_taken(transfer.target, verdict)

    def _hand_over(self) -> None:
        self.handed_over = True
        self._goodbye.end_now(EndedReason.TRANSFERRED)

    async def _not_taken(self, target: TransferTarget, verdict: Verdict) -> None:
        """Back with the callee, or with them all the while: say so and go on."""
        self._transfer = None
        logger.info("the transfer to {} was not taken: {}", target.name, verdict)
        self._stages.note(prompt.transfer_failed(target.name, verdict))
        await self._breath()
        if not self._goodbye.begun:
            scenario = self._plan.scenario
            again = f"{scenario.phrases.disclosure_again} " if scenario.compliance.disclosure else ""
            self._disclosure.begin()
            await self._stages.say(f"{again}{scenario.phrases.transfer_failed}")

    async def _back_within(self, seconds: float) -> bool:
        """Whether the callee is with the agent: on the next stream, or still on the one that was to end."""
        try:
            return await asyncio.wait_for(self._line.next_stream(), seconds)
        except TimeoutError:
            if self._line.away:
                return await self._line.next_stream()  # its own deadline ends this
        logger.warning("the carrier took an order and did not carry it out")
        self._line.expect_no_stream()
        return not self._line.ended

    async def _done_all_the_same(self, error: CarrierError) -> bool:
        """Whether an order that was not answered was carried out: then the stream ends. Else none is expected."""
        if error.status == 0 or error.status >= 500:
            patience = time.monotonic() + UNSURE_SECONDS
            while self._line.crossing and not self._line.away and time.monotonic() < patience:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_SECONDS)
            if self._line.away or not self._line.crossing:
                return True
        self._line.expect_no_stream()
        return False

    async def _announce(self, target: TransferTarget) -> None:
        """The model's own words are announcement enough; else the target's, or the language's."""
        await self._all_said()
        if self._stages.output.last_word_at <= self._stages.user.last_turn_at:
            await self._stages.say(target.announcement or self._plan.scenario.phrases.transferring)
            await self._all_said()

    # -- inside ---------------------------------------------------------------------------------------

    def _refusal(self) -> str | None:
        if self._transfers is None:
            return "this line cannot do that"
        if self._goodbye.begun:
            return "the call is ending"
        if self._task is not None and not self._task.done():
            return "somebody is being called already" if self._transfer else "keys are still being pressed"
        return None

    def _begin(self, way: Coroutine[Any, Any, None], name: str) -> None:
        async def run() -> None:
            try:
                await way
            except Exception as e:
                # A fault here must not leave the callee waiting for ever.
                logger.opt(exception=e).error("the handover broke")
                self._line.expect_no_stream()
                transfer = self._transfer
                if transfer is None or self._transfers is None:
                    await self._keys_refused()
                else:
                    await self._transfers.give_up(transfer)
                    await self._not_taken(transfer.target, Verdict.FAILED)

        self._task = asyncio.create_task(run(), name=name)

    async def _all_said(self) -> None:
        """Until all that is being said, or generated, was heard, or was cut off by the callee."""
        heard = asyncio.Event()

        async def note() -> None:
            heard.set()

        begun = sounded_at = time.monotonic()
        await self._stages.pipeline.queue(AllHeardFrame(note))
        while not heard.is_set() and not self._line.ended:
            try:
                await asyncio.wait_for(heard.wait(), _LOOK_SECONDS)
            except TimeoutError:
                now = time.monotonic()
                if self._line.playing_ms() > 0:
                    sounded_at = now
                cut = self._line.idle and (self._line.cleared_at or 0.0) > begun
                if cut or now - sounded_at > SYNTHESIS_CAP_SECONDS:
                    return

    async def _breath(self) -> None:
        """A gap in the talk, awaited a little: neither is cut off."""
        patience = time.monotonic() + LAST_WORD_SECONDS
        # Looked for ten times a second: a gap of two talkers is no event of either.
        while time.monotonic() < patience and (  # noqa: ASYNC110
            self._callee_speaks() or self._line.playing_ms() > 0
        ):
            await asyncio.sleep(_LOOK_SECONDS)
