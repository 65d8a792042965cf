"""Whole calls through the vendors' real clients: what each was asked, how a call ends, its trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bot.audio import mulaw_to_pcm
from bot.telemetry import tracing
from tests.calls.server import CHARACTER_MS, Vendors, hear, running_server, say, steps, texts_of, vendors, wait
from tests.calls.work import Holding, Work, counted
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse
from tests.simulators.tts_sound import speak

GOODBYE = "You are welcome, John. Goodbye."
HEARING = ("Vad", "NovaService", "FluxService", "BargeIn", "UserContext")
OUTCOME = {"reached_goal": True, "summary": "John confirmed.", "confirmed": True}
CALLEE = steps(
    say("Hello?"),
    hear(),
    say("Yes it does. Where is the office?"),
    hear(),
    say("Thank you, goodbye."),
    wait(),
)


def replies() -> RuleReplies:
    goodbye = Reply(GOODBYE, (ToolUse("record_outcome", OUTCOME), ToolUse("end_call", {"reason": "done"})))
    return RuleReplies([("goodbye", goodbye), ("office", "We are in Suite 200.")], otherwise="Pardon?")


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
async def test_question_and_goodbye(
    tmp_path: Path, scenario: str, sent: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with vendors(CALLEE, replies()) as sims, running_server(tmp_path, **sims.keys()) as server:
        with counted(monkeypatch) as work:
            before = Holding.now()
            call_id = await server.call(scenario=scenario, first_speaker="callee")
            await server.talking(call_id)
            held = Holding.now()
            call = await server.ended(call_id)
            await server.all_over()
        assert (call["status"], call["ended_reason"], call["error"]) == ("completed", "agent_hangup", None)
        stt = "deepgram_flux" if scenario == "quick_flux" else "deepgram"
        assert call["vendors"] == {"carrier": "twilio", "stt": stt, "llm": "anthropic", "tts": "elevenlabs"}
        assert texts_of(call, "agent") == ["Hi John. Does Thursday work?", "We are in Suite 200.", GOODBYE]
        assert texts_of(call, "callee")[0].lower().startswith("hello")
        assert call["outcome"]["reached_goal"] is True
        assert call["outcome"]["fields"]["confirmed"] is True
        tools = [tool["name"] for turn in call["transcript"] for tool in turn["tools"]]
        assert sorted(tools) == ["end_call", "record_outcome"]
        assert sims.anthropic.rejected == []
        _check_claude(sims)
        _check_voice(sims)
        _check_ear(sims, flux=scenario == "quick_flux")
        _check_the_end(sims)
        _check_work(sims, work, before, held)
    _check_trace(call["call_id"], sent)


def _check_claude(sims: Vendors) -> None:
    requests = [exchange.request for exchange in sims.anthropic.exchanges]
    # Three turns, the last two of them answered by the model; a reply begun early on too few words is one more.
    assert 2 <= len(requests) <= 4
    for request in requests:
        assert request.model == "claude-haiku-5-5"
        assert request.stream
        assert "Dr. Smith, Suite 200" in request.system
        assert "Confirm your dentist appointment Thursday at 2pm" in request.system
        assert set(request.tool_names) == {
            *("end_call", "record_outcome", "take_message", "schedule_callback"),
            "send_digits",  # for a menu that may pick up
            "do_not_call",
        }
    assert requests[0].system == requests[1].system
    assert "cache_control" in str(requests[1].body["system"])
    assert "cache_control" in str(requests[1].messages)


def _check_voice(sims: Vendors) -> None:
    assert sims.elevenlabs.sockets
    for socket in sims.elevenlabs.sockets:
        assert socket.query["output_format"] == "pcm_8000"
        assert socket.query["model_id"] == "eleven_flash_v2_5"
        assert socket.close_code is not None, "left open"


def _check_ear(sims: Vendors, *, flux: bool) -> None:
    (connection,) = sims.deepgram.connections
    assert connection.query.path == ("/v2/listen" if flux else "/v1/listen")
    assert connection.query.get("encoding") == "linear16"
    assert connection.query.get("sample_rate") == "8000"
    assert connection.query.get("model") == ("flux-general-en" if flux else "nova-3")


def _check_the_end(sims: Vendors) -> None:
    """Goodbye sent, its mark echoed, hang-up by REST; none of the goodbye's audio lost on the way."""
    stream = sims.stream
    marks = stream.received_of("mark")
    last_media = stream.received_of("media")[-1]
    echoed = {event.name: event.at for event in stream.sent_of("mark")}
    assert marks[-1].at >= last_media.at
    (hang_up,) = [r for r in sims.twilio.requests if ("Status", "completed") in r.form]
    assert last_media.at < echoed[marks[-1].name] < hang_up.at
    assert stream.received_of("clear") == []
    goodbye = speak(GOODBYE, 8000, character_ms=CHARACTER_MS).pcm
    assert _energy(mulaw_to_pcm(stream.audio)[-len(goodbye) :]) == pytest.approx(_energy(goodbye), rel=0.05)
    assert len(stream.played()) == len(stream.audio)


def _check_work(sims: Vendors, work: Work, before: Holding, held: Holding) -> None:
    """What a call costs in counts; each was about two thirds of its bound when this was written."""
    seconds = len(sims.deepgram.connections[0].audio) / 16_000
    for name, count in work.frames.items():
        # 31 windows of audio a second pass the stages that hear, and no stage behind them.
        assert count / seconds <= (52 if name in HEARING else 48), name
    assert work.runs / seconds <= 17, "of models: Silero not while nobody speaks, smart turn once a hush"
    assert work.sessions == 0, "an ONNX session was built during a call"
    assert work.tls_contexts == 0, "a TLS context was built during a call"
    written = sum(count for what, count in work.statements.items() if not what.startswith(("SELECT", "BEGIN")))
    assert written <= 110, work.statements
    assert held.tasks - before.tasks <= 125
    assert held.threads - before.threads <= 10
    assert held.files - before.files <= 20


def _energy(pcm: bytes) -> float:
    return float((np.frombuffer(pcm, dtype="<i2").astype(np.float64) ** 2).mean())


def _check_trace(call_id: str, sent: InMemorySpanExporter) -> None:
    """One trace a call: the vendors' spans stand below the turns they belong to."""
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
