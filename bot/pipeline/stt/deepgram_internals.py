"""Every touch of an underscore name of pipecat's Deepgram services and of Deepgram's SDK, under names of our own.

tests/unit/pipeline/test_pipecat_internals.py says what is expected of the installed versions.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

import httpx
from deepgram import AsyncDeepgramClient
from deepgram.core.unchecked_base_model import construct_type
from deepgram.listen.v1.socket_client import AsyncV1SocketClient
from deepgram.listen.v1.types import ListenV1Results
from pipecat.services.deepgram.flux.stt import DeepgramFluxSTTService
from pipecat.services.deepgram.stt import DeepgramSTTService
from websockets.asyncio.client import ClientConnection

from bot.pipeline.pipecat_internals import SharedTls


class LinkHooks:
    """A mixin: the connection is ours."""

    async def begin_link(self) -> None: ...

    async def end_link(self) -> None: ...

    @property
    def in_use(self: Any) -> Any:
        """The settings of the service."""
        return self._settings

    async def _connect(self) -> None:
        await self.begin_link()

    async def _disconnect(self) -> None:
        await self.end_link()


# -- one TLS context a process ------------------------------------------------------------------------------
# Neither pipecat nor the SDK takes one: each call's client would read the certificate store for HTTP requests
# that are never made, and each connection once more, 20 ms of the loop each. The SDK's `transport_factory` would
# change more than that for the whole process.

_TLS: ContextVar[ssl.SSLContext | None] = ContextVar("tls", default=None)
"""Set in front of each use, for the thread or task at work."""
_sdk: Any = import_module("deepgram.listen.v1.client")
_pipecat: Any = import_module("pipecat.services.deepgram.stt")
_websocket_connect = _sdk.websockets_client_connect


class _Client(AsyncDeepgramClient):
    def __init__(self, **kwargs: Any) -> None:
        tls = _TLS.get()
        super().__init__(httpx_client=None if tls is None else httpx.AsyncClient(verify=tls), **kwargs)


def _connect(url: str, **kwargs: Any) -> Any:
    tls = _TLS.get()
    if tls is not None and url.startswith("wss:"):
        kwargs["ssl"] = tls
    return _websocket_connect(url, **kwargs)


_sdk.websockets_client_connect = _connect
_pipecat.AsyncDeepgramClient = _Client


class OpenNova(DeepgramSTTService):
    """pipecat's nova service, its connection and its reading of messages apart."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, **kwargs: Any) -> None:
        self._tls = tls
        _TLS.set(tls)
        super().__init__(**kwargs)

    @asynccontextmanager
    async def sdk_connection(self) -> AsyncIterator[AsyncV1SocketClient]:
        _TLS.set(self._tls)
        async with self._client.listen.v1.connect(**self._build_connect_kwargs()) as connection:
            yield connection

    @staticmethod
    def socket_of(sdk: AsyncV1SocketClient) -> Any:
        """The connection of `websockets` that the SDK keeps to itself."""
        return sdk._websocket

    async def take_results(self, data: dict[str, Any]) -> None:
        results = construct_type(type_=ListenV1Results, object_=data)
        await self._on_message(results)  # type: ignore[no-untyped-call]

    def forget_finalize(self) -> None:
        """The next transcript is not the answer to a Finalize."""
        self._finalize_pending = False


class OpenFlux(SharedTls, DeepgramFluxSTTService):
    """pipecat's Flux service, its transport and its turns with hooks."""

    @property
    def socket(self) -> Any:
        """The connection that messages are sent to; None between two."""
        return self._websocket

    @socket.setter
    def socket(self, socket: Any) -> None:
        self._websocket = socket

    async def open_socket(self, *, close_timeout: float) -> ClientConnection:
        connection: ClientConnection = await self._websocket_connect(
            f"{self._url}?{self._build_query_string()}",
            additional_headers={"Authorization": f"Token {self._api_key}"},
            close_timeout=close_timeout,
        )
        return connection

    @property
    def turn_is_open(self) -> bool:
        return self._user_is_speaking

    @property
    def turn_words(self) -> str:
        """The last update's."""
        return str(self._turn_transcript)

    async def take_message(self, data: dict[str, Any]) -> None:
        await self._handle_message(data)

    async def send_silence(self, seconds: float) -> None:
        await self._send_silence(seconds)

    async def connection_lost(self) -> None:
        """What was agreed on, or guessed, on a connection that is gone."""
        self._reset_configure_state()  # type: ignore[no-untyped-call]
        if self.turn_is_open:
            await self._cancel_eager_end_of_turn()  # type: ignore[no-untyped-call]

    async def end_turn(self) -> None:
        """With the words there were."""
        await self._end_turn_cut_short()  # type: ignore[no-untyped-call]

    # -- hooks ------------------------------------------------------------------------------------------

    async def turn_started(self, transcript: str) -> None:
        await super()._handle_start_of_turn(transcript)

    async def turn_ended(self, transcript: str, data: dict[str, Any]) -> None:
        await super()._handle_end_of_turn(transcript, data)

    def can_send(self) -> bool:
        return super()._transport_is_active()

    async def send_message(self, message: dict[str, Any]) -> None:
        await super()._transport_send_json(message)

    async def send_padding(self, audio: bytes) -> None:
        """Audio that the callee did not speak."""
        await super()._transport_send_audio(audio)

    async def _handle_start_of_turn(self, transcript: str) -> None:
        await self.turn_started(transcript)

    async def _handle_end_of_turn(self, transcript: str, data: dict[str, Any]) -> None:
        await self.turn_ended(transcript, data)

    def _transport_is_active(self) -> bool:
        return self.can_send()

    async def _transport_send_json(self, message: dict[str, Any]) -> None:
        await self.send_message(message)

    async def _transport_send_audio(self, audio: bytes) -> None:
        await self.send_padding(audio)
