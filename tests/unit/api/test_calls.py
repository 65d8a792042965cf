"""Placing, listing, reading, hearing and ending calls over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from bot.api import router
from bot.errors import ConflictError
from bot.policy import CallPurpose
from bot.records import CallRecord, CallSpec, Speaker, Status
from tests.unit.api import fake_agent
from tests.unit.api.fake_agent import FakeAgent

README_REQUEST: dict[str, Any] = {
    "phone_number": "+12025550123",
    "action": "Confirm your dentist appointment Thursday at 2pm",
    "context": "Dr. Smith, Suite 200. Rescheduling available Mon-Fri.",
    "callee_name": "John",
    "agent_name": "Alex",
    "organization": "Downtown Dental",
}


def test_the_readme_request_is_answered_201(client: TestClient, agent: FakeAgent) -> None:
    answer = client.post("/api/phone/call", json=README_REQUEST)
    assert answer.status_code == 201
    placed = {"call_id": "c_01", "call_sid": "CA1", "status": "initiated", "waiting_for": None}
    assert answer.json() == placed | {"opening_preview": "Hello, John."}
    assert answer.headers["location"] == "/api/phone/calls/c_01"
    assert agent.specs == [CallSpec(scenario="appointment_confirmation", **README_REQUEST)]


def test_a_call_that_waits_is_answered_202(client: TestClient, agent: FakeAgent) -> None:
    agent.placed_status = Status.QUEUED
    answer = client.post("/api/phone/call", json=README_REQUEST)
    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"
    assert answer.headers["location"] == "/api/phone/calls/c_01"


def test_the_idempotency_key_reaches_the_agent(client: TestClient, agent: FakeAgent) -> None:
    """With whose request it is, and a hash that is the same however the JSON is written."""
    agent.settings = agent.settings.model_copy(update={"api_keys": (SecretStr("one"),)})
    headers = {"Idempotency-Key": "k1", "X-API-Key": "one"}
    other = dict(reversed(README_REQUEST.items()))
    for body in (README_REQUEST, other, {**README_REQUEST, "action": "Another"}):
        assert client.post("/api/phone/call", json=body, headers=headers).status_code == 201
    first, again, another = agent.asked
    assert first == again
    assert (first.idempotency_key, first.key_id is None, first.request_hash is None) == ("k1", False, False)
    assert (another.key_id, another.request_hash == first.request_hash) == (first.key_id, False)
    answer = client.post("/api/phone/call", json=README_REQUEST, headers={**headers, "Idempotency-Key": ""})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "idempotency-key")


def test_every_field_reaches_the_agent(client: TestClient, agent: FakeAgent) -> None:
    body: dict[str, Any] = {
        "phone_number": "+442071838750",
        "task": "  Ask how it went ",
        "context": {"orders": [{"id": 1, "price": 9.5}], "note": "☃"},
        "scenario": "survey",
        "first_speaker": "agent",
        "metadata": {"b": None, "a": [1, {"x": "y"}]},
        "from_number": "+12025550100",
    }
    assert client.post("/api/phone/call", json=body).status_code == 201
    assert agent.specs == [
        CallSpec(
            phone_number="+442071838750",
            scenario="survey",
            action="Ask how it went",
            context=body["context"],
            first_speaker=Speaker.AGENT,
            metadata={"b": None, "a": [1, {"x": "y"}]},
            from_number="+12025550100",
        )
    ]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"phone_number": "2025550123"}, "phone_number", "E.164"),
        ({"phone_number": "+1 202 555 0123"}, "phone_number", "no spaces"),
        ({"phone_number": "+12025550123 "}, "phone_number", "E.164"),
        ({"phone_number": "+1202555012"}, "phone_number", "no such number"),
        ({"phone_number": "+999123456789"}, "phone_number", "no country code"),
        ({"phone_number": "+١٢٠٢٥٥٥٠١٢٣"}, "phone_number", "E.164"),
        ({"phone_number": 12025550123}, "phone_number", "string"),
        ({"from_number": "Alice"}, "from_number", "E.164"),
        ({"action": "  "}, "action", "at least 1 character"),
        ({"action": None}, "action", "string"),
        ({"callee_name": "x" * 201}, "callee_name", "200"),
        ({"context": "x" * 70_000}, "context", "64 KiB"),
        ({"context": 5}, "context", "string"),
        ({"metadata": {"x": "y" * 17_000}}, "metadata", "16 KiB"),
        ({"metadata": []}, "metadata", "object"),
        ({"first_speaker": "both"}, "first_speaker", "agent"),
        ({"fone": 1}, "fone", "not a field"),
        ({"purpose": "charity"}, "purpose", "marketing"),
        ({"consent": {"kind": "oral"}}, "consent", "required"),
        ({"consent": {"kind": "oral", "at": "2999-01-01T00:00:00Z", "source": "x"}}, "consent", "has not come"),
        ({"task": "twice"}, "task", "give action or task, not both"),
    ],
)
def test_what_the_caller_can_mend_is_named(
    client: TestClient, agent: FakeAgent, changes: dict[str, Any], field: str, words: str
) -> None:
    answer = client.post("/api/phone/call", json=README_REQUEST | changes)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["field"].split(".")[0] == field
    assert words in error["message"]
    assert error["retryable"] is False
    assert agent.specs == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'"x"', "invalid_json"),
        (b"{}", "missing_field"),
        (b'{"phone_number": "+12025550123", "action": "a\xff"}', "invalid_json"),
        (b'{"phone_number": "+12025550123", "action": "a\\ud800"}', "invalid_field"),
        (b'{"phone_number": "+12025550123", "action": "a", "metadata": {"x": NaN}}', "invalid_json"),
        (b'{"phone_number": "+12025550123", "action": "a", "metadata": {"x": 1e999}}', "invalid_field"),
        (b'{"phone_number": "+12025550123", "action": "a", "metadata": {"\\ud800": 1}}', "invalid_field"),
        (
            b'{"phone_number": "+12025550123", "action": "a", "metadata": {"x": ' + b"[" * 40 + b"]" * 40 + b"}}",
            "invalid_field",
        ),
        (b"[" * 100_000, "invalid_json"),
    ],
)
def test_bodies_that_make_no_sense_are_refused_in_our_words(
    client: TestClient, agent: FakeAgent, body: bytes, code: str
) -> None:
    answer = client.post("/api/phone/call", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert agent.specs == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"phone_number": "+12025550123", "phone_number": "+12025550199", "action": "a"}', "phone_number"),
        (b'{"action": "\xe9"}', "UTF-8"),
        (b'{"action": NaN}', "NaN"),
        (b'{"metadata": ' + b"[" * 1000 + b"]" * 1000 + b"}", "levels"),
        (b'{"metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "levels"),
        (b'{"metadata": ' + b"9" * 5000 + b"}", "digits"),
    ],
)
def test_what_is_not_json_to_the_letter_is_said_to_be_so(client: TestClient, body: bytes, words: str) -> None:
    answer = client.post("/api/phone/call", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert words in answer.json()["error"]["message"]


def test_json_without_its_content_type_is_explained(client: TestClient) -> None:
    answer = client.post("/api/phone/call", data=README_REQUEST)
    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["error"]["message"]


def test_a_registered_call_needs_no_action(client: TestClient, agent: FakeAgent) -> None:
    answer = client.post("/api/phone/register-call", json={"phone_number": "+12025550123"})
    assert answer.status_code == 201
    assert answer.json() == {
        "call_id": "c_01",
        "voice_url": "https://bot.example.com/api/phone/twilio/voice",
        "status_url": "https://bot.example.com/api/phone/twilio/status",
        "warning": None,
        "token_seconds": 120.0,
        "expires_at": "2026-03-02T12:00:00.123Z",
    }
    assert agent.specs == [CallSpec(phone_number="+12025550123", scenario="appointment_confirmation")]


def test_a_registered_call_says_its_purpose_and_consent(client: TestClient, agent: FakeAgent) -> None:
    consent = {"kind": "web_form", "at": "2026-01-01T00:00:00Z", "source": "form 17"}
    body = {"phone_number": "+12025550123", "purpose": "marketing", "consent": consent}
    assert client.post("/api/phone/register-call", json=body).status_code == 201
    assert agent.terms[-1].purpose is CallPurpose.MARKETING
    assert agent.terms[-1].consent is not None
    assert (agent.terms[-1].consent.kind, agent.terms[-1].consent.source) == ("web_form", "form 17")


def test_consents_are_read_by_number(client: TestClient) -> None:
    answer = client.get("/api/phone/consents/%2B12025550123")
    assert answer.status_code == 200
    (kept,) = answer.json()["consents"]
    assert (kept["call_id"], kept["given_at"], kept["dialled_at"]) == (
        *("c_01", "2026-01-01"),
        "2026-03-02T12:00:00.123Z",
    )
    assert client.get("/api/phone/consents/555").status_code == 422


def test_a_call_is_read_with_its_transcript(client: TestClient) -> None:
    answer = client.get("/api/phone/calls/c_01")
    assert answer.status_code == 200
    call = answer.json()
    assert call["status"] == "completed"
    assert call["ended_reason"] == "agent_hangup"
    assert call["created_at"] == "2026-03-02T12:00:00.123Z"
    assert call["started_at"] is None
    assert call["metadata"] == {"crm": [1]}
    assert call["recording_url"] == "/api/phone/calls/c_01/recording"
    assert call["outcome"] == {
        "reached_goal": True,
        "summary": "Done.",
        "fields": {"score": 5},
        "callee_sentiment": "neutral",
        "evidence": {},
        "source": "claude",
        "recorded": [],
        "claimed": {},
        "unbacked_claims": [],
        "dates": {},
        "analysis_error": None,
    }
    assert call["costs"] is None, "nothing was counted"
    [turn] = call["transcript"]
    assert turn["started_at"] == "2026-03-02T12:00:00.123Z"
    assert turn["latency"]["voice_to_voice_ms"] == 612.5
    assert turn["latency"]["stt_ms"] is None
    assert turn["tools"] == [
        {"name": "end_call", "arguments": {"why": "done"}, "result": {"ok": True}, "at_ms": 650}
    ]


def test_an_unknown_call_is_404(client: TestClient) -> None:
    answer = client.get("/api/phone/calls/nobody")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"code": "not_found", "message": "There is no call nobody.", "retryable": False}
    }


def test_calls_are_listed_by_page(client: TestClient, agent: FakeAgent) -> None:
    answer = client.get("/api/phone/calls", params={"status": "no-answer", "limit": 7, "cursor": "here"})
    assert answer.status_code == 200
    assert answer.json()["next_cursor"] == "more"
    [call] = answer.json()["calls"]
    assert call["call_id"] == "c_01"
    assert "transcript" not in call
    assert agent.lists == [(Status.NO_ANSWER, 7, "here")]
    client.get("/api/phone/calls")
    assert agent.lists[-1] == (None, 50, None)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "status=ended", "page=2"])
def test_a_wrong_query_is_named(client: TestClient, query: str) -> None:
    answer = client.get(f"/api/phone/calls?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == query.partition("=")[0]


def test_a_recording_is_served_whole_and_by_range(client: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "recordings" / "c_01.wav"
    path.parent.mkdir()
    path.write_bytes(b"RIFF" + bytes(range(200)))
    whole = client.get("/api/phone/calls/c_01/recording")
    assert whole.status_code == 200
    assert whole.headers["content-type"] == "audio/wav"
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.content == path.read_bytes()
    part = client.get("/api/phone/calls/c_01/recording", headers={"Range": "bytes=2-5"})
    assert part.status_code == 206
    assert part.content == b"FF\x00\x01"
    assert part.headers["content-range"] == "bytes 2-5/204"


def test_a_recording_that_is_gone_is_404(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/api/phone/calls/c_01/recording")
    assert answer.status_code == 404
    assert str(tmp_path) not in answer.text


def test_a_recording_of_a_call_that_is_on_is_a_409(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "recordings" / "c_01.wav"
    path.parent.mkdir()
    path.write_bytes(b"RIFF")
    on_the_line = replace(fake_agent.A_CALL, status=Status.IN_PROGRESS)
    monkeypatch.setattr(fake_agent, "A_CALL", on_the_line)
    answer = client.get("/api/phone/calls/c_01/recording")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["retryable"]) == (409, "not_yet", True)


def test_hanging_up_answers_the_call(client: TestClient) -> None:
    answer = client.post("/api/phone/calls/c_01/hangup")
    assert answer.status_code == 200
    assert answer.json()["status"] == "completed"


def test_a_waiting_call_is_canceled(client: TestClient, agent: FakeAgent) -> None:
    answer = client.delete("/api/phone/calls/c_01")
    assert answer.status_code == 200
    # The attempt that waited, which need not be the call that was named.
    assert (answer.json()["call_id"], answer.json()["status"]) == ("c_01_2", "canceled")
    assert agent.canceled == ["c_01"]
    agent.error = ConflictError("The call is on the line.")
    refused = client.delete("/api/phone/calls/c_01")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")


def test_every_answer_has_what_may_be_looked_at_of_a_call(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(_: FakeAgent, record: CallRecord) -> CallRecord:
        return replace(record, spec=replace(record.spec, action=""))

    monkeypatch.setattr(FakeAgent, "shown", shown)
    (listed,) = client.get("/api/phone/calls").json()["calls"]
    answers = (
        client.get("/api/phone/calls/c_01"),
        client.post("/api/phone/calls/c_01/hangup"),
        client.delete("/api/phone/calls/c_01"),
    )
    assert [listed["action"], *(answer.json()["action"] for answer in answers)] == [""] * 4


def test_paths_follow_the_prefix_of_the_app(agent: FakeAgent) -> None:
    app = FastAPI()
    app.state.phone_agent = agent
    app.include_router(router, prefix="/tenant")
    with TestClient(app) as client:
        call = client.get("/tenant/api/phone/calls/c_01").json()
        assert call["recording_url"] == "/tenant/api/phone/calls/c_01/recording"


@pytest.mark.parametrize(
    "asked", ["junk", "bytes=5-2", "bytes=6-", "bytes=99-100", "bytes=-0", "bytes=-", "lines=1-2"]
)
def test_a_range_that_is_not_there_is_an_error_in_json(client: TestClient, tmp_path: Path, asked: str) -> None:
    path = tmp_path / "recordings" / "c_01.wav"
    path.parent.mkdir()
    path.write_bytes(b"abcdef")
    answer = client.get("/api/phone/calls/c_01/recording", headers={"Range": asked})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */6")
    assert answer.json()["error"]["code"] == "requested_range_not_satisfiable"


@pytest.mark.parametrize(("asked", "got"), [("bytes=4-99", b"ef"), ("bytes=-2", b"ef"), ("bytes=0-0", b"a")])
def test_a_range_beyond_the_end_is_what_there_is(
    client: TestClient, tmp_path: Path, asked: str, got: bytes
) -> None:
    path = tmp_path / "recordings" / "c_01.wav"
    path.parent.mkdir()
    path.write_bytes(b"abcdef")
    answer = client.get("/api/phone/calls/c_01/recording", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, got)
