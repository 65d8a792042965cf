"""Every error is JSON in our words, in an app that is not ours, and tells nothing it should not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from bot.api import install, router
from bot.api.problems import MAX_BODY_BYTES
from bot.errors import (
    BusyError,
    CarrierError,
    ConflictError,
    ForbiddenError,
    PhoneAgentError,
    SettingsError,
    UnknownScenarioError,
    VendorError,
)
from tests.unit.api.fake_agent import FakeAgent

CALL = {"phone_number": "+12025550123", "action": "Ask"}


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (
            UnknownScenarioError("No scenario x.", field="scenario"),
            422,
            {"code": "unknown_scenario", "message": "No scenario x.", "field": "scenario"},
        ),
        (ForbiddenError("No."), 403, {"code": "forbidden", "message": "No."}),
        (ConflictError("Over."), 409, {"code": "conflict", "message": "Over."}),
        (
            BusyError("Full.", retry_after_seconds=12),
            429,
            {"code": "busy", "message": "Full.", "retryable": True},
        ),
        (
            CarrierError("Bad number.", provider="twilio", status=400, carrier_code=21211),
            502,
            {
                "code": "carrier_error",
                "message": "Bad number.",
                "provider": "twilio",
                "provider_code": 21211,
            },
        ),
        (
            VendorError("Down.", provider="anthropic", retryable=True),
            502,
            {"code": "vendor_error", "message": "Down.", "provider": "anthropic", "retryable": True},
        ),
        (SettingsError("No number."), 500, {"code": "bad_settings", "message": "No number."}),
        (PhoneAgentError("Odd."), 500, {"code": "internal_error", "message": "Odd."}),
        (
            ZeroDivisionError("sk-ant-secret"),
            500,
            {"code": "internal_error", "message": "Something broke on our side; it is logged."},
        ),
    ],
)
def test_each_error_has_its_status(
    client: TestClient, agent: FakeAgent, error: Exception, status: int, body: dict[str, Any]
) -> None:
    agent.error = error
    answer = client.post("/api/phone/call", json=CALL)
    assert answer.status_code == status
    assert answer.json() == {"error": {"retryable": False} | body}
    if status == 429:
        assert answer.headers["retry-after"] == "12"


def test_unexpected_errors_are_ours_where_exceptions_would_pass(app: FastAPI, agent: FakeAgent) -> None:
    agent.error = ZeroDivisionError()
    with TestClient(app, raise_server_exceptions=True) as client:
        assert client.get("/api/phone/calls").status_code == 500


def test_no_input_is_repeated(client: TestClient) -> None:
    answer = client.post("/api/phone/call", json=CALL | {"phone_number": "+1hush"})
    assert answer.status_code == 422
    assert "hush" not in answer.text


def test_several_mistakes_are_told_at_once(client: TestClient) -> None:
    error = client.post("/api/phone/call", json={"phone_number": "1", "x": 1}).json()["error"]
    assert error["field"] == "phone_number"
    assert error["message"].count(";") == 2
    assert "action: is required" in error["message"]
    assert "x: is not a field of this request" in error["message"]


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"hours": {"days": ["sunday"]}}, "hours.days.0", "'mon'"),
        ({"retry": {"attempts": 2, "on": ["hangup"]}}, "retry.on.0", "'busy'"),
        ({"hours": {"days": []}}, "hours.days", "at least 1 item"),
        ({"schedule_at": "2026-03-02T15:00:00"}, "schedule_at", "needs its zone, as in 2026-03-02T15:00:00Z"),
    ],
)
def test_a_mistake_is_told_once_and_with_what_to_write(
    client: TestClient, fields: dict[str, Any], field: str, said: str
) -> None:
    error = client.post("/api/phone/call", json=CALL | fields).json()["error"]
    assert error["field"] == field
    assert said in error["message"]
    assert ";" not in error["message"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"phone_nummer": "x"}, "phone_nummer: is not a field of this request; did you mean 'phone_number'?"),
        (
            {"retry": {"attempts": 2, "bakoff": 2}},
            "retry.bakoff: is not a field of this request; did you mean 'backoff'?",
        ),
        ({"zzz": 1}, "zzz: is not a field of this request"),
    ],
)
def test_an_unknown_field_is_told_which_was_meant(client: TestClient, fields: dict[str, Any], said: str) -> None:
    error = client.post("/api/phone/call", json=CALL | fields).json()["error"]
    assert error["message"] == said
    assert error["code"] == "unknown_field"


def test_an_unknown_parameter_of_a_query(client: TestClient) -> None:
    error = client.get("/api/phone/calls?limt=3").json()["error"]
    assert error["message"] == "limt: is not a field of this request; did you mean 'limit'?"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"action": 1, "action": 2}', "The body is not JSON: the key 'action' stands twice."),
        ('{"action": NaN}', "The body is not JSON: NaN is not a number of JSON."),
        ('{"action": }', "The body is not JSON: Expecting value at 11."),
    ],
)
def test_the_position_in_json_is_told_where_it_is_known(client: TestClient, content: str, said: str) -> None:
    answer = client.post("/api/phone/call", content=content, headers={"Content-Type": "application/json"})
    assert answer.json()["error"]["message"] == said


def test_one_character_is_no_characters(client: TestClient) -> None:
    error = client.post("/api/phone/call", json=CALL, headers={"Idempotency-Key": ""}).json()["error"]
    assert "at least 1 character long" in error["message"]


def test_a_wrong_method_is_ours(client: TestClient) -> None:
    answer = client.get("/api/phone/call")
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/api/phone/call", "/api/phone/twilio/voice"])
def test_a_body_over_the_limit_is_413(client: TestClient, agent: FakeAgent, path: str) -> None:
    def in_pieces() -> Iterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65536 + 1):
            yield b" " * 65536

    for content in (b" " * (MAX_BODY_BYTES + 1), in_pieces()):
        answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "body_too_large"
    assert agent.carrier_requests == []


def test_the_routes_of_the_other_app_keep_their_errors(app: FastAPI) -> None:
    @app.get("/theirs")
    def theirs(number: int) -> int:
        return number

    with TestClient(app) as client:
        assert "detail" in client.get("/theirs?number=x").json()
        assert client.get("/nothing").json() == {"detail": "Not Found"}


def test_our_own_app_answers_everything_in_our_words(agent: FakeAgent) -> None:
    app = FastAPI()
    app.state.phone_agent = agent
    app.include_router(router)
    install(app)

    @app.get("/broken")
    def broken(number: int) -> float:
        return 1 / number

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/api/phone/nothing").json() == {
            "error": {"code": "not_found", "message": "Not Found", "retryable": False}
        }
        assert client.get("/broken?number=x").json()["error"]["field"] == "number"
        broke = client.get("/broken?number=0")
        assert broke.status_code == 500
        assert broke.json()["error"]["code"] == "internal_error"


def test_without_an_agent_everything_is_503() -> None:
    app = FastAPI()
    app.include_router(router)
    client = TestClient(app)
    answer = client.get("/api/phone/health")
    assert answer.status_code == 503
    assert answer.json()["error"] == {
        "code": "service_unavailable",
        "message": "The phone agent is not running; ask again soon.",
        "retryable": True,
    }


def test_openapi_has_an_example_for_every_body_and_every_error(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    operations = [(path, operation) for path, item in document["paths"].items() for operation in item.values()]
    assert len(operations) == 39
    for path, operation in operations:
        for kind, content in operation.get("requestBody", {"content": {}})["content"].items():
            if kind == "application/json":
                assert "example" in content or has_example(document, content["schema"]), path
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and not (path.endswith(("/health", "/health/ready")) and status == "503"):
                content = answer["content"]["application/json"]
                assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
                assert set(content["example"]["error"]) >= {"code", "message", "retryable"}
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/json")
            if int(status) < 400 and content is not None and not path.startswith(OF_PARTS):
                assert has_example(document, content["schema"]), (path, status)
    for name in ("CallRequest", "RegisterRequest", "CallAnswer", "CallSummary", "PlacedAnswer"):
        assert document["components"]["schemas"][name]["examples"]


OF_PARTS = ("/api/phone/health", "/api/phone/campaigns")
"""Their answers are numbers and words that their own fields explain."""


def has_example(document: dict[str, Any], schema: dict[str, Any]) -> bool:
    """A page of a list has that of its rows."""
    schemas = document["components"]["schemas"]
    choices = [schemas[part["$ref"].rpartition("/")[2]] for part in schema.get("anyOf", [schema])]
    for choice in choices:
        rows = [part["items"] for part in choice["properties"].values() if "$ref" in part.get("items", {})]
        if "examples" not in choice and not (
            "next_cursor" in choice["properties"] and has_example(document, *rows)
        ):
            return False
    return bool(choices)


def test_a_wrong_method_is_told_all_methods_of_the_path(client: TestClient) -> None:
    answer = client.request("PATCH", "/api/phone/calls/c_01")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "DELETE, GET, HEAD"
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_head_is_get_without_its_body(client: TestClient) -> None:
    assert client.head("/api/phone/health").status_code == client.get("/api/phone/health").status_code


@pytest.mark.parametrize("path", ["calls/%00", "campaigns/%00", "webhooks/deliveries/%00"])
def test_a_nul_character_names_nothing(client: TestClient, path: str) -> None:
    assert client.get(f"/api/phone/{path}").status_code == 404
    assert client.get("/api/phone/calls?cursor=a%00b").status_code == 422
    assert client.get("/api/phone/health/live?a=%00").status_code == 200
