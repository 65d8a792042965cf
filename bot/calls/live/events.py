"""The events of calls: as they are sent over HTTP, and from process to process.

TurnWords come as the whole turn so far, not as pieces: an event that is lost or repeated does no harm.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel

from bot.records import AnsweredBy, EndedReason, Speaker, Status, Wait

LONGEST_TEXT = 1000
"""Characters of a text, or of a JSON value, that go from process to process; NOTIFY carries 8000 bytes."""


def _now() -> str:
    return iso(datetime.now(UTC))


def iso(moment: datetime) -> str:
    """2026-03-02T12:00:00.123Z"""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _describe_name(schema: dict[str, Any]) -> None:
    schema["properties"]["event"]["description"] = "The event's name, also in the stream's `event:` line."


class LiveEvent(BaseModel):
    """One thing that happened in a call."""

    model_config = ConfigDict(frozen=True, json_schema_extra=_describe_name)

    event: str
    call_id: str = Field(description="The call it happened in.")
    at: str = Field(default_factory=_now, description="When, in UTC.")
    shortened: bool = Field(
        default=False, description="Long texts were cut and long values left out on the way; the record has all."
    )

    def short(self) -> Self:
        """Itself, or what of it may travel between processes."""
        cut: dict[str, Any] = {}
        for name, value in self:
            if isinstance(value, str) and len(value) > LONGEST_TEXT:
                cut[name] = value[:LONGEST_TEXT] + "…"
            elif isinstance(value, dict | list) and len(str(value)) > LONGEST_TEXT:
                cut[name] = None
        return self.model_copy(update={**cut, "shortened": True}) if cut else self


class StatusChanged(LiveEvent):
    """The call is where it was not before."""

    event: Literal["status_changed"] = "status_changed"
    status: Status = Field(description="Where the call stands, in Twilio's words.")
    ended_reason: EndedReason | None = Field(default=None, description="Why it ended; null while it has not.")
    waiting_for: Wait | None = Field(default=None, description="Why it is not dialled yet; null once it is.")


class AnswerDetected(LiveEvent):
    """Who or what is at the other end, as is believed from now on."""

    event: Literal["answer_detected"] = "answer_detected"
    answered_by: AnsweredBy = Field(description="A person, or which machine.")
    why: str = Field(description="What that rests on, in words for people.")


class TurnWords(LiveEvent):
    turn: int = Field(description="The turn's index in the transcript.")
    text: str = Field(description="The turn's words so far, all of them: it takes the place of what came before.")
    start_ms: int = Field(description="When the turn began, on the media clock.")


class CalleeWords(TurnWords):
    """TurnWords of the callee while they are recognised. Later ones may differ; `turn_completed` has the last."""

    event: Literal["callee_words"] = "callee_words"


class AgentWords(TurnWords):
    """TurnWords of the agent that the callee has heard by now."""

    event: Literal["agent_words"] = "agent_words"


class AgentCut(LiveEvent):
    """The callee cut the agent off."""

    event: Literal["agent_cut"] = "agent_cut"
    turn: int = Field(description="The turn's index in the transcript.")
    text: str = Field(description="Words that were spoken already and that the callee did not get to hear.")


class TurnCompleted(LiveEvent):
    """A turn as the transcript keeps it; again where a later word changed it."""

    event: Literal["turn_completed"] = "turn_completed"
    turn: int = Field(description="Its index in the transcript.")
    speaker: Speaker = Field(description="Whose turn it is.")
    text: str = Field(description="Its words; an agent's are exactly those that were heard.")
    start_ms: int = Field(
        description="Its beginning on the media clock, which starts with the call's first audio."
    )
    end_ms: int | None = Field(description="Its end on the media clock.")
    interrupted: bool = Field(description="The callee cut the agent off: `text` ends where they did.")
    keys: bool = Field(default=False, description="`text` was typed on the telephone.")


class TurnPassed(LiveEvent):
    """Who has the turn."""

    event: Literal["turn_passed"] = "turn_passed"
    holder: Literal[Speaker.AGENT, Speaker.CALLEE] | None = Field(description="Null: either may speak.")
    speaking: bool = Field(description="False: the callee pauses, or the agent's reply is being made.")


class ReplyTimed(LiveEvent):
    """Where the time of the reply that begins now went, in ms; null where the part was not seen."""

    event: Literal["reply_timed"] = "reply_timed"
    voice_to_voice_ms: float | None = Field(description="From the end of the callee's speech to the first audio.")
    vad_ms: float | None = Field(description="From the end of speech until the silence was noticed.")
    stt_ms: float | None = Field(description="From there to the last words of the turn.")
    turn_ms: float | None = Field(description="From there to the decision that the turn is over.")
    llm_ms: float | None = Field(description="To the model's first token.")
    sentence_ms: float | None = Field(description="Gathering the first piece that the voice can start on.")
    tts_ms: float | None = Field(description="From that piece to its first audio.")
    line_ms: float | None = Field(description="From the first audio to its sending.")


class ToolUsed(LiveEvent):
    """The agent has called a tool, and has its result."""

    event: Literal["tool_used"] = "tool_used"
    name: str = Field(description="The tool's name.")
    arguments: dict[str, Any] | None = Field(description="What the model passed to it; null where too long.")
    result: Any = Field(description="What it gave back.")
    at_ms: int = Field(description="When, on the media clock.")


class ReplyGuessed(LiveEvent):
    """A reply that was begun before the callee's turn was over was used, or dropped unheard."""

    event: Literal["reply_guessed"] = "reply_guessed"
    kept: bool = Field(description="Whether it was used.")


class VendorTrouble(LiveEvent):
    """A vendor failed, or is back; the call went on with what stands in for it, unless its end says otherwise."""

    event: Literal["vendor_trouble"] = "vendor_trouble"
    vendor: str = Field(description="Its name, such as deepgram.")
    what: str = Field(
        description="unreachable, refused, connection_lost, broke_off, gave_up, or reconnected when it is back."
    )


class OutcomeWritten(LiveEvent):
    """The outcome, by rules at the end of the call; again when the model has read the transcript."""

    event: Literal["outcome_written"] = "outcome_written"
    reached_goal: bool = Field(description="Whether the call achieved what it was for.")
    summary: str = Field(description="Two sentences.")
    source: str = Field(description="rules, tools (recorded during the call) or claude (read afterwards).")
    fields: dict[str, Any] | None = Field(description="The scenario's outcome fields; null where too long.")


class WebhookTried(LiveEvent):
    """A webhook was sent, or could not be."""

    event: Literal["webhook_tried"] = "webhook_tried"
    delivery_id: str = Field(description="For GET /api/phone/webhooks/deliveries/{delivery_id}.")
    type: str = Field(description="call_started, call_ended or call_analyzed.")
    status: str = Field(description="delivered, pending (it is tried again) or dead (given up).")
    attempt: int = Field(description="Counts from 1.")
    status_code: int | None = Field(description="The receiver's answer; null where none came.")


class StreamEnded(LiveEvent):
    """Nothing more comes of this call: close the stream, or its next request is answered with 204."""

    event: Literal["stream_ended"] = "stream_ended"


AnyEvent = Annotated[
    StatusChanged
    | AnswerDetected
    | CalleeWords
    | AgentWords
    | AgentCut
    | TurnCompleted
    | TurnPassed
    | ReplyTimed
    | ToolUsed
    | ReplyGuessed
    | VendorTrouble
    | OutcomeWritten
    | WebhookTried
    | StreamEnded,
    Field(discriminator="event"),
]


class CallEvent(RootModel[AnyEvent]):
    """The `data:` of one event of a stream."""


EventName = Literal[
    "status_changed",
    "answer_detected",
    "callee_words",
    "agent_words",
    "agent_cut",
    "turn_completed",
    "turn_passed",
    "reply_timed",
    "tool_used",
    "reply_guessed",
    "vendor_trouble",
    "outcome_written",
    "webhook_tried",
    "stream_ended",
]
