"""Calls whose line is in another process: what this process reports to and asks the others, and does for them.

Any process may dial, get a webhook or a media socket. The call itself lives where its first media stream was
taken; news of it go there, and so do its later streams. Without other processes all of this does nothing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from loguru import logger
from pydantic import TypeAdapter

from bot.calls.active_calls import ActiveCalls
from bot.calls.cluster.relay import Relay
from bot.calls.ingress import Admitted, Ingress
from bot.conversation.transfers.transfers import Transfers
from bot.records import EndedReason
from bot.settings import with_scheme
from bot.store.notify import News
from bot.telephony.carrier import CarrierRequest, Detection, Instruction, LegEvent, LegStep, packed, unpacked

ASK_SECONDS = 1.0
"""For a word that another process has at hand."""
TRANSFER_SECONDS = 13.0
"""A yes waits for the callee's leg up to 10 s; Twilio gives up on a webhook after 15 s."""
BROWSER_HEADERS = ("cookie", "authorization", "x-api-key")
"""By which a browser's media socket is let in."""
_LEG_EVENT = TypeAdapter(LegEvent)


async def _alone() -> bool:
    return False


@dataclass
class OtherProcesses:
    """One process among those that share a database. `exist`: whether there are others behind our address."""

    news: News
    active_calls: ActiveCalls
    transfers: Transfers
    ingress: Ingress
    exist: Callable[[], Awaitable[bool]] = _alone
    relay: Relay = field(default_factory=Relay)

    async def open(self) -> None:
        """Hears the others from now on."""
        for kind, handler in (
            ("taken", self._taken),
            ("over", self._over),
            ("detected", self._detected),
            ("hang_up", self._hang_up),
            ("transfer", self._transfer),
        ):
            self.news.on(kind, handler)
        await self.news.open()

    async def close(self) -> None:
        await self.news.close()

    # -- said to others -------------------------------------------------------------------------------

    async def taken(self, call_id: str) -> None:
        """The call is here now: the process that prepared for it lets go."""
        await self.news.send(call_id, "taken")

    async def over(self, call_id: str, call_sid: str | None) -> None:
        """The carrier says that the call is over."""
        await self.news.send(call_id, "over", call_sid)

    async def detected(self, call_id: str, detection: Detection) -> None:
        """The carrier has heard who answered."""
        await self.news.send(call_id, "detected", detection.value)

    async def hang_up(self, call_id: str, reason: EndedReason) -> bool:
        """Whether another process holds the call, and ends it now."""
        return await self.news.ask(call_id, "hang_up", reason.value, timeout_seconds=ASK_SECONDS) is True

    async def transfer(self, event: LegEvent) -> Instruction | None:
        """What a transfer's leg is to do, by the process that knows it; nothing for a status."""
        if not self.transfers.knows(event.transfer):
            data = asdict(event)
            if event.step is LegStep.STATUS:  # an answer to it is not waited for
                await self.news.send("", "transfer", data)
                return None
            answer = await self.news.ask("", "transfer", data, timeout_seconds=TRANSFER_SECONDS)
            if answer is not None:
                return unpacked(answer)
        return await self._transfer_here(event)

    async def pass_on(self, admitted: Admitted, request: CarrierRequest) -> None:
        """A media socket that was let in here goes to its home, until it is over."""
        assert admitted.home is not None
        stream, carrier = admitted.stream, self.ingress.carrier
        token = await self.ingress.onward(admitted)
        logger.debug("call {}: its media stream is passed on", admitted.record.call_id)
        kept = carrier.signature_headers if admitted.bound is None else BROWSER_HEADERS
        signed = {name: request.headers[name] for name in kept if name in request.headers}
        url = f"{with_scheme(admitted.home.address, websocket=True)}{request.target}"
        await self.relay.pass_on(stream.socket, stream.wire.with_token(admitted.frame, token), url, signed)

    # -- said by others -------------------------------------------------------------------------------

    async def _taken(self, call_id: str, _: Any) -> None:
        slot = self.active_calls.slot_of(call_id)
        if slot is not None and slot.holding is None:
            await self.active_calls.release(call_id)

    async def _over(self, call_id: str, call_sid: str | None) -> None:
        if call_sid is not None:
            await self.transfers.call_over(call_sid)
        slot = self.active_calls.slot_of(call_id)
        if slot is None:
            return
        if slot.holding is None:
            await self.active_calls.release(call_id)
        elif slot.call is not None:
            slot.call.carrier_ended()

    async def _detected(self, call_id: str, detection: str) -> None:
        slot = self.active_calls.slot_of(call_id)
        if slot is not None:
            slot.plan.detections.report(Detection(detection))

    async def _hang_up(self, call_id: str, reason: str) -> bool | None:
        slot = self.active_calls.slot_of(call_id)
        if slot is None or slot.holding is None:
            return None
        await slot.hang_up(EndedReason(reason))
        return True

    async def _transfer(self, _: str, data: dict[str, Any]) -> dict[str, Any] | None:
        event = _LEG_EVENT.validate_python(data)
        if not self.transfers.knows(event.transfer):
            return None
        instruction = await self._transfer_here(event)
        return None if instruction is None else packed(instruction)

    async def _transfer_here(self, event: LegEvent) -> Instruction | None:
        instruction = await self.transfers.leg_event(event)
        if event.call_over:
            # A callee who hangs up while it rings: no other event says so.
            for slot in self.active_calls.slots:
                if slot.call is not None and slot.call_sid == event.call_sid:
                    slot.call.carrier_ended()
        return instruction
