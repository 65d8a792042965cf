"""Every touch of an underscore name of pipecat's ElevenLabs service, under names of our own.

tests/unit/pipeline/test_pipecat_internals.py says what is expected of the installed version.
"""

from typing import Any

from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
from pipecat.services.tts_service import WebsocketTTSService
from pipecat.services.websocket_service import WebsocketService

from bot.pipeline.pipecat_internals import SharedTls

KEEPALIVE_SECONDS = 10


class OpenElevenLabs(SharedTls, ElevenLabsTTSService):
    """pipecat's service without its connection and its contexts at the vendor: those are a subclass's."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pause_frame_processing = False  # nothing waits for the end of a context

    @property
    def in_use(self) -> Any:
        """The settings of the service."""
        return self._settings

    @property
    def voice_settings(self) -> Any:
        return self._voice_settings

    @property
    def closing(self) -> bool:
        """The call is over."""
        return self._disconnecting

    @property
    def socket(self) -> Any:
        """The connection that messages are sent to; None between two."""
        return self._websocket

    @socket.setter
    def socket(self, socket: Any) -> None:
        self._websocket = socket

    async def open_socket(self, *, max_size: int, open_timeout: float) -> Any:
        return await self._websocket_connect(
            self._build_websocket_url(),
            max_size=max_size,
            additional_headers={"xi-api-key": self._api_key},
            open_timeout=open_timeout,
        )

    def take_turn_context(self) -> str | None:
        """The context whose text is complete; another one follows."""
        context_id, self._turn_context_id = self._turn_context_id, None
        return context_id

    # -- hooks ------------------------------------------------------------------------------------------

    async def begin_link(self) -> None: ...

    async def end_link(self) -> None: ...

    async def keep_alive(self) -> None: ...

    async def _connect(self) -> None:
        await WebsocketService._connect(self)  # type: ignore[no-untyped-call]
        await self.begin_link()
        self._create_keepalive_task(interval=KEEPALIVE_SECONDS)

    async def _disconnect(self) -> None:
        await WebsocketTTSService._disconnect(self)  # type: ignore[no-untyped-call]
        await self._cancel_keepalive_task()  # type: ignore[no-untyped-call]
        await self.end_link()

    async def _send_keepalive(self) -> None:
        await self.keep_alive()

    async def _close_context(self, context_id: str) -> None:
        """pipecat's contexts are not the vendor's."""

    async def _close_connection_contexts(self) -> None:
        """Our contexts outlive a connection."""

    async def _record_context_audio_outcome(self, context_id: str, received_audio: bool) -> None:
        """A context that stays silent is asked for again by us."""
