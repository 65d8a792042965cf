"""Places for what runs in real time: so many at once, over all processes."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

from tests.busy import in_real_time


def hold(folder: Path, theirs: Connection) -> None:
    with in_real_time(folder, places=1):
        theirs.send("has it")
        theirs.recv()


def test_a_place_is_held_by_one_at_a_time_and_given_back_by_the_dead(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    first, second = [context.Process(target=hold, args=(tmp_path, theirs), daemon=True) for _ in range(2)]
    first.start()
    assert ours.recv() == "has it"
    second.start()
    assert not ours.poll(1.0)
    first.kill()
    assert ours.recv() == "has it"
    ours.send("go")
    second.join(20)
    assert second.exitcode == 0
