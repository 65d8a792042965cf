"""The router in an app that is not ours, with a fake agent behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from bot.api import metrics_router, router
from bot.settings import Settings
from tests.unit.api.fake_agent import FakeAgent


@pytest.fixture
def agent(tmp_path: Path) -> FakeAgent:
    return FakeAgent(Settings(_env_file=None, data_dir=tmp_path, api_keys=()))


@pytest.fixture
def app(agent: FakeAgent) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.phone_agent = agent
        yield

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    app.include_router(metrics_router)
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
