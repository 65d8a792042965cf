"""Nobody is dialled twice and no call is lost, at whichever point of a dialling the process dies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.dying import POINTS, Runs
from tests.unit.store.postgres import PostgresServer


@pytest.mark.parametrize("point", POINTS)
async def test_on_sqlite(runs: Runs, point: str, tmp_path: Path) -> None:
    left = await runs.run(0, point, f"sqlite:///{tmp_path / 'calls.db'}", tmp_path)
    assert left.right, left


@pytest.mark.parametrize("point", POINTS)
async def test_on_postgresql(runs: Runs, point: str, tmp_path: Path, postgres: PostgresServer) -> None:
    left = await runs.run(0, point, postgres.new_url(), tmp_path)
    assert left.right, left
