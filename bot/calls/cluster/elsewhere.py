"""Calls whose line is in another process: what this process tells and asks the others, and does when told.

Any process may dial, get a webhook or a media socket. The call itself lives where its first media stream was
taken; news of it go there, and so do its later streams. Without other processes all of this says "nobody".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loguru import logger

from bot.calls.active_calls import ActiveCalls
from bot.calls.cluster.relay import Relay, with_token
from bot.calls.ingress import Admitted, Ingress
from bot.conversation.transfers.transfers import Transfers
from bot.records import EndedReason, Status
from bot.store.notify import News
from bot.telephony.socket import Socket

ASK_SECONDS = 1.0
"""For a word that another process has at hand."""
TRANSFER_SECONDS = 13.0
"""A yes waits for the callee's leg up to 10 s; Twilio gives up on a webhook after 15 s."""
_OVER = frozenset(status.value for status in Status if status.final)


@dataclass
class Elsewhere:
    """One process among those that share a database."""

    news: News
    active_calls: ActiveCalls
    transfers: Transfers
    ingress: Ingress
    relay: Relay = field(default_factory=Relay)

    async def open(self) -> None:
        """Hears the others from now on."""
        for kind, handler in (
            ("taken", self._taken),
            ("over", self._over),
            ("amd", self._amd),
            ("hang_up", self._hang_up),
            ("transfer", self._transfer),
        ):
            self.news.on(kind, handler)
        await self.news.open()

    async def close(self) -> None:
        await self.news.close()

    # -- said to others -------------------------------------------------------------------------------

    async def taken(self, call_id: str) -> None:
        """The call is here now: whoever prepared for it lets go."""
        await self.news.tell(call_id, "taken")

    async def over(self, call_id: str, call_sid: str | None) -> None:
        """The carrier says that the call is over."""
        await self.news.tell(call_id, "over", call_sid)

    async def note_amd(self, call_id: str, answered_by: str) -> None:
        """The carrier's machine detection has a word, in Twilio's own."""
        await self.news.tell(call_id, "amd", answered_by)

    async def hang_up(self, call_id: str, reason: EndedReason) -> bool:
        """Whether another process holds the call, and ends it now."""
        return await self.news.ask(call_id, "hang_up", reason.value, timeout_seconds=ASK_SECONDS) is True

    async def transfer(self, token: str, step: str, form: Mapping[str, str], query: Mapping[str, str]) -> str:
        """The TwiML of a transfer's step, here or wherever it is known; none for `status`."""
        if not self.transfers.knows(token):
            data = {"token": token, "step": step, "form": dict(form), "query": dict(query)}
            if step == "status":  # nobody waits for an answer to it
                await self.news.tell("", "transfer", data)
                return ""
            answer = await self.news.ask("", "transfer", data, timeout_seconds=TRANSFER_SECONDS)
            if isinstance(answer, str):
                return answer
        return await self._transfer_here(token, step, form, query)

    async def pass_on(
        self, socket: Socket, admitted: Admitted, path_and_query: str, signature: str | None
    ) -> None:
        """A media socket that was let in here goes to its home, until it is over."""
        assert admitted.home is not None
        token = await self.ingress.onward(admitted.record.call_id)
        start = with_token(admitted.frame, token)
        logger.debug("call {}: its media stream is passed on", admitted.record.call_id)
        await self.relay.pass_on(socket, start, admitted.home.address, path_and_query, signature)

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

    async def _amd(self, call_id: str, answered_by: str) -> None:
        slot = self.active_calls.slot_of(call_id)
        if slot is not None:
            slot.note_amd(answered_by)

    async def _hang_up(self, call_id: str, reason: str) -> bool | None:
        slot = self.active_calls.slot_of(call_id)
        if slot is None or slot.holding is None:
            return None
        await slot.hang_up(EndedReason(reason))
        return True

    async def _transfer(self, _: str, data: dict[str, Any]) -> str | None:
        if not self.transfers.knows(data["token"]):
            return None
        return await self._transfer_here(data["token"], data["step"], data["form"], data["query"])

    async def _transfer_here(
        self, token: str, step: str, form: Mapping[str, str], query: Mapping[str, str]
    ) -> str:
        """TwiML of a transfer's step, or none. NotFoundError for a step there is not."""
        answer = await self.transfers.webhook(token, step, form, query)
        if step == "dialled" and form.get("CallStatus") in _OVER:
            # A callee who hangs up while it rings: a number without a status callback tells it nowhere else.
            for slot in self.active_calls.slots:
                if slot.call is not None and slot.call_sid == form.get("CallSid"):
                    slot.call.carrier_ended()
        return answer
