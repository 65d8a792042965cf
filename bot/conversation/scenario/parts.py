"""The tables of a scenario file: opening, limits, phrases, what to do with machines, outcome.

Those of a stage or a tool ([vad], [tts], [[http_tools]] …) live with it; `scenario` puts all together.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bot.conversation import templates
from bot.pipeline.offline.rules.values import READERS, Frame, normalised
from bot.policy import HoursTerms, RetryOn, RetryTerms, Weekday, minutes_of, zone


class Part(BaseModel):
    """Strict and frozen: what is unknown here is a mistake in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Template = Annotated[str, AfterValidator(templates.checked)]
"""What is said, with {{variables}} that are checked when the file is read."""


def _as_ours(word: object) -> object:
    """Twilio writes no-answer."""
    return word.replace("-", "_") if isinstance(word, str) else word


def _clock(text: str) -> str:
    minutes_of(text)
    return text


def _time_zone(name: str) -> str:
    return zone(name).key


TimeZoneName = Annotated[str, AfterValidator(_time_zone)]
RetryWord = Annotated[RetryOn, BeforeValidator(_as_ours)]
Clock = Annotated[str, AfterValidator(_clock)]
"""A time of day, HH:MM."""


class Opening(Part):
    """[opening]: what the agent says first."""

    text: Template | None = None
    """With {{variables}}: {{name|fallback}} gives a fallback, [[…]] vanishes where a variable inside is
    missing. None: the model writes it while the phone rings."""
    interruptible: bool = True
    """False: it is heard to its end, as the law wants of some; what is said over it is answered then."""
    wait_seconds: float = Field(default=1.5, ge=0.3, le=10)
    """first_speaker = "callee": how long to wait for a hello."""
    pause_seconds: float = Field(default=0.25, ge=0.0, le=2.0)
    """Silence after the hello, beyond the VAD's own, before the opening begins."""


class Agent(Part):
    """[agent]: who speaks, where the request does not say."""

    name: str = "Alex"
    organization: str = ""
    context: str = ""
    """What it may know; an inbound call brings nothing of its own."""


class Limits(Part):
    """[limits]: every wait of a call."""

    ring_seconds: int = Field(default=30, ge=5, le=120)
    max_duration_seconds: float = Field(default=600, ge=10, le=14400)
    silence_seconds: float = Field(default=10, ge=2, le=120)
    """Silence of the callee before a prompt, counted from the end of playback."""
    silence_prompts: int = Field(default=2, ge=0, le=5)
    """Prompts before the goodbye."""
    bridge_seconds: float = Field(default=1.0, ge=0.3, le=10)
    """A tool that was called without a word may take so long before one is said."""


class Patience(Part):
    """[patience]: a reply that is owed and stays silent, counted from the end of the callee's turn."""

    filler_seconds: float = Field(default=2.5, ge=0.5, le=60)
    """Until a filler is said; another follows every five seconds."""
    ask_again_seconds: float = Field(default=6, ge=1, le=60)
    """Until a reply that got lost is asked for once more."""
    apology_seconds: float = Field(default=12, ge=3, le=120)
    """Until the agent apologises and ends the call."""

    @model_validator(mode="after")
    def _in_order(self) -> Patience:
        if not self.ask_again_seconds < self.apology_seconds:
            raise ValueError("ask_again_seconds has to be less than apology_seconds")
        return self


Pronunciation = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(min_length=1, max_length=200)]],
    Field(max_length=200),
]
"""[pronunciation]: a word or name as it is written, and how it is said."""


class Phrases(Part):
    """[phrases]: what the agent says without the model. Left out: the phrases of the scenario's language."""

    silence: tuple[str, ...] = Field(default=(), min_length=1)
    silence_goodbye: str = ""
    time_is_up: str = ""
    trouble: str = ""
    trouble_call_back: str = ""
    """In place of `trouble`, once the call has noted a callback. Left out: the file's own `trouble`, if any."""
    cannot_answer: str = ""
    """In place of a reply that every model refuses, or behind one that was refused in its middle."""
    goodbye: str = ""
    fillers: tuple[str, ...] = Field(default=(), min_length=1)
    bridges: tuple[str, ...] = Field(default=(), min_length=1)
    hold_goodbye: str = ""
    transferring: str = ""
    transfer_failed: str = ""
    disclosure: str = ""
    """That an AI assistant speaks: in front of an opening that does not say so itself."""
    disclosure_again: str = ""
    """The same, to a callee who comes back from a transfer that nobody took."""
    opt_out: str = ""
    """How not to be called again, where `tell_opt_out`; {key} is the key's digit."""
    opted_out: str = ""
    """Confirms it, and says goodbye."""
    call_back_number: str = ""
    """Ends messages on voicemails, with {number}."""
    recording: str = ""
    """With `announce`, behind the first sentence of the opening."""
    recording_question: str = ""
    """With `ask`, there."""
    recording_allowed: str = ""
    """Before the rest of the opening, when they said yes."""
    recording_declined: str = ""
    """The same, when they did not; and to an objection where nothing is recorded."""
    recording_stopped: str = ""
    recording_deleted: str = ""
    """After an objection."""


class Inbound(Part):
    """[inbound]: calls to our numbers."""

    busy_message: str = ""
    """For a caller whom no line is left for, read by the carrier's own voice; left out: the busy tone, which
    costs the caller nothing."""


class KeySettings(Part):
    """[keys]: what the callee types on the telephone. It is gathered into entries, each a turn of theirs."""

    end: str = Field(default="#", pattern=r"^[0-9*#]?$")
    """Ends an entry; "": nothing but time does, or `longest`."""
    timeout_seconds: float = Field(default=2.5, ge=0.5, le=30)
    """Without another key an entry is over."""
    longest: int = Field(default=32, ge=1, le=128)
    """An entry of so many keys is over."""
    secret: bool = False
    """The LLM gets the keys; transcript, record, webhooks and logs hold **** in their place."""


class Voicemail(Part):
    """[voicemail]: what to do when a machine picks up."""

    policy: Literal["hang_up", "leave_message"] = "hang_up"
    message: Template = ""
    """Left out: the message of the scenario's language."""
    silence_seconds: float = Field(default=2.5, ge=0.5, le=10)
    """Silence behind the greeting after which a message is left although no beep was heard."""


class Retry(Part):
    """[retry]: another attempt where a call reached no person."""

    attempts: int = Field(default=1, ge=1, le=10)
    """In all, the first one too."""
    delay_seconds: float = Field(default=1800, ge=0, le=604800)
    """From one attempt's end to the next."""
    backoff: float = Field(default=1, ge=1, le=10)
    """Each further delay is so many times the one before; a week at most."""
    on: tuple[RetryWord, ...] = Field(default=(RetryOn.BUSY, RetryOn.NO_ANSWER), min_length=1)
    """The endings after which it is tried again."""

    @property
    def terms(self) -> RetryTerms:
        return RetryTerms(self.attempts, self.delay_seconds, self.backoff, tuple(dict.fromkeys(self.on)))


class Hours(Part):
    """[hours]: when the callee may be called, by the clock where he is. Left out: as the profile says."""

    start: Clock = "00:00"
    """The first minute."""
    end: Clock = "24:00"
    """The first minute that is too late; a day ends at 24:00."""
    days: tuple[Weekday, ...] = Field(default=tuple(Weekday), min_length=1)
    """Days of the week."""
    sunday: tuple[Clock, Clock] | None = None
    """Start and end of Sundays, where they differ."""

    @model_validator(mode="after")
    def _in_order(self) -> Hours:
        if not minutes_of(self.start) < minutes_of(self.end):
            raise ValueError("start has to come before end on the same day")
        if self.sunday is not None and not minutes_of(self.sunday[0]) < minutes_of(self.sunday[1]):
            raise ValueError("sunday: its start has to come before its end")
        return self

    @property
    def terms(self) -> HoursTerms:
        days = tuple(day for day in Weekday if day in self.days)
        return HoursTerms(self.start, self.end, days, self.sunday)


class Pickup(Part):
    """[pickup]: how the call finds out who picked up."""

    amd: bool = True
    """Twilio's own detection of machines beside ours; asynchronous, so the callee never waits for it."""


class Screening(Part):
    """[screening]: what to do when a call screener asks who calls and why."""

    policy: Literal["answer", "hang_up"] = "answer"
    text: Template = ""
    """Left out: the reply of the scenario's language."""
    wait_seconds: float = Field(default=30, ge=3, le=120)
    """How long to wait quietly for a person after it."""


class Menu(Part):
    """[menu]: what to do when an automatic menu picks up."""

    policy: Literal["navigate", "hang_up"] = "navigate"
    goal: str = ""
    """Whom or what to reach through it, in words for the model; left out: a person who can help."""
    max_steps: int = Field(default=10, ge=1, le=50)
    """Keys pressed or words said before it is given up; a menu heard three times is given up as well."""


class Hold(Part):
    """[hold]: music, a queue, or a callee who asks to wait. The agent is silent until somebody comes on."""

    longest_seconds: float = Field(default=300, ge=10, le=3600)
    """All the waiting of a call together; then the agent says goodbye."""
    text: Template = ""
    """Said to the person who comes on in the middle of a call. Left out: the one of the scenario's language."""


class Example(Part):
    """[example]: a request to try the scenario with, for `phone-agent simulate`."""

    action: str = ""
    context: str = ""
    callee_name: str | None = "John"
    organization: str | None = None


class OutcomeField(Part):
    """[[outcome]]: one thing the call has to find out."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    type: Literal[
        "boolean", "string", "number", "choice", "phone", "email", "date", "time", "amount", "name", "code"
    ] = "string"
    description: str
    question: str | None = None
    """Asked by the local LLM; a hint for a model."""
    options: tuple[str, ...] = ()
    commits: bool | None = None
    """Whether true commits the callee, and needs their own words. None: by the name, as in "confirmed"."""

    def value_of(self, value: object, frame: Frame) -> bool | float | str:
        """`value` as this field's type, read by `frame`. ValueError when it is not one: "false" is no true."""
        if self.type in READERS:
            return normalised(self.type, str(value), frame)
        if self.type == "boolean":
            return self.boolean(value)
        if self.type == "number":
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError(f"{value!r} is not a number")
            number = float(value)
            if not math.isfinite(number):
                raise ValueError(f"{value!r} is no number that JSON knows")
            return int(number) if number.is_integer() else number
        if self.type == "choice" and value not in self.options:
            raise ValueError(f"{value!r} is none of {', '.join(self.options)}")
        return str(value)

    @staticmethod
    def boolean(value: object) -> bool:
        """True and false, as JSON or as words. ValueError for anything else."""
        known = {"true": True, "yes": True, "false": False, "no": False}
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in known:
            return known[value.strip().lower()]
        raise ValueError(f"{value!r} is neither true nor false")

    @model_validator(mode="after")
    def _options_of_a_choice(self) -> OutcomeField:
        if (self.type == "choice") != bool(self.options):
            raise ValueError('options belong to type = "choice", which needs them')
        if self.commits and self.type != "boolean":
            raise ValueError('commits belongs to type = "boolean": only a yes commits')
        return self
