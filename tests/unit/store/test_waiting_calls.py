"""What is asked at every dialling, and every few seconds, reads no call that only waits."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from bot.records import Direction, Status
from bot.store import SqlCallStore
from bot.store.rows import call_row
from bot.store.schema import calls
from tests.unit.store.examples import NOON, a_call

WAITING = 3000
ASKED: dict[str, tuple[str, Callable[[SqlCallStore], Awaitable[Any]]]] = {
    "lines": ("calls_on_a_line", lambda store: store.lines_taken()),
    "orphans": ("calls_unfollowed", lambda store: store.orphans(NOON + timedelta(days=1))),
    "holders": ("calls_held", lambda store: store.holders()),
    "held": ("calls_held", lambda store: store.held_by("process_1")),
}


async def plan_of(store: SqlCallStore, ask: Callable[[SqlCallStore], Awaitable[Any]]) -> str:
    """How the database answers what the store asks it, in its own words."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    engine = store.database.reader
    sa.event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        await ask(store)
    finally:
        sa.event.remove(engine.sync_engine, "before_cursor_execute", note)
    ((statement, parameters),) = asked
    async with engine.connect() as connection:
        explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        rows = await connection.exec_driver_sql(f"{explain} {statement}", parameters)
        return "\n".join(str(row) for row in rows)


async def test_calls_that_wait_are_not_read(store: SqlCallStore) -> None:
    waiting = [call_row(a_call(f"call-{n}", followed_by=f"call-{n}:1")) for n in range(WAITING)]
    async with store.database.writer.begin() as connection:
        await connection.execute(calls.insert(), waiting)
    await store.add(a_call("on the line", status=Status.IN_PROGRESS, held_by="process_1"))
    async with store.database.writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(sa.text("ANALYZE calls"))  # as autovacuum does by itself
    for index, ask in ASKED.values():
        plan = await plan_of(store, ask)
        assert f"{index} " in plan or f"{index}'" in plan, plan
        assert "calls_by" not in plan, plan


async def test_a_line_is_taken_from_its_dialling_or_coming_in_to_its_end(store: SqlCallStore) -> None:
    kinds = itertools.product(Status, Direction, (None, NOON))
    for number, (status, direction, dialling_at) in enumerate(kinds):
        before = await store.lines_taken()
        record = a_call(f"call-{number}", status=status, direction=direction, dialling_at=dialling_at)
        await store.add(record)
        waits = status is Status.QUEUED and direction is Direction.OUTBOUND and dialling_at is None
        assert await store.lines_taken() - before == int(not status.final and not waits), record


async def test_a_call_that_is_over_is_held_and_followed_by_nobody(store: SqlCallStore) -> None:
    for status in Status:
        await store.add(a_call(status.value, status=status, held_by=f"holds {status.value}"))
    still = {status.value for status in Status if not status.final}
    assert set(await store.orphans(NOON + timedelta(days=1))) == still
    assert set(await store.holders()) == {f"holds {status}" for status in still}
    for status in Status:
        assert await store.held_by(f"holds {status.value}") == (() if status.final else (status.value,))
