"""What is kept of a call: its spec, its turns, its outcome. Depends on nothing but its terms.

Status words are Twilio's (https://www.twilio.com/docs/voice/api/call-resource#call-status-values).
Times are UTC datetimes; positions on the line are milliseconds of the media clock, which starts at the
first audio of the call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

from bot.policy import DEFAULT_TERMS, Terms


class Status(StrEnum):
    """Where a call stands. It only moves forward: see `may_follow`."""

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({Status.COMPLETED, Status.BUSY, Status.NO_ANSWER, Status.FAILED, Status.CANCELED})
FINAL_STATUSES = tuple(status for status in Status if status.final)
OPEN_STATUSES = tuple(status for status in Status if not status.final)
_ORDER = {Status.QUEUED: 0, Status.INITIATED: 1, Status.RINGING: 2, Status.IN_PROGRESS: 3}


def may_follow(old: Status, new: Status) -> bool:
    """Whether `new` is news after `old`: callbacks arrive late, twice and out of order."""
    if old.final:
        return False
    return new.final or _ORDER[new] > _ORDER[old]


class EndedReason(StrEnum):
    """Why the call ended, as the agent saw it."""

    CALLEE_HANGUP = "callee_hangup"
    AGENT_HANGUP = "agent_hangup"
    API_HANGUP = "api_hangup"
    """Somebody asked for it over HTTP."""
    TRANSFERRED = "transferred"
    VOICEMAIL_REACHED = "voicemail_reached"
    SCREENING_UNANSWERED = "screening_unanswered"
    MENU_REACHED = "menu_reached"
    HOLD_TIMEOUT = "hold_timeout"
    SILENCE = "silence"
    MAX_DURATION = "max_duration"
    DIAL_BUSY = "dial_busy"
    DIAL_NO_ANSWER = "dial_no_answer"
    DIAL_FAILED = "dial_failed"
    CANCELED = "canceled"
    DO_NOT_CALL = "do_not_call"
    """Never dialled: the number had come onto the list by then."""
    OPTED_OUT = "opted_out"
    """The callee does not want to be called any more: the number is on the list now."""
    ERROR_STT = "error_stt"
    ERROR_LLM = "error_llm"
    ERROR_TTS = "error_tts"
    ERROR_LINE = "error_line"
    SERVER_SHUTDOWN = "server_shutdown"


class Wait(StrEnum):
    """Why a call is not dialled yet."""

    SCHEDULED = "scheduled"
    CALLING_HOURS = "calling_hours"
    DAILY_CAP = "daily_cap"
    CONCURRENCY = "concurrency"
    """Due, and all places of its campaign are taken."""
    CAMPAIGN_PAUSED = "campaign_paused"
    NUMBER_BUSY = "number_busy"
    """Another call of ours, whoever asked for it, is with this number."""
    NO_LINE = "no_line"
    SERVER_BUSY = "server_busy"
    """The machine is late, or the server is stopping: the next moment, or the next start, will do."""


class Direction(StrEnum):
    OUTBOUND = "outbound"
    INBOUND = "inbound"


class Speaker(StrEnum):
    AGENT = "agent"
    CALLEE = "callee"
    RECORDING = "recording"
    """A queue's announcement, or what else is played to one who waits: nobody's words."""
    BUSINESS = "business"
    """A supervisor's act in the call, heard by nobody: the turn's tool says which, and what became of it."""


FirstSpeaker = Literal[Speaker.AGENT, Speaker.CALLEE]


@dataclass(frozen=True)
class CallSpec:
    """What the API's caller asks for; for an inbound call, what the scenario knows of it.

    Numbers are E.164. `context` is text or a JSON object, passed to the agent as data.
    """

    phone_number: str
    scenario: str
    action: str = ""
    context: str | dict[str, Any] = ""
    callee_name: str | None = None
    agent_name: str | None = None
    organization: str | None = None
    first_speaker: FirstSpeaker | None = None
    from_number: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TurnLatency:
    """Where a reply's time went, in ms; None where the part was not seen.

    `voice_to_voice_ms` runs from the end of the callee's speech to the first audio sent to the line.
    """

    voice_to_voice_ms: float | None = None
    vad_ms: float | None = None
    """From the end of speech to the VAD saying so."""
    stt_ms: float | None = None
    """From the VAD's stop to the last final transcript of the turn."""
    turn_ms: float | None = None
    """From the later of those to the decision that the turn is over."""
    llm_ms: float | None = None
    """To the first token."""
    sentence_ms: float | None = None
    """Gathering the first piece the voice can start on."""
    tts_ms: float | None = None
    """From that piece to the first audio."""
    line_ms: float | None = None
    """From the first audio to its sending."""


@dataclass(frozen=True)
class ToolUse:
    name: str
    arguments: dict[str, Any]
    result: Any
    at_ms: int
    """Media clock at the call of the tool."""


@dataclass(frozen=True)
class Turn:
    """One side's speech. An agent's turn holds exactly the words that were heard."""

    index: int
    speaker: Speaker
    text: str
    started_at: datetime
    start_ms: int
    """Media clock when the speech began."""
    end_ms: int | None = None
    interrupted: bool = False
    complete: bool = True
    """False while the turn is still being spoken."""
    latency: TurnLatency | None = None
    tools: tuple[ToolUse, ...] = ()
    keys: bool = False
    """`text` was typed on the telephone: an entry of keys, masked where the scenario calls them secret."""
    word_ms: tuple[int, ...] = ()
    """Media clock when each word of the agent began to be heard, as far as it is known."""


class Sentiment(StrEnum):
    """How the callee took the call."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


@dataclass(frozen=True)
class Outcome:
    """What the call achieved. `source` says who filled it: "rules", "tools" or "claude"."""

    reached_goal: bool
    summary: str
    """Two sentences."""
    fields: dict[str, Any] = field(default_factory=dict)
    """The scenario's outcome fields, or those of the request's schema; None where nothing is known."""
    source: str = "rules"
    callee_sentiment: Sentiment = Sentiment.NEUTRAL
    evidence: dict[str, list[str]] = field(default_factory=dict)
    """Field → words of the transcript that it rests on."""
    recorded: list[str] = field(default_factory=list)
    """What tools recorded during the call, of the fields, `reached_goal` and `summary`: it is not inferred."""
    analysis_error: str | None = None
    """Why the model has not filled it, where it should have; what the rules say stands then."""
    claimed: dict[str, Any] = field(default_factory=dict)
    """What tools or the model said, of the fields, `reached_goal` and `summary`, without words of the callee."""
    unbacked_claims: list[str] = field(default_factory=list)
    """What the agent said it had done, and no tool has."""
    dates: dict[str, dict[str, str]] = field(default_factory=dict)
    """Field, or `summary` → words in it that name a day ("next Tuesday") → that day in the callee's zone."""


class CostPart(StrEnum):
    """What of a call cost something. Each is written once, by the process that spent it."""

    OPENING = "opening"
    """While it rang."""
    CALL = "call"
    CARRIER = "carrier"
    ANALYSIS = "analysis"


@dataclass(frozen=True)
class CostItem:
    """A line of a vendor's bill. `usd` is None where no price is known, `quantity` where it cannot be."""

    vendor: str
    what: str
    quantity: float | None
    unit: str
    usd: float | None


@dataclass(frozen=True)
class PricedItems:
    """One part's items, at the prices of a day."""

    items: tuple[CostItem, ...]
    prices_of: date


class AnsweredBy(StrEnum):
    """Who or what is at the other end. Uncertain is a person."""

    PERSON = "person"
    VOICEMAIL = "voicemail"
    SCREENING = "screening"
    """A phone or a service that asks who calls and why, with a person behind it."""
    MENU = "menu"
    HOLD = "hold"
    """Somebody is expected to come on: music, a queue, or a person who asked to wait."""
    UNAVAILABLE = "unavailable"
    """The carrier, or a full mailbox: nobody hears what is said."""
    NOBODY = "nobody"
    """A fax; or a line on which not a sound was heard."""


@dataclass(frozen=True)
class Counts:
    """What a call's recorder counts."""

    interruptions: int = 0
    speculations_kept: int = 0
    """Replies that were begun before the callee's turn was over, and used."""
    speculations_dropped: int = 0
    """Those that were dropped unheard."""


class ConsentAnswer(StrEnum):
    """The callee's answer to being recorded."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"
    """Counts as a no."""


@dataclass(frozen=True)
class RecordingConsent:
    """What was said of the recording, and what the callee answered."""

    mode: str
    """`announce` or `ask`, or how else the call was recorded when the callee objected."""
    said: str | None = None
    """The agent's sentence, once it was heard; None: the callee spoke of it first."""
    said_at: datetime | None = None
    answer: ConsentAnswer | None = None
    words: str | None = None
    """The callee's own."""
    answered_at: datetime | None = None
    recording: str = "kept"
    """`kept`, `stopped` (what was recorded until then is kept), `deleted`, or `none`."""


@dataclass(frozen=True)
class Observation:
    """What explains a call and is no one's words: who was taken to be there, how vendors fared."""

    at: datetime
    what: str
    """AnsweredBy, or a vendor's name."""
    why: str
    """What it was taken for that for; or what befell the vendor, as `connection_lost`."""
    vendor: bool = False


@dataclass(frozen=True)
class RulesOfCall:
    """Whose law a call keeps, and which settings its scenario has otherwise than that profile."""

    profile: str
    changed: dict[str, Any] = field(default_factory=dict)
    """Name of a setting, such as `compliance.disclosure`, and its value."""

    @property
    def switched_off(self) -> tuple[str, ...]:
        """What of the profile is not done."""
        return tuple(name for name, value in self.changed.items() if value in (False, None, "silent"))

    def __str__(self) -> str:
        off = self.switched_off
        return f"{self.profile}, switched off: {', '.join(off)}" if off else self.profile


@dataclass(frozen=True)
class CallRecord:
    """Everything kept of one call."""

    call_id: str
    spec: CallSpec
    direction: Direction
    status: Status
    created_at: datetime
    call_sid: str | None = None
    """The carrier's id; None until it was dialled."""
    ended_reason: EndedReason | None = None
    error: str | None = None
    """The vendor's own words when a vendor ended the call."""
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None
    """Answer to end."""
    answer_to_first_audio_ms: float | None = None
    recording: str | None = None
    """File name below the recordings folder."""
    vendors: dict[str, str] = field(default_factory=dict)
    """Slot → vendor or engine that held this call."""
    turns: tuple[Turn, ...] = ()
    counts: Counts = Counts()
    answered_by: AnsweredBy | None = None
    """Who or what was there in the end: a person who comes on after a machine counts. None: never answered."""
    outcome: Outcome | None = None
    costs: Mapping[CostPart, PricedItems] = field(default_factory=dict)
    """What it cost so far, by part."""
    terms: Terms = DEFAULT_TERMS
    attempt: int = 1
    """Which dialling of one wish this is; a retry is a call of its own."""
    first_call_id: str | None = None
    """The first attempt's call; None for the first itself."""
    retried_as: str | None = None
    """The next attempt's call."""
    scheduled_at: datetime | None = None
    """Not dialled before: asked for, or put off by hours, limits or a retry's delay. Of a campaign's call: None
    while it has its place among those under way."""
    waiting_for: Wait | None = None
    """Why it was last put off; of a call that still waits."""
    key_id: str | None = None
    """A short hash of the API key that asked."""
    campaign_id: str | None = None
    contact_id: str | None = None
    request_hash: str | None = None
    """Of the request's body, where it came with an Idempotency-Key."""
    followed_by: str | None = None
    """The durable workflow that follows this call to its end, and takes news of it."""
    held_by: str | None = None
    """The process that has the line, by its name in the durable engine."""
    dialling_at: datetime | None = None
    """When it was decided to dial: from here on the carrier may know the call, whatever we know."""
    carrier_ended_at: datetime | None = None
    """When the carrier said that it is over."""
    compliance: RulesOfCall | None = None
    """None: kept before there were profiles."""
    disclosed_at: datetime | None = None
    """When the callee had heard, to its end, that an AI assistant speaks."""
    consent: RecordingConsent | None = None
    """To the recording; None: never spoken of."""
    observations: tuple[Observation, ...] = ()
    """In order of time; kept at the end of the call."""
    hello_to_first_word_ms: float | None = None
    """From the end of the callee's first words to the agent's first; None: one of the two said nothing."""
    abandoned: bool | None = None
    """The callee said hello and heard no word of the agent within two seconds; None: nobody said hello."""
    caller_identity: dict[str, str] = field(default_factory=dict)
    """What the carrier reported of how our number was shown to the callee."""


@dataclass(frozen=True)
class Registration:
    """A call kept for a caller who dials by himself: his carrier is to fetch `voice_url` in time."""

    call_id: str
    voice_url: str
    status_url: str
    """For the dialling's status callbacks; without them the record ends with the media stream."""
    warning: str | None
    """Why the carrier may not reach these URLs."""
    token_seconds: float
    """How long the one-use media token lives, from the fetching of `voice_url`."""
    expires_at: datetime
    """Until when the call waits to be dialled."""


@dataclass(frozen=True)
class Slot:
    """Who fills a slot of the pipeline now, and why."""

    vendor: str
    state: str
    """ready, warming or failed."""
    why: str


@dataclass(frozen=True)
class Health:
    """What this process can do now; holds no secrets."""

    ready: bool
    slots: Mapping[str, Slot]
    """carrier, stt, llm, tts."""
    calls_on_line: int
    capacity: int
    version: str
    why_not_ready: str | None = None
