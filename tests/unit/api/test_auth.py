"""Keys open the API; Twilio's routes, the media socket and health ask for none."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from bot.calls.access import is_one_of
from tests.unit.api.fake_agent import FakeAgent

LOCKED = [
    ("POST", "/api/phone/call"),
    ("POST", "/api/phone/register-call"),
    ("GET", "/api/phone/calls"),
    ("GET", "/api/phone/calls/c_01"),
    ("GET", "/api/phone/calls/c_01/recording"),
    ("POST", "/api/phone/calls/c_01/hangup"),
]


@pytest.fixture(autouse=True)
def keys(agent: FakeAgent) -> None:
    agent.settings = agent.settings.model_copy(update={"api_keys": (SecretStr("one"), SecretStr("two"))})


@pytest.mark.parametrize(("method", "path"), LOCKED)
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer three"}, {"X-API-Key": ""}, {"Authorization": "Basic b25lOg=="}],
)
def test_without_a_key_the_door_is_shut(
    client: TestClient, agent: FakeAgent, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = client.request(method, path, headers=headers, json={} if method == "POST" else None)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not agent.specs
    assert not agent.lists


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer two"}, {"X-API-Key": "one"}])
def test_any_of_the_keys_opens(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get("/api/phone/calls", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("bearer", "header", "status"),
    [("one", "two", 200), ("one", "three", 401), ("three", "one", 401), ("", "one", 401)],
)
def test_each_key_that_is_sent_has_to_be_one(client: TestClient, bearer: str, header: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {bearer}".strip(), "X-API-Key": header}
    assert client.get("/api/phone/calls", headers=headers).status_code == status


def test_what_has_no_scheme_is_a_wrong_key(client: TestClient) -> None:
    headers = {"Authorization": "one", "X-API-Key": "one"}
    assert client.get("/api/phone/calls", headers=headers).status_code == 401


def test_a_proxys_own_authorization_is_no_key(client: TestClient) -> None:
    headers = {"Authorization": "Basic b25lOg==", "X-API-Key": "one"}
    assert client.get("/api/phone/calls", headers=headers).status_code == 200


def test_twilio_and_health_need_no_key(client: TestClient) -> None:
    assert client.post("/api/phone/twilio/voice").status_code == 200
    assert client.post("/api/phone/twilio/status").status_code == 204
    assert client.get("/api/phone/health").status_code == 200


@pytest.mark.parametrize(("method", "path"), LOCKED)
def test_without_keys_a_tunnel_of_a_twilio_server_leads_nowhere(
    client: TestClient, agent: FakeAgent, method: str, path: str
) -> None:
    """Proxies say whom they carry; the carrier's own routes go on, signed."""
    agent.settings = agent.settings.model_copy(update={"api_keys": ()})
    agent.simulated = False
    carried = {"X-Forwarded-For": "203.0.113.9"}
    body: dict[str, str] | None = {} if method == "POST" else None
    answer = client.request(method, path, headers=carried, json=body)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"
    assert "API_KEYS" in answer.json()["error"]["message"]
    assert not agent.specs
    assert client.request(method, path, json=body).status_code != 401, "from this machine it is open"
    assert client.post("/api/phone/twilio/voice", headers=carried).status_code == 200


def test_without_keys_and_carrier_there_is_nothing_to_guard(client: TestClient, agent: FakeAgent) -> None:
    agent.settings = agent.settings.model_copy(update={"api_keys": ()})
    assert client.get("/api/phone/calls", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 200


def test_a_key_opens_from_outside_too(client: TestClient, agent: FakeAgent) -> None:
    agent.simulated = False
    headers = {"X-Forwarded-For": "203.0.113.9", "X-API-Key": "one"}
    assert client.get("/api/phone/calls", headers=headers).status_code == 200


def test_a_key_is_compared_whole() -> None:
    assert is_one_of("two", ["one", "two"])
    assert not is_one_of("tw", ["one", "two"])
    assert not is_one_of("", ["one", "two"])
    assert not is_one_of("one", [])
    assert not is_one_of("öne\udcff", ["one"])
