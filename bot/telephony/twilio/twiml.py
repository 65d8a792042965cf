"""TwiML documents: data in, XML out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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


def turn_away(message: str, language: str) -> str:
    """Refuse an inbound call: with the busy tone, or with `message` where there is one."""
    return say_and_hang_up(message, language) if message else reject_busy()


def ask_again(url: str) -> str:
    """Ask `url` what to do. Twilio answers a call that comes in first, as before all but <Reject>.

    https://www.twilio.com/docs/voice/twiml/redirect and /reject
    """
    response = VoiceResponse()
    response.redirect(url, method="POST")
    return str(response)


def hang_up() -> str:
    response = VoiceResponse()
    response.hangup()
    return str(response)


def say_and_hang_up(text: str, language: str | None = None) -> str:
    """Twilio's own voice reads `text`: for when our voice cannot."""
    response = VoiceResponse()
    response.say(text, language=language)
    response.hangup()
    return str(response)


@dataclass(frozen=True)
class StreamAddress:
    """Where a media stream may open: its URL, and what its `start` has to show."""

    url: str
    parameters: Mapping[str, str] = field(repr=False)


def play_digits(digits: str, stream: StreamAddress | None = None) -> str:
    """Press `digits` (0-9 * #, w for half a second, W for a whole one), then reconnect the stream at `stream`.

    Tones inside a media stream are unreliable, so the carrier plays them. ValueError for other characters.
    """
    if not digits or set(digits) - set("0123456789*#wW"):
        raise ValueError("digits are 0-9, *, #, w and W")
    response = VoiceResponse()
    response.play(digits=digits)
    if stream is not None:
        _stream(response, stream.url, stream.parameters)
    return str(response)


def dial_on(number: str, *, caller_id: str | None, ring_seconds: int, action_url: str, status_url: str) -> str:
    """Dial `number` for the call. `action_url` is asked what to do when that ends, answered or not.

    https://www.twilio.com/docs/voice/twiml/dial and /number. `status_url` hears when it is answered: the
    action comes only at the end.
    """
    response = VoiceResponse()
    dial = response.dial(action=action_url, method="POST", timeout=ring_seconds, caller_id=caller_id)
    dial.number(
        number,
        status_callback=status_url,
        status_callback_method="POST",
        status_callback_event="answered completed",
    )
    return str(response)


def join_conference(name: str) -> str:
    """Enter a conference of two that ends for both when one of them leaves.

    https://www.twilio.com/docs/voice/twiml/conference. An empty waitUrl is silence instead of music: the
    other one is a moment away.
    """
    response = VoiceResponse()
    response.dial().conference(
        name, beep="false", start_conference_on_enter=True, end_conference_on_exit=True, wait_url=""
    )
    return str(response)


def ask(text: str, *, action_url: str, language: str, hints: str, wait_seconds: int) -> str:
    """Say `text` and take one key or a few words; `action_url` gets them, or the lack of both.

    https://www.twilio.com/docs/voice/twiml/gather
    """
    response = VoiceResponse()
    gather = response.gather(
        input="dtmf speech",
        num_digits=1,
        timeout=wait_seconds,
        speech_timeout="auto",
        action=action_url,
        method="POST",
        action_on_empty_result=True,
        language=language,
        hints=hints,
    )
    gather.say(text, language=language)
    return str(response)


def _stream(response: VoiceResponse, url: str, parameters: Mapping[str, str]) -> None:
    stream = response.connect().stream(url=url)
    for name, value in parameters.items():
        stream.parameter(name=name, value=value)
