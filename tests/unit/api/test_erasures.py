"""POST /api/phone/erasures."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from bot.calls.retention import Erasure
from bot.store.retention import Erased
from tests.unit.api.fake_agent import FakeAgent

PATH = "/api/phone/erasures"


def test_the_answer_counts_what_was_erased(client: TestClient, agent: FakeAgent) -> None:
    agent.erasure = Erasure(Erased(3, 40, 2, 6, 1), calls_canceled=1, calls_under_way=2)
    answer = client.post(PATH, json={"phone_number": "+12025550123"})
    assert answer.status_code == 200
    assert answer.json() == {
        "calls": 3,
        "turns": 40,
        "recordings": 2,
        "deliveries": 6,
        "contacts": 1,
        "calls_canceled": 1,
        "calls_under_way": 2,
    }
    assert agent.erased == ["+12025550123"]


@pytest.mark.parametrize("body", [{}, {"phone_number": "+1"}, {"phone_number": "+12025550123", "why": "law"}])
def test_what_is_no_number_erases_nothing(client: TestClient, agent: FakeAgent, body: dict[str, str]) -> None:
    answer = client.post(PATH, json=body)
    assert answer.status_code == 422
    assert not agent.erased


def test_it_takes_a_key(client: TestClient, agent: FakeAgent) -> None:
    agent.settings = agent.settings.model_copy(update={"api_keys": (SecretStr("secret"),)})
    assert client.post(PATH, json={"phone_number": "+12025550123"}).status_code == 401
    assert not agent.erased
