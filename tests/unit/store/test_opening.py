"""Opening a database: its schema is brought up to date once, by whoever comes first; failures say what to do."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from bot.errors import SettingsError
from bot.settings import Settings
from bot.store import Database, SqlCallStore, open_database
from bot.store.address import SqliteAddress, parse_database_url
from bot.store.connections import connect
from bot.store.migrate import head, upgrade
from bot.store.schema import metadata
from tests.unit.store.examples import a_call, a_turn

ROOT = Path(__file__).parents[3]


def at(url: str) -> SqlCallStore:
    return SqlCallStore(Database(parse_database_url(url, Path("unused.db"))))


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of its own, which waits for a line before it does anything."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        text=True,
    )


def say(process: subprocess.Popen[str], line: str = "") -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


OPEN = """
import asyncio, sys
from pathlib import Path
from bot.store import Database, SqlCallStore
from bot.store.address import parse_database_url
from tests.unit.store.examples import a_call

async def main():
    store = SqlCallStore(Database(parse_database_url(sys.argv[1], Path("unused.db"))))
    print("ready", flush=True)
    sys.stdin.readline()
    await store.open()
    await store.add(a_call(sys.argv[2]))
    await store.close()
    print("kept", flush=True)

asyncio.run(main())
"""

TALK = """
import asyncio, sys
from pathlib import Path
from bot.store import Database, SqlCallStore
from bot.store.address import parse_database_url
from tests.unit.store.examples import a_call, a_turn

async def main():
    store = SqlCallStore(Database(parse_database_url(sys.argv[1], Path("unused.db"))))
    await store.open()
    await store.add(a_call())
    await store.put_turn("call-1", a_turn(0, "the last words"))
    print("kept", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


async def test_processes_that_start_at_once_share_one_migration(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'calls.db'}"
    processes = [start(OPEN, url, f"call-{number}") for number in range(2)]
    try:
        assert [hear(process) for process in processes] == ["ready"] * 2
        for process in processes:
            say(process)
        assert [hear(process) for process in processes] == ["kept"] * 2
        assert [process.wait(timeout=30) for process in processes] == [0] * 2
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    store = at(url)
    await store.open()
    try:
        assert len((await store.page()).items) == 2
    finally:
        await store.close()


async def test_stores_that_open_at_once_share_one_migration(url: str) -> None:
    stores = [at(url) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    try:
        async with stores[0].database.reader.connect() as connection:
            versions = await connection.execute(sa.text("SELECT version_num FROM alembic_version"))
            assert len(versions.all()) == 1
    finally:
        for store in stores:
            await store.close()


async def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'calls.db'}"
    process = start(TALK, url)
    try:
        assert await asyncio.to_thread(hear, process) == "kept"
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=30) == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()
    store = at(url)
    await store.open()
    try:
        kept = await store.get("call-1")
        assert kept is not None
        assert kept.turns == (a_turn(0, "the last words"),)
    finally:
        await store.close()


async def test_databases_that_open_at_once_in_one_process_are_each_their_own(tmp_path: Path) -> None:
    stores = [SqlCallStore(Database(SqliteAddress(tmp_path / f"{n}.db"))) for n in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    for number, store in enumerate(stores):
        await store.add(a_call(f"call-{number}"))
        assert [call.call_id for call in (await store.page()).items] == [f"call-{number}"]
        await store.close()


async def test_the_migrations_end_at_the_tables_of_the_code(store: SqlCallStore) -> None:
    def differences(connection: sa.Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with store.database.writer.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_new_database_gets_the_schema_that_the_migrations_end_at(
    store: SqlCallStore, new_url: Callable[[], str]
) -> None:
    connections = await connect(parse_database_url(new_url(), Path("unused.db")))
    try:
        async with connections.writer.begin() as stepped, store.database.writer.connect() as at_once:
            await stepped.run_sync(upgrade)
            assert await at_once.run_sync(_schema) == await stepped.run_sync(_schema)
            version = sa.text("SELECT version_num FROM alembic_version")
            assert (await at_once.execute(version)).all() == (await stepped.execute(version)).all() == [(head(),)]
    finally:
        await connections.close()


def _plain(index: Mapping[str, Any]) -> dict[str, Any]:
    """Its WHERE as words: SQLite keeps brackets as they were written, PostgreSQL sets its own on both."""
    options = index.get("dialect_options", {})
    words = {name: str(value).translate({40: None, 41: None}) for name, value in options.items()}
    return {**index, "dialect_options": words}


def _schema(connection: sa.Connection) -> dict[str, Any]:
    """Of each table its columns, keys, constraints and indexes; the order of columns is nobody's business."""
    found = sa.inspect(connection)

    def parts(table: str) -> dict[str, Any]:
        return {
            "columns": {column.pop("name"): repr(column) for column in map(dict, found.get_columns(table))},
            "key": found.get_pk_constraint(table),
            "indexes": {index["name"]: _plain(index) for index in found.get_indexes(table)},
            "unique": {str(sorted(unique["column_names"])) for unique in found.get_unique_constraints(table)},
            "foreign keys": {str(key["constrained_columns"]): key for key in found.get_foreign_keys(table)},
            "checks": {check["sqltext"] for check in found.get_check_constraints(table)},
        }

    return {table: parts(table) for table in found.get_table_names()}


async def test_opening_again_finds_what_was_kept(url: str) -> None:
    for number in range(2):
        store = at(url)
        await store.open()
        await store.add(a_call(f"call-{number}"))
        await store.close()
    store = at(url)
    await store.open()
    assert len((await store.page()).items) == 2
    await store.close()


async def test_a_newer_database_is_left_alone(store: SqlCallStore, url: str) -> None:
    async with store.database.writer.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="newer version"):
        await at(url).open()


async def test_sqlite_is_in_wal_mode_and_reads_while_it_writes(tmp_path: Path) -> None:
    store = SqlCallStore(Database(SqliteAddress(tmp_path / "100% calls" / "calls.db")))
    await store.open()
    try:
        async with store.database.writer.begin() as connection:
            for pragma, value in [("journal_mode", "wal"), ("synchronous", 1), ("foreign_keys", 1)]:
                assert (await connection.execute(sa.text(f"PRAGMA {pragma}"))).scalar_one() == value
            await store.page()
        async with store.database.reader.connect() as connection:
            with pytest.raises(sa.exc.OperationalError, match="readonly"):
                await connection.execute(sa.text("DELETE FROM calls"))
    finally:
        await store.close()


async def test_a_cancelled_write_leaves_the_writer_usable(store: SqlCallStore) -> None:
    await store.add(a_call())
    for _ in range(20):
        writes = [asyncio.ensure_future(store.put_turn("call-1", a_turn(index))) for index in range(4)]
        await asyncio.sleep(0)
        for write in writes:
            write.cancel()
        await asyncio.gather(*writes, return_exceptions=True)
    await store.put_turn("call-1", a_turn(0, "still here"))
    kept = await store.get("call-1")
    assert kept is not None
    assert kept.turns[0].text == "still here"


async def test_a_database_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    garbage = tmp_path / "calls.db"
    garbage.write_bytes(b"not a database" * 100)
    with pytest.raises(SettingsError, match=r"calls\.db cannot be used: file is not a database"):
        await at(f"sqlite:///{garbage}").open()
    with pytest.raises(SettingsError, match="cannot be used"):
        await at(f"sqlite:///{garbage}/calls.db").open()
    with pytest.raises(SettingsError, match=r"PostgreSQL at .* cannot be used") as caught:
        await at(f"postgresql://me:hush@/calls?host={tmp_path}").open()
    assert "hush" not in caught.value.message


async def test_the_settings_choose_the_store(tmp_path: Path) -> None:
    store = SqlCallStore(open_database(Settings(_env_file=None, data_dir=tmp_path)))
    await store.open()
    await store.add(a_call())
    await store.close()
    with sqlite3.connect(tmp_path / "calls.db") as connection:
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)
    connection.close()
