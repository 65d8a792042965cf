"""Calls that are prepared and held in no time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot import hold as hold_module
from bot import opening
from bot import switchboard as switchboard_module
from bot.audio import Speech
from tests.unit.calls_in_memory import QuietCall
from tests.unit.phone_agent.house import (
    House,
    build,
)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    async def speak(*_: Any, recital: opening.Recital | None = None, **__: Any) -> Speech:
        recital = recital or opening.Recital()
        recital.add(Speech("Hi.", bytes(160)))
        return recital.speech()

    monkeypatch.setattr(opening, "speak", speak)
    monkeypatch.setattr(switchboard_module, "build_services", lambda *_: object())
    monkeypatch.setattr(QuietCall, "made", [], raising=False)
    monkeypatch.setattr(hold_module, "Call", QuietCall)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = build(tmp_path)
    await house.agent.open()
    yield house
    house.store.failures = {}
    house.carrier.failures = {}
    async with asyncio.timeout(10):
        await house.agent.close()
