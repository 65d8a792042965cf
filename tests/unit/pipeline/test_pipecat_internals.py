"""What we expect of pipecat's underscore names; a version that breaks this has to be read before it is used."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import ssl
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import EagerTranscriptionFrame
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_response_universal import LLMAssistantAggregator, LLMUserAggregator
from pipecat.services.deepgram.flux.stt import DeepgramFluxSTTService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.services.websocket_service import WebsocketService
from pipecat.turns.user_stop import (
    EagerUserTurnStopStrategy,
    SpeechTimeoutUserTurnStopStrategy,
    TurnAnalyzerUserTurnStopStrategy,
)
from pipecat.turns.user_turn_controller import UserTurnController
from pipecat.utils.text.simple_text_aggregator import SimpleTextAggregator

from bot.pipeline.stt import deepgram_internals
from bot.pipeline.stt.deepgram_nova import NovaService

INTERNALS = re.compile(r"\w*_internals\.py|llm/\w+\.py|offline/[\w/]+\.py")
"""Files that may touch underscore names of pipecat; those of LLMs and local engines stand in their services."""
METHODS: dict[type, dict[str, list[str]]] = {
    LLMUserAggregator: {
        "_run_speculative_inference": ["speculation"],
        "_on_user_turn_started": ["controller", "strategy", "params"],
        "_on_user_turn_stopped": ["controller", "strategy", "params"],
    },
    UserTurnController: {"_trigger_user_turn_stop": ["strategy", "params"]},
    LLMAssistantAggregator: {
        "_handle_text": ["frame"],
        "_add_aggregation_to_context": [],
        "_maybe_push_context": [],
    },
    EagerUserTurnStopStrategy: {"_forget": [], "_speculate": ["frame"]},
    TurnAnalyzerUserTurnStopStrategy: {
        "_maybe_trigger_user_turn_stopped": [],
        "_handle_vad_user_stopped_speaking": ["frame"],
        "_discard_pending_end_of_turn": [],
    },
    LocalSmartTurnAnalyzerV3: {"_predict_endpoint": ["audio_array"]},
    SileroVADAnalyzer: {"_run_analyzer": ["buffer"], "_get_smoothed_volume": ["audio"]},
    TTSService: {"_apply_force_complete": ["context_id"]},
    WebsocketService: {"_websocket_connect": ["uri", "kwargs"]},
    DeepgramSTTService: {
        "_build_connect_kwargs": [],
        "_on_message": ["message"],
        "_connect": [],
        "_disconnect": [],
    },
    DeepgramFluxSTTService: {
        "_connect": [],
        "_disconnect": [],
        "_build_query_string": [],
        "_handle_message": ["data"],
        "_send_silence": ["duration_secs"],
        "_reset_configure_state": [],
        "_cancel_eager_end_of_turn": [],
        "_end_turn_cut_short": [],
        "_handle_start_of_turn": ["transcript"],
        "_handle_end_of_turn": ["transcript", "data"],
        "_transport_is_active": [],
        "_transport_send_json": ["message"],
        "_transport_send_audio": ["audio"],
    },
    ElevenLabsTTSService: {
        "_connect": [],
        "_disconnect": [],
        "_build_websocket_url": [],
        "_create_keepalive_task": ["interval"],
        "_cancel_keepalive_task": [],
        "_send_keepalive": [],
        "_close_context": ["context_id"],
        "_close_connection_contexts": [],
        "_record_context_audio_outcome": ["context_id", "received_audio"],
    },
}
ATTRIBUTES: dict[type, tuple[str, ...]] = {
    LLMUserAggregator: ("_user_turn_controller",),
    PipelineWorker: ("_tracing_context",),
    LLMAssistantAggregator: ("_aggregation", "_function_calls_in_progress", "_bot_speaking"),
    EagerUserTurnStopStrategy: ("_speculation",),
    SpeechTimeoutUserTurnStopStrategy: ("_transcript_finalized",),
    TurnAnalyzerUserTurnStopStrategy: ("_transcript_finalized", "_vad_stopped", "_turn_complete"),
    LocalSmartTurnAnalyzerV3: ("_session", "_log_data", "_model_executor"),
    SileroVADAnalyzer: ("_model", "_params", "_windows_since_reset", "_low_confidence_windows"),
    STTService: ("_setup", "_tracing_enabled"),
    TTSService: (
        "_text_aggregator",
        "_tts_contexts",
        "_audio_context_manager",
        "_aggregated_frame_sequencer",
        "_word_timestamp_tracker",
    ),
    SimpleTextAggregator: ("_text",),
    DeepgramSTTService: ("_client", "_settings", "_finalize_pending"),
    DeepgramFluxSTTService: ("_url", "_api_key", "_websocket", "_settings", "_user_is_speaking"),
    ElevenLabsTTSService: (
        "_api_key",
        "_disconnecting",
        "_pause_frame_processing",
        "_settings",
        "_turn_context_id",
        "_voice_settings",
        "_websocket",
    ),
}


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_the_methods_are_there_and_take_what_we_give(kind: type) -> None:
    for name, expected in METHODS[kind].items():
        assert list(inspect.signature(getattr(kind, name)).parameters)[1:] == expected, name


@pytest.mark.parametrize("kind", ATTRIBUTES, ids=lambda kind: kind.__name__)
def test_the_attributes_are_there(kind: type) -> None:
    assert set(ATTRIBUTES[kind]) <= _names_of(kind)


def test_a_guess_is_made_of_a_frame_with_a_text() -> None:
    assert EagerTranscriptionFrame(text="yes", user_id="", timestamp="").text == "yes"


def test_no_other_file_touches_pipecats_underscore_names() -> None:
    touches: dict[str, int] = {}
    for file in Path("bot").rglob("*.py"):
        if not INTERNALS.search(str(file)):
            touches |= {f"{file}: {name}": where for name, where in _touches(file).items()}
    assert touches == {}


def _touches(file: Path) -> dict[str, int]:
    """Underscore names of pipecat that the classes of a file use, with their lines."""
    found: dict[str, int] = {}
    module: Any = None
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.ClassDef):
            continue
        module = module or importlib.import_module(".".join(file.with_suffix("").parts))
        bases = getattr(getattr(module, node.name, None), "__mro__", ())
        theirs = {n for base in bases if base.__module__.startswith("pipecat") for n in _own_names(base)}
        if not theirs:
            continue
        ours = {n for base in bases if base.__module__.startswith("bot") for n in _assigned(base)}
        found |= {
            f"{node.name}.{name}": line
            for name, line in _used(node).items()
            if name in theirs and name not in ours
        }
    return found


def _used(tree: ast.ClassDef) -> dict[str, int]:
    """Names read, called or overridden."""
    used = {}
    for node in ast.walk(tree):
        name = getattr(node, "attr", getattr(node, "name", ""))
        if isinstance(node, ast.Attribute | ast.FunctionDef | ast.AsyncFunctionDef) and name.startswith("_"):
            used[name] = node.lineno
    return {name: line for name, line in used.items() if not name.startswith("__")}


@cache
def _assigned(kind: type) -> set[str]:
    """Attributes that a class of ours declares with a type: they are its own, whatever pipecat calls its."""
    return set(re.findall(r"self\.(_\w+): ", inspect.getsource(kind)))


def _names_of(kind: type) -> set[str]:
    return {name for base in kind.__mro__ if base.__module__.startswith("pipecat") for name in _own_names(base)}


@cache
def _own_names(kind: type) -> set[str]:
    return {*vars(kind), *re.findall(r"self\.(_\w+)", inspect.getsource(kind))}


async def test_a_nova_service_that_is_given_tls_builds_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tls, make = ssl.create_default_context(), ssl.create_default_context
    built: list[str] = []
    used: list[dict[str, Any]] = []

    def connect(url: str, **kwargs: Any) -> Any:
        used.append({"url": url.partition("?")[0], "ssl": kwargs.get("ssl")})
        raise ConnectionRefusedError("refused")

    def make_context(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        built.append("")
        return make(*args, **kwargs)

    monkeypatch.setattr(ssl, "create_default_context", make_context)
    monkeypatch.setattr(deepgram_internals, "_websocket_connect", connect)
    for given in (tls, None):
        for base_url in ("wss://deepgram.test", "ws://deepgram.test"):
            nova = NovaService(api_key="key", base_url=base_url, tls=given, sample_rate=8000)
            with pytest.raises(ConnectionRefusedError, match="refused"):
                async with nova.sdk_connection():
                    pass
        assert bool(built) is (given is None)
    urls = ["wss://deepgram.test/v1/listen", "ws://deepgram.test/v1/listen"]
    assert [use["url"] for use in used] == [*urls, *urls]
    assert [use["ssl"] for use in used] == [tls, None, None, None]
