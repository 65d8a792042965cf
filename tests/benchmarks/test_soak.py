"""What the soak benchmark calls flat."""

from __future__ import annotations

import random

import pytest

from tests.benchmarks.soak import BATCH, Holding, growth

pytestmark = pytest.mark.long


def run(calls: int = 500, *, leak_kb: float = 0.0, arena_at: int = 75, **grows: float) -> list[Holding]:
    """As a process is seen: it warms up, one more arena comes late, two moments differ by 2 MB."""
    chance = random.Random(calls)
    seen = []
    for done in range(BATCH, calls + 1, BATCH):
        memory = 450 + 30 * (done >= arena_at) + leak_kb * done / 1024 + chance.uniform(-1, 1)
        more = {name: round(each * done) for name, each in grows.items()}
        held = {"tasks": 20, "threads": 14 + 2 * (done >= arena_at), "files": 24 + chance.randint(0, 2)}
        seen.append(Holding(done, memory, **{name: count + more.get(name, 0) for name, count in held.items()}))
    return seen


@pytest.mark.parametrize("calls", [100, 150, 300, 500])
def test_what_is_flat(calls: int) -> None:
    assert growth(run(calls)) == []


def test_too_few_calls_tell_nothing() -> None:
    assert growth(run(50)) == ["too few calls to tell"]


@pytest.mark.parametrize("leak_kb", [40.0, 3400.0])
def test_a_leak_of_memory(leak_kb: float) -> None:
    assert any(line.startswith("memory") for line in growth(run(leak_kb=leak_kb)))


@pytest.mark.parametrize(
    ("name", "seen"),
    [("tasks", run(tasks=0.05)), ("threads", run(threads=0.05)), ("files", run(files=0.05))],
)
def test_one_left_behind_in_twenty_calls(name: str, seen: list[Holding]) -> None:
    (found,) = growth(seen)
    assert found.startswith(name)
