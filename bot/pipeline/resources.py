"""What the stages of all calls share: clients, TLS, models, the local voice. One per process."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx2

from bot.pipeline import warm_up, websocket_masks
from bot.pipeline.offline.moonshine_stt import MoonshineModel
from bot.pipeline.offline.scripted_stt import CalleeScripts
from bot.pipeline.offline.sphinx import Decoders
from bot.pipeline.offline.voice import LocalVoice
from bot.pipeline.turns import turn, vad
from bot.pipeline.vendor import Circuit
from bot.public_http import Outgoing
from bot.settings import Settings, environment, with_scheme

if TYPE_CHECKING:  # the SDKs take a second each, and a process without their keys needs neither
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

LLM_TIMEOUT = httpx2.Timeout(connect=2.0, read=8.0, write=5.0, pool=2.0)
"""Seconds. The SDK's default is 600 s, which on a phone is silence for ever."""
LLM_RETRIES = 0
"""The fallback asks again itself, and knows which model."""


@dataclass
class Resources:
    """Opened before the server reports ready; every part is safe to share between calls.

    Building a vendor client reads the certificate store, 20 ms of the event loop each: they are built
    once, in a thread.
    """

    settings: Settings
    voice: LocalVoice = field(default_factory=LocalVoice)
    scripts: CalleeScripts = field(default_factory=CalleeScripts)
    anthropic: AsyncAnthropic | None = None
    circuit: Circuit = field(default_factory=Circuit)
    """Which models failed a moment ago."""
    tls: ssl.SSLContext | None = None

    _openai: dict[tuple[str, str], AsyncOpenAI] = field(default_factory=dict, repr=False)
    _building: threading.Lock = field(default_factory=threading.Lock, repr=False)
    environment: Mapping[str, str] = field(default_factory=environment, repr=False)
    """What {env:NAME} of a scenario file is replaced by."""

    @cached_property
    def outgoing(self) -> Outgoing:
        """The HTTP clients of tools."""
        return Outgoing(self.tls or ssl.create_default_context())

    @cached_property
    def decoders(self) -> Decoders:
        """pocketsphinx decoders, made when a call needs one: 90 MB each."""
        return Decoders()

    @cached_property
    def moonshine(self) -> Any:
        """The moonshine model, loaded when a call needs it."""
        return MoonshineModel()

    def openai(self, base_url: str, api_key: str) -> AsyncOpenAI:
        """The client of an OpenAI-compatible server, one for all calls and threads."""
        from openai import AsyncOpenAI

        with self._building:
            client = self._openai.get((base_url, api_key))
            if client is None:
                http = httpx2.AsyncClient(verify=self.tls or ssl.create_default_context(), trust_env=False)
                client = AsyncOpenAI(
                    base_url=base_url, api_key=api_key, max_retries=LLM_RETRIES, http_client=http
                )
                self._openai[base_url, api_key] = client
        return client

    async def open(self) -> None:
        """Load the models and build the clients; takes one to two seconds."""
        await asyncio.gather(
            asyncio.to_thread(self.voice.load),
            asyncio.to_thread(vad.warm_up),
            asyncio.to_thread(turn.warm_up),
            asyncio.to_thread(self.build_clients),
        )

    async def close(self) -> None:
        """Close every part, also where another one fails to."""
        async with AsyncExitStack() as parts:
            for client in (self.anthropic, *self._openai.values()):
                if client is not None:
                    parts.push_async_callback(client.close)
            for loaded in ("decoders", "moonshine"):
                if loaded in self.__dict__:
                    parts.push_async_callback(asyncio.to_thread, self.__dict__[loaded].close)
            if "outgoing" in self.__dict__:
                parts.push_async_callback(self.outgoing.close)
            parts.callback(self.voice.close)

    def build_clients(self) -> None:
        """Those of the vendors whose keys are set. Blocks some 50 ms."""
        self.tls = ssl.create_default_context()
        websocket_masks.install()
        key = self.settings.anthropic_api_key
        if key is not None:
            from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

            self.anthropic = AsyncAnthropic(
                api_key=key.get_secret_value(),
                base_url=with_scheme(self.settings.anthropic_base_url, websocket=False),
                timeout=LLM_TIMEOUT,
                max_retries=LLM_RETRIES,
                http_client=DefaultAsyncHttpxClient(verify=self.tls),
            )
            warm_up.claude()
        if self.settings.deepgram_api_key is not None:
            warm_up.deepgram()
        if self.settings.elevenlabs_api_key is not None:
            warm_up.elevenlabs()
