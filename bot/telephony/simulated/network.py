"""The simulated telephone network: each call's life, from ringing to its last status callback.

The simulated carrier and the Twilio simulator of the tests both place calls on it. A call is one task, the owner
of its stream and of its callbacks' order; a hang-up, the time limit and new TwiML reach it as facts it looks
at, so there is one place where a call ends.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

import aiohttp
from loguru import logger

from bot.records import Status
from bot.telephony.simulated import twiml_reader as verbs
from bot.telephony.simulated.callee import Callee, ScriptListener, SpokenLine, SpokenLines, Voice
from bot.telephony.simulated.off_stream import Conference, Gathered, gather
from bot.telephony.simulated.script import Conversation
from bot.telephony.simulated.signed_client import SignedClient
from bot.telephony.simulated.stream import SimulatedStream, StreamEnd, StreamIds

API_VERSION = "2010-04-01"
ALL_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
_EVENT_OF = {Status.INITIATED: "initiated", Status.RINGING: "ringing", Status.IN_PROGRESS: "answered"}
_STREAM_END_SECONDS = 3.0
"""A stream asked to stop is cut off after this."""
_FAREWELL_SECONDS = 1.0
"""For the last callbacks when the network closes."""
_KEPT_CALLS = 1000


class LinesBusyError(Exception):
    """Every line is taken."""


@dataclass(frozen=True)
class Leg:
    """A call to carry. `direction` is Twilio's word: outbound-api or inbound."""

    to: str = field(repr=False)
    from_number: str = field(repr=False)
    voice_url: str
    status_url: str | None
    conversation: Conversation = field(repr=False)
    ring_seconds: float = 60.0
    time_limit_seconds: float = 14_400.0
    direction: str = "outbound-api"
    events: frozenset[str] = ALL_EVENTS
    """Which of initiated, ringing, answered, completed are called back."""
    parent_sid: str | None = None
    """The call whose <Dial> made this one."""
    conference: Conference | None = field(default=None, repr=False)
    """Where the two talk then; instead of a voice webhook."""
    keys: verbs.TimedVerb | None = None
    """Pressed before they do."""


@dataclass
class SimulatedCall:
    """A call on the network; only its own task changes it."""

    call_sid: str
    account_sid: str
    leg: Leg
    created_at: datetime
    status: Status = Status.QUEUED
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None
    callee: Callee | None = field(default=None, repr=False)
    refused_messages: int = 0
    """Messages of our server that Twilio would not have understood."""
    stream: SimulatedStream | None = field(default=None, repr=False)
    next_twiml: str | None = None
    hung_up: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    stirred: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set when the verb in progress must end: a hang-up, or new TwiML."""
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    callbacks: asyncio.Queue[Mapping[str, str] | None] = field(default_factory=asyncio.Queue, repr=False)
    """Forms for the status webhook, in order; None after the last."""
    sequence: int = 0
    limit: asyncio.TimerHandle | None = field(default=None, repr=False)

    def stir(self) -> None:
        self.stirred.set()
        if self.stream is not None:
            self.stream.stop()

    def advance(self, status: Status, now: datetime) -> None:
        """Take the next status and queue its callback."""
        self.status = status
        if status is Status.IN_PROGRESS:
            self.answered_at = now
        if status.final:
            self.ended_at = now
            self.ended.set()
            if self.answered_at is not None:
                self.duration_seconds = (now - self.answered_at).total_seconds()
        if self.leg.status_url is None or _EVENT_OF.get(status, "completed") not in self.leg.events:
            return
        form = {
            **webhook_fields(self),
            "Timestamp": format_datetime(now),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self.sequence),
        }
        if status.final:
            seconds = round(self.duration_seconds or 0)
            form["CallDuration"] = str(seconds)
            # Twilio bills by started minutes.
            form["Duration"] = str(-(-seconds // 60))
        self.sequence += 1
        self.callbacks.put_nowait(form)


def webhook_fields(call: SimulatedCall) -> dict[str, str]:
    """What every webhook of a call carries; geographic fields, which Twilio may add, are left out."""
    leg = call.leg
    parent = {} if leg.parent_sid is None else {"ParentCallSid": leg.parent_sid}
    return {
        **parent,
        "CallSid": call.call_sid,
        "AccountSid": call.account_sid,
        "ApiVersion": API_VERSION,
        "CallStatus": call.status.value,
        "Direction": leg.direction,
        "From": leg.from_number,
        "To": leg.to,
        "Caller": leg.from_number,
        "Called": leg.to,
    }


def new_sid(prefix: str) -> str:
    """A sid as Twilio's: two letters and 32 hex digits."""
    return prefix + secrets.token_hex(16)


@dataclass(frozen=True)
class _Carried:
    """How a verb ended: `left`, the callee has hung up; `then`, what replaces the verbs that would follow."""

    left: bool = False
    then: tuple[verbs.Verb, ...] | None = None


class SimulatedNetwork:
    """Carries simulated calls. `open` before use; `close` ends every call and leaves no task behind."""

    def __init__(
        self,
        *,
        account_sid: str,
        client: SignedClient,
        voice: Voice,
        listener: ScriptListener,
        max_lines: int,
        dialled: Callable[[str], Conversation],
        agent_words: Callable[[str], str] = lambda _call_sid: "",
    ) -> None:
        """`dialled` gives the callee for a number that TwiML dials."""
        self.account_sid = account_sid
        self._client = client
        self._lines = SpokenLines(voice)
        self._listener = listener
        self._max_lines = max_lines
        self._dialled = dialled
        self._agent_words = agent_words
        self._conferences: dict[str, Conference] = {}
        """Conferences by name."""
        self._calls: dict[str, SimulatedCall] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> None:
        await self._client.open()

    async def close(self) -> None:
        """Hang up every call, give the last callbacks a moment, end what is left."""
        lives = list(self._lives.values())
        for call_sid in list(self._lives):
            self.hang_up(call_sid)
        if lives:
            await asyncio.wait(lives, timeout=_FAREWELL_SECONDS)
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
        await self._client.close()

    @property
    def calls(self) -> tuple[SimulatedCall, ...]:
        """Calls of this process, newest first."""
        return tuple(reversed(self._calls.values()))

    @property
    def lines_taken(self) -> int:
        return len(self._lives)

    def get(self, call_sid: str) -> SimulatedCall | None:
        return self._calls.get(call_sid)

    def place(self, leg: Leg) -> SimulatedCall:
        """Start a call and return at once. LinesBusyError when every line is taken."""
        if len(self._lives) >= self._max_lines:
            raise LinesBusyError(f"all {self._max_lines} lines are taken")
        call = SimulatedCall(
            call_sid=new_sid("CA"), account_sid=self.account_sid, leg=leg, created_at=datetime.now(UTC)
        )
        self._calls[call.call_sid] = call
        for old in list(self._calls)[: max(0, len(self._calls) - _KEPT_CALLS)]:
            if old not in self._lives:
                del self._calls[old]
        life = asyncio.create_task(self._life(call), name=f"simulated {call.call_sid}")
        self._lives[call.call_sid] = life
        life.add_done_callback(lambda _: self._lives.pop(call.call_sid, None))
        return call

    def hang_up(self, call_sid: str) -> bool:
        """End a call, whatever it is doing; False if there is nothing to end."""
        call = self._calls.get(call_sid)
        if call is None or call.status.final:
            return False
        call.hung_up.set()
        call.stir()
        return True

    def instruct(self, call_sid: str, twiml: str) -> bool:
        """New TwiML for an answered call; False if it is not one."""
        call = self._calls.get(call_sid)
        if call is None or call.status is not Status.IN_PROGRESS:
            return False
        call.next_twiml = twiml
        call.stir()
        return True

    def limit(self, call_sid: str, seconds: float) -> None:
        """A new time limit for an answered call, counted from its answer."""
        call = self._calls.get(call_sid)
        if call is None or call.limit is None or call.answered_at is None:
            return
        call.limit.cancel()
        left = seconds - (datetime.now(UTC) - call.answered_at).total_seconds()
        call.limit = asyncio.get_running_loop().call_later(max(0.0, left), self.hang_up, call_sid)

    async def _life(self, call: SimulatedCall) -> None:
        # Callbacks go out behind the call's back: a slow webhook delays no audio.
        posting = asyncio.create_task(self._post_statuses(call))
        talking = asyncio.create_task(self._ring_and_talk(call))
        hanging_up = asyncio.create_task(call.hung_up.wait())
        try:
            await asyncio.wait({talking, hanging_up}, return_when=asyncio.FIRST_COMPLETED)
            if call.stream is not None:
                await asyncio.wait({talking}, timeout=_STREAM_END_SECONDS)
            call.advance(await _outcome(call, talking), datetime.now(UTC))
            if call.leg.conference is not None:
                call.leg.conference.closed.set()
            call.callbacks.put_nowait(None)
            await posting
        finally:
            for task in (talking, hanging_up, posting):
                task.cancel()
            await asyncio.gather(talking, hanging_up, posting, return_exceptions=True)

    async def _ring_and_talk(self, call: SimulatedCall) -> Status:
        """The status the call ends with if it is not hung up before."""
        leg, pickup = call.leg, call.leg.conversation.pickup
        if leg.direction == "inbound":
            call.status = Status.RINGING
            call.callee = self._callee(call, await self._lines.ready(leg.conversation))
            first = await self._first_verbs(call)
            if first and isinstance(first[0], verbs.Reject):
                return Status.BUSY if first[0].reason == "busy" else Status.FAILED
            return await self._talk(call, first)
        started = asyncio.get_running_loop().time()
        call.advance(Status.INITIATED, datetime.now(UTC))
        call.advance(Status.RINGING, datetime.now(UTC))
        try:
            async with asyncio.timeout(leg.ring_seconds):
                # While it rings, all that the callee will say is synthesised.
                lines = await self._lines.ready(leg.conversation)
                if pickup.answer == "no-answer":
                    await asyncio.Event().wait()
                await asyncio.sleep(started + pickup.ring_ms / 1000 - asyncio.get_running_loop().time())
        except TimeoutError:
            return Status.NO_ANSWER
        if pickup.answer != "answered":
            return Status(pickup.answer)
        call.callee = self._callee(call, lines)
        return await self._talk(call, None)

    def _callee(self, call: SimulatedCall, lines: Mapping[str, SpokenLine]) -> Callee:
        return Callee(
            call_sid=call.call_sid,
            conversation=call.leg.conversation,
            lines=lines,
            listener=self._listener,
            agent_words=lambda: self._agent_words(call.call_sid),
        )

    async def _talk(self, call: SimulatedCall, todo: tuple[verbs.Verb, ...] | None) -> Status:
        """Answer, and carry out TwiML until there is none; `todo` None: ask for it once answered."""
        call.advance(Status.IN_PROGRESS, datetime.now(UTC))
        loop = asyncio.get_running_loop()
        call.limit = loop.call_later(call.leg.time_limit_seconds, self.hang_up, call.call_sid)
        try:
            if call.leg.conference is not None:
                if call.leg.keys is not None:
                    await self._carry_out(call, call.leg.keys)
                await self._talk_in(call, call.leg.conference)
                return Status.COMPLETED
            todo = await self._first_verbs(call) if todo is None else todo
            while todo:
                verb, todo = todo[0], todo[1:]
                if isinstance(verb, verbs.Hangup | verbs.Reject):
                    break
                carried = await self._carry_out(call, verb)
                todo = todo if carried.then is None else carried.then
                if carried.left:
                    break
                if call.hung_up.is_set():
                    break
                if call.next_twiml is not None:
                    document, call.next_twiml = call.next_twiml, None
                    call.stirred.clear()
                    todo = _read(call, document)
        finally:
            call.limit.cancel()
            if call.leg.conference is not None:
                call.leg.conference.closed.set()
        return Status.COMPLETED

    async def _first_verbs(self, call: SimulatedCall) -> tuple[verbs.Verb, ...]:
        return await self._asked(call, call.leg.voice_url, {})

    async def _asked(self, call: SimulatedCall, url: str, more: Mapping[str, str]) -> tuple[verbs.Verb, ...]:
        """What a webhook answers; nothing (Twilio's 11200) if it fails, which ends the call."""
        try:
            answer = await self._client.post(url, {**webhook_fields(call), **more})
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("{}: the voice webhook failed: {}", call.call_sid, type(error).__name__)
            return ()
        if answer.status != 200:
            logger.warning("{}: the voice webhook answered {}", call.call_sid, answer.status)
            return ()
        return _read(call, answer.body)

    async def _carry_out(self, call: SimulatedCall, verb: verbs.Verb) -> _Carried:
        """One verb to its end."""
        assert call.callee is not None
        match verb:
            case verbs.TimedVerb(ms, digits):
                call.callee.press_heard(digits)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ms / 1000):
                        await call.stirred.wait()
            case verbs.StreamVerb(url, parameters):
                return _Carried(left=await self._stream(call, call.callee, url, parameters))
            case verbs.Redirect(url):
                return _Carried(then=await self._asked(call, url, {}))
            case verbs.Gather():
                return await self._gather(call, call.callee, verb)
            case verbs.DialNumber():
                return await self._dial(call, verb)
            case verbs.DialConference():
                return await self._confer(call, verb)
        return _Carried()

    async def _gather(self, call: SimulatedCall, callee: Callee, verb: verbs.Gather) -> _Carried:
        """https://www.twilio.com/docs/voice/twiml/gather: the answer of `action` replaces what would follow."""
        callee.off_stream()
        match await gather(callee, verb, call.stirred):
            case Gathered(left=True):
                return _Carried(left=True)
            case Gathered(digits, speech) if digits or speech or verb.action_on_empty:
                got = {"SpeechResult": speech, "Confidence": "0.9"} if speech else {"Digits": digits}
                return _Carried(then=await self._asked(call, verb.action, got))
        return _Carried()

    async def _dial(self, call: SimulatedCall, verb: verbs.DialNumber) -> _Carried:
        """https://www.twilio.com/docs/voice/twiml/dial: a second call, and the two in one conference."""
        conference = Conference()
        try:
            other = self.place(
                Leg(
                    to=verb.number,
                    from_number=verb.caller_id or call.leg.from_number,
                    voice_url="",
                    status_url=verb.status_url,
                    conversation=self._dialled(verb.number),
                    ring_seconds=verb.timeout_seconds,
                    direction="outbound-dial",
                    events=verb.events,
                    parent_sid=call.call_sid,
                    conference=conference,
                    keys=verb.keys,
                )
            )
        except LinesBusyError:
            return await self._dialled_on(call, verb, {"DialCallStatus": "failed"})
        left = await self._talk_in(call, conference)
        self.hang_up(other.call_sid)
        await other.ended.wait()
        if left or call.stirred.is_set():
            return _Carried(left=left)
        news = {"DialCallStatus": other.status.value, "DialCallSid": other.call_sid}
        if other.duration_seconds is not None:
            news["DialCallDuration"] = str(round(other.duration_seconds))
        return await self._dialled_on(call, verb, news)

    async def _dialled_on(self, call: SimulatedCall, verb: verbs.DialNumber, news: Mapping[str, str]) -> _Carried:
        return _Carried() if verb.action is None else _Carried(then=await self._asked(call, verb.action, news))

    async def _confer(self, call: SimulatedCall, verb: verbs.DialConference) -> _Carried:
        """https://www.twilio.com/docs/voice/twiml/conference"""
        conference = self._conferences.setdefault(verb.name, Conference())
        try:
            left = await self._talk_in(call, conference)
        finally:
            if verb.end_on_exit:
                conference.closed.set()
            if (conference.closed.is_set() or not conference.calls) and self._conferences.get(
                verb.name
            ) is conference:
                del self._conferences[verb.name]
        if left or call.stirred.is_set() or verb.action is None:
            return _Carried(left=left)
        return _Carried(then=await self._asked(call, verb.action, {}))

    async def _talk_in(self, call: SimulatedCall, conference: Conference) -> bool:
        assert call.callee is not None
        call.callee.off_stream()
        return await conference.talk(call.call_sid, call.callee, call.stirred)

    async def _stream(self, call: SimulatedCall, callee: Callee, url: str, parameters: Mapping[str, str]) -> bool:
        try:
            socket = await self._client.connect(url)
        except (aiohttp.ClientError, TimeoutError) as error:
            # Twilio's 31920; it goes on with the next verb.
            logger.warning("{}: the media socket was refused: {}", call.call_sid, type(error).__name__)
            return False
        callee.stream_begins()
        stream = SimulatedStream(
            ids=StreamIds(call.account_sid, call.call_sid, new_sid("MZ")),
            parameters=parameters,
            far_end=callee,
        )
        call.stream = stream
        if call.stirred.is_set():
            stream.stop()
        try:
            return await stream.run(socket) is StreamEnd.FAR_END_HUNG_UP
        finally:
            callee.off_stream()
            call.stream = None
            call.refused_messages += stream.refused

    async def _post_statuses(self, call: SimulatedCall) -> None:
        """Status callbacks, one after the other; one that fails is not repeated, as Twilio does not."""
        url = call.leg.status_url
        while (form := await call.callbacks.get()) is not None:
            assert url is not None
            try:
                answer = await self._client.post(url, form)
            except (aiohttp.ClientError, TimeoutError) as error:
                logger.warning("{}: a status callback failed: {}", call.call_sid, type(error).__name__)
                continue
            if answer.status >= 400:
                logger.warning("{}: a status callback answered {}", call.call_sid, answer.status)


def _read(call: SimulatedCall, document: str) -> tuple[verbs.Verb, ...]:
    try:
        return verbs.read(document)
    except verbs.TwimlError as error:
        logger.warning("{}: TwiML refused: {}", call.call_sid, error)
        return ()


async def _outcome(call: SimulatedCall, talking: asyncio.Task[Status]) -> Status:
    """How the call ended: as it says itself, or hung up in the middle."""
    talking.cancel()
    await asyncio.wait({talking})
    if talking.cancelled():
        return Status.CANCELED if call.answered_at is None else Status.COMPLETED
    error = talking.exception()
    if error is not None:
        logger.opt(exception=error).error("{}: the simulated call failed", call.call_sid)
        return Status.FAILED
    return talking.result()
