"""pipecat's own vendor services against the simulators: the wire as the product's pipeline will use it."""

from __future__ import annotations

import warnings

from anthropic import AsyncAnthropic

from tests.simulators.anthropic import AnthropicLatency, AnthropicSimulator
from tests.simulators.deepgram import DeepgramSimulator
from tests.simulators.elevenlabs import VOICE, ElevenLabsLatency, ElevenLabsSimulator
from tests.simulators.llm_replies import ScriptedReplies
from tests.simulators.stt_recogniser import ScriptedRecogniser
from tests.simulators.test_stt_recogniser import noise, voice

with warnings.catch_warnings():
    # At import, pipecat says that it uses audioop and the Deepgram SDK that it uses websockets.legacy.
    warnings.simplefilter("ignore", DeprecationWarning)
    import deepgram.listen.v1.client  # noqa: F401
    from pipecat.frames.frames import (
        Frame,
        InputAudioRawFrame,
        InterimTranscriptionFrame,
        LLMContextFrame,
        LLMTextFrame,
        TranscriptionFrame,
        TTSAudioRawFrame,
        TTSSpeakFrame,
        TTSStoppedFrame,
        TTSTextFrame,
        VADUserStoppedSpeakingFrame,
    )
    from pipecat.pipeline.worker import PipelineParams
    from pipecat.processors.aggregators.llm_context import LLMContext
    from pipecat.services.anthropic.llm import AnthropicLLMService
    from pipecat.services.deepgram.flux.stt import DeepgramFluxSTTService
    from pipecat.services.deepgram.stt import DeepgramSTTService
    from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
    from pipecat.tests.utils import SleepFrame, run_test

PARAMS = PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000)


def spoken(pcm: bytes) -> list[Frame]:
    """20 ms frames."""
    return [
        InputAudioRawFrame(audio=pcm[at : at + 320], sample_rate=8000, num_channels=1)
        for at in range(0, len(pcm), 320)
    ]


async def test_nova() -> None:
    async with DeepgramSimulator(ScriptedRecogniser(["Yes, speaking."]), api_key="secret") as sim:
        stt = DeepgramSTTService(api_key="secret", base_url=sim.url)
        frames = [
            *spoken(noise(200) + voice(900) + noise(220)),
            VADUserStoppedSpeakingFrame(),
            SleepFrame(1.5),
        ]
        down, _ = await run_test(stt, frames_to_send=frames, pipeline_params=PARAMS)
        await sim.all_closed()
    finals = [frame for frame in down if isinstance(frame, TranscriptionFrame)]
    assert [frame.text for frame in finals] == ["Yes, speaking."]
    assert any(isinstance(frame, InterimTranscriptionFrame) for frame in down)
    assert sim.connections[0].control_types() == ["Finalize", "CloseStream"]


async def test_flux() -> None:
    async with DeepgramSimulator(ScriptedRecogniser(["Yes, speaking."]), api_key="secret") as sim:
        stt = DeepgramFluxSTTService(api_key="secret", url=f"{sim.url}/v2/listen")
        frames = [SleepFrame(0.1), *spoken(noise(200) + voice(900) + noise(600)), SleepFrame(1.5)]
        down, _ = await run_test(stt, frames_to_send=frames, pipeline_params=PARAMS)
        await sim.all_closed()
    finals = [frame for frame in down if isinstance(frame, TranscriptionFrame)]
    assert [(frame.text, frame.finalized) for frame in finals] == [("Yes, speaking.", True)]
    assert sim.connections[0].control_types() == ["CloseStream"]


async def test_claude() -> None:
    latency = AnthropicLatency(headers_ms=10, first_token_ms=20, tokens_per_second=1000)
    async with (
        AnthropicSimulator(ScriptedReplies(["I am calling about Thursday."]), latency=latency) as sim,
        AsyncAnthropic(api_key="k", base_url=sim.url, max_retries=0, timeout=3) as client,
    ):
        llm = AnthropicLLMService(
            api_key="k",
            client=client,
            settings=AnthropicLLMService.Settings(
                model="claude-haiku-5-5",
                max_tokens=100,
                enable_prompt_caching=True,
                system_instruction="Be brief.",
            ),
        )
        context = LLMContext([{"role": "user", "content": "Who is this?"}])
        down, _ = await run_test(
            llm, frames_to_send=[LLMContextFrame(context), SleepFrame(0.3)], pipeline_params=PARAMS
        )
    said = "".join(frame.text for frame in down if isinstance(frame, LLMTextFrame))
    assert said == "I am calling about Thursday."
    (exchange,) = sim.exchanges
    assert exchange.outcome == "completed"
    assert exchange.request.system == "Be brief."
    assert exchange.request.last_user_text == "Who is this?"


async def test_elevenlabs() -> None:
    text = "Hello, this is Alex."
    latency = ElevenLabsLatency(first_audio_ms=20, speed=50)
    async with ElevenLabsSimulator(api_key="secret", latency=latency) as sim:
        tts = ElevenLabsTTSService(
            api_key="secret",
            url=sim.websocket_url,
            settings=ElevenLabsTTSService.Settings(voice=VOICE, model="eleven_flash_v2_5"),
        )
        down, _ = await run_test(
            tts, frames_to_send=[TTSSpeakFrame(text), SleepFrame(0.5)], pipeline_params=PARAMS
        )
        await sim.all_closed()
    audio = b"".join(frame.audio for frame in down if isinstance(frame, TTSAudioRawFrame))
    (context,) = sim.contexts
    assert context.final
    assert context.sent_text.strip() == text
    assert len(audio) == len(context.sent_text) * 60 * 16
    words = [frame.text for frame in down if isinstance(frame, TTSTextFrame)]
    assert " ".join(words).split() == text.split()
    assert any(isinstance(frame, TTSStoppedFrame) for frame in down)
    assert sim.sockets[0].close_code == 1000
