"""The lock of a data folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bot.house_lock import HouseLock

_HOLD = (
    "import sys; from pathlib import Path; from bot.house_lock import HouseLock; "
    "lock = HouseLock(Path(sys.argv[1])); print(lock.take(), flush=True); sys.stdin.read()"
)


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = HouseLock(tmp_path / "new" / "server.lock"), HouseLock(tmp_path / "new" / "server.lock")
    assert first.take()
    assert not second.take()
    first.leave()
    assert second.take()
    second.leave()
    second.leave()


def test_a_killed_holder_keeps_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"True"
        lock = HouseLock(path)
        assert not lock.take()
        holder.kill()
        holder.wait()
        assert lock.take()
        lock.leave()
