"""Twilio Media Streams, our end: what a text frame says, and the frames we send. No I/O.

https://www.twilio.com/docs/voice/media-streams/websocket-messages. Whatever is not what that page
describes becomes `Malformed` with the reason: the line drops it with one log line and goes on.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Any

import orjson

MAX_FRAME_BYTES = 1 << 20
"""A larger frame closes its socket, and only that; the server enforces it (ws_max_size)."""
MAX_MEDIA_BYTES = 8000
"""One second of audio. Twilio sends 160 bytes; more than this in one frame is not media."""


@dataclass(frozen=True)
class Connected:
    """The socket is open; nothing is known yet."""


@dataclass(frozen=True)
class Started:
    """The stream begins. `parameters` are the TwiML's <Parameter>s."""

    stream_sid: str
    call_sid: str
    account_sid: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Media:
    """Inbound audio. `at_ms` is its place on the media clock, None where Twilio left it out."""

    mulaw: bytes
    at_ms: int | None


@dataclass(frozen=True)
class Marked:
    """Playback reached this mark, or a `clear` dropped what stood before it."""

    name: str


@dataclass(frozen=True)
class Dtmf:
    digit: str


@dataclass(frozen=True)
class Stopped:
    """The stream is over: the call ended or left the stream."""


@dataclass(frozen=True)
class Malformed:
    """Not a message of the protocol; `reason` is for one log line."""

    reason: str


Event = Connected | Started | Media | Marked | Dtmf | Stopped | Malformed


def parse(frame: str | bytes) -> Event:
    """One WebSocket frame. Never raises."""
    if isinstance(frame, bytes):
        return Malformed("a binary frame")
    try:
        message = orjson.loads(frame)
    except (orjson.JSONDecodeError, RecursionError):
        return Malformed("not JSON")
    if not isinstance(message, dict):
        return Malformed("not a JSON object")
    return _event(message)


def _event(message: dict[str, Any]) -> Event:
    match message.get("event"):
        case "media":
            return _media(message)
        case "mark":
            name = _text(message, "mark", "name")
            return Marked(name) if name else Malformed("a mark without a name")
        case "dtmf":
            digit = _text(message, "dtmf", "digit")
            known = digit is not None and len(digit) == 1 and digit in "0123456789*#ABCD"
            return Dtmf(digit) if known and digit else Malformed("a dtmf event without a digit")
        case "connected":
            return Connected()
        case "start":
            return _started(message)
        case "stop":
            return Stopped()
        case _:
            return Malformed("an unknown event")


def _media(message: dict[str, Any]) -> Event:
    media = message.get("media")
    if not isinstance(media, dict):
        return Malformed("media that is not an object")
    if media.get("track", "inbound") not in ("inbound", "inbound_track"):
        return Malformed("media of a track that is not inbound")
    payload = media.get("payload")
    if not isinstance(payload, str):
        return Malformed("media without a payload")
    try:
        mulaw = b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        return Malformed("a payload that is not base64")
    if not mulaw or len(mulaw) > MAX_MEDIA_BYTES:
        return Malformed("a payload of no or of too much audio")
    return Media(mulaw, _milliseconds(media.get("timestamp")))


def _started(message: dict[str, Any]) -> Event:
    start = message.get("start")
    if not isinstance(start, dict):
        return Malformed("a start that is not an object")
    stream_sid = _text(message, "start", "streamSid") or message.get("streamSid")
    call_sid = start.get("callSid")
    if not isinstance(stream_sid, str) or not isinstance(call_sid, str):
        return Malformed("a start without streamSid or callSid")
    parameters = start.get("customParameters")
    known = parameters if isinstance(parameters, dict) else {}
    account = start.get("accountSid")
    return Started(
        stream_sid,
        call_sid,
        account if isinstance(account, str) else "",
        {str(key): str(value) for key, value in known.items()},
    )


def _text(message: dict[str, Any], outer: str, inner: str) -> str | None:
    value = message.get(outer)
    found = value.get(inner) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def _milliseconds(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        return int(value)
    return None


def media(stream_sid: str, mulaw: bytes) -> str:
    """Audio to play, appended to what Twilio has buffered."""
    payload = b64encode(mulaw).decode("ascii")
    return f'{{"event":"media","streamSid":"{stream_sid}","media":{{"payload":"{payload}"}}}}'


def mark(stream_sid: str, name: str) -> str:
    """Ask to be told when playback reaches this point. `name` is ours: ASCII without quotes."""
    return f'{{"event":"mark","streamSid":"{stream_sid}","mark":{{"name":"{name}"}}}}'


def clear(stream_sid: str) -> str:
    """Drop everything buffered."""
    return f'{{"event":"clear","streamSid":"{stream_sid}"}}'
