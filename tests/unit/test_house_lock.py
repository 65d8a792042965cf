"""The lock of a data folder."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from bot.house_lock import HouseLock

_LIVE = (
    "import asyncio, sys; from pathlib import Path; from bot.house_lock import HouseLock; "
    "lock = HouseLock(Path(sys.argv[1])); print(asyncio.run(lock.enter()), flush=True); sys.stdin.read()"
)


async def test_the_first_is_alone_and_those_who_come_after_are_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "server.lock"
    first, second, third = HouseLock(path), HouseLock(path), HouseLock(path)
    assert await first.enter()
    first.share()
    assert not await second.enter()
    first.leave()
    assert not await third.enter()  # the second is still in
    second.leave()
    third.leave()
    third.leave()
    assert await first.enter()
    first.leave()


async def test_who_comes_while_another_settles_waits(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    first, second = HouseLock(path), HouseLock(path)
    assert await first.enter()
    entering = asyncio.create_task(second.enter())
    await asyncio.wait({entering}, timeout=0.2)
    assert not entering.done()
    first.share()
    assert not await entering
    first.leave()
    second.leave()


async def test_a_killed_server_keeps_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    with subprocess.Popen(
        [sys.executable, "-c", _LIVE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as living:
        assert living.stdout is not None
        assert living.stdout.readline().strip() == b"True"
        living.kill()
        living.wait()
    lock = HouseLock(path)
    assert await lock.enter()
    lock.leave()
