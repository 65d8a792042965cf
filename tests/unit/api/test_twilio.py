"""Twilio's webhooks reach the agent as they were signed."""

from __future__ import annotations

from starlette.testclient import TestClient

from bot.errors import ForbiddenError
from tests.unit.api.fake_agent import FakeAgent


def test_voice_answers_twiml_and_passes_what_was_signed(client: TestClient, agent: FakeAgent) -> None:
    answer = client.post(
        "/api/phone/twilio/voice?call_id=c%2001&x=%2B1",
        data={"CallSid": "CA1", "From": "+12025550100", "CallerName": "", "To": "☃"},
        headers={"X-Twilio-Signature": "sig"},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert answer.text == "<Response/>"
    form = {"CallSid": "CA1", "From": "+12025550100", "CallerName": "", "To": "☃"}
    assert agent.twilio_posts == [("voice", "/api/phone/twilio/voice?call_id=c%2001&x=%2B1", form, "sig")]


def test_status_answers_nothing(client: TestClient, agent: FakeAgent) -> None:
    answer = client.post("/api/phone/twilio/status", data={"CallStatus": "ringing"})
    assert answer.status_code == 204
    assert answer.content == b""
    assert agent.twilio_posts == [("status", "/api/phone/twilio/status", {"CallStatus": "ringing"}, None)]


def test_amd_answers_nothing(client: TestClient, agent: FakeAgent) -> None:
    answer = client.post("/api/phone/twilio/amd?call_id=c1", data={"AnsweredBy": "human"})
    assert answer.status_code == 204
    assert answer.content == b""
    assert agent.twilio_posts == [("amd", "/api/phone/twilio/amd?call_id=c1", {"AnsweredBy": "human"}, None)]


def test_a_transfers_steps_are_answered_with_twiml_and_its_status_with_nothing(
    client: TestClient, agent: FakeAgent
) -> None:
    answer = client.post("/api/phone/twilio/transfer/t%20k/reply?round=2", data={"Digits": "1"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert answer.text == "<Response/>"
    assert client.post("/api/phone/twilio/transfer/tk/status", data={}).status_code == 204
    assert client.post("/api/phone/twilio/transfer/tk/elsewhere", data={}).status_code == 422
    assert agent.twilio_posts == [
        ("transfer t k reply", "/api/phone/twilio/transfer/t%20k/reply?round=2", {"Digits": "1"}, None),
        ("transfer tk status", "/api/phone/twilio/transfer/tk/status", {}, None),
    ]


def test_a_signature_that_does_not_hold_is_403(client: TestClient, agent: FakeAgent) -> None:
    agent.error = ForbiddenError("The signature does not hold.")
    for path in ("voice", "status", "amd", "transfer/t/reply"):
        answer = client.post(f"/api/phone/twilio/{path}", data={"CallSid": "CA1"})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "forbidden"


def test_a_body_that_is_no_form_is_refused(client: TestClient, agent: FakeAgent) -> None:
    for content in (b"\xff\xfe", b"&".join(b"a=1" for _ in range(201))):
        answer = client.post("/api/phone/twilio/voice", content=content)
        assert answer.status_code == 422
        assert answer.json()["error"]["code"] == "invalid_form"
    assert agent.twilio_posts == []
