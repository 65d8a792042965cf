"""A whole offline call as operators see it: its trace at a collector, its figures at /metrics, its JSON lines."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from pathlib import Path
from typing import Any

from bot.telemetry import tracing
from tests.calls.process import ServerProcess, server_process
from tests.calls.server import README_BODY
from tests.simulators.collector import Collector, SpanSeen
from tests.unit.telemetry.test_metrics import value

CALLEE = str(README_BODY["callee_name"])


async def _hold_a_call(server: ServerProcess) -> tuple[str, dict[str, Any]]:
    call_id = await server.call()
    await server.until(call_id, lambda call: call["ended_at"] is not None, within=60.0)
    return call_id, await server.read(call_id)


async def _scraped(server: ServerProcess, within: float = 10.0) -> bytes:
    """Once the call is counted: that is done behind its end."""
    async with asyncio.timeout(within):
        while True:
            page = (await server.http.get("/metrics")).content
            if b"phone_agent_calls_total{" in page:
                return page
            await asyncio.sleep(0.1)


async def test_a_call_in_trace_figures_and_lines(tmp_path: Path) -> None:
    async with Collector() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "LOG_FORMAT": "json",
        }
        async with server_process(tmp_path, environment) as server:
            call_id, call = await _hold_a_call(server)
            page = await _scraped(server)
            await collector.until(lambda: bool(collector.named("call")))
            server.tell(signal.SIGTERM)
            assert await server.gone(20.0) == 0
    _check_trace(collector, call_id, call)
    _check_page(page, call)
    _check_lines(tmp_path / "log", call_id)


def _check_trace(collector: Collector, call_id: str, call: dict[str, Any]) -> None:
    assert {span.trace_id for span in collector.spans} == {f"{tracing.trace_id_of(call_id):032x}"}, "one trace"
    (root,) = collector.named("call")
    assert root.parent_id == ""
    assert root.attributes["call.ended_reason"] == call["ended_reason"]
    turns = sorted(collector.named("turn"), key=lambda turn: turn.start)
    assert len(turns) >= 2
    assert [turn.attributes["turn.number"] for turn in turns] == list(range(1, len(turns) + 1))
    assert all(turn.parent_id == root.span_id for turn in turns)
    assert all(one.end <= following.start for one, following in itertools.pairwise(turns))
    ids = {turn.span_id: turn for turn in turns}
    for name in ("stt", "llm", "tts"):
        spans = collector.named(name)
        assert spans, name
        assert all(span.scope == "pipecat" for span in spans)
        assert all(span.parent_id in ids for span in spans), name
        assert len({span.span_id for span in spans}) == len(spans)
    assert any("turn.voice_to_voice_ms" in turn.attributes for turn in turns)
    for name in ("dial", "opening"):
        (span,) = collector.named(name)
        assert span.parent_id == root.span_id
    _check_discretion(collector, call)


def _check_discretion(collector: Collector, call: dict[str, Any]) -> None:
    said = [turn["text"] for turn in call["transcript"]]
    for secret in (call["phone_number"], CALLEE, *said):
        assert secret.encode() not in collector.raw, secret
    assert all("transcript" not in span.attributes for span in collector.spans)


def _check_page(page: bytes, call: dict[str, Any]) -> None:
    labels = {
        "status": "completed",
        "ended_reason": call["ended_reason"],
        "direction": "outbound",
        "scenario": call["scenario"],
    }
    assert value("phone_agent_calls_total", page, **labels) == 1
    assert value("phone_agent_calls_on_line", page) == 0
    assert value("phone_agent_dials_total", page, carrier="simulated", result="accepted") == 1
    for part in ("voice_to_voice", "llm", "tts", "answer_to_first_audio"):
        assert value("phone_agent_turn_latency_seconds_count", page, part=part) >= 1, part
    assert value("phone_agent_event_loop_lag_seconds_count", page) > 10
    text = page.decode()
    assert call["phone_number"] not in text
    assert call["call_id"] not in text


def _check_lines(log: Path, call_id: str) -> None:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    ours = [line for line in lines if line.get("call_id") == call_id]
    assert any(line["message"].startswith("answered: ") for line in ours)
    assert any(line["message"].startswith("hung up: ") for line in ours)
    assert any("dials" in line["message"] for line in ours), "also what is done before anybody answers"


async def test_words_are_in_the_trace_when_they_are_asked_for(tmp_path: Path) -> None:
    async with Collector() as collector:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "TRACE_TRANSCRIPTS": "true",
        }
        async with server_process(tmp_path, environment) as server:
            call_id = await server.call()
            await server.until(call_id, _answered_once, within=60.0)
            await server.http.post(f"/api/phone/calls/{call_id}/hangup")
            await server.until(call_id, lambda call: call["ended_at"] is not None, within=60.0)
            call = await server.read(call_id)
            await collector.until(lambda: bool(collector.named("call")))

    def told(name: str, attribute: str) -> list[str]:
        return [str(span.attributes[attribute]) for span in collector.named(name) if attribute in span.attributes]

    heard = [turn["text"] for turn in call["transcript"] if turn["speaker"] == "callee"]
    assert any(text in heard for text in told("stt", "transcript"))
    assert all(_holds(span, "output") for span in collector.named("llm"))
    assert told("tts", "text")


def _answered_once(call: dict[str, Any]) -> bool:
    """The callee has replied to the opening, and the agent to that."""
    return [turn["speaker"] for turn in call["transcript"]].count("agent") >= 2


def _holds(span: SpanSeen, attribute: str) -> bool:
    return bool(span.attributes.get(attribute))
