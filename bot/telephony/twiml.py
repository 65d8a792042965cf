"""TwiML documents: data in, XML out."""

from __future__ import annotations

from collections.abc import Mapping

from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]  # ships no py.typed


def connect_stream(url: str, parameters: Mapping[str, str]) -> str:
    """A bidirectional media stream to `url`.

    Twilio drops the URL's query string, so what the socket must know travels in `parameters` (seen in
    start.customParameters). Nothing follows </Connect>: any verb there would keep the line open after us.
    """
    response = VoiceResponse()
    _stream(response, url, parameters)
    return str(response)


def reject_busy() -> str:
    """Refuse an inbound call with a busy tone; an unanswered call costs nothing."""
    response = VoiceResponse()
    response.reject(reason="busy")
    return str(response)


def hang_up() -> str:
    response = VoiceResponse()
    response.hangup()
    return str(response)


def say_and_hang_up(text: str) -> str:
    """Twilio's own voice reads `text`: for when our voice cannot."""
    response = VoiceResponse()
    response.say(text)
    response.hangup()
    return str(response)


def play_digits(digits: str, stream_url: str | None = None, parameters: Mapping[str, str] | None = None) -> str:
    """Press `digits` (0-9 * # and w for half a second), then reconnect the stream if a URL is given.

    Tones inside a media stream are unreliable, so the carrier plays them. ValueError for other characters.
    """
    if not digits or set(digits) - set("0123456789*#wW"):
        raise ValueError("digits are 0-9, *, # and w")
    response = VoiceResponse()
    response.play(digits=digits)
    if stream_url is not None:
        _stream(response, stream_url, parameters or {})
    return str(response)


def _stream(response: VoiceResponse, url: str, parameters: Mapping[str, str]) -> None:
    stream = response.connect().stream(url=url)
    for name, value in parameters.items():
        stream.parameter(name=name, value=value)
