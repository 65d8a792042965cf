"""A call through the vendors' real clients is one trace: their spans stand below the turns they belong to."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bot.telemetry import tracing
from tests.calls.server import running_server, vendors
from tests.calls.test_happy_vendors import CALLEE, replies


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Traces are on, also for pipecat, and end here."""
    exporter = InMemorySpanExporter()
    provider = tracing.CallTraces(id_generator=tracing.CallIds(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing.State, "provider", provider)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


@pytest.mark.parametrize("scenario", ["quick", "quick_flux"])
async def test_each_vendor_has_its_spans(tmp_path: Path, scenario: str, sent: InMemorySpanExporter) -> None:
    async with vendors(CALLEE, replies()) as sims, running_server(tmp_path, **sims.keys()) as server:
        call_id = await server.call(scenario=scenario, first_speaker="callee")
        await server.ended(call_id)
        await server.all_over()
    spans = [span for span in sent.get_finished_spans() if span.context is not None]
    assert {_trace(span) for span in spans} == {tracing.trace_id_of(call_id)}

    def named(name: str) -> list[ReadableSpan]:
        return [span for span in spans if span.name == name]

    turns = {span.context.span_id: dict(span.attributes or {}) for span in named("turn") if span.context}
    assert len(turns) >= 3
    for name, model in (("stt", ("nova-3", "flux-general-en")), ("llm", ("claude",)), ("tts", ("eleven_flash",))):
        found = named(name)
        assert found, name
        for span in found:
            assert span.parent is not None
            assert span.parent.span_id in turns, f"{name} hangs below no turn"
            assert str((span.attributes or {})["gen_ai.request.model"]).startswith(model)
    assert any((span.attributes or {}).get("gen_ai.usage.output_tokens") for span in named("llm"))
    assert all("metrics.ttfb" in (span.attributes or {}) for span in named("tts"))
    heard = [str((span.attributes or {})["transcript"]) for span in named("stt")]
    assert any("office" in text for text in heard)
    assert sum(number.get("turn.voice_to_voice_ms") is not None for number in turns.values()) >= 2
    tools = [event.attributes or {} for span in named("turn") for event in span.events]
    assert {str(tool["tool.name"]) for tool in tools} == {"end_call", "record_outcome"}


def _trace(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)
