"""The carrier of a process, and lines beside it for browsers and simulated callees.

Whose a call is, its sid says, and before it has one its number, `client:…`. Of a browser nothing is dialled:
it asks for its call and opens the media stream itself. A simulated callee is dialled on the simulated network of
this process, also where the phones are a real carrier's; that network signs its webhooks with a token of its own.
"""

import secrets
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bot.errors import CarrierError
from bot.phone_numbers import is_client
from bot.records import Status
from bot.telephony.browser.words import WordsListener, WordsSocket
from bot.telephony.carrier import (
    Callbacks,
    CalleeBrief,
    Carrier,
    CarrierCall,
    CarrierEvent,
    CarrierReply,
    CarrierRequest,
    DialOrder,
    Instruction,
)
from bot.telephony.media import MediaStream, MediaWire, Socket

SID = "BR"
"""How the sid of a browser's call begins."""
_HUNG_UP = 1000


class Callees(Carrier, Protocol):
    """The simulated carrier."""

    def knows(self, call_sid: str) -> bool: ...

    async def call_in(
        self,
        *,
        origin: str,
        to: str,
        from_number: str,
        scenario: str,
        brief: CalleeBrief,
        call_id: str | None = None,
    ) -> str: ...

    def signed(self, request: CarrierRequest, origin: str) -> bool:
        """Whether the request, a webhook or a media socket, is this network's own."""
        ...


class WithClients:
    """A Carrier. `callees` may be the same as `phones`."""

    def __init__(self, phones: Carrier, callees: Callees, listener: WordsListener) -> None:
        self._phones, self._callees, self._listener = phones, callees, listener
        self._browsers: dict[str, Socket] = {}
        """By call sid: those whose media stream is open here."""
        self._watched: deque[str] = deque(maxlen=1000)
        """Ids of the calls whose callee is simulated, whatever the phones are."""
        self.vendor, self.simulated = phones.vendor, phones.simulated
        self.media: MediaWire = phones.media
        self.signature_headers = phones.signature_headers

    @property
    def request_seconds(self) -> float:
        return self._phones.request_seconds

    @property
    def default_from(self) -> str | None:
        return self._phones.default_from

    async def open(self) -> None:
        await self._phones.open()
        if self._callees is not self._phones:
            await self._callees.open()

    async def close(self) -> None:
        try:
            if self._callees is not self._phones:
                await self._callees.close()
        finally:
            await self._phones.close()

    @property
    def callees(self) -> Callees:
        return self._callees

    def new_sid(self) -> str:
        """Of a browser's call; as Twilio's, two letters and 32 hex digits."""
        return SID + secrets.token_hex(16)

    def taken(self, stream: MediaStream) -> MediaStream:
        """A browser's media stream that was let in: words are taken out of it, and it can be hung up."""
        sid = stream.call_sid
        socket = WordsSocket(stream.socket, sid, self._listener, lambda: self._left(sid))
        self._browsers[sid] = socket
        return MediaStream(socket, stream.wire, stream.id, sid)

    def _left(self, call_sid: str) -> None:
        self._browsers.pop(call_sid, None)

    # -- what a carrier is asked ----------------------------------------------------------------------

    async def dial(self, order: DialOrder) -> str:
        if not is_client(order.to) and order.call_id not in self._watched:
            return await self._phones.dial(order)
        self._watched.append(order.call_id)  # also whom such a call is put through to is simulated
        return await self._callees.dial(order)

    async def hang_up(self, call_sid: str) -> None:
        if call_sid.startswith(SID):
            socket = self._browsers.get(call_sid)
            if socket is not None:
                await socket.close(_HUNG_UP, "hung up")
        else:
            await self._of(call_sid).hang_up(call_sid)

    async def instruct(
        self, call_sid: str, instruction: Instruction, *, time_limit_seconds: int | None = None
    ) -> None:
        if call_sid.startswith(SID):
            message = "A browser's call cannot be put through, nor keys be pressed in it."
            raise CarrierError(message, provider="browser", status=400)
        await self._of(call_sid).instruct(call_sid, instruction, time_limit_seconds=time_limit_seconds)

    async def fetch(self, call_sid: str) -> CarrierCall | None:
        if not call_sid.startswith(SID):
            return await self._of(call_sid).fetch(call_sid)
        return CarrierCall(call_sid, Status.IN_PROGRESS) if call_sid in self._browsers else None

    async def recent_calls(self, to: str, since: datetime) -> Sequence[CarrierCall]:
        return await (self._callees if is_client(to) else self._phones).recent_calls(to, since)

    def _of(self, call_sid: str) -> Carrier:
        return self._callees if self._callees.knows(call_sid) else self._phones

    # -- what it sends --------------------------------------------------------------------------------

    def callbacks(self, origin: str, call_id: str | None = None) -> Callbacks:
        return self._phones.callbacks(origin, call_id)

    def read(self, request: CarrierRequest, origin: str) -> CarrierEvent | None:
        return self._from(request, origin).read(request, origin)

    def reply(self, request: CarrierRequest, instruction: Instruction | None, origin: str) -> CarrierReply:
        return self._from(request, origin).reply(request, instruction, origin)

    def admits(self, request: CarrierRequest, origin: str) -> bool:
        return self._phones.admits(request, origin) or self._callees.signed(request, origin)

    def _from(self, request: CarrierRequest, origin: str) -> Carrier:
        return self._callees if self._callees.signed(request, origin) else self._phones
