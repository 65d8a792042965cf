"""What is counted and timed: on the page, under its own names, summed over processes that share a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.records import TurnLatency
from bot.telemetry import metrics

ROOT = Path(__file__).parents[3]


def value(name: str, page: bytes | None = None, /, **labels: str) -> float:
    """One sample of the page; 0 where there is none."""
    text = (metrics.page()[0] if page is None else page).decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    return 0.0


def test_a_calls_end_is_counted_once_with_its_reason() -> None:
    labels = {
        "status": "completed",
        "ended_reason": "agent_hangup",
        "direction": "outbound",
        "scenario": "reminder",
    }
    before = value("phone_agent_calls_total", **labels)
    seconds = value("phone_agent_call_duration_seconds_sum", direction="outbound")
    metrics.call_ended(**labels, duration_seconds=42.0)
    assert value("phone_agent_calls_total", **labels) == before + 1
    assert value("phone_agent_call_duration_seconds_sum", direction="outbound") == seconds + 42.0


def test_a_call_nobody_answered_has_no_duration() -> None:
    count = value("phone_agent_call_duration_seconds_count", direction="inbound")
    metrics.call_ended(
        status="busy", ended_reason="dial_busy", direction="inbound", scenario="x", duration_seconds=None
    )
    assert value("phone_agent_call_duration_seconds_count", direction="inbound") == count


def test_a_call_is_on_the_line_until_its_block_ends_even_by_an_error() -> None:
    before = value("phone_agent_calls_on_line")
    with pytest.raises(ZeroDivisionError), metrics.call_on_line():
        assert value("phone_agent_calls_on_line") == before + 1
        raise ZeroDivisionError
    assert value("phone_agent_calls_on_line") == before


def test_the_parts_are_those_of_a_turns_latency() -> None:
    named = [field.name.removesuffix("_ms") for field in fields(TurnLatency)]
    assert [*named, "answer_to_first_audio"] == list(metrics.PARTS)


def test_a_reply_is_timed_by_part_in_seconds_and_unseen_parts_are_not() -> None:
    before = value("phone_agent_turn_latency_seconds_sum", part="llm")
    unseen = value("phone_agent_turn_latency_seconds_count", part="stt")
    latency = TurnLatency(voice_to_voice_ms=612.5, llm_ms=240.0)
    metrics.turn_taken({name.removesuffix("_ms"): ms for name, ms in asdict(latency).items()})
    assert value("phone_agent_turn_latency_seconds_sum", part="llm") == pytest.approx(before + 0.24)
    assert value("phone_agent_turn_latency_seconds_count", part="stt") == unseen


def test_every_part_is_there_before_the_first_reply() -> None:
    text = subprocess.run(
        [sys.executable, "-c", "from bot.telemetry import metrics; print(metrics.page()[0].decode())"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != metrics.FOLDER_VARIABLE},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for part in metrics.PARTS:
        assert f'phone_agent_turn_latency_seconds_count{{part="{part}"}} 0.0' in text
    assert "process_resident_memory_bytes" in text


def test_all_that_is_noted_is_on_the_page() -> None:
    metrics.observe_loop_lag(0.02)
    metrics.vendor_failed("deepgram", "connection_lost")
    metrics.vendor_reconnected("deepgram")
    metrics.dialled("twilio", "accepted")
    metrics.webhook_attempted("call_ended", "failed")
    metrics.queues_seen({"lines": metrics.Depth(7, 9)})
    metrics.database_failed("OperationalError")
    page = metrics.page()[0]
    assert value("phone_agent_event_loop_lag_seconds_count", page) >= 1
    assert value("phone_agent_vendor_errors_total", page, vendor="deepgram", kind="connection_lost") >= 1
    assert value("phone_agent_vendor_reconnects_total", page, vendor="deepgram") >= 1
    assert value("phone_agent_dials_total", page, carrier="twilio", result="accepted") >= 1
    assert value("phone_agent_webhook_deliveries_total", page, type="call_ended", result="failed") >= 1
    assert value("phone_agent_queue_depth", page, queue="lines", state="ready") == 7
    assert value("phone_agent_queue_depth", page, queue="lines", state="delayed") == 9
    assert value("phone_agent_database_errors_total", page, kind="OperationalError") >= 1


def test_the_form_is_the_accept_headers() -> None:
    body, content_type = metrics.page("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert metrics.page("text/html")[1].startswith("text/plain")


def test_noting_a_reply_costs_next_to_nothing() -> None:
    """A turn is seconds; 11 µs were measured, the bound is for a busy machine."""
    parts = dict.fromkeys(metrics.PARTS[:8], 300.0)
    times = []
    for _ in range(200):
        begun = time.process_time()
        metrics.turn_taken(parts)
        times.append(time.process_time() - begun)
    assert sorted(times)[100] < 0.001


WORKER = """
import os, sys
from bot.telemetry import metrics
held = metrics.call_on_line()
held.__enter__()
metrics.call_ended(
    status="completed", ended_reason="silence", direction="inbound", scenario="s", duration_seconds=3.0
)
metrics.turn_taken({"llm": 200.0})
metrics.queues_seen({"lines": metrics.Depth(int(sys.argv[1]))})
print("counted", flush=True)
sys.stdin.read()
"""
READER = "from bot.telemetry import metrics; print(metrics.page()[0].decode())"


def test_processes_that_share_a_folder_are_one_page(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    environment = {**os.environ, metrics.FOLDER_VARIABLE: str(folder)}

    def read() -> bytes:
        return subprocess.run(
            [sys.executable, "-c", READER], cwd=ROOT, env=environment, capture_output=True, check=True
        ).stdout

    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, depth],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for depth in ("4", "9")
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"counted\n"
        page = read()
        labels = {
            "status": "completed",
            "ended_reason": "silence",
            "direction": "inbound",
            "scenario": "s",
        }
        assert value("phone_agent_calls_total", page, **labels) == 2
        assert value("phone_agent_turn_latency_seconds_sum", page, part="llm") == pytest.approx(0.4)
        assert value("phone_agent_calls_on_line", page) == 2
        depth = value("phone_agent_queue_depth", page, queue="lines", state="ready")
        assert depth in (4, 9), "one of them, not their sum"
        workers[0].kill()
        workers[0].wait()
        metrics.process_gone(folder, workers[0].pid)
        page = read()
        assert value("phone_agent_calls_on_line", page) == 1, "what a dead process held is held no more"
        assert value("phone_agent_calls_total", page, **labels) == 2, "what it counted stays counted"
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
