"""What no vendor should send and some day does: wrong JSON, unknown events, audio nobody asked for."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import suppress

from bot.audio import pcm_to_mulaw
from tests.benchmarks.voiceprint import printed
from tests.simulators.deepgram import DeepgramSimulator
from tests.simulators.elevenlabs import ElevenLabsSimulator
from tests.simulators.twilio import TwilioSimulator

STRAY = "This is not for your ears."
"""What audio of a context that nobody opened says."""
_TEXTS: Mapping[str, tuple[str, ...]] = {
    "broken": ("{", "", "null", "[]", '"text"', "\x00\x01"),
    "unknown": (
        '{"type": "Novelty", "event": "novelty", "payload": {"deep": [1, 2, {"a": null}]}}',
        '{"type": "Results"}',
        '{"event": "media"}',
        '{"event": "mark", "mark": null}',
        '{"audio": 5, "contextId": 7}',
        '{"alignment": {"chars": null}}',
    ),
    "oversized": (json.dumps({"type": "Results", "event": "novelty", "padding": "x" * 3_000_000}),),
    "stray": (),
}


async def spill(
    kind: str, twilio: TwilioSimulator, deepgram: DeepgramSimulator, elevenlabs: ElevenLabsSimulator
) -> None:
    """Send it on every socket that is open now; "stray" sends speech in contexts nobody opened."""
    for text in _TEXTS[kind]:
        with suppress(ConnectionError):
            await deepgram.say(text)
            await elevenlabs.say(text)
            # Twilio's frames are small: an oversized one would be the attack of a stranger.
            if kind != "oversized":
                await twilio.client.sockets[-1].raw.send_str(text)
    if kind == "stray":
        mulaw = pcm_to_mulaw(printed(STRAY, 8000).pcm)
        pcm = printed(STRAY, 8000).pcm
        for audio in (mulaw, pcm):
            for context in ("never-opened", None):
                message = {"audio": base64.b64encode(audio).decode(), "contextId": context, "isFinal": None}
                await elevenlabs.say(json.dumps(message))
