"""Twilio's webhooks reach the agent as they were signed."""

from __future__ import annotations

from starlette.testclient import TestClient

from bot.errors import ForbiddenError
from tests.unit.api.fake_agent import FakeAgent

BELOW = "/api/phone/twilio"


def test_voice_answers_twiml_and_passes_what_was_signed(client: TestClient, agent: FakeAgent) -> None:
    answer = client.post(
        f"{BELOW}/voice?call_id=c%2001&x=%2B1",
        data={"CallSid": "CA1", "From": "+12025550100", "CallerName": ""},
        headers={"X-Twilio-Signature": "sig"},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert answer.text == "<Response/>"
    (request,) = agent.carrier_requests
    assert (request.target, request.webhook) == (f"{BELOW}/voice?call_id=c%2001&x=%2B1", "/voice")
    assert request.body == b"CallSid=CA1&From=%2B12025550100&CallerName="
    assert request.headers["x-twilio-signature"] == "sig"


def test_what_only_reports_is_answered_with_nothing(client: TestClient, agent: FakeAgent) -> None:
    for webhook in ("/status", "/amd", "/transfer/tk/status"):
        answer = client.post(f"{BELOW}{webhook}", data={"CallStatus": "ringing"})
        assert (answer.status_code, answer.content) == (204, b"")
    assert [request.webhook for request in agent.carrier_requests] == ["/status", "/amd", "/transfer/tk/status"]


def test_a_transfers_steps_are_answered_with_twiml(client: TestClient, agent: FakeAgent) -> None:
    answer = client.post(f"{BELOW}/transfer/t%20k/reply?round=2", data={"Digits": "1"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    (request,) = agent.carrier_requests
    assert request.target == f"{BELOW}/transfer/t%20k/reply?round=2"
    assert request.webhook == "/transfer/t k/reply"


def test_a_signature_that_does_not_hold_is_403(client: TestClient, agent: FakeAgent) -> None:
    agent.error = ForbiddenError("The signature does not hold.")
    for path in ("voice", "status", "amd", "transfer/t/reply"):
        answer = client.post(f"{BELOW}/{path}", data={"CallSid": "CA1"})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "forbidden"


def test_the_webhooks_are_documented(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    voice = paths[f"{BELOW}/voice"]["post"]
    form = voice["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]
    assert set(form) == {"CallSid", "From", "To"}
    named = {
        parameter["name"] for parameter in paths[f"{BELOW}/transfer/{{token}}/{{step}}"]["post"]["parameters"]
    }
    assert named == {"token", "step", "x-twilio-signature"}
