"""The contract of a carrier: what it can do, what it reports, and what it lets a call do. No carrier's own words.

A carrier is a folder beside this file and a line in `bot.calls.carriers`. Its wire (requests, documents, field
names) stays in its folder: `read` turns a request into an event, `reply` an instruction into an answer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, get_args

from loguru import logger
from pydantic import TypeAdapter

from bot.records import Status
from bot.telephony.media import MediaWire

HANG_UP_SECONDS = 8.0
"""How long a carrier may take to hang up; its own retries go on no longer."""
KEY_SECONDS, WAIT_SECONDS = 0.5, {"w": 0.5, "W": 1.0}
"""At most, that a carrier takes for a key, and that a wait among them is."""
API_PATH = "/api/phone"
"""Below our origin: webhooks are at API_PATH + the carrier's `webhook_prefix` + the webhook's own path."""

# -- what a carrier is asked ------------------------------------------------------------------------------


@dataclass(frozen=True)
class AskedField:
    """Something that a call wants to find out, as a simulated callee knows it."""

    name: str
    type: str
    description: str = ""
    question: str | None = None
    options: tuple[str, ...] = ()
    answer: str | None = None
    """What the callee says to it; None: what is plausible."""


@dataclass(frozen=True)
class CalleeBrief:
    """What a simulated callee knows of the call that reaches it. Real carriers ignore it."""

    language: str = "en"
    fields: tuple[AskedField, ...] = ()
    callee: str | None = None
    """Which of the shipped callees picks up; None: the one of the scenario, or one that follows it."""
    calls_in: bool = False
    """They are the caller: the agent speaks first."""


NO_BRIEF = CalleeBrief()


@dataclass(frozen=True)
class DialOrder:
    """One call to place. Numbers are E.164 and stay out of repr, and so out of log lines."""

    to: str = field(repr=False)
    from_number: str | None = field(repr=False)
    """None: the carrier's own default number."""
    origin: str
    """Our public origin: below it the carrier reports what happens to the call."""
    ring_seconds: int
    time_limit_seconds: int
    """The carrier ends the call after this long, whatever happened to us."""
    scenario: str
    call_id: str
    detect: bool = False
    """Report who answered, while the call goes on."""
    transfer: str | None = None
    """The token of the transfer whose person is called: the leg's events are reported under it."""
    brief: CalleeBrief = NO_BRIEF


@dataclass(frozen=True)
class CarrierCall:
    """A call as its carrier knows it."""

    call_sid: str
    status: Status
    duration_seconds: float | None = None
    """Answer to end; None before the end and for a call never answered."""
    to: str | None = field(default=None, repr=False)
    from_number: str | None = field(default=None, repr=False)
    created_at: datetime | None = None


@dataclass(frozen=True)
class StreamAddress:
    """Where a media stream may open, once: its URL, and the token it has to show."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class ConnectStream:
    """Open the call's media stream. The call ends with the stream."""

    stream: StreamAddress


def seconds_for(keys: str) -> float:
    """How long pressing `keys` (0-9 * #, w for half a second, W for a whole one) takes at most."""
    return sum(WAIT_SECONDS.get(key, KEY_SECONDS) for key in keys)


@dataclass(frozen=True)
class PressKeys:
    """Press keys (as for `seconds_for`), then open the media stream: for the first time, or again."""

    keys: str
    then: StreamAddress


@dataclass(frozen=True)
class RefuseBusy:
    """Refuse a call that comes in, with a busy tone."""


@dataclass(frozen=True)
class AskAgain:
    """Ask us once more: another of our processes may take the call."""


@dataclass(frozen=True)
class EndCall:
    """Hang up."""


@dataclass(frozen=True)
class SayAndEnd:
    """The carrier's own voice reads `text`, then hangs up: for when our voice cannot."""

    text: str
    language: str | None = None


@dataclass(frozen=True)
class DialOn:
    """Let the call itself dial `number`; reported as leg events of `transfer`."""

    number: str = field(repr=False)
    caller_id: str | None = field(repr=False)
    ring_seconds: int
    transfer: str
    origin: str
    keys: str = field(default="", repr=False)
    """Pressed once it is answered, before the two hear each other."""


@dataclass(frozen=True)
class AskPerson:
    """Say `text` and take one key or a few words; both, or neither, are reported as a leg event of `transfer`."""

    text: str
    language: str
    hints: str
    wait_seconds: int
    transfer: str
    origin: str
    round: int = 1
    keys: str = field(default="", repr=False)
    """Pressed before it is asked."""


@dataclass(frozen=True)
class JoinConference:
    """Enter a conference of two that ends for both when one of them leaves."""

    name: str


Instruction = (
    ConnectStream | PressKeys | RefuseBusy | AskAgain | EndCall | SayAndEnd | DialOn | AskPerson | JoinConference
)
"""What a call is to do next."""


def packed(instruction: Instruction) -> dict[str, Any]:
    """An instruction as JSON, for another process."""
    return {"kind": type(instruction).__name__, "fields": asdict(instruction)}


def unpacked(data: Mapping[str, Any]) -> Instruction:
    """What `packed` packed."""
    kinds = {kind.__name__: kind for kind in get_args(Instruction)}
    instruction: Instruction = TypeAdapter(kinds[data["kind"]]).validate_python(data["fields"])
    return instruction


# -- what a carrier reports -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    """A call was answered, or one comes in: what is it to do? The one event that is answered, beside a leg's."""

    call_sid: str
    call_id: str | None
    """As the URL that was reported to says; None for a call that comes in."""
    to: str = field(default="", repr=False)
    from_number: str = field(default="", repr=False)
    tries: int = 1
    """How many of our processes were asked, with this one."""
    caller_identity: Mapping[str, str] = field(default_factory=dict)
    """How the number that calls was attested and shown, in the carrier's own words."""


@dataclass(frozen=True)
class StatusReported:
    """Where a call stands: in any order, more than once, late, or of a call that is not ours."""

    call_sid: str
    call_id: str | None
    status: Status
    duration_seconds: float | None = None
    caller_identity: Mapping[str, str] = field(default_factory=dict)
    """The same, of our number, so far as it is known by then."""


class Detection(StrEnum):
    """Who the carrier thinks has answered."""

    PERSON = "person"
    MACHINE = "machine"
    """Its greeting is still going on."""
    GREETING_OVER = "greeting_over"
    """A machine's, without a beep behind it."""
    BEEP = "beep"
    """A machine's, at the end of its greeting."""
    FAX = "fax"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Detected:
    """The carrier has heard who answered. Late, repeated and of a call that is over: all harmless."""

    call_sid: str
    call_id: str | None
    detection: Detection


class LegStep(StrEnum):
    """What a leg event is about. Part of the URLs that legs are reported to."""

    ANSWERED = "answered"
    """The person picked up: what are they to hear?"""
    REPLY = "reply"
    """What they pressed or said, or neither."""
    DIALLED = "dialled"
    """A `DialOn` is over, answered or not: what is the callee's call to do?"""
    STATUS = "status"
    """Where the person's leg stands."""


@dataclass(frozen=True)
class LegEvent:
    """What happened to a transfer, by its token. All but a status are answered by an instruction."""

    transfer: str
    step: LegStep
    call_sid: str
    """Of the person's leg; of the callee's call where that dialled on."""
    status: Status | None = None
    """Of the person's leg."""
    keys: str = ""
    speech: str = ""
    round: int = 1
    call_over: bool = False
    """The callee has hung up while the person was dialled."""


CarrierEvent = Answered | StatusReported | Detected | LegEvent


# -- requests ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Webhook:
    """A path that a carrier posts to, and how it is documented."""

    path: str
    summary: str
    example: Mapping[str, str]
    """Fields of the request."""
    answer: str | None = None
    """An example of what is answered; None: nothing is."""
    request_type: str = "application/json"
    answer_type: str = "application/json"


@dataclass(frozen=True)
class CarrierRequest:
    """A request of the carrier as it came, not yet known to be the carrier's."""

    target: str
    """Path and query as they came over the wire: carriers sign them."""
    webhook: str = ""
    """Which of the carrier's webhooks: its path below the prefix, decoded. Empty for a media socket."""
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case."""


@dataclass(frozen=True)
class CarrierReply:
    """What a webhook is answered; an empty body is a 204."""

    body: str = ""
    media_type: str = "text/plain"


@dataclass(frozen=True)
class Callbacks:
    """Where a carrier reports about a call that somebody else dials."""

    voice_url: str
    status_url: str


class Carrier(Protocol):
    """Dials and carries lines. What is awaited may raise CarrierError."""

    @property
    def vendor(self) -> str: ...

    @property
    def simulated(self) -> bool:
        """The callees are this process's own: nothing has to reach us from outside."""
        ...

    @property
    def media(self) -> MediaWire:
        """The messages of its media streams."""
        ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def dial(self, order: DialOrder) -> str:
        """Place the call and return its sid.

        CarrierError carries the carrier's own code and message. DialUnconfirmedError: no answer came, the
        call may exist; do not dial again before `recent_calls` or a status has settled it.
        """
        ...

    async def hang_up(self, call_sid: str) -> None:
        """End the call, ringing or answered. A call that is unknown or over counts as done."""
        ...

    async def instruct(
        self, call_sid: str, instruction: Instruction, *, time_limit_seconds: int | None = None
    ) -> None:
        """Let an answered call do something else; its media stream ends first.

        `time_limit_seconds`, counted from the call's beginning, replaces the one it was dialled with.
        """
        ...

    async def fetch(self, call_sid: str) -> CarrierCall | None:
        """The call as it stands, or None if the carrier does not know it."""
        ...

    async def recent_calls(self, to: str, since: datetime) -> Sequence[CarrierCall]:
        """Calls to `to` created at or after `since`, newest first: what an unconfirmed dial left behind."""
        ...

    @property
    def request_seconds(self) -> float:
        """How long a request can be under way whose sender died: only then are `recent_calls` complete."""
        ...

    @property
    def default_from(self) -> str | None:
        """The number that calls where an order names none."""
        ...

    def callbacks(self, origin: str, call_id: str | None = None) -> Callbacks: ...

    def read(self, request: CarrierRequest, origin: str) -> CarrierEvent | None:
        """What a webhook reports; None: nothing that matters. ForbiddenError: not signed by the carrier.

        RequestError: not a request of this carrier's.
        """
        ...

    def reply(self, request: CarrierRequest, instruction: Instruction | None, origin: str) -> CarrierReply: ...

    def admits(self, request: CarrierRequest, origin: str) -> bool:
        """Whether a media socket's handshake may be the carrier's. Its token decides, later."""
        ...

    @property
    def signature_headers(self) -> Sequence[str]:
        """Headers that `admits` looks at, for a socket that is passed on to another process."""
        ...


class EndsCalls(Protocol):
    """The part of a carrier that ends calls."""

    async def hang_up(self, call_sid: str) -> None: ...


async def try_hang_up(carrier: EndsCalls, call_sid: str, within_seconds: float = HANG_UP_SECONDS) -> None:
    """End the call; a carrier that cannot be reached is logged, and the call's own time limit ends it then."""
    try:
        await asyncio.wait_for(carrier.hang_up(call_sid), within_seconds)
    except Exception as e:
        logger.error("call {} could not be hung up at the carrier: {}", call_sid, e or type(e).__name__)


def masked(number: str | None) -> str:
    """A number for a log line: its first two and last two digits."""
    if number is None:
        return "none"
    return f"{number[:3]}…{number[-2:]}" if len(number) > 7 else "…"
