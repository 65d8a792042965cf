"""The router brings its agent into whatever app includes it, and takes it away again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from bot.api import PhoneAgent, router, use
from bot.api.lifespan import _Choice
from bot.errors import SettingsError
from tests.unit.api.fake_agent import FakeAgent


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Choice, "factory", None)


def test_the_agent_lives_as_long_as_the_app(agent: FakeAgent) -> None:
    events: list[str] = []

    @asynccontextmanager
    async def theirs(app: FastAPI) -> AsyncIterator[None]:
        events.append("their start")
        yield
        events.append("their end")

    @asynccontextmanager
    async def ours() -> AsyncIterator[PhoneAgent]:
        events.append("our start")
        yield cast(PhoneAgent, agent)
        events.append("our end")

    app = FastAPI(lifespan=theirs)
    app.include_router(router)
    use(ours)
    with TestClient(app) as client:
        assert client.get("/api/phone/health").status_code == 200
    assert events == ["their start", "our start", "our end", "their end"]
    assert TestClient(app).get("/api/phone/health").status_code == 503


def test_an_app_that_names_no_agent_gets_the_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "not a port")
    app = FastAPI()
    app.include_router(router)
    with pytest.raises(SettingsError, match="PORT"), TestClient(app):
        pass
