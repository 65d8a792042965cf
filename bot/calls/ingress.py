"""Where the carrier reaches us, and what we let in: our public origin, and the tokens of media streams.

Any process may get a media socket, and only one can hold a call that already has a line. Its address travels in
the token itself: the store keeps a hash of the whole, so an address in a token that burns is one we wrote. Asking
the other processes when the socket comes was rejected: the callee would wait for it at every answer.
"""

import asyncio
import base64
import binascii
import hashlib
import ipaddress
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx2
from loguru import logger

from bot.errors import ForbiddenError, SettingsError
from bot.records import CallRecord
from bot.settings import Settings, with_scheme
from bot.store import SqlCallStore
from bot.telephony.carrier import API_PATH, Carrier, CarrierRequest, StreamAddress
from bot.telephony.media import MalformedFrame, MediaStream, Socket, SocketClosedError, StreamStarted

MEDIA_PATH = f"{API_PATH}/media-stream"
HANDSHAKE_SECONDS = 4.0
"""A media socket that has not shown a token by then is closed; the promise is 5 s."""
UNAUTHORIZED_CLOSE = 4401
NGROK_SECONDS = 1.0
"""A local agent answers at once; one that does not is not there."""

_HELD, _KEPT = "h", "k"


@dataclass(frozen=True)
class Home:
    """A process's private address (`http://host:port`), and what it has for the call."""

    address: str
    holds: bool
    """The call is on the line there: the stream has to go there. Else a line is kept for it there, and any
    process may take it."""


@dataclass(frozen=True)
class Admitted:
    """A media stream that was let in. `frame` is its start as it came; `home` where it may have to go on to."""

    stream: MediaStream
    record: CallRecord
    frame: str
    home: Home | None = None
    bound: str | None = None
    """Of a browser's stream: what its token is bound to."""


class Ingress:
    """`address`: where other processes reach this one (`http://host:port`); None where there are none."""

    def __init__(
        self, settings: Settings, carrier: Carrier, store: SqlCallStore, address: str | None = None
    ) -> None:
        self.carrier = carrier
        self.address = address
        self.public_url: str | None = None
        """Our public origin, as far as it is known by now."""
        self._settings, self._store = settings, store

    async def open(self) -> None:
        """Look for our public origin. SettingsError where what was found may not be opened."""
        found = await self._find()
        check_exposure(self._settings, found)
        self.public_url = found  # not before: what may not be opened stays unknown

    async def _find(self) -> str | None:
        if self.carrier.simulated:
            return self._settings.public_host or self._local
        return await find_public_url(self._settings)

    async def origin(self, *, phones: bool = True) -> str:
        """Our public origin. SettingsError when the carrier could not reach us.

        Without `phones` an address of this machine alone will do: simulated callees are in it.
        """
        if self.public_url is None:
            await self.open()
        if self.public_url is None and not phones:
            return self._local
        if self.public_url is None:
            raise SettingsError(
                f"{self.carrier.vendor.capitalize()} has to reach this server: set PUBLIC_HOST, or start ngrok "
                f"(ngrok http {self._settings.port}) beside it.",
                field="PUBLIC_HOST",
            )
        return self.public_url

    @property
    def _local(self) -> str:
        return f"http://127.0.0.1:{self._settings.port}"

    async def stream(self, call_id: str, seconds: float, *, held_here: bool = True) -> StreamAddress:
        """A media stream of the call may open, once, within `seconds`.

        At any process where the call has no line yet; `held_here`: at this one, wherever it arrives.
        """
        home = None if self.address is None else Home(self.address, held_here)
        token = await self._issue(call_id, seconds, home)
        origin = with_scheme(await self.origin(phones=False), websocket=True)
        return StreamAddress(f"{origin}{MEDIA_PATH}", token)

    async def browser_token(self, call_id: str, seconds: float, bound: str) -> str:
        """The same for a browser's socket, which is not signed: it has to be `bound` as its request was."""
        home = None if self.address is None else Home(self.address, holds=False)
        return await self._issue(call_id, seconds, home, bound)

    async def onward(self, admitted: Admitted) -> str:
        """A token for a socket that was let in here and is passed on at once to another process."""
        return await self._issue(admitted.record.call_id, HANDSHAKE_SECONDS, None, admitted.bound)

    async def _issue(self, call_id: str, seconds: float, home: Home | None, bound: str | None = None) -> str:
        token = new_token(home)
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        await self._store.issue_token(call_id, hashed(token, bound), until)
        return token

    # -- media sockets --------------------------------------------------------------------------------

    async def admit(
        self, socket: Socket, request: CarrierRequest, path_token: str | None, bound: str | None = None
    ) -> Admitted | None:
        """Its start, and the call it belongs to; None for a socket that was refused, or that left.

        `bound`: of a browser's socket; None: a carrier's.
        """
        if bound is None and not self.carrier.admits(request, await self.origin(phones=False)):
            await socket.close(1008)
            return None
        try:
            await socket.accept()
            try:
                return await asyncio.wait_for(self._welcome(socket, path_token, bound), HANDSHAKE_SECONDS)
            except (TimeoutError, ForbiddenError) as e:
                logger.warning("a media socket was refused: {}", str(e) or "no token in time")
                await socket.close(UNAUTHORIZED_CLOSE, "no valid token")
                return None
        except SocketClosedError:
            return None

    async def _welcome(self, socket: Socket, path_token: str | None, bound: str | None) -> Admitted:
        """Read up to the start and burn its token. ForbiddenError when there is none that holds."""
        dropped = False
        while True:
            frame = await socket.receive()
            if frame is None:
                raise SocketClosedError("closed before start")
            event = self.carrier.media.parse(frame)
            if isinstance(event, StreamStarted) and isinstance(frame, str):
                break
            if isinstance(event, MalformedFrame) and not dropped:
                dropped = True
                logger.warning("dropped a frame before start: {}", event.reason)
        token = event.token or path_token
        call_id = None if not token else await self._store.burn_token(hashed(token, bound), datetime.now(UTC))
        record = None if call_id is None else await self._store.get(call_id)
        if record is None:
            raise ForbiddenError("the token is missing, used, expired or unknown")
        if record.status.final:
            raise ForbiddenError("the call is over")
        if record.call_sid is not None and record.call_sid != event.call_sid:
            raise ForbiddenError("the token belongs to another call")
        home = home_of(token or "")
        stream = MediaStream(socket, self.carrier.media, event.stream_id, event.call_sid)
        away = None if home is None or home.address == self.address else home
        return Admitted(stream, record, frame, away, bound)


async def find_public_url(settings: Settings) -> str | None:
    """The https origin (or http, where PUBLIC_HOST says so); None where there is neither."""
    if settings.public_host is not None:
        return settings.public_host
    return await _ngrok_tunnel(settings)


async def _ngrok_tunnel(settings: Settings) -> str | None:
    """The agent's tunnel to our port. https://ngrok.com/docs/agent/api#list-tunnels"""
    try:
        async with httpx2.AsyncClient(timeout=NGROK_SECONDS, trust_env=False) as client:
            answer = await client.get(f"{settings.ngrok_api_url.rstrip('/')}/api/tunnels")
            tunnels = answer.json()["tunnels"]
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return None
    ours: list[str] = []
    for tunnel in tunnels if isinstance(tunnels, list) else []:
        url = tunnel.get("public_url") if isinstance(tunnel, dict) else None
        config = tunnel.get("config") if isinstance(tunnel, dict) else None
        address = str(config.get("addr", "")) if isinstance(config, dict) else ""
        if isinstance(url, str) and address.rstrip("/").endswith(f":{settings.port}"):
            ours.append(url.rstrip("/"))
    https = [url for url in ours if url.startswith("https://")]
    return next(iter(https + ours), None)


def check_exposure(settings: Settings, public_url: str | None) -> None:
    """SettingsError when strangers could reach the API without a key."""
    if settings.api_keys:
        return
    public_host = None if public_url is None else urlsplit(public_url).hostname or ""
    for name, host, shown in (("PUBLIC_HOST", public_host, public_url), ("HOST", settings.host, settings.host)):
        if host is not None and not is_loopback(host):
            raise SettingsError(
                f"{name} makes this server reachable from outside ({shown}) and API_KEYS is not set: anybody "
                "could place calls. Set API_KEYS to one or more secrets, comma-separated, and send one as "
                "'Authorization: Bearer …'.",
                field="API_KEYS",
            )


def is_loopback(host: str) -> bool:
    """localhost, 127.0.0.0/8, ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# -- tokens of media streams -----------------------------------------------------------------------------


def new_token(home: Home | None = None) -> str:
    """One-use, unguessable; letters, digits, - _ and . only, so that it is whole in a URL's path too."""
    secret = secrets.token_urlsafe(32)
    if home is None:
        return secret
    address = base64.urlsafe_b64encode(home.address.encode()).decode().rstrip("=")
    return f"{secret}.{_HELD if home.holds else _KEPT}.{address}"


def home_of(token: str) -> Home | None:
    """What a token that held says; None where it says nothing."""
    _, _, rest = token.partition(".")
    kind, _, encoded = rest.partition(".")
    if kind not in (_HELD, _KEPT):
        return None
    try:
        address = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        return None
    return Home(address, kind == _HELD) if address else None


def hashed(token: str, bound: str | None = None) -> str:
    """What is kept of it. A browser's holds only with what it is `bound` to, and at the browsers' door."""
    whole = token if bound is None else f"{token} {bound}"
    return hashlib.sha256(whole.encode()).hexdigest()
