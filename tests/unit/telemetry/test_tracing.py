"""A call's trace: its ids, its turns, what leaves the process, and what a missing collector costs."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from loguru import logger
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import StatusCode
from opentelemetry.util.types import AttributeValue

from bot.errors import CarrierError
from bot.records import CallRecord, CallSpec, Direction, EndedReason, Status
from bot.telemetry import tally, tracing
from tests.simulators.collector import Collector

ROOT = Path(__file__).parents[3]
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RECORD = CallRecord(
    call_id="call_1",
    spec=CallSpec(phone_number="+12025550123", scenario="reminder", action="Ask", callee_name="John"),
    direction=Direction.OUTBOUND,
    status=Status.COMPLETED,
    created_at=NOON,
    ended_at=NOON + timedelta(seconds=40),
    ended_reason=EndedReason.AGENT_HANGUP,
    duration_seconds=30.0,
    vendors={"llm": "anthropic"},
)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Traces are on, and end here."""
    return _sending_to(InMemorySpanExporter(), monkeypatch)


def _sending_to(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, **options: object
) -> InMemorySpanExporter:
    provider = tracing.CallTraces(id_generator=tracing.CallIds(), shutdown_on_exit=False, **options)  # type: ignore[arg-type]
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing.State, "provider", provider)
    return exporter


class Clock:
    """Seconds as nanoseconds."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> int:
        return int(self.seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _turns(exporter: InMemorySpanExporter) -> list[tuple[float, float]]:
    return [
        ((span.start_time or 0) / 1e9, (span.end_time or 0) / 1e9)
        for span in exporter.get_finished_spans()
        if span.name == "turn"
    ]


# -- switching on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_the_standard_variables_switch_it_on(environment: dict[str, str], wanted: bool) -> None:
    assert tracing.wanted(environment) is wanted


def test_while_off_nothing_is_made_and_nothing_breaks() -> None:
    assert not tracing.on()
    assert tracing.CallTrace("call_1").services is None
    with tracing.span("dial", "call_1", carrier="twilio") as span:
        assert not span.is_recording()
    tracing.call_ended("call_1", begun=NOON, ended=NOON, attributes={})


# -- one trace a call -------------------------------------------------------------------------------------


def test_all_of_a_call_is_one_trace_whichever_process_ends_it(sent: InMemorySpanExporter) -> None:
    with tracing.span("dial", "call_1", carrier="twilio"):
        pass
    held = tracing.CallTrace("call_1")
    held.answered()
    held.close()
    tally.call_over(RECORD)
    dial, turn, root = sent.get_finished_spans()
    assert root.context is not None
    assert root.parent is None
    assert root.context.span_id == tracing.root_id_of("call_1")
    assert {span.context.trace_id for span in (dial, turn, root) if span.context} == {
        tracing.trace_id_of("call_1")
    }
    for span in (dial, turn):
        assert span.parent is not None
        assert span.parent.span_id == root.context.span_id
    assert (root.start_time, root.end_time) == (int(NOON.timestamp()) * 10**9, int(NOON.timestamp() + 40) * 10**9)
    attributes = dict(root.attributes or {})
    assert attributes["call.id"] == "call_1"
    assert attributes["call.ended_reason"] == "agent_hangup"
    assert attributes["call.vendor.llm"] == "anthropic"
    assert not any("+1202" in str(value) or "John" in str(value) for value in attributes.values())
    assert root.status.status_code is StatusCode.UNSET


def test_libraries_that_trace_by_themselves_make_no_spans(sent: InMemorySpanExporter) -> None:
    provider = tracing.State.provider
    assert provider is not None
    for name in ("fastapi", "dbos-tracer"):
        with provider.get_tracer(name).start_as_current_span("GET /metrics"):
            pass
    with provider.get_tracer("pipecat").start_as_current_span("llm"):
        pass
    assert [span.name for span in sent.get_finished_spans()] == ["llm"]


def test_another_call_is_another_trace_with_random_spans(sent: InMemorySpanExporter) -> None:
    for call_id in ("call_1", "call_2"):
        with tracing.span("webhook", call_id), tracing.span("webhook", call_id):
            pass
    contexts = [span.context for span in sent.get_finished_spans() if span.context]
    assert len({context.trace_id for context in contexts}) == 2
    assert len({context.span_id for context in contexts}) == 4


def test_a_call_that_failed_says_so(sent: InMemorySpanExporter) -> None:
    tracing.call_ended("c", begun=NOON, ended=NOON, attributes={"call.status": None}, failure="error_llm")
    (root,) = sent.get_finished_spans()
    assert (root.status.status_code, root.status.description) == (StatusCode.ERROR, "error_llm")
    assert "call.status" not in (root.attributes or {})


def test_a_refused_dial_is_a_failed_span(sent: InMemorySpanExporter) -> None:
    refused = CarrierError("no", provider="twilio", status=400)
    with pytest.raises(CarrierError), tally.dialling("call_1", "twilio"):
        raise refused
    (dial,) = sent.get_finished_spans()
    assert (dial.name, dial.status.status_code) == ("dial", StatusCode.ERROR)


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_sampling_takes_a_whole_call_or_nothing_of_it(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = _sending_to(InMemorySpanExporter(), monkeypatch, sampler=ParentBased(TraceIdRatioBased(rate)))
    whole = 0
    for number in range(60):
        call_id = f"call_{number}"
        sent.clear()
        with tracing.span("dial", call_id):
            pass
        trace = tracing.CallTrace(call_id)
        trace.answered()
        trace.close()
        tracing.call_ended(call_id, begun=NOON, ended=NOON, attributes={})
        names = [span.name for span in sent.get_finished_spans()]
        assert names in ([], ["dial", "turn", "call"])
        whole += bool(names)
    assert (whole == 60) if rate == 1 else (whole == 0) if rate == 0 else (10 < whole < 50)


def test_a_sampler_that_takes_nothing_makes_no_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = _sending_to(InMemorySpanExporter(), monkeypatch, sampler=ALWAYS_OFF)
    with tracing.span("dial", "call_1") as span:
        assert not span.is_recording()
    assert sent.get_finished_spans() == ()


# -- turns ------------------------------------------------------------------------------------------------


def test_turns_begin_with_the_callees_speech_and_end_with_the_agents(
    sent: InMemorySpanExporter, clock: Clock
) -> None:
    trace = tracing.CallTrace("call_1", clock=clock)
    trace.answered()  # 100
    clock.seconds = 101
    trace.speech_began()  # "Hello?" belongs to the opening's turn
    trace.words_came()
    trace.turn_over()
    clock.seconds = 102
    trace.voice_began({})
    clock.seconds = 105
    trace.voice_ended(interrupted=False)
    clock.seconds = 106
    trace.speech_began()
    clock.seconds = 107
    trace.words_came()
    trace.turn_over()
    clock.seconds = 108
    trace.voice_began({"voice_to_voice": 640.0, "stt": None})
    clock.seconds = 110
    trace.voice_ended(interrupted=False)
    clock.seconds = 120
    trace.close()
    assert _turns(sent) == [(100, 105), (106, 110)]
    first, second = (dict(span.attributes or {}) for span in sent.get_finished_spans())
    assert (first["turn.number"], second["turn.number"]) == (1, 2)
    assert second["turn.voice_to_voice_ms"] == 640.0
    assert "turn.stt_ms" not in second
    assert second["conversation.id"] == "call_1"


def test_an_interruption_begins_a_turn_where_the_speech_began(sent: InMemorySpanExporter, clock: Clock) -> None:
    trace = tracing.CallTrace("call_1", clock=clock)
    trace.answered()
    trace.voice_began({})
    clock.seconds = 103
    trace.speech_began()  # under the agent's voice
    clock.seconds = 103.4
    trace.words_came()
    clock.seconds = 103.5
    trace.voice_ended(interrupted=True)
    trace.turn_over()
    trace.close()
    assert [start for start, _ in _turns(sent)] == [100, 103]


def test_a_backchannel_and_a_noise_begin_none(sent: InMemorySpanExporter, clock: Clock) -> None:
    trace = tracing.CallTrace("call_1", clock=clock)
    trace.answered()
    trace.voice_began({})
    clock.seconds = 101
    trace.speech_began()
    trace.backchannel()
    clock.seconds = 104
    trace.words_came()  # nobody's speech began: a late piece of the turn before
    trace.voice_ended(interrupted=False)
    trace.close()
    assert _turns(sent) == [(100, 104)]


def test_two_noises_in_a_row_are_one_turn(sent: InMemorySpanExporter, clock: Clock) -> None:
    trace = tracing.CallTrace("call_1", clock=clock)
    trace.answered()
    trace.voice_began({})
    trace.voice_ended(interrupted=False)
    for second in (105, 106, 107):
        clock.seconds = second
        trace.speech_began()
    trace.close()
    assert _turns(sent) == [(100, 100), (105, 105)]


def test_services_hang_their_spans_under_the_turn(sent: InMemorySpanExporter) -> None:
    trace = tracing.CallTrace("call_1")
    assert trace.services is not None
    assert trace.services.get_turn_context() is None
    trace.answered()
    assert trace.services.get_turn_context() is not None
    assert trace.services.conversation_id == "call_1"
    trace.tool_used("end_call")
    trace.close()
    trace.close()
    assert trace.services.get_turn_context() is None
    (turn,) = sent.get_finished_spans()
    assert [(event.name, dict(event.attributes or {})) for event in turn.events] == [
        ("tool", {"tool.name": "end_call"})
    ]


# -- what leaves ------------------------------------------------------------------------------------------


class Told(SpanExporter):
    """Keeps what it is told; `works`: whether it can."""

    def __init__(self) -> None:
        self.works = True
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS if self.works else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        return


def _spans_with_words() -> tuple[ReadableSpan, ...]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    attributes: dict[str, AttributeValue] = {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude",
        "gen_ai.usage.input_tokens": 700,
        "metrics.ttfb": 0.4,
        "stream": True,
        "input": '[{"content": "my number is +12025550123"}]',
        "output": "secret words",
        "gen_ai.system_instructions": "secret words",
        "transcript": "secret words",
        "text": "secret words",
        "tomorrows.new.attribute": "secret words",
        "tools": ["secret words"],
    }
    with (
        pytest.raises(ValueError, match="secret"),
        provider.get_tracer("pipecat").start_as_current_span("llm", attributes=attributes),
    ):
        raise ValueError("secret words")
    with provider.get_tracer(tracing.SCOPE).start_as_current_span("dial", attributes={"carrier": "twilio"}):
        pass
    return exporter.get_finished_spans()


def test_words_stay_here() -> None:
    told = Told()
    tracing.DiscreetExporter(told, transcripts=False).export(_spans_with_words())
    llm, dial = told.spans
    assert dict(llm.attributes or {}) == {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude",
        "gen_ai.usage.input_tokens": 700,
        "metrics.ttfb": 0.4,
        "stream": True,
    }
    assert "secret" not in llm.to_json()
    assert llm.status.status_code is StatusCode.ERROR
    assert [dict(event.attributes or {})["exception.type"] for event in llm.events] == ["ValueError"]
    assert dict(dial.attributes or {}) == {"carrier": "twilio"}


@pytest.mark.parametrize(
    ("description", "told"),
    [("what John said", None), ("ValueError: what John said", "ValueError"), ("error_llm", "error_llm")],
)
def test_a_status_of_words_alone_stays_here(description: str, told: str | None) -> None:
    """pipecat's realtime services put an exception's bare text there."""
    exporter, out = InMemorySpanExporter(), Told()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("pipecat").start_as_current_span("llm") as span:
        span.set_status(StatusCode.ERROR, description)
    tracing.DiscreetExporter(out, transcripts=False).export(exporter.get_finished_spans())
    assert out.spans[-1].status.description == told


def test_words_go_along_when_they_are_asked_for() -> None:
    told = Told()
    tracing.DiscreetExporter(told, transcripts=True).export(_spans_with_words())
    assert dict(told.spans[0].attributes or {})["transcript"] == "secret words"


def test_a_collector_that_is_away_is_one_line() -> None:
    told, lines = Told(), []
    exporter = tracing.DiscreetExporter(told, transcripts=False, place="collector:4318")
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    try:
        for works in (False, False, True, True, False):
            told.works = works
            exporter.export([])
    finally:
        logger.remove(sink)
    away = "traces do not reach collector:4318; calls go on without"
    assert lines == [away, "traces reach collector:4318 again", away]


# -- the SDK, as a process starts it ----------------------------------------------------------------------

PROGRAM = """
import os, time
from datetime import UTC, datetime
from bot.telemetry.logs import set_up
set_up("INFO")
from bot.telemetry import tracing
tracing.open_traces(dict(os.environ), transcripts=False, version="9.9")
begun = time.process_time()
for _ in range(20):
    with tracing.span("dial", "call_1", carrier="twilio"):
        pass
tracing.call_ended("call_1", begun=datetime.now(UTC), ended=datetime.now(UTC), attributes={})
spent = time.process_time() - begun
begun = time.perf_counter()
tracing.close_traces()
print(spent, time.perf_counter() - begun)
"""


def _run(**variables: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


async def test_a_real_collector_gets_them_with_the_standard_headers_and_names() -> None:
    async with Collector() as collector:
        await asyncio.to_thread(
            _run,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_EXPORTER_OTLP_HEADERS="x-team=dental",
            OTEL_SERVICE_NAME="front-desk",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test",
        )
    assert len(collector.named("dial")) == 20
    (root,) = collector.named("call")
    assert root.trace_id == f"{tracing.trace_id_of('call_1'):032x}"
    assert root.resource["service.name"] == "front-desk"
    assert root.resource["deployment.environment"] == "test"
    assert root.resource["service.version"] == "9.9"
    assert collector.headers[0]["x-team"] == "dental"


async def test_without_a_name_the_service_is_ours() -> None:
    async with Collector() as collector:
        await asyncio.to_thread(_run, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces")
    assert collector.named("call")[0].resource["service.name"] == "phone-agent"


def test_a_collector_that_is_down_costs_a_call_nothing_and_the_end_little() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = _run(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    spent, closing = map(float, done.stdout.split())
    assert spent < 0.2
    assert closing < tracing.GOODBYE_SECONDS + 5, "the exporter alone would go on for ten"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert sum("traces do not reach" in line for line in lines) == 1
    assert len(lines) == 2, done.stderr


@pytest.fixture(autouse=True)
def _off_afterwards() -> Iterator[None]:
    yield
    assert not tracing.on() or tracing.State.exporter is None
