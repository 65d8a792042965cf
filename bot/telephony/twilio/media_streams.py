"""Twilio Media Streams, our end: what a text frame says, and the frames we send. No I/O.

https://www.twilio.com/docs/voice/media-streams/websocket-messages. Whatever is not what that page
describes becomes `MalformedFrame` with the reason: the line drops it with one log line and goes on.
"""

import binascii
from base64 import b64decode, b64encode
from typing import Any

import orjson

from bot.telephony.media import (
    AudioReceived,
    KeyPressed,
    MalformedFrame,
    MarkReached,
    MediaEvent,
    StreamConnected,
    StreamStarted,
    StreamStopped,
)

MAX_MEDIA_BYTES = 8000
"""One second of audio. Twilio sends 160 bytes; more than this in one frame is not media."""


def parse(frame: str | bytes) -> MediaEvent:
    """One WebSocket frame. Never raises."""
    if isinstance(frame, bytes):
        return MalformedFrame("a binary frame")
    try:
        message = orjson.loads(frame)
    except (orjson.JSONDecodeError, RecursionError):
        return MalformedFrame("not JSON")
    if not isinstance(message, dict):
        return MalformedFrame("not a JSON object")
    return _event(message)


def _event(message: dict[str, Any]) -> MediaEvent:
    match message.get("event"):
        case "media":
            return _media(message)
        case "mark":
            name = _text(message, "mark", "name")
            return MarkReached(name) if name else MalformedFrame("a mark without a name")
        case "dtmf":
            digit = _text(message, "dtmf", "digit")
            known = digit is not None and len(digit) == 1 and digit in "0123456789*#ABCD"
            return KeyPressed(digit) if known and digit else MalformedFrame("a dtmf event without a digit")
        case "connected":
            return StreamConnected()
        case "start":
            return _started(message)
        case "stop":
            return StreamStopped()
        case _:
            return MalformedFrame("an unknown event")


def _media(message: dict[str, Any]) -> MediaEvent:
    media = message.get("media")
    if not isinstance(media, dict):
        return MalformedFrame("media that is not an object")
    if media.get("track", "inbound") not in ("inbound", "inbound_track"):
        return MalformedFrame("media of a track that is not inbound")
    payload = media.get("payload")
    if not isinstance(payload, str):
        return MalformedFrame("media without a payload")
    try:
        mulaw = b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        return MalformedFrame("a payload that is not base64")
    if not mulaw or len(mulaw) > MAX_MEDIA_BYTES:
        return MalformedFrame("a payload of no or of too much audio")
    return AudioReceived(mulaw, _milliseconds(media.get("timestamp")))


def _started(message: dict[str, Any]) -> MediaEvent:
    start = message.get("start")
    if not isinstance(start, dict):
        return MalformedFrame("a start that is not an object")
    stream_sid = _text(message, "start", "streamSid") or message.get("streamSid")
    call_sid = start.get("callSid")
    if not isinstance(stream_sid, str) or not isinstance(call_sid, str):
        return MalformedFrame("a start without streamSid or callSid")
    token = _text(start, "customParameters", "token")
    return StreamStarted(stream_sid, call_sid, token)


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
    """Ask for a mark back when playback reaches this point. `name` is ours: ASCII without quotes."""
    return f'{{"event":"mark","streamSid":"{stream_sid}","mark":{{"name":"{name}"}}}}'


def clear(stream_sid: str) -> str:
    """Drop everything buffered."""
    return f'{{"event":"clear","streamSid":"{stream_sid}"}}'


def with_token(start: str, token: str) -> str:
    """A `start` frame with another token."""
    message = orjson.loads(start)
    message["start"]["customParameters"] = {**(message["start"].get("customParameters") or {}), "token": token}
    return orjson.dumps(message).decode()
