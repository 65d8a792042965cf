"""The benchmarks import, and their pure parts compute what they say."""

from __future__ import annotations

import asyncio
import importlib
import math

import pytest

from bot.audio import MULAW_SILENCE
from tests.benchmarks import conversation
from tests.benchmarks.density import Step, drawn, most_clean, verdict
from tests.benchmarks.figures import (
    Reply,
    Tally,
    highest_that_held,
    median,
    percentile,
    reply_in,
    runs_of_silence,
    silent_after_ms,
    spread,
    table,
)
from tests.benchmarks.lane import lane
from tests.benchmarks.latency import Figures, report
from tests.benchmarks.sounds import SoundMaker

pytestmark = pytest.mark.long

SOUND = bytes([0x20, 0xA0])


def _sound(ms: float) -> bytes:
    return SOUND * round(ms * 4)


def _rest(ms: float) -> bytes:
    return bytes([MULAW_SILENCE]) * round(ms * 8)


# pipecat 1.14 defines classes upon its own deprecated ones; the import is what warns.
@pytest.mark.filterwarnings("ignore:`AudioContext.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    "name",
    [
        *("latency", "density", "profile", "blocking", "conversation", "pages"),
        *("stock", "ours", "vendors", "line", "servers"),
    ],
)
def test_every_benchmark_imports(name: str) -> None:
    module = importlib.import_module(f"tests.benchmarks.{name}")
    assert module.__doc__


def test_silence_is_found_where_it_is() -> None:
    assert runs_of_silence(_sound(10) + _rest(30) + _sound(5)) == [(80, 240)]
    assert runs_of_silence(_rest(2)) == [(0, 16)]
    assert runs_of_silence(b"") == []
    assert runs_of_silence(_sound(10)) == []


def test_a_zero_crossing_is_no_silence_and_both_zeros_are_zero() -> None:
    assert runs_of_silence(_sound(1) + b"\xff\x7f\xff" + _sound(1)) == []
    assert runs_of_silence(b"\xff\x7f" * 40) == [(0, 80)]


def test_a_reply_has_a_delay_a_length_and_gaps() -> None:
    heard = _rest(900) + _sound(1000) + _rest(35) + _sound(500) + _rest(800)
    assert reply_in(heard) == Reply(900.0, 1535.0, (35.0,))


def test_a_tail_of_the_agents_speech_can_be_skipped() -> None:
    assert reply_in(_sound(100) + _rest(400) + _sound(50), from_ms=100) == Reply(500.0, 50.0)


def test_no_sound_is_no_reply() -> None:
    missing = reply_in(_rest(6000), expected_ms=5000)
    assert missing.delay_ms is None
    assert math.isinf(missing.worst_ms)


def test_a_reply_that_falls_silent_for_good_is_missing() -> None:
    assert reply_in(_sound(1000), expected_ms=3000).lost_ms == 2000
    assert math.isinf(reply_in(_sound(1000), expected_ms=3000).worst_ms)
    assert reply_in(_sound(2900), expected_ms=3000).good


def test_the_bar_of_a_run() -> None:
    good, small, large = Reply(900, 3000), Reply(900, 3000, (30.0,)), Reply(900, 3000, (61.0,))
    assert Tally((good,) * 99 + (small,)).holds
    assert not Tally((good,) * 98 + (small,) * 2).holds
    assert not Tally((good,) * 999 + (large,)).holds
    assert not Tally(()).holds
    assert Tally((good, Reply(None))).missing == 1


def test_when_the_agent_fell_silent() -> None:
    assert silent_after_ms(_sound(210) + _rest(500)) == 210
    assert silent_after_ms(_rest(100)) == 0


def test_percentiles_lie_between_their_neighbours() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert percentile([1.0, 2.0], 0.9) == pytest.approx(1.9)
    assert percentile([7.0], 0.99) == 7.0
    assert median([3.0, math.inf, math.inf]) == math.inf
    assert math.isnan(percentile([], 0.5))


def test_spread_is_median_and_p90() -> None:
    assert spread([float(value) for value in range(101)]) == "50 / 90"
    assert spread([]) == "-"


def test_the_highest_n_is_below_the_first_that_never_held() -> None:
    assert highest_that_held([(8, True), (12, False), (12, True), (16, False), (16, False)]) == 12
    assert highest_that_held([(8, False), (12, True)]) == 0
    assert highest_that_held([]) == 0


def test_a_table_is_aligned_markdown() -> None:
    assert table(["name", "n"], [["a", "1"], ["long name", "200"]]).splitlines() == [
        "| name      |   n |",
        "| --------- | --: |",
        "| a         |   1 |",
        "| long name | 200 |",
    ]


def test_a_report_survives_runs_that_saw_nothing() -> None:
    assert "voice to voice" in report([Figures("ours, 1 call")])


def test_a_step_is_clean_without_gaps_silence_or_slowness_and_void_where_the_load_was_short() -> None:
    one = _step(1, delays=(700.0, 720.0, 710.0))
    steps = [one, _step(10, delays=(900.0,) * 20), _step(20, delays=(900.0,) * 18 + (1100.0,) * 2), _step(30)]
    assert one.clean(710.0)
    assert most_clean(steps, "ours") == 10
    assert most_clean([one, _step(10, gaps=1)], "ours") == 1
    assert most_clean([one, _step(10, missing=1), _step(20)], "ours") == 1
    busy = _step(40, load=0.71)
    assert busy.void
    assert most_clean([one, busy], "ours") == 1
    assert "void, because" in verdict([one, busy])


def test_a_plot_draws_each_server_in_both_panels() -> None:
    assert drawn([_step(1), _step(10), _step(1, server="stock")]).count("<polyline") == 6


def _step(
    calls: int,
    *,
    server: str = "ours",
    delays: tuple[float, ...] = (700.0,),
    gaps: int = 0,
    missing: int = 0,
    load: float = 0.5,
) -> Step:
    return Step(
        server,
        calls,
        len(delays),
        gaps,
        0.0,
        missing,
        delays,
        (),
        2.0,
        9.0,
        0.02 * calls,
        400.0,
        1.2,
        1.0,
        load,
        0.3,
    )


async def test_a_situation_is_held_and_judged() -> None:
    """Our server as it is served, the vendors' simulators, the phone and the judge, in one whole call."""
    chosen_ones = conversation.chosen(["hello: quick hello"], quick=False)
    sound_maker = SoundMaker()
    await asyncio.to_thread(conversation.record, sound_maker, chosen_ones)
    try:
        async with lane(sound_maker) as on:
            (verdict,) = await conversation.run([on], chosen_ones)
    finally:
        sound_maker.close()
    assert verdict.right, verdict.why
    assert verdict.delay_ms is not None
    assert verdict.delay_ms > 0
