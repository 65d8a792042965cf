"""TwiML read back: the verbs a simulated line carries out. twiml.py writes them.

https://www.twilio.com/docs/voice/twiml. What our server never answers is refused like a verb Twilio does not
know, so that a test sees it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from xml.etree import ElementTree as ET

_MS_PER_CHARACTER = 60
"""About how long Twilio's voice takes for a character of <Say>."""
_MS_PER_DIGIT = 250
_MS_OF_WAIT = {"w": 500, "W": 1000}


class TwimlError(ValueError):
    """Twilio's 12100 (not XML), 12200 (unknown verb or attribute)."""


@dataclass(frozen=True)
class StreamVerb:
    """<Connect><Stream>: until either side ends it."""

    url: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class TimedVerb:
    """<Say>, <Pause>, <Play digits>: the line is taken for so long. `digits` reach the callee."""

    ms: int
    digits: str = ""


@dataclass(frozen=True)
class Reject:
    """<Reject>: only before an inbound call is answered; `reason` is busy or rejected."""

    reason: str


@dataclass(frozen=True)
class Redirect:
    """<Redirect>: what `url` answers takes the place of what would follow."""

    url: str


@dataclass(frozen=True)
class Hangup:
    pass


@dataclass(frozen=True)
class Gather:
    """<Gather>: say the prompt, take keys or speech, ask `action` what to do with them."""

    action: str
    inputs: frozenset[str]
    """dtmf, speech."""
    prompt_ms: int
    timeout_seconds: float
    num_digits: int | None
    finish_on_key: str
    action_on_empty: bool


@dataclass(frozen=True)
class DialNumber:
    """<Dial><Number>: until either of the two hangs up. `action` is then asked what to do."""

    number: str
    timeout_seconds: float
    caller_id: str | None
    action: str | None
    status_url: str | None
    events: frozenset[str]
    keys: TimedVerb | None = None
    """Pressed on the call that was dialled, once it is answered."""


@dataclass(frozen=True)
class DialConference:
    """<Dial><Conference>: until it ends, or this one leaves."""

    name: str
    end_on_exit: bool
    action: str | None


Verb = StreamVerb | TimedVerb | Reject | Redirect | Hangup | Gather | DialNumber | DialConference


def read(document: str) -> tuple[Verb, ...]:
    """The document's verbs in order. TwimlError for anything else."""
    try:
        # The document comes from the server under test, and expat refuses entity bombs.
        root = ET.fromstring(document)  # noqa: S314
    except ET.ParseError as error:
        raise TwimlError(f"12100: not XML: {error}") from error
    if root.tag != "Response":
        raise TwimlError("12100: the document's root is not <Response>")
    return tuple(_verb(element) for element in root)


def _verb(element: ET.Element) -> Verb:
    match element.tag:
        case "Connect":
            return _stream(element)
        case "Say":
            return TimedVerb(ms=_MS_PER_CHARACTER * len(element.text or ""))
        case "Pause":
            return TimedVerb(ms=1000 * int(element.get("length", "1")))
        case "Play" if element.get("digits"):
            return _keys(cast(str, element.get("digits")))
        case "Gather":
            return _gather(element)
        case "Dial":
            return _dial(element)
        case "Reject":
            return Reject(reason=element.get("reason", "rejected"))
        case "Redirect":
            return Redirect(_absolute((element.text or "").strip(), "<Redirect>"))
        case "Hangup":
            return Hangup()
    raise TwimlError(f"12200: <{element.tag}> is not carried out here")


def _gather(element: ET.Element) -> Gather:
    prompts = [_verb(child) for child in element]
    if not all(isinstance(prompt, TimedVerb) and not prompt.digits for prompt in prompts):
        raise TwimlError("12200: <Gather> holds <Say>, <Play> and <Pause>")
    inputs = frozenset(element.get("input", "dtmf").split())
    if not inputs or inputs - {"dtmf", "speech"}:
        raise TwimlError(f"13325: input of <Gather>: {element.get('input')!r}")
    digits = element.get("numDigits")
    return Gather(
        action=_url(element, "action"),
        inputs=inputs,
        prompt_ms=sum(prompt.ms for prompt in prompts if isinstance(prompt, TimedVerb)),
        timeout_seconds=float(element.get("timeout", "5")),
        num_digits=None if digits is None else int(digits),
        finish_on_key=element.get("finishOnKey", "#"),
        action_on_empty=element.get("actionOnEmptyResult") == "true",
    )


def _dial(element: ET.Element) -> DialNumber | DialConference:
    if len(element) != 1:
        raise TwimlError("12200: <Dial> holds one <Number> or one <Conference> here")
    (noun,) = element
    action = _url(element, "action") if element.get("action") else None
    if noun.tag == "Conference" and (noun.text or "").strip():
        return DialConference((noun.text or "").strip(), noun.get("endConferenceOnExit") == "true", action)
    if noun.tag != "Number":
        raise TwimlError(f"12200: <{noun.tag}> in <Dial> is not carried out here")
    return DialNumber(
        number=(noun.text or "").strip(),
        timeout_seconds=float(element.get("timeout", "30")),
        caller_id=element.get("callerId"),
        action=action,
        status_url=noun.get("statusCallback"),
        events=frozenset(noun.get("statusCallbackEvent", "completed").split()),
        keys=_keys(digits) if (digits := noun.get("sendDigits")) else None,
    )


def _keys(digits: str) -> TimedVerb:
    """Keys and waits. TwimlError for what is neither."""
    if set(digits) - set("0123456789*#wW"):
        raise TwimlError(f"13510: {digits!r} are no digits")
    took = sum(_MS_OF_WAIT.get(digit, _MS_PER_DIGIT) for digit in digits)
    return TimedVerb(ms=took, digits=digits.replace("w", "").replace("W", ""))


def _url(element: ET.Element, name: str) -> str:
    return _absolute(element.get(name, ""), f"the {name} of <{element.tag}>")


def _absolute(url: str, what: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise TwimlError(f"11100: {what} is not a URL")
    return url


def _stream(connect: ET.Element) -> StreamVerb:
    streams = connect.findall("Stream")
    if len(connect) != 1 or len(streams) != 1:
        raise TwimlError("12200: <Connect> holds one <Stream>")
    url = streams[0].get("url", "")
    if not url.startswith(("ws://", "wss://")):
        raise TwimlError("12200: the url of <Stream> is not ws:// or wss://")
    if "?" in url:
        raise TwimlError("31920: the url of <Stream> has a query string, which Twilio drops")
    return StreamVerb(
        url=url,
        parameters={
            parameter.get("name", ""): parameter.get("value", "") for parameter in streams[0].findall("Parameter")
        },
    )
