"""Transfers of calls to people: from the wish to the join, and the events of the person's leg in between.

cold: the callee's call dials on (`DialOn`); the dialled leg's status tells whether somebody answered, and the
event at its end brings a callee whose call was not taken back to the agent's stream.
warm: the person is called on a leg of their own and asked (`AskPerson`); only a yes moves the callee's leg (by an
instruction) and then theirs (by the answer to the yes) into one conference.

A mailbox says no key, so it never gets a call. Moving the callee first was chosen over moving the person
first: it fails where the callee has just hung up, and then the person can still hear so. What is undecided
lives in this process, as the call itself does.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from loguru import logger

from bot.conversation.tools.transfer_call import TransferTarget
from bot.errors import DialUnconfirmedError
from bot.languages import ColleagueWords, asking
from bot.records import Status
from bot.telephony.carrier import (
    AskPerson,
    Carrier,
    ConnectStream,
    DialOn,
    DialOrder,
    EndCall,
    Instruction,
    JoinConference,
    LegEvent,
    LegStep,
    PressKeys,
    SayAndEnd,
    StreamAddress,
    seconds_for,
    try_hang_up,
)

LOST_CALLBACK_SECONDS = 10.0
"""Beyond its ringing, a leg without any word of the carrier is given up."""
ASK_SECONDS = 75.0
"""For two rounds of asking: a summary takes half a minute at most."""
ANSWER_SECONDS = 5
"""How long the carrier waits for a key or a word after its question."""
ROUNDS = 2
JOIN_SECONDS = 10.0
"""A yes waits for the callee's leg so long; Twilio gives up on a webhook after 15 s."""
TALK_SECONDS = 14_400
"""Twilio's longest call: what two people talk about is theirs."""
SUMMARY_CHARACTERS = 400
KEPT_SECONDS = 600.0
"""How long an attempt that came to nothing is remembered."""


class Verdict(StrEnum):
    """How the attempt to reach the person ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NO_REPLY = "no_reply"
    """They picked up, or a mailbox did, without a yes."""
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    FAILED = "failed"
    UNREPORTED = "unreported"
    """The carrier never said."""


_OF_STATUS = {
    Status.BUSY: Verdict.BUSY,
    Status.NO_ANSWER: Verdict.NO_ANSWER,
    Status.FAILED: Verdict.FAILED,
    Status.CANCELED: Verdict.NO_ANSWER,
}


class StreamAddresses(Protocol):
    """Where the carrier reaches us."""

    async def origin(self) -> str:
        """Our public origin."""
        ...

    async def stream(self, call_id: str, seconds: float) -> StreamAddress:
        """A media stream of the call may open here, once, within `seconds`."""
        ...


@dataclass(frozen=True)
class Caller:
    """The call that is put through. `from_number` is ours."""

    call_id: str
    call_sid: str
    scenario: str
    language: str
    from_number: str | None = field(repr=False)


class Transfer:
    """One attempt. What happens to it comes in by methods; `outcome` is awaited by the call."""

    def __init__(self, caller: Caller, target: TransferTarget, summary: str) -> None:
        self.caller, self.target = caller, target
        # What is no character of XML would cost the person the whole question.
        self.summary = "".join(c if c.isprintable() else " " for c in summary)[:SUMMARY_CHARACTERS]
        self.token = secrets.token_urlsafe(24)
        self.leg_sid: str | None = None
        """The person's leg; None in a cold transfer."""
        self.leg_over = False
        self.verdict: Verdict | None = None
        self.over = False
        """Nothing can come of it any more."""
        self._answered = False
        self.rang_at = time.monotonic()
        self._deadline = 0.0
        self.rings()
        self._changed = asyncio.Event()
        self._joined = asyncio.Event()
        self.joined = False
        """The callee's leg is where the person's is to go."""

    @property
    def conference(self) -> str:
        """Its name; only this transfer knows it."""
        return f"transfer-{self.token}"

    def rings(self) -> None:
        """The carrier is being asked now: the ringing counts from here."""
        self.rang_at = time.monotonic()
        self._deadline = self.rang_at + self.target.ring_seconds + LOST_CALLBACK_SECONDS

    async def outcome(self) -> Verdict:
        """Wait for the verdict; a carrier that never reports gives one too."""
        while self.verdict is None:
            self._changed.clear()
            wait = self._deadline - time.monotonic()
            if wait <= 0:
                self.decide(Verdict.NO_REPLY if self._answered else Verdict.UNREPORTED)
                break
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue
        assert self.verdict is not None
        return self.verdict

    def decide(self, verdict: Verdict) -> None:
        """The first verdict stands."""
        self.verdict = self.verdict or verdict
        self._changed.set()

    def settle(self, *, joined: bool) -> None:
        """The callee's leg was moved, or never will be."""
        self.joined = joined
        self.over = self.over or not joined
        self._joined.set()

    async def settled(self) -> bool:
        """Whether the callee's leg was moved. Waits for the word a moment; what comes later is too late."""
        try:
            await asyncio.wait_for(self._joined.wait(), JOIN_SECONDS)
        except TimeoutError:
            self.over = True
            return False
        return self.joined

    # -- what the person's leg reports ----------------------------------------------------------------

    def leg_answered(self) -> None:
        if not self._answered:
            self._answered = True
            self._deadline = time.monotonic() + seconds_for(self.target.extension or "") + ASK_SECONDS
            self._changed.set()

    def leg_ended(self, status: Status) -> None:
        """The leg is over; before a yes that is a no."""
        self.leg_over = True
        self.decide(_OF_STATUS.get(status, Verdict.REFUSED if self._answered else Verdict.NO_ANSWER))

    def leg_said(self, words: ColleagueWords, digits: str, speech: str, *, last_round: bool) -> None:
        """A key or some words, or neither. Undecided after it means: ask again."""
        if digits:
            self.decide(Verdict.ACCEPTED if digits[0] == self.target.accept_key else Verdict.REFUSED)
            return
        said_yes = words.said_yes(speech) if speech else None
        if said_yes is not None:
            self.decide(Verdict.ACCEPTED if said_yes else Verdict.REFUSED)
        elif last_round:
            self.decide(Verdict.NO_REPLY)


class Transfers:
    """All transfers of one process, and the orders they give the carrier."""

    def __init__(self, carrier: Carrier, ingress: StreamAddresses) -> None:
        self._carrier = carrier
        self._ingress = ingress
        self._by_token: dict[str, Transfer] = {}

    # -- asked by calls -------------------------------------------------------------------------------

    async def press(self, caller: Caller, digits: str, seconds: float) -> None:
        """Press keys on the call and bring it back to its stream within `seconds`. CarrierError."""
        back = await self._ingress.stream(caller.call_id, seconds)
        await self._carrier.instruct(caller.call_sid, PressKeys(digits, back))

    async def ring(self, transfer: Transfer) -> None:
        """Call the person. CarrierError: no phone rings. DialUnconfirmedError: one may ring."""
        self._keep(transfer)
        try:
            transfer.leg_sid = await self._carrier.dial(
                DialOrder(
                    to=transfer.target.number,
                    from_number=transfer.caller.from_number,
                    origin=await self._ingress.origin(),
                    ring_seconds=transfer.target.ring_seconds,
                    time_limit_seconds=TALK_SECONDS,
                    scenario=transfer.caller.scenario,
                    call_id=transfer.caller.call_id,
                    transfer=transfer.token,
                )
            )
        except DialUnconfirmedError:
            raise  # it may ring: its events will come
        except BaseException:
            self._forget(transfer)
            raise

    async def dial_on(self, transfer: Transfer) -> None:
        """Let the callee's call dial the person. CarrierError: refused, or not answered."""
        self._keep(transfer)
        order = DialOn(
            transfer.target.number,
            caller_id=transfer.caller.from_number or self._carrier.default_from,
            ring_seconds=transfer.target.ring_seconds,
            transfer=transfer.token,
            origin=await self._ingress.origin(),
            keys=transfer.target.extension or "",
        )
        await self._carrier.instruct(transfer.caller.call_sid, order, time_limit_seconds=TALK_SECONDS)

    async def join(self, transfer: Transfer) -> None:
        """Move the callee's leg to where the person's is to go. CarrierError: it still has its stream."""
        order = JoinConference(transfer.conference)
        await self._carrier.instruct(transfer.caller.call_sid, order, time_limit_seconds=TALK_SECONDS)
        transfer.settle(joined=True)

    async def bring_back(self, transfer: Transfer, seconds: float) -> None:
        """Back to the agent's stream from an empty conference. CarrierError."""
        transfer.settle(joined=False)
        back = await self._ingress.stream(transfer.caller.call_id, seconds)
        await self._carrier.instruct(transfer.caller.call_sid, ConnectStream(back))

    async def give_up(self, transfer: Transfer) -> None:
        """The transfer is over: the person's leg ends, ringing or not. Harmless after a join."""
        if transfer.joined:
            return
        transfer.decide(Verdict.NO_ANSWER)
        transfer.settle(joined=False)
        await self._end_leg(transfer)

    # -- reported by the carrier ----------------------------------------------------------------------

    def knows(self, token: str) -> bool:
        """Whether the transfer is one of this process."""
        return token in self._by_token

    async def leg_event(self, event: LegEvent) -> Instruction | None:
        """What the leg is to do; nothing for a status. The leg of an unknown transfer is hung up."""
        transfer = self._by_token.get(event.transfer)
        if transfer is None:
            logger.warning("an event of an unknown transfer: {}", event.step)
            return None if event.step is LegStep.STATUS else EndCall()
        if transfer.target.mode == "warm":
            transfer.leg_sid = transfer.leg_sid or event.call_sid or None
        match event.step:
            case LegStep.ANSWERED:
                return await self._answered(transfer)
            case LegStep.REPLY:
                return await self._replied(transfer, event)
            case LegStep.DIALLED:
                return await self._dialled(transfer, event)
            case LegStep.STATUS:
                await self._status(transfer, event.status)
        return None

    async def call_over(self, call_sid: str) -> None:
        """The callee's call is over: so is the leg of the person who talked to them."""
        for transfer in [t for t in self._by_token.values() if t.caller.call_sid == call_sid and t.joined]:
            await self._end_leg(transfer)
            self._forget(transfer)

    async def _answered(self, transfer: Transfer) -> Instruction:
        transfer.leg_answered()
        if transfer.over or transfer.verdict is not None:
            return EndCall()
        words = asking(transfer.caller.language)
        return await self._ask(transfer, words, words.asked(transfer.summary, transfer.target.accept_key), 1)

    async def _ask(self, transfer: Transfer, words: ColleagueWords, text: str, round_: int) -> Instruction:
        return AskPerson(
            text,
            language=words.tag,
            hints=words.hints,
            wait_seconds=ANSWER_SECONDS,
            transfer=transfer.token,
            origin=await self._ingress.origin(),
            round=round_,
            keys=(transfer.target.extension or "") if round_ == 1 else "",
        )

    async def _replied(self, transfer: Transfer, event: LegEvent) -> Instruction:
        words = asking(transfer.caller.language)
        if not transfer.over:
            transfer.leg_said(words, event.keys, event.speech, last_round=event.round >= ROUNDS)
        if transfer.verdict is None:
            text = words.asked_again(transfer.target.accept_key)
            return await self._ask(transfer, words, text, event.round + 1)
        if transfer.verdict is not Verdict.ACCEPTED and not transfer.over:
            return EndCall()
        if await transfer.settled():
            return JoinConference(transfer.conference)
        return SayAndEnd(words.caller_gone, words.tag)

    async def _dialled(self, transfer: Transfer, event: LegEvent) -> Instruction:
        """The end of a `DialOn`: the two have talked, or the person did not answer."""
        talked = event.status is Status.COMPLETED
        if not talked and event.call_over:
            transfer.decide(Verdict.NO_ANSWER)  # the callee hung up while it rang
            self._forget(transfer)
            return EndCall()
        if talked or transfer.over or transfer.verdict is Verdict.ACCEPTED:
            transfer.decide(Verdict.ACCEPTED)
            self._forget(transfer)
            return EndCall()
        back = await self._ingress.stream(transfer.caller.call_id, LOST_CALLBACK_SECONDS)
        transfer.decide(Verdict.FAILED if event.status is None else _OF_STATUS.get(event.status, Verdict.FAILED))
        self._forget(transfer)
        return ConnectStream(back)

    async def _status(self, transfer: Transfer, status: Status | None) -> None:
        if status is None:
            return
        if transfer.target.mode == "cold":
            # How a leg ended that was not answered is reported as DIALLED, which brings the callee back.
            if status is Status.IN_PROGRESS:
                transfer.decide(Verdict.ACCEPTED)
            return
        if not status.final:
            return
        transfer.leg_ended(status)
        if transfer.joined:
            # The conference ends with it; a callee who had not got there yet must not wait in it.
            self._forget(transfer)
            await try_hang_up(self._carrier, transfer.caller.call_sid)

    async def _end_leg(self, transfer: Transfer) -> None:
        if transfer.leg_sid is not None and not transfer.leg_over:
            await try_hang_up(self._carrier, transfer.leg_sid)

    def _keep(self, transfer: Transfer) -> None:
        """Until no event can name it: events come behind the end of what they are about."""
        now = time.monotonic()
        for token, old in list(self._by_token.items()):
            if old.rang_at + (TALK_SECONDS if old.joined else KEPT_SECONDS) < now:
                del self._by_token[token]
        self._by_token[transfer.token] = transfer
        transfer.rings()

    def _forget(self, transfer: Transfer) -> None:
        self._by_token.pop(transfer.token, None)
