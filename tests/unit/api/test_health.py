"""Health says what this process can do; an unready one says so by its status too."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.unit.api.fake_agent import FakeAgent


def test_ready(client: TestClient) -> None:
    answer = client.get("/api/phone/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "why_not_ready": None,
        "slots": {"stt": {"vendor": "deepgram", "state": "ready", "why": "DEEPGRAM_API_KEY is set"}},
        "calls_on_line": 2,
        "capacity": 20,
        "version": "0.1.0",
    }


def test_ready_for_orchestrators(client: TestClient, agent: FakeAgent) -> None:
    assert client.get("/api/phone/health/ready").json() == client.get("/api/phone/health").json()
    agent.ready = False
    assert client.get("/api/phone/health/ready").status_code == 503


def test_a_process_that_is_not_ready_lives(client: TestClient, agent: FakeAgent, app: FastAPI) -> None:
    agent.ready = False
    assert client.get("/api/phone/health/live").json() == {"live": True}
    app.state.phone_agent = None
    assert client.get("/api/phone/health/live").status_code == 200
    assert client.get("/api/phone/health/ready").status_code == 503


def test_not_ready(client: TestClient, agent: FakeAgent) -> None:
    agent.ready = False
    answer = client.get("/api/phone/health")
    assert answer.status_code == 503
    assert answer.json()["why_not_ready"] == "draining"
