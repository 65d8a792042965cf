"""The do-not-call list over HTTP, kept in a real database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from bot.api import router
from bot.calls.dialling.do_not_call import DoNotCall
from bot.settings import Settings
from bot.store import Database
from bot.store.address import SqliteAddress
from bot.store.do_not_call import SqlDoNotCallStore
from tests.unit.api.fake_agent import FakeAgent

URL = "/api/phone/do-not-call"
NUMBER = "+12025550123"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    agent = FakeAgent(Settings(_env_file=None, data_dir=tmp_path, api_keys=()))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(SqliteAddress(tmp_path / "calls.db"))
        await database.open()
        agent.do_not_call = DoNotCall(SqlDoNotCallStore(database))
        app.state.phone_agent = agent
        yield
        await database.close()

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def problem(answer: Any) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error.get("field")


def test_a_number_is_added_checked_and_removed(client: TestClient) -> None:
    assert problem(client.get(f"{URL}/{NUMBER}"))[:2] == (404, "not_found")
    added = client.post(URL, json={"phone_number": NUMBER, "reason": " asked by e-mail "})
    assert added.status_code == 201
    entry = added.json()
    assert entry["added_at"].endswith("Z")
    assert {**entry, "added_at": ""} == {
        "phone_number": NUMBER,
        "added_at": "",
        "source": "api",
        "reason": "asked by e-mail",
        "call_id": None,
    }
    assert client.get(f"{URL}/{NUMBER}").json() == entry
    assert client.get(f"{URL}/%2B12025550123").json() == entry
    again = client.post(URL, json={"phone_number": NUMBER, "reason": "again"})
    assert (again.status_code, again.json()) == (200, entry)
    assert client.delete(f"{URL}/{NUMBER}").status_code == 204
    assert problem(client.delete(f"{URL}/{NUMBER}"))[:2] == (404, "not_found")
    assert client.get(URL).json() == {"numbers": [], "next_cursor": None}


def test_many_are_added_and_every_bad_one_is_named(client: TestClient) -> None:
    client.post(URL, json={"phone_number": NUMBER})
    numbers: list[Any] = [
        NUMBER,
        "+12025550199",
        "12025550100",
        "+12025550199",
        "+1202555",
        5,
        "\ud800",
        "x" * 99,
    ]
    body = json.dumps({"phone_numbers": numbers, "reason": "list of March"})
    answer = client.post(URL, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["added"], found["already_listed"]) == (1, 1)
    assert [bad["index"] for bad in found["refused"]] == [2, 4, 5, 6, 7]
    assert found["refused"][0]["phone_number"] == "12025550100"
    assert "E.164" in found["refused"][0]["message"]
    assert found["refused"][4]["phone_number"] == "x" * 40
    assert client.get(f"{URL}/+12025550199").json()["reason"] == "list of March"


def test_ten_thousand_at_once_and_no_more(client: TestClient) -> None:
    numbers = [f"+1202{n:07}" for n in range(5550000, 5560000)]
    answer = client.post(URL, json={"phone_numbers": numbers})
    assert answer.status_code == 200, answer.text
    assert answer.json()["added"] + len(answer.json()["refused"]) == 10_000
    assert answer.json()["added"] > 9000
    assert problem(client.post(URL, json={"phone_numbers": [*numbers, NUMBER]})) == (
        422,
        "invalid_field",
        "phone_numbers",
    )


def test_pages(client: TestClient) -> None:
    client.post(URL, json={"phone_numbers": [f"+120255501{n:02}" for n in range(5)]})
    first = client.get(URL, params={"limit": 3}).json()
    second = client.get(URL, params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [len(page["numbers"]) for page in (first, second)] == [3, 2]
    assert second["next_cursor"] is None
    assert problem(client.get(URL, params={"cursor": "!"})) == (422, "bad_cursor", "cursor")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"phone_number": NUMBER, "phone_numbers": [NUMBER]},
        {"phone_numbers": []},
        {"phone_numbers": NUMBER},
        {"phone_number": "12025550123"},
        {"phone_number": NUMBER, "reason": "x" * 1001},
        {"phone_number": NUMBER, "until": "tomorrow"},
    ],
)
def test_what_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post(URL, json=body).status_code == 422
    assert client.get(URL).json()["numbers"] == []


@pytest.mark.parametrize("number", ["12025550123", "+1", "anonymous", "+1202555012x"])
def test_a_path_that_is_no_number(client: TestClient, number: str) -> None:
    assert problem(client.get(f"{URL}/{number}"))[:2] == (422, "invalid_field")


def test_the_list_asks_for_a_key(client: TestClient) -> None:
    agent = client.app.state.phone_agent  # type: ignore[attr-defined]
    agent.settings = agent.settings.model_copy(update={"api_keys": (SecretStr("k"),)})
    for answer in (
        client.get(URL),
        client.post(URL, json={"phone_number": NUMBER}),
        client.delete(f"{URL}/{NUMBER}"),
    ):
        assert answer.status_code == 401
