"""Workers: one socket for all, a dead one is replaced, signals reach each, none outlives its parent for long."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.cli import workers as module
from bot.cli.workers import LONGEST_PAUSE_SECONDS, STEADY_SECONDS, Post, Workers, bind, check, pause_seconds
from bot.errors import PhoneAgentError, SettingsError
from bot.settings import Settings

ROOT = Path(__file__).parents[3]
WORKER = """
import asyncio, os, signal, socket, sys
from bot.cli.workers import Parent, Post

async def main():
    post = Post.parse(sys.argv[-1].partition("=")[2])
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    code = 0
    def end(number):
        nonlocal code
        code = number
        over.set()
    loop.add_signal_handler(signal.SIGTERM, end, 0)
    loop.add_signal_handler(signal.SIGINT, end, 7)
    async def answer(reader, writer):
        writer.write(str(os.getpid()).encode())
        writer.close()
    with Parent(post) as parent:
        async with parent.watched(lambda: end(9)):
            server = await asyncio.start_server(answer, sock=socket.socket(fileno=post.listener))
            parent.report_serving()
            await over.wait()
            server.close()
    open(sys.argv[1] + f"/{os.getpid()}", "w").write(str(code))

asyncio.run(main())
"""
PARENT = """
import asyncio, sys
from bot.cli.workers import Workers
from bot.settings import Settings

settings = Settings(_env_file=None, port=int(sys.argv[1]), workers=2)
asyncio.run(Workers(settings, [sys.executable, "-c", sys.argv[2], sys.argv[3]]).run())
"""


def settings(**changes: Any) -> Settings:
    fields: dict[str, Any] = {"port": 0, "workers": 2, **changes}
    return Settings(_env_file=None, **fields)


class Crew:
    """Running workers whose answer is their pid."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.workers = Workers(settings(), [sys.executable, "-c", WORKER, str(folder)])
        self.port = self.workers._listener.getsockname()[1]

    async def pids(self, count: int = 2) -> set[int]:
        """Those who answer, once so many different ones do."""
        found: set[int] = set()
        while len(found) < count:
            if (pid := await pid_at(self.port)) is not None:
                found.add(pid)
        return found

    def ended(self) -> dict[int, str]:
        """How those ended that could say it."""
        return {int(file.name): file.read_text() for file in self._folder.iterdir()}


async def pid_at(port: int) -> int | None:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.02)
        return None
    pid = await reader.read()
    writer.close()
    return int(pid) if pid else None


@pytest.fixture
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))


@asynccontextmanager
async def crew(tmp_path: Path) -> AsyncIterator[tuple[Crew, asyncio.Task[None]]]:
    one = Crew(tmp_path)
    running = asyncio.create_task(one.workers.run())
    try:
        yield one, running
    finally:
        if not running.done():
            os.kill(os.getpid(), signal.SIGTERM)
            await running


@pytest.mark.usefixtures("_path")
async def test_one_port_and_one_end_for_all(tmp_path: Path) -> None:
    async with crew(tmp_path) as (one, running):
        pids = await one.pids()
        os.kill(os.getpid(), signal.SIGTERM)
        await running
        assert one.ended() == dict.fromkeys(pids, "0")


@pytest.mark.usefixtures("_path")
async def test_workers_get_the_signal_that_the_parent_got(tmp_path: Path) -> None:
    async with crew(tmp_path) as (one, running):
        pids = await one.pids()
        os.kill(os.getpid(), signal.SIGINT)
        await running
        assert one.ended() == dict.fromkeys(pids, "7")


@pytest.mark.usefixtures("_path")
async def test_a_dead_worker_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "pause_seconds", lambda *_: 0.0)
    async with crew(tmp_path) as (one, _):
        first, second = await one.pids()
        os.kill(first, signal.SIGKILL)
        while first in (pids := await one.pids()):
            pass
        assert second in pids


async def test_a_first_worker_that_does_not_start_is_the_end(tmp_path: Path) -> None:
    workers = Workers(settings(), [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(PhoneAgentError, match=r"did not start \(3\)"):
        await workers.run()


@pytest.mark.usefixtures("_path")
async def test_orphans_drain(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(port), WORKER, str(tmp_path), stderr=asyncio.subprocess.DEVNULL
    )
    found: set[int] = set()
    while len(found) < 2:
        if (pid := await pid_at(port)) is not None:
            found.add(pid)
    parent.kill()
    await parent.wait()
    while len(list(tmp_path.iterdir())) < 2:  # noqa: ASYNC110  # they are nobody's children any more
        await asyncio.sleep(0.02)
    assert {int(file.name): file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys(found, "9")


def test_a_port_that_is_taken_is_said() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(SettingsError, match="Cannot listen on 127"):
            bind("127.0.0.1", taken.getsockname()[1])


def test_several_need_a_database_that_can_be_shared(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="set DATABASE_URL to a PostgreSQL"):
        check(settings(data_dir=tmp_path))
    with pytest.raises(SettingsError, match="set DATABASE_URL to a PostgreSQL"):
        check(settings(database_url="sqlite:///calls.db"))
    check(settings(workers=1))
    check(settings(database_url="postgresql://me@localhost/calls"))


def test_a_worker_that_keeps_dying_is_given_time() -> None:
    assert [pause_seconds(1.0, deaths) for deaths in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, LONGEST_PAUSE_SECONDS]
    assert pause_seconds(STEADY_SECONDS, 9) == 0.0


def test_a_post_is_told_as_text() -> None:
    assert Post.parse(str(Post(2, 5, 11))) == Post(2, 5, 11)
