"""Calls that are prepared and held in no time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.calls.agent.agents import AgentHarness, Listening, build
from tests.unit.calls.calls_in_memory import hold_quietly


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    hold_quietly(monkeypatch)


@pytest.fixture
def listener() -> Listening:
    return Listening()


@pytest.fixture
async def harness(tmp_path: Path, listener: Listening) -> AsyncIterator[AgentHarness]:
    harness = build(tmp_path, listener=listener)
    await harness.agent.open()
    yield harness
    harness.store.failures = {}
    harness.carrier.failures = {}
    async with asyncio.timeout(10):
        await harness.agent.close()
