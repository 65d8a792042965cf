"""Twilio's signed forms as events, and what its webhooks are answered."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import urlencode

import pytest

from bot.errors import ForbiddenError, RequestError
from bot.records import Status
from bot.telephony.carrier import (
    Answered,
    AskAgain,
    CarrierEvent,
    CarrierReply,
    CarrierRequest,
    Detected,
    Detection,
    EndCall,
    LegEvent,
    LegStep,
    StatusReported,
)
from bot.telephony.twilio import signatures
from bot.telephony.twilio.webhooks import MAX_FIELDS, TwilioWebhooks

ORIGIN, BELOW = "https://bot.example.com", "/api/phone/twilio"
TWILIO = TwilioWebhooks("token")


def request(path: str, form: dict[str, str], *, token: str = "token") -> CarrierRequest:
    target = f"{BELOW}{path}"
    signature = signatures.sign(token, f"{ORIGIN}{target}", form)
    headers = {"x-twilio-signature": signature}
    return CarrierRequest(target, path.partition("?")[0], urlencode(form).encode(), headers)


@pytest.mark.parametrize(
    ("path", "form", "event"),
    [
        (
            "/voice?call_id=c1&tries=2",
            {"CallSid": "CA1", "From": "+12025550100", "To": "+12025550123", "CallerName": ""},
            Answered("CA1", "c1", to="+12025550123", from_number="+12025550100", tries=2),
        ),
        ("/voice", {"CallSid": "CA1"}, Answered("CA1", None)),
        (
            "/status?call_id=c1",
            {"CallSid": "CA1", "CallStatus": "completed", "CallDuration": "12"},
            StatusReported("CA1", "c1", Status.COMPLETED, 12.0),
        ),
        (
            "/status",
            {"CallSid": "CA1", "CallStatus": "busy", "CallDuration": "no"},
            StatusReported("CA1", None, Status.BUSY),
        ),
        (
            "/status?call_id=c1",
            {"CallSid": "CA1", "CallStatus": "ringing", "StirStatus": "B", "StirPassportToken": "e30.e30.x"},
            StatusReported("CA1", "c1", Status.RINGING, None, {"StirStatus": "B"}),
        ),
        (
            "/voice",
            {"CallSid": "CA1", "StirVerstat": "TN-Validation-Passed-A"},
            Answered("CA1", None, caller_identity={"StirVerstat": "TN-Validation-Passed-A"}),
        ),
        ("/status", {"CallSid": "CA1", "CallStatus": "nonsense"}, None),
        ("/amd?call_id=c1", {"CallSid": "CA1", "AnsweredBy": "human"}, Detected("CA1", "c1", Detection.PERSON)),
        (
            "/amd",
            {"CallSid": "CA1", "AnsweredBy": "machine_end_other"},
            Detected("CA1", None, Detection.GREETING_OVER),
        ),
        ("/amd", {"CallSid": "CA1", "AnsweredBy": "robot"}, None),
        (
            "/transfer/t/reply?round=2",
            {"CallSid": "CA2", "Digits": "1", "SpeechResult": "yes", "CallStatus": "in-progress"},
            LegEvent("t", LegStep.REPLY, "CA2", status=Status.IN_PROGRESS, keys="1", speech="yes", round=2),
        ),
        (
            "/transfer/t/dialled",
            {"CallSid": "CA1", "DialCallStatus": "answered", "CallStatus": "in-progress"},
            LegEvent("t", LegStep.DIALLED, "CA1", status=Status.COMPLETED),
        ),
        (
            "/transfer/t/dialled",
            {"CallSid": "CA1", "DialCallStatus": "no-answer", "CallStatus": "completed"},
            LegEvent("t", LegStep.DIALLED, "CA1", status=Status.NO_ANSWER, call_over=True),
        ),
    ],
)
def test_what_a_form_reports(path: str, form: dict[str, str], event: CarrierEvent | None) -> None:
    assert TWILIO.read(request(path, form), ORIGIN) == event


def test_a_signature_of_another_account_or_address_does_not_hold() -> None:
    form = {"CallSid": "CA1"}
    with pytest.raises(ForbiddenError):
        TWILIO.read(request("/voice", form, token="another"), ORIGIN)
    with pytest.raises(ForbiddenError):
        TWILIO.read(request("/voice", form), "https://evil.example")
    with pytest.raises(ForbiddenError):
        TWILIO.read(CarrierRequest(f"{BELOW}/voice", "/voice"), ORIGIN)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"&".join(b"a=1" for _ in range(MAX_FIELDS + 1))])
def test_a_body_that_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        TWILIO.read(CarrierRequest(f"{BELOW}/voice", "/voice", body), ORIGIN)
    assert refused.value.code == "invalid_form"


def test_a_step_there_is_not_is_refused() -> None:
    with pytest.raises(RequestError):
        TWILIO.read(request("/transfer/t/elsewhere", {}), ORIGIN)


def test_what_is_answered() -> None:
    asked = request("/voice?call_id=c%2001&x=", {})
    assert TWILIO.reply(asked, None, ORIGIN) == CarrierReply()
    answer = TWILIO.reply(asked, EndCall(), ORIGIN)
    assert (answer.body.partition("?>")[2], answer.media_type) == ("<Response><Hangup /></Response>", "text/xml")


def test_the_tries_are_counted_in_the_url() -> None:
    for tried, following in (
        ("?call_id=c+1&x=", "call_id=c+1&amp;x=&amp;tries=2"),
        ("?tries=2", "tries=3"),
        ("", "tries=2"),
    ):
        answer = TWILIO.reply(request(f"/voice{tried}", {}), AskAgain(), ORIGIN)
        assert f">{ORIGIN}{BELOW}/voice?{following}</Redirect>" in answer.body
    many = TWILIO.read(request("/voice?tries=many", {}), ORIGIN)
    assert isinstance(many, Answered)
    assert many.tries > 3, "no number of ours: asked no more"


def test_a_media_socket_is_signed_for_its_own_scheme() -> None:
    target = "/api/phone/media-stream"
    signature = signatures.sign("token", f"wss://bot.example.com{target}")
    assert TWILIO.admits(CarrierRequest(target, headers={"x-twilio-signature": signature}), ORIGIN)
    assert not TWILIO.admits(CarrierRequest(target), ORIGIN)


def test_a_key_that_stands_twice_is_signed_with_all_its_values() -> None:
    """As Twilio's own validator takes them: SIP headers may come more than once."""
    body = b"CallSid=CA1&SipHeader_X-Tag=b&SipHeader_X-Tag=a&CallStatus=completed&SipHeader_X-Tag=a"
    url = f"{ORIGIN}{BELOW}/status"
    data = url + "CallSidCA1" + "CallStatuscompleted" + "SipHeader_X-Taga" + "SipHeader_X-Tagb"
    signature = base64.b64encode(hmac.new(b"token", data.encode(), hashlib.sha1).digest()).decode()
    headers = {"x-twilio-signature": signature}
    event = TWILIO.read(CarrierRequest(f"{BELOW}/status", "/status", body, headers), ORIGIN)
    assert isinstance(event, StatusReported)
    with pytest.raises(ForbiddenError):
        TWILIO.read(CarrierRequest(f"{BELOW}/status", "/status", body.replace(b"=b", b"=c"), headers), ORIGIN)
