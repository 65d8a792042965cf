"""TwiML read back: the verbs a simulated line carries out. twiml.py writes them.

https://www.twilio.com/docs/voice/twiml. What our server never answers is refused like a verb Twilio does not
know, so that a test sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from xml.etree import ElementTree as ET

_MS_PER_CHARACTER = 60
"""About how long Twilio's voice takes for a character of <Say>."""
_MS_PER_DIGIT = 250


class TwimlError(ValueError):
    """Twilio's 12100 (not XML), 12200 (unknown verb or attribute)."""


@dataclass(frozen=True)
class Stream:
    """<Connect><Stream>: until either side ends it."""

    url: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Wait:
    """<Say>, <Pause>, <Play digits>: the line is taken for so long. `digits` reach the callee."""

    ms: int
    digits: str = ""


@dataclass(frozen=True)
class Reject:
    """<Reject>: only before an inbound call is answered; `reason` is busy or rejected."""

    reason: str


@dataclass(frozen=True)
class Hangup:
    pass


Verb = Stream | Wait | Reject | Hangup


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
            return Wait(ms=_MS_PER_CHARACTER * len(element.text or ""))
        case "Pause":
            return Wait(ms=1000 * int(element.get("length", "1")))
        case "Play" if element.get("digits"):
            digits = cast(str, element.get("digits"))
            return Wait(ms=_MS_PER_DIGIT * len(digits), digits=digits.replace("w", "").replace("W", ""))
        case "Reject":
            return Reject(reason=element.get("reason", "rejected"))
        case "Hangup":
            return Hangup()
    raise TwimlError(f"12200: <{element.tag}> is not carried out here")


def _stream(connect: ET.Element) -> Stream:
    streams = connect.findall("Stream")
    if len(connect) != 1 or len(streams) != 1:
        raise TwimlError("12200: <Connect> holds one <Stream>")
    url = streams[0].get("url", "")
    if not url.startswith(("ws://", "wss://")):
        raise TwimlError("12200: the url of <Stream> is not ws:// or wss://")
    if "?" in url:
        raise TwimlError("31920: the url of <Stream> has a query string, which Twilio drops")
    return Stream(
        url=url,
        parameters={
            parameter.get("name", ""): parameter.get("value", "") for parameter in streams[0].findall("Parameter")
        },
    )
