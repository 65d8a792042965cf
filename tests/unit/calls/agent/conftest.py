"""Calls that are prepared and held in no time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.calls.agent.agents import House, Listening, build
from tests.unit.calls.calls_in_memory import hold_quietly


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    hold_quietly(monkeypatch)


@pytest.fixture
def listener() -> Listening:
    return Listening()


@pytest.fixture
async def house(tmp_path: Path, listener: Listening) -> AsyncIterator[House]:
    house = build(tmp_path, listener=listener)
    await house.agent.open()
    yield house
    house.store.failures = {}
    house.carrier.failures = {}
    async with asyncio.timeout(10):
        await house.agent.close()
