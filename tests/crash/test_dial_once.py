"""Nobody is dialled twice and no call is lost, at whichever point of a dialling the process dies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.crash.dying import POINTS, Left, Runs
from tests.postgres import PostgresServer

QUICK = frozenset({"enqueued", "asked, and carried out", "sid kept"})
"""Before the carrier is asked, while it is, and after: the points that `poe check` tries."""


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point in QUICK else pytest.mark.long) for point in POINTS]
)
async def test_on_sqlite_and_on_postgresql(
    runs: Runs, point: str, tmp_path: Path, postgres: PostgresServer
) -> None:
    """Both at once: a run is processes that start, die and are waited for."""

    async def run(number: int, database_url: str) -> Left:
        folder = tmp_path / str(number)
        folder.mkdir()
        return await runs.run(number, point, database_url, folder)

    on_sqlite, on_postgresql = await asyncio.gather(
        run(0, f"sqlite:///{tmp_path / 'calls.db'}"), run(1, postgres.new_url())
    )
    assert on_sqlite.right, on_sqlite
    assert on_postgresql.right, on_postgresql
