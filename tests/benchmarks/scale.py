"""Three servers on one PostgreSQL behind a proxy, sixty calls, each server killed once: `uv run poe scale`."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.postgres import PostgresServer
from tests.scale.killing import Outcome, run

WITHIN_SECONDS = 300.0
"""For one call, its waiting behind killed servers included."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit code 1 where a call was lost, dialled twice, or its end was not told exactly once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=60)
    chosen = parser.parse_args(arguments)
    postgres = PostgresServer()
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="scale-") as folder:
            outcome = asyncio.run(run(Path(folder), postgres.new_url(), chosen.calls, within=WITHIN_SECONDS))
    finally:
        postgres.stop()
    print(f"{chosen.calls} calls, three servers, each killed once: {time.monotonic() - began:.0f} s")
    print(f"ended: {dict(outcome.reasons)}")
    wrong = faults(outcome)
    for line in wrong:
        print(f"WRONG {line}")
    if wrong:
        raise SystemExit(1)
    print("none lost, none dialled twice, every result told once")


def faults(outcome: Outcome) -> list[str]:
    """What must not be, a line each."""
    found = [f"{n} was dialled {count} times" for n, count in outcome.dialled.items() if count != 1]
    never = {call["phone_number"] for call in outcome.calls} - set(outcome.dialled)
    found += [f"{number} was never dialled" for number in never]
    for call in outcome.calls:
        told = Counter({kind: n for (call_id, kind), n in outcome.events.items() if call_id == call["call_id"]})
        if told != Counter(("call_started", "call_ended", "call_analyzed")):
            found.append(f"{call['call_id']} was told as {dict(told)}")
        if call["ended_at"] is None:
            found.append(f"{call['call_id']} never ended")
    return found


if __name__ == "__main__":
    main()
