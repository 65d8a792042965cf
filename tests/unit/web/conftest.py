"""The pages on a store of their own, without a phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from bot import web
from bot.api import router
from bot.api.problems import install
from bot.calls.campaigns import Campaigns
from bot.calls.planner import Planner
from bot.conversation.scenario.scenario import Scenarios
from bot.settings import Settings
from bot.store import SqlCallStore, open_database
from bot.store.campaigns import SqlCampaignStore
from bot.store.pages import Page


@dataclass
class Pages:
    """A client of the pages, and the store behind them."""

    http: httpx.AsyncClient
    store: SqlCallStore
    settings: Settings


@asynccontextmanager
async def open_pages(
    tmp_path: Path, *keys: str, client: str = "127.0.0.1", **settings: Any
) -> AsyncIterator[Pages]:
    fields: dict[str, Any] = {"data_dir": tmp_path, "api_keys": tuple(map(SecretStr, keys)), **settings}
    made = Settings(_env_file=None, **fields)
    store = SqlCallStore(open_database(made))
    await store.open()

    campaigns = SqlCampaignStore(store.database)

    async def no_deliveries(**_: Any) -> Page[Any]:
        return Page(())

    app = FastAPI(docs_url=None, redoc_url=None)
    app.include_router(router)
    install(app)
    web.install(app)
    app.state.phone_agent = SimpleNamespace(
        settings=made,
        store=store,
        carrier=SimpleNamespace(simulated=True),
        planner=Planner(Scenarios.load(Path("pipelines")), made, {}, "simulated", simulated_line=True),
        campaigns=SimpleNamespace(
            store=campaigns,
            get=partial(Campaigns.get, cast(Campaigns, SimpleNamespace(store=campaigns))),
            progress=lambda campaign_id: campaigns.progress(campaign_id, datetime.now(UTC)),
        ),
        webhooks=SimpleNamespace(page=no_deliveries),
    )
    transport = httpx.ASGITransport(app, client=(client, 5000), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        yield Pages(http, store, made)
    await store.close()


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    async with open_pages(tmp_path) as opened:
        yield opened
