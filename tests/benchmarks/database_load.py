"""What one call costs the database: statements, transactions and bytes, ours and the durable engine's.

    python -m tests.benchmarks.database_load [--calls 6] [--at-once 3] [--idle 10] [--only sqlite|postgresql]

A server holds whole offline calls with the usual simulated callee, on SQLite and on a PostgreSQL started for it.
Statements are counted where SQLAlchemy sends them; PostgreSQL's own counters say how many transactions and rows
came of all, and how much WAL. What an idle server writes is taken off; what the engine reads, it reads by the
clock, calls or not, so that is told by the second.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # ships no types
from pydantic import SecretStr
from sqlalchemy import Engine, event

from bot.calls.agent import PhoneAgent
from bot.calls.process import CallListener
from bot.cli.server import serving
from bot.records import CallRecord, CallSpec
from bot.settings import Settings
from bot.telemetry.logs import set_up
from tests.benchmarks.figures import table
from tests.postgres import PostgresServer

BY_THE_CLOCK = ("engine reads", "engine commits", "transactions")
OURS = ("aiosqlite", "asyncpg")
"""The drivers of our own stores; the engine's are the synchronous ones."""
WRITES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM)\b(?! SKIP)", re.IGNORECASE)
AFTER_SECONDS = 3.0
"""What a call's end sets going is done by then."""


@dataclass
class Count:
    """Of one stretch of time. By whose they are: "ours" or "engine"."""

    statements: Counter[str] = field(default_factory=Counter)
    """"ours writes", "engine reads" …"""
    commits: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    server: dict[str, float] = field(default_factory=dict)
    """PostgreSQL's own counters, or the files' growth."""


def _whose(connection: Any) -> str:
    return "ours" if connection.dialect.driver in OURS else "engine"


@contextmanager
def counting() -> Iterator[Count]:
    """Every statement and commit of this process."""
    count = Count()

    def on_statement(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("BEGIN", "PRAGMA")):
            return  # SQLite's; PostgreSQL's driver begins by itself
        kind = "writes" if WRITES.search(statement) else "reads"
        count.statements[f"{_whose(connection)} {kind}"] += 1

    def on_commit(connection: Any) -> None:
        count.commits[_whose(connection)] += 1

    event.listen(Engine, "before_cursor_execute", on_statement)
    event.listen(Engine, "commit", on_commit)
    begun = time.monotonic()
    try:
        yield count
    finally:
        count.seconds = time.monotonic() - begun
        event.remove(Engine, "before_cursor_execute", on_statement)
        event.remove(Engine, "commit", on_commit)


async def server_counters(url: str | None, folder: Path) -> dict[str, float]:
    """Counters that only grow: PostgreSQL's, or the size of SQLite's files."""
    if url is None:
        kept = [path for path in folder.glob("calls*") if path.is_file()]
        return {"bytes": float(sum(path.stat().st_size for path in kept))}
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(
            "SELECT xact_commit + xact_rollback AS transactions, "
            "tup_inserted + tup_updated + tup_deleted AS rows, "
            "pg_database_size(current_database()) AS bytes, pg_current_wal_lsn() - '0/0'::pg_lsn AS wal "
            "FROM pg_stat_database WHERE datname = current_database()"
        )
        connections = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        )
        return {name: float(value) for name, value in row.items()} | {"connections": float(connections - 1)}
    finally:
        await connection.close()


@dataclass(frozen=True)
class Load:
    """Of one database. Per call, with the idle load taken off; per second, with calls and without."""

    database: str
    per_call: dict[str, float]
    busy: dict[str, float]
    idle: dict[str, float]
    talk_seconds: float
    turns: float
    connections: float | None


async def measure(database: str, url: str | None, *, calls: int, at_once: int, idle_seconds: float) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            _env_file=None,
            api_keys=(SecretStr("benchmark"),),
            data_dir=Path(folder),
            database_url=url,
            port=_free_port(),
            max_calls_per_number=at_once,
        )
        ends = Ends()
        async with serving(settings, listener=ends) as agent:
            await hold(agent, ends, 1, 1)  # what is done once only
            await asyncio.sleep(AFTER_SECONDS)
            idle, _ = await watched(url, Path(folder), lambda: asyncio.sleep(idle_seconds, []))
            busy, records = await watched(url, Path(folder), lambda: hold(agent, ends, calls, at_once))
    return Load(
        database,
        per_call={name: value / calls for name, value in _beyond(busy, idle).items()},
        busy={name: value / busy.seconds for name, value in _flat(busy).items()},
        idle={name: value / idle.seconds for name, value in _flat(idle).items()},
        talk_seconds=mean(record.duration_seconds or 0.0 for record in records),
        turns=mean(len(record.turns) for record in records),
        connections=busy.server.get("connections"),
    )


async def watched(url: str | None, folder: Path, run: Any) -> tuple[Count, Sequence[CallRecord]]:
    before = await server_counters(url, folder)
    with counting() as count:
        records = await run()
        await asyncio.sleep(AFTER_SECONDS)
    after = await server_counters(url, folder)
    count.server = {name: after[name] - before[name] for name in after if name != "connections"}
    if "connections" in after:
        count.server["connections"] = after["connections"]
    return count, records


def _flat(count: Count) -> dict[str, float]:
    kinds = ("ours writes", "ours reads", "engine writes", "engine reads")
    found = {kind: float(count.statements[kind]) for kind in kinds}
    found |= {f"{whose} commits": float(count.commits[whose]) for whose in ("ours", "engine")}
    return found | {name: value for name, value in count.server.items() if name != "connections"}


def _beyond(busy: Count, idle: Count) -> dict[str, float]:
    resting = _flat(idle)
    return {name: value - resting[name] / idle.seconds * busy.seconds for name, value in _flat(busy).items()}


class Ends(CallListener):
    """Of calls, by their ids."""

    def __init__(self) -> None:
        self.of: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def call_ended(self, call_id: str) -> None:
        self.of[call_id].set()


async def hold(agent: PhoneAgent, ends: Ends, calls: int, at_once: int) -> list[CallRecord]:
    """So many calls with the scenario's usual callee, and their records."""
    places = asyncio.Semaphore(at_once)
    example = agent.planner.scenarios.get("appointment_confirmation").example

    async def one(number: int) -> CallRecord:
        async with places:
            spec = CallSpec(
                phone_number=f"+1202555{100 + number:04}",
                scenario="appointment_confirmation",
                action=example.action,
                context=example.context,
                callee_name=example.callee_name,
                organization=example.organization,
            )
            call_id = (await agent.placing.place(spec)).call_id
            await asyncio.wait_for(ends.of[call_id].wait(), 180)
            return await agent.store.find(call_id)

    return list(await asyncio.gather(*(one(number) for number in range(calls))))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def report(loads: Sequence[Load]) -> str:
    names = list(dict.fromkeys(name for load in loads for name in load.per_call))
    once = [name for name in names if name not in BY_THE_CLOCK]
    rows = [[name, *(_cell(load.per_call.get(name)) for load in loads)] for name in once]
    rows += [["talked, s", *(f"{load.talk_seconds:.0f}" for load in loads)]]
    rows += [["turns", *(f"{load.turns:.1f}" for load in loads)]]
    for name in BY_THE_CLOCK:
        rows += [[f"{name}, per s: idle", *(_cell(load.idle.get(name)) for load in loads)]]
        rows += [[f"{name}, per s: with calls", *(_cell(load.busy.get(name)) for load in loads)]]
    rows += [["connections of the process", *(_cell(load.connections) for load in loads)]]
    return table(("per call", *(load.database for load in loads)), rows)


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


async def run(chosen: argparse.Namespace) -> None:
    loads = []
    sizes = {"calls": chosen.calls, "at_once": chosen.at_once, "idle_seconds": chosen.idle}
    if chosen.only in (None, "sqlite"):
        loads.append(await measure("SQLite", None, **sizes))
    if chosen.only in (None, "postgresql"):
        server = await asyncio.to_thread(PostgresServer)
        try:
            url = await asyncio.to_thread(server.new_url)
            loads.append(await measure("PostgreSQL", url, **sizes))
        finally:
            await asyncio.to_thread(server.stop)
    print(report(loads))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=6)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--idle", type=float, default=10.0, help="seconds")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    set_up("WARNING")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
