"""GET /metrics: its text, who may read it, and the queues it looks at."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from bot.settings import Settings
from bot.telemetry.metrics import Depth
from tests.unit.api.fake_agent import FakeAgent

OUTSIDE = {"X-Forwarded-For": "8.8.4.4"}


def client_at(app: FastAPI, host: str) -> TestClient:
    return TestClient(app, client=(host, 50_000), raise_server_exceptions=False)


def test_it_is_prometheus_text_at_the_root(app: FastAPI, agent: FakeAgent) -> None:
    agent.queues = {"lines": Depth(3, 1000)}
    with client_at(app, "127.0.0.1") as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE phone_agent_turn_latency_seconds histogram" in answer.text
    assert 'phone_agent_queue_depth{queue="lines",state="ready"} 3.0' in answer.text
    assert 'phone_agent_queue_depth{queue="lines",state="delayed"} 1000.0' in answer.text


def test_the_queues_are_not_asked_at_every_scrape(app: FastAPI, agent: FakeAgent) -> None:
    with client_at(app, "127.0.0.1") as client:
        for _ in range(3):
            assert client.get("/metrics").status_code == 200
    assert agent.counted == 1


def test_a_database_that_is_away_takes_only_the_queues(app: FastAPI, agent: FakeAgent) -> None:
    agent.error = OSError("away")
    with client_at(app, "127.0.0.1") as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert "phone_agent_calls_on_line" in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.7", "::ffff:172.16.0.1"])
def test_inside_no_key_is_asked_for(app: FastAPI, agent: FakeAgent, host: str) -> None:
    agent.settings = agent.settings.model_copy(update={"api_keys": (SecretStr("a-key"),)})
    with client_at(app, host) as client:
        assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("8.8.4.4", {}),
        ("::ffff:8.8.4.4", {}),
        ("testclient", {}),
        ("127.0.0.1", OUTSIDE),
        ("127.0.0.1", {"Forwarded": "for=8.8.4.4"}),
        ("127.0.0.1", {"X-Forwarded-Proto": "https"}),
        ("127.0.0.1", {"Via": "1.1 proxy"}),
        ("127.0.0.1", {"Host": "bot.example.com"}),
    ],
)
def test_from_outside_a_key_is(app: FastAPI, agent: FakeAgent, host: str, headers: dict[str, str]) -> None:
    agent.settings = agent.settings.model_copy(update={"public_host": "https://bot.example.com"})
    with client_at(app, host) as client:
        refused = client.get("/metrics", headers=headers)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "unauthorized"
        agent.settings = agent.settings.model_copy(update={"api_keys": (SecretStr("a-key"),)})
        assert client.get("/metrics", headers=headers).status_code == 401
        wrong = {**headers, "Authorization": "Bearer another"}
        assert client.get("/metrics", headers=wrong).status_code == 401
        right = {**headers, "Authorization": "Bearer a-key"}
        assert client.get("/metrics", headers=right).status_code == 200


def test_a_key_of_its_own_is_asked_of_everybody_and_opens_nothing_else(app: FastAPI, agent: FakeAgent) -> None:
    settings = Settings(
        _env_file=None,
        data_dir=agent.settings.data_dir,
        api_keys=(SecretStr("a-key"),),
        metrics_key=SecretStr("scraper"),
    )
    agent.settings = settings
    with client_at(app, "127.0.0.1") as client:
        assert client.get("/metrics").status_code == 401
        scraper = {"Authorization": "Bearer scraper"}
        assert client.get("/metrics", headers=scraper).status_code == 200
        assert client.get("/metrics", headers={"X-API-Key": "a-key"}).status_code == 200
        assert client.get("/api/phone/calls", headers=scraper).status_code == 401
