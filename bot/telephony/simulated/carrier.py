"""The simulated carrier: the contract of a carrier, with no account.

It speaks Twilio's own protocols to our server: signed webhooks, media sockets, status callbacks. The auth token
is drawn per process, so no other signature holds.
"""

import itertools
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime

from loguru import logger

from bot.errors import CarrierError
from bot.phone_numbers import is_client, is_possible
from bot.telephony.carrier import (
    NO_BRIEF,
    CalleeBrief,
    CarrierCall,
    CarrierRequest,
    DialOrder,
    Instruction,
    masked,
)
from bot.telephony.simulated.callee import NoListener, ScriptListener, Voice
from bot.telephony.simulated.network import Leg, LinesBusyError, SimulatedCall, SimulatedNetwork, new_sid
from bot.telephony.simulated.script import (
    ALL,
    TRANSFER_TARGET,
    VARIED,
    Conversation,
    callee_named,
    conversation_for,
    shipped_conversations,
)
from bot.telephony.simulated.signed_client import SignedClient
from bot.telephony.twilio import paths, twiml
from bot.telephony.twilio.webhooks import TwilioWebhooks

DEFAULT_FROM = "+15005550006"
"""Twilio's own magic number for a From that is always valid."""


class SimulatedCarrier(TwilioWebhooks):
    """Dials simulated callees. `local_origin`: where this server listens if its public URL is elsewhere."""

    vendor = "simulated"
    simulated = True
    request_seconds = 0.0
    default_from = DEFAULT_FROM

    def __init__(
        self,
        *,
        voice: Voice,
        listener: ScriptListener | None = None,
        max_lines: int = 20,
        local_origin: str | None = None,
        conversations: Callable[[str], Conversation] = conversation_for,
        agent_words: Callable[[str], str] = lambda _call_sid: "",
    ) -> None:
        """`conversations` gives the callee for a scenario's name; `agent_words`: what was heard of the agent."""
        super().__init__(secrets.token_hex(16))
        self._conversations = conversations
        self._lines: Sequence[str] = ()
        self._varied = itertools.cycle(VARIED)
        self._network = SimulatedNetwork(
            account_sid=new_sid("AC"),
            client=SignedClient(auth_token=self.auth_token, local_origin=local_origin),
            voice=voice,
            listener=listener or NoListener(),
            max_lines=max_lines,
            dialled=lambda _number: self._conversations(TRANSFER_TARGET),
            agent_words=agent_words,
        )

    @property
    def callees(self) -> Sequence[str]:
        """Who may pick up, by name."""
        return (*shipped_conversations(), ALL)

    @property
    def lines_taken(self) -> int:
        return self._network.lines_taken

    async def open(self) -> None:
        await self._network.open()

    async def close(self) -> None:
        await self._network.close()

    async def dial(self, order: DialOrder) -> str:
        refusal = None if is_client(order.to) else number_refusal(order.to, "To", 21211)
        refusal = refusal or number_refusal(order.from_number or DEFAULT_FROM, "From", 21212)
        if refusal is not None:
            raise refusal
        call_sid = self._place(
            Leg(
                to=order.to,
                from_number=order.from_number or DEFAULT_FROM,
                voice_url=paths.voice_url(order),
                status_url=paths.status_url(order),
                conversation=self._conversations(TRANSFER_TARGET)
                if order.transfer
                else self._callee(order.scenario, order.brief),
                ring_seconds=order.ring_seconds,
                time_limit_seconds=order.time_limit_seconds,
            )
        )
        logger.info("the simulated carrier dials {} as {}", masked(order.to), call_sid)
        return call_sid

    def knows(self, call_sid: str) -> bool:
        """Whether it is a call of this network."""
        return self._network.get(call_sid) is not None

    def answer_with(self, name: str | None, lines: Sequence[str] = ()) -> None:
        """From now on every callee holds the shipped conversation `name`, and says `lines` of one's own.

        RequestError says which there are; None leaves each call its own.
        """
        self._lines = lines
        if name is None:
            return
        if name != ALL:
            callee_named(name)
        self._conversations = lambda scenario: callee_named(
            TRANSFER_TARGET if scenario == TRANSFER_TARGET else next(self._varied) if name == ALL else name
        )

    def answer_as(self, callee: Conversation) -> None:
        """From now on every callee is this one."""
        self._lines = ()
        self._conversations = lambda scenario: (
            callee_named(TRANSFER_TARGET) if scenario == TRANSFER_TARGET else callee
        )

    def _callee(self, scenario: str, brief: CalleeBrief) -> Conversation:
        if brief.callee is None:
            found = self._conversations(scenario)
        else:
            found = callee_named(next(self._varied) if brief.callee == ALL else brief.callee)
        return found.told(brief, self._lines)

    async def call_in(
        self,
        *,
        origin: str,
        to: str,
        from_number: str,
        scenario: str,
        brief: CalleeBrief = NO_BRIEF,
        call_id: str | None = None,
    ) -> str:
        """A simulated caller calls us, whose server is at `origin`: an inbound call, its sid.

        `call_id`: of a call that is known already.
        """
        where = self.callbacks(origin, call_id)
        return self._place(
            Leg(
                to=to,
                from_number=from_number,
                voice_url=where.voice_url,
                status_url=where.status_url,
                conversation=self._callee(scenario, brief),
                direction="inbound",
            )
        )

    async def hang_up(self, call_sid: str) -> None:
        self._network.hang_up(call_sid)

    async def instruct(
        self, call_sid: str, instruction: Instruction, *, time_limit_seconds: int | None = None
    ) -> None:
        if time_limit_seconds is not None:
            self._network.limit(call_sid, time_limit_seconds)
        if not self._network.instruct(call_sid, twiml.render(instruction)):
            raise CarrierError(
                "Call is not in-progress. Cannot redirect.",
                provider=self.vendor,
                status=400,
                carrier_code=21220,
            )

    async def fetch(self, call_sid: str) -> CarrierCall | None:
        call = self._network.get(call_sid)
        return None if call is None else _carrier_call(call)

    async def recent_calls(self, to: str, since: datetime) -> Sequence[CarrierCall]:
        return [
            _carrier_call(call) for call in self._network.calls if call.leg.to == to and call.created_at >= since
        ]

    def admits(self, request: CarrierRequest, origin: str) -> bool:
        return True  # nothing comes from outside; the token decides

    def _place(self, leg: Leg) -> str:
        try:
            return self._network.place(leg).call_sid
        except LinesBusyError as error:
            raise CarrierError(
                f"Call concurrency limit exceeded: {error}",
                provider=self.vendor,
                status=429,
                carrier_code=10004,
                retryable=True,
            ) from error


def number_refusal(number: str, name: str, code: int) -> CarrierError | None:
    """Twilio's refusal of a To or From that cannot be a number; None for one that can.

    Possible, not assigned: numbers reserved for fiction are fine on a line that rings no phone.
    """
    if is_possible(number):
        return None
    return CarrierError(
        f"The '{name}' number {number} is not a valid phone number.",
        provider=SimulatedCarrier.vendor,
        status=400,
        carrier_code=code,
    )


def _carrier_call(call: SimulatedCall) -> CarrierCall:
    return CarrierCall(
        call_sid=call.call_sid,
        status=call.status,
        duration_seconds=call.duration_seconds,
        to=call.leg.to,
        from_number=call.leg.from_number,
        created_at=call.created_at,
    )
