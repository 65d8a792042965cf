"""Does a crash dial anyone twice, or lose a call: a process killed at each point of a dialling, many times.

`uv run poe crash --runs 50` for each of SQLite and PostgreSQL, some at once; prints a line a point and exits 1 if
a call was lost or dialled twice. Half of the runs die at a chosen point, one after the other; the other half are
killed from outside at a random moment of the first seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

with warnings.catch_warnings():
    # pipecat 1.14 defines classes upon its own deprecated ones; the import is what warns.
    warnings.simplefilter("ignore", DeprecationWarning)
    from tests.crash.dying import POINTS, Left, Runs
from tests.postgres import PostgresServer

AT_ONCE = 4
AT_RANDOM = "at a random moment"


async def crash(runs: int, *, seed: int) -> int:
    """0 when every run left its call dialled once."""
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        for database in ("sqlite", "postgresql"):
            wrong += await _on(database, runs, Path(folder), random.Random(seed))
    return 1 if wrong else 0


async def _on(database: str, runs: int, folder: Path, chance: random.Random) -> int:
    server = PostgresServer() if database == "postgresql" else None
    processes, turns, left = Runs(), asyncio.Semaphore(AT_ONCE), []
    started = time.monotonic()

    async def one(number: int) -> tuple[str, Left]:
        async with turns:
            own = folder / f"{database}-{number}"
            own.mkdir()
            url = f"sqlite:///{own / 'calls.db'}" if server is None else server.new_url()
            if number % 2:
                return AT_RANDOM, await processes.run_killed(number, chance.uniform(0.0, 1.5), url, own)
            point = POINTS[number // 2 % len(POINTS)]
            return point, await processes.run(number, point, url, own)

    try:
        left = await asyncio.gather(*(one(number) for number in range(runs)))
    finally:
        if server is not None:
            server.stop()
    return _report(database, left, time.monotonic() - started)


def _report(database: str, left: list[tuple[str, Left]], seconds: float) -> int:
    tried = Counter(point for point, _ in left)
    lost = Counter(point for point, each in left if each.asked and not each.dialled)
    twice = Counter(point for point, each in left if len(each.dialled) > 1)
    wrong = [each for _, each in left if not each.right]
    print(f"\n{database}: {len(left)} runs in {seconds:.0f} s, {len(wrong)} wrong")
    for point in (*POINTS, AT_RANDOM):
        print(f"  {point:<26} {tried[point]:>3} runs  {lost[point]:>2} lost  {twice[point]:>2} dialled twice")
    for each in wrong:
        print(f"  wrong: {each}")
    return len(wrong)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="a database (50)")
    parser.add_argument("--seed", type=int, default=4)
    chosen = parser.parse_args()
    sys.exit(asyncio.run(crash(chosen.runs, seed=chosen.seed)))


if __name__ == "__main__":
    main()
