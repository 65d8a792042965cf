"""Twilio's webhooks: signed forms in, events out; instructions in, TwiML out.

Twilio signs the URL as it was given to it, so `CarrierRequest.target` is taken as it came over the wire, not
decoded and joined again.
"""

from collections.abc import Mapping
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from bot.errors import ForbiddenError, RequestError
from bot.records import Status
from bot.settings import with_scheme
from bot.telephony.carrier import (
    Answered,
    AskAgain,
    Callbacks,
    CarrierEvent,
    CarrierReply,
    CarrierRequest,
    Detected,
    Detection,
    Instruction,
    LegEvent,
    LegStep,
    StatusReported,
    Webhook,
)
from bot.telephony.media import MediaWire
from bot.telephony.twilio import media_streams, paths, signatures, twiml

MAX_FIELDS = 200
MAX_SPEECH = 1000
"""Characters of what a person is heard to say to a yes-or-no question."""
TRIES = "tries"
IDENTITY = ("Stir", "Branded")
"""How the fields begin that say how a number was attested and shown."""
MAX_IDENTITY = 200
_SID = "CA0123456789abcdef0123456789abcdef"
_TWIML = '<Response><Connect><Stream url="wss://bot.example.com/api/phone/media-stream"/></Connect></Response>'
_DETECTION = {
    "human": Detection.PERSON,
    "machine_start": Detection.MACHINE,
    "machine_end_beep": Detection.BEEP,
    "machine_end_silence": Detection.GREETING_OVER,
    "machine_end_other": Detection.GREETING_OVER,
    "fax": Detection.FAX,
    "unknown": Detection.UNKNOWN,
}
"""https://www.twilio.com/docs/voice/answering-machine-detection"""
_DIALLED = {"completed": Status.COMPLETED, "answered": Status.COMPLETED}
"""What DialCallStatus says beside the statuses of a call: the two have talked."""


def _form_webhook(path: str, summary: str, example: Mapping[str, str], answer: str | None = None) -> Webhook:
    return Webhook(path, summary, example, answer, "application/x-www-form-urlencoded", "text/xml")


class TwilioWebhooks:
    """The part of a carrier that speaks Twilio's webhooks. `auth_token` signs them."""

    webhook_prefix = paths.PREFIX
    media: MediaWire = media_streams
    signature_headers = (signatures.HEADER.lower(),)
    webhooks = (
        _form_webhook(
            "/voice",
            "Twilio: what to do with a call that was answered",
            {"CallSid": _SID, "From": "+12025550100", "To": "+12025550123"},
            _TWIML,
        ),
        _form_webhook(
            "/status",
            "Twilio: where a call stands",
            {"CallSid": _SID, "CallStatus": "completed", "SequenceNumber": "3"},
        ),
        _form_webhook(
            "/amd",
            "Twilio: who it thinks has answered",
            {"CallSid": _SID, "AnsweredBy": "machine_end_beep", "MachineDetectionDuration": "4500"},
        ),
        _form_webhook(
            "/transfer/{token}/{step}",
            "Twilio: events of a transfer to a person",
            {"CallSid": _SID, "CallStatus": "in-progress", "Digits": "1"},
            _TWIML,
        ),
    )

    def __init__(self, auth_token: str) -> None:
        self.auth_token = auth_token

    def callbacks(self, origin: str, call_id: str | None = None) -> Callbacks:
        return Callbacks(paths.of_call(origin, "voice", call_id), paths.of_call(origin, "status", call_id))

    def read(self, request: CarrierRequest, origin: str) -> CarrierEvent | None:
        fields = _form(request.body)
        form = {name: values[-1] for name, values in fields.items()}
        if not self._signed(f"{origin}{request.target}", fields, request):
            raise ForbiddenError(f"The {signatures.HEADER} does not hold for this URL and form.")
        return _event(request.webhook, form, dict(parse_qsl(urlsplit(request.target).query)))

    def reply(self, request: CarrierRequest, instruction: Instruction | None, origin: str) -> CarrierReply:
        if instruction is None:
            return CarrierReply()
        document = (
            twiml.ask_again(f"{origin}{_next_try(request.target)}")
            if isinstance(instruction, AskAgain)
            else twiml.render(instruction)
        )
        return CarrierReply(document, "text/xml")

    def admits(self, request: CarrierRequest, origin: str) -> bool:
        return self._signed(f"{with_scheme(origin, websocket=True)}{request.target}", {}, request)

    def signed(self, request: CarrierRequest, origin: str) -> bool:
        """Whether it carries our signature: of its webhook and form, or of a media socket's handshake."""
        if request.webhook:
            return self._signed(f"{origin}{request.target}", _form(request.body), request)
        return TwilioWebhooks.admits(self, request, origin)

    def _signed(self, url: str, form: signatures.Fields, request: CarrierRequest) -> bool:
        signature = request.headers.get(signatures.HEADER.lower())
        return bool(signature) and signatures.holds(self.auth_token, url, form, signature or "")


def _form(body: bytes) -> dict[str, list[str]]:
    """The urlencoded fields, empty ones too: they are part of what was signed."""
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise RequestError("The body is not an urlencoded form.", code="invalid_form") from None


def _event(webhook: str, form: Mapping[str, str], query: Mapping[str, str]) -> CarrierEvent | None:
    call_sid, call_id = form.get("CallSid", ""), query.get("call_id")
    name, *rest = webhook.strip("/").split("/")
    match name, rest:
        case "voice", []:
            tries = query.get(TRIES, "1")
            return Answered(
                call_sid,
                call_id,
                to=form.get("To", ""),
                from_number=form.get("From", ""),
                tries=int(tries) if tries.isdecimal() and len(tries) < 4 else MAX_FIELDS,
                caller_identity=_identity(form),
            )
        case "status", []:
            status = _status(form.get("CallStatus"))
            if status is None:
                return None
            return StatusReported(call_sid, call_id, status, _seconds(form), _identity(form))
        case "amd", []:
            heard = _DETECTION.get(form.get("AnsweredBy", ""))
            return None if heard is None else Detected(call_sid, call_id, heard)
        case "transfer", [token, step] if step in list(LegStep):
            return _leg_event(token, LegStep(step), form, query)
    raise RequestError(f"There is no webhook {webhook!r}.", code="invalid_request", field="step")


def _leg_event(token: str, step: LegStep, form: Mapping[str, str], query: Mapping[str, str]) -> LegEvent:
    status, over = _status(form.get("CallStatus")), False
    if step is LegStep.DIALLED:
        over = status is not None and status.final
        dialled = form.get("DialCallStatus", "")
        status = _DIALLED.get(dialled) or _status(dialled)
    round_ = query.get("round", "1")
    return LegEvent(
        token,
        step,
        form.get("CallSid", ""),
        status=status,
        keys=form.get("Digits", ""),
        speech=form.get("SpeechResult", "")[:MAX_SPEECH],
        round=int(round_) if round_.isdecimal() and len(round_) < 4 else 1,
        call_over=over,
    )


def _next_try(target: str) -> str:
    """The same webhook once more, with its number in the URL."""
    parts = urlsplit(target)
    fields = parse_qsl(parts.query, keep_blank_values=True)
    tried = next((value for name, value in fields if name == TRIES), "1")
    kept = [(name, value) for name, value in fields if name != TRIES]
    return urlunsplit(("", "", parts.path, urlencode([*kept, (TRIES, int(tried) + 1)]), ""))


def _status(text: str | None) -> Status | None:
    try:
        return Status(text or "")
    except ValueError:
        return None


def _identity(form: Mapping[str, str]) -> dict[str, str]:
    """StirVerstat, StirStatus and what Twilio says of branded calls; not the passport, which holds the numbers.

    https://www.twilio.com/docs/voice/trusted-calling-with-shakenstir
    """
    kept = {name: value for name, value in form.items() if name.startswith(IDENTITY) and value}
    return {name: value[:MAX_IDENTITY] for name, value in kept.items() if "Passport" not in name}


def _seconds(form: Mapping[str, str]) -> float | None:
    try:
        return float(form["CallDuration"])
    except (KeyError, ValueError):
        return None
