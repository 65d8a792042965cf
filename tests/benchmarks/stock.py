"""The stock pipecat bot that ours is compared with: its own Twilio transport and serializer, its defaults.

FastAPI transport, TwilioFrameSerializer, VADProcessor with Silero, Deepgram nova-3, the context aggregators
with their default turn strategies, Claude, ElevenLabs; 8 kHz both ways, RTVI off, latencies and start-up
observed. STOCK=plain leaves the observers out and sends pipecat's default 40 ms chunks: a lighter opponent.
`python -m tests.benchmarks.stock` serves it with uvicorn, which takes uvloop as it does for us. The base
URLs come from the environment, as for our server.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from anthropic import AsyncAnthropic
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.observers.startup_timing_observer import StartupTimingObserver
from pipecat.observers.user_bot_latency_observer import UserBotLatencyObserver
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker, ProcessorUnusablePolicy
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.anthropic.llm import AnthropicLLMService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.llm_service import FunctionCallParams
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

from tests.benchmarks.probe import probe_from_environment

GREETING = "Hi John, this is Alex. I'm calling to confirm your visit. Does that still work for you?"
"""As long as the opening of ours."""
PLAIN = os.environ.get("STOCK") == "plain"
PROBE = probe_from_environment()


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    probing = asyncio.create_task(PROBE.run())
    yield
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)


app = FastAPI(lifespan=_lifespan)


@app.get("/probe")
async def report() -> dict[str, Any]:
    return PROBE.report()


async def note(params: FunctionCallParams, summary: str) -> None:
    """Keep what the call has found out.

    Args:
        summary: One sentence.
    """
    await params.result_callback({"status": "recorded", "summary": summary})


@app.websocket("/ws")
async def hold(websocket: WebSocket) -> None:
    await websocket.accept()
    _, call = await parse_telephony_websocket(websocket)
    worker = _worker(websocket, call.stream_id, call.call_id)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def _worker(websocket: WebSocket, stream_sid: str, call_sid: str | None) -> PipelineWorker:
    env = os.environ
    serializer = TwilioFrameSerializer(
        stream_sid=stream_sid,
        call_sid=call_sid,
        account_sid=env["TWILIO_ACCOUNT_SID"],
        auth_token=env["TWILIO_AUTH_TOKEN"],
        base_url=env["TWILIO_BASE_URL"],
    )
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            serializer=serializer,
            audio_out_10ms_chunks=4 if PLAIN else 2,
            session_timeout=900,
        ),
    )
    stt = DeepgramSTTService(
        api_key="k",
        base_url=env["DEEPGRAM_BASE_URL"],
        settings=DeepgramSTTService.Settings(model="nova-3-general", smart_format=False),
    )
    llm = AnthropicLLMService(
        api_key="k",
        client=AsyncAnthropic(api_key="k", base_url=env["ANTHROPIC_BASE_URL"], max_retries=1, timeout=8.0),
        function_call_timeout_secs=10,
        settings=AnthropicLLMService.Settings(
            model="claude-haiku-4-5",
            max_tokens=400,
            enable_prompt_caching=True,
            system_instruction="You are a phone agent. Your words are spoken aloud.",
        ),
    )
    tts = ElevenLabsTTSService(
        api_key="k",
        url=env["ELEVENLABS_BASE_URL"],
        settings=ElevenLabsTTSService.Settings(
            voice=env["ELEVENLABS_VOICE_ID"], model="eleven_flash_v2_5", stability=0.5
        ),
    )
    context = LLMContext(messages=[{"role": "user", "content": "(The call was just answered.)"}], tools=[note])
    user, assistant = LLMContextAggregatorPair(context, user_params=LLMUserAggregatorParams(user_idle_timeout=15))
    pipeline = Pipeline(
        [
            transport.input(),
            VADProcessor(vad_analyzer=SileroVADAnalyzer(params=VADParams(stop_secs=0.2))),
            stt,
            user,
            llm,
            tts,
            transport.output(),
            assistant,
        ]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(
            audio_in_sample_rate=8000,
            audio_out_sample_rate=8000,
            enable_metrics=True,
            enable_usage_metrics=True,
        ),
        enable_rtvi=False,
        idle_timeout_secs=120,
        processor_unusable_policy=ProcessorUnusablePolicy.END,
        observers=[] if PLAIN else [UserBotLatencyObserver(), StartupTimingObserver()],
    )

    async def connected(_transport: Any, _client: Any) -> None:
        await worker.queue_frames([TTSSpeakFrame(GREETING)])

    async def disconnected(_transport: Any, _client: Any) -> None:
        await worker.cancel(reason="caller hung up")

    transport.add_event_handler("on_client_connected", connected)
    transport.add_event_handler("on_client_disconnected", disconnected)
    return worker


def main() -> None:
    logger.remove()
    logger.add(sys.stderr, level="INFO")
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")


if __name__ == "__main__":
    main()
