"""TwiML: instructions in, XML out."""

from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]  # ships no py.typed

from bot.telephony.carrier import (
    AskAgain,
    AskPerson,
    ConnectStream,
    DialOn,
    EndCall,
    Instruction,
    JoinConference,
    LegStep,
    PressKeys,
    RefuseBusy,
    SayAndEnd,
    StreamAddress,
)
from bot.telephony.twilio.paths import transfer_url


def render(instruction: Instruction) -> str:
    """The document of an instruction. ValueError for keys that are none."""
    response = VoiceResponse()
    match instruction:
        case ConnectStream(stream):
            _stream(response, stream)
        case PressKeys(keys, then):
            # Tones inside a media stream are unreliable, so the carrier plays them.
            _press(response, keys)
            _stream(response, then)
        case RefuseBusy():
            # An unanswered call costs nothing.
            response.reject(reason="busy")
        case EndCall():
            response.hangup()
        case SayAndEnd(text, language):
            response.say(text, language=language)
            response.hangup()
        case DialOn():
            _dial_on(response, instruction)
        case JoinConference(name):
            # An empty waitUrl is silence instead of music: the other one is a moment away.
            # https://www.twilio.com/docs/voice/twiml/conference
            response.dial().conference(
                name, beep="false", start_conference_on_enter=True, end_conference_on_exit=True, wait_url=""
            )
        case AskPerson():
            _ask(response, instruction)
        case AskAgain():
            raise ValueError("where to ask again is the request's own URL: see ask_again")
    return str(response)


def ask_again(url: str) -> str:
    """Ask `url` what to do. Twilio answers a call that comes in first, as before all but <Reject>.

    https://www.twilio.com/docs/voice/twiml/redirect and /reject
    """
    response = VoiceResponse()
    response.redirect(url, method="POST")
    return str(response)


def _dial_on(response: VoiceResponse, order: DialOn) -> None:
    """https://www.twilio.com/docs/voice/twiml/dial and /number.

    The action is asked what to do when the dialled call ends; only the status tells when it is answered.
    """
    dial = response.dial(
        action=transfer_url(order.origin, order.transfer, LegStep.DIALLED),
        method="POST",
        timeout=order.ring_seconds,
        caller_id=order.caller_id,
    )
    dial.number(
        order.number,
        status_callback=transfer_url(order.origin, order.transfer, LegStep.STATUS),
        status_callback_method="POST",
        status_callback_event="answered completed",
        send_digits=order.keys or None,
    )


def _ask(response: VoiceResponse, question: AskPerson) -> None:
    """https://www.twilio.com/docs/voice/twiml/gather"""
    if question.keys:
        _press(response, question.keys)
    url = transfer_url(question.origin, question.transfer, LegStep.REPLY)
    gather = response.gather(
        input="dtmf speech",
        num_digits=1,
        timeout=question.wait_seconds,
        speech_timeout="auto",
        action=f"{url}?round={question.round}",
        method="POST",
        action_on_empty_result=True,
        language=question.language,
        hints=question.hints,
    )
    gather.say(question.text, language=question.language)


def _press(response: VoiceResponse, keys: str) -> None:
    """https://www.twilio.com/docs/voice/twiml/play#attributes-digits"""
    if not keys or set(keys) - set("0123456789*#wW"):
        raise ValueError("digits are 0-9, *, #, w and W")
    response.play(digits=keys)


def _stream(response: VoiceResponse, address: StreamAddress) -> None:
    """A bidirectional media stream.

    Twilio drops the URL's query string, so the token travels as a <Parameter> (seen in start.customParameters).
    Nothing follows </Connect>: any verb there would keep the line open after us.
    """
    response.connect().stream(url=address.url).parameter(name="token", value=address.token)
