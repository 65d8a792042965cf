"""First uses that would block the first call: SDKs import and build themselves when they are first used."""

import asyncio

_REPLY = b"""event: message_start
data: {"type":"message_start","message":{"id":"msg_0","type":"message","role":"assistant","model":"warm-up",\
"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello."}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}

event: message_stop
data: {"type":"message_stop"}

"""
"""A whole streamed reply, answered without a network."""


def claude() -> None:
    """One reply through the SDK on a loop of its own, and the imports. Belongs in a thread."""
    from pipecat.services.anthropic import llm  # noqa: F401

    asyncio.run(_one_reply())


def openai() -> None:
    """Imports alone, a second of them. Belongs in a thread."""
    from pipecat.services.openai import llm  # noqa: F401


def deepgram() -> None:
    """1 s for the first client, 50 ms on the loop for the first connection. Belongs in a thread."""
    from deepgram import AsyncDeepgramClient
    from deepgram.listen import raw_client  # noqa: F401
    from pipecat.services.deepgram import stt  # noqa: F401
    from pipecat.services.deepgram.flux import stt as flux  # noqa: F401

    AsyncDeepgramClient(api_key="warm-up").listen.v1  # noqa: B018


def elevenlabs() -> None:
    """Imports alone. Belongs in a thread."""
    from pipecat.services.elevenlabs import tts  # noqa: F401


async def _one_reply() -> None:
    import httpx2
    from anthropic import AsyncAnthropic

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=_REPLY)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    async with AsyncAnthropic(api_key="warm-up", http_client=http) as client:
        stream = await client.beta.messages.create(
            model="warm-up",
            max_tokens=1,
            messages=[{"role": "user", "content": "Hello."}],
            stream=True,
            betas=["interleaved-thinking-2025-05-14"],
        )
        async for _ in stream:
            pass
