"""The vendors' process: Deepgram, Claude and ElevenLabs simulated, in a process of their own.

`python -m tests.benchmarks.vendors` prints one JSON line with the base URLs and serves until its stdin ends;
for each line of it, it prints how often the model was asked for a reply.
The voice is a hum that never rests, so that any silence at the far end is a gap and its first sample is
audible; it costs nothing, as it is cut from one precomputed sound.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import lru_cache

import numpy as np

from bot.audio import SAMPLE_RATE
from tests.simulators import contexts
from tests.simulators.anthropic import AnthropicLatency, AnthropicSimulator
from tests.simulators.deepgram import DeepgramLatency, DeepgramSimulator
from tests.simulators.elevenlabs import VOICE, ElevenLabsLatency, ElevenLabsSimulator
from tests.simulators.listen import Query
from tests.simulators.llm_replies import MessagesRequest, Reply, ToolUse
from tests.simulators.messages import tokens
from tests.simulators.stt_recogniser import ScriptedRecogniser
from tests.simulators.tts_sound import CHARACTER_MS, Sound

STT_FINAL_MS = 100.0
LLM_FIRST_TOKEN_MS = 300.0
TOKENS_PER_SECOND = 80.0
TTS_FIRST_AUDIO_MS = 120.0
FIRST_SENTENCE = "Yes, I can help with that."
ANSWER = f"{FIRST_SENTENCE} It is on Thursday, at two."
ANSWER_MS = float(len(ANSWER) * CHARACTER_MS)
TOOLS, TOOL_EVERY = ("record_outcome", "note"), 7
"""Ours, and the stock bot's."""
HEARD = "what time is my appointment on thursday"
__all__ = ["ANSWER", "ANSWER_MS", "VOICE"]


def sentence_ms() -> float:
    """From the first token to the last word of the first sentence, at the model's pace."""
    before = FIRST_SENTENCE.rsplit(" ", 1)[0]
    count = sum(tokens(f" {word}" if index else word) for index, word in enumerate(before.split()))
    return count * 1000 / TOKENS_PER_SECOND


def injected_ms() -> float:
    """What the vendors take of a turn, by arrangement."""
    return STT_FINAL_MS + LLM_FIRST_TOKEN_MS + sentence_ms() + TTS_FIRST_AUDIO_MS


@lru_cache
def _hum() -> bytes:
    """A minute, 16-bit PCM at 8 kHz."""
    time = np.arange(60 * SAMPLE_RATE) / SAMPLE_RATE
    wave = 6000 * np.sin(2 * np.pi * 210 * time) + 2500 * np.sin(2 * np.pi * 437 * time + 1)
    pcm: bytes = np.rint(wave).astype("<i2").tobytes()
    return pcm


def hum(text: str, sample_rate: int, *, character_ms: int = CHARACTER_MS) -> Sound:
    """As long as the simulator's own voice would be. ValueError for another rate than the line's."""
    if sample_rate != SAMPLE_RATE:
        raise ValueError("the hum is at 8 kHz")
    starts = tuple(index * character_ms for index in range(len(text)))
    pcm = _hum()[: 2 * len(text) * character_ms * sample_rate // 1000]
    return Sound(text, sample_rate, pcm, starts, (character_ms,) * len(text))


class _Model:
    """Answers every question alike; every TOOL_EVERYth answer of a call uses the tool that it finds first."""

    def __init__(self) -> None:
        self.asked = 0
        """For replies in a conversation: not for openings, nor for what follows a tool."""

    def answer(self, request: MessagesRequest) -> Reply:
        tools = [name for name in TOOLS if name in request.tool_names]
        content = request.messages[-1]["content"]
        if any(isinstance(part, dict) and part.get("type") == "tool_result" for part in content):
            return Reply()
        self.asked += bool(tools)
        answers = sum(message["role"] == "assistant" for message in request.messages)
        if tools and answers % TOOL_EVERY == TOOL_EVERY - 1:
            return Reply(ANSWER, (ToolUse(tools[0], {"summary": "They asked about their visit."}),))
        return Reply(ANSWER)


def _recogniser(_query: Query) -> ScriptedRecogniser:
    return ScriptedRecogniser([HEARD] * 500)


async def main() -> None:
    contexts.speak = hum  # type: ignore[assignment, attr-defined]  # the name it speaks with, here only
    _hum()
    model = _Model()
    latency = AnthropicLatency(first_token_ms=LLM_FIRST_TOKEN_MS, tokens_per_second=TOKENS_PER_SECOND)
    async with (
        DeepgramSimulator(
            _recogniser, latency=DeepgramLatency(final_ms=STT_FINAL_MS), keep_audio=False
        ) as deepgram,
        AnthropicSimulator(model.answer, latency=latency) as anthropic,
        ElevenLabsSimulator(latency=ElevenLabsLatency(first_audio_ms=TTS_FIRST_AUDIO_MS)) as elevenlabs,
    ):
        urls = {"deepgram": deepgram.url, "anthropic": anthropic.url, "elevenlabs": elevenlabs.websocket_url}
        print(json.dumps(urls), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(model.asked, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
