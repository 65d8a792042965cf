"""The rules of webhooks, without I/O: what is sent, how it is signed, what an answer means, when to ask again.

Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks) gives the three headers, the
signature, several signatures while a secret is being changed, and 410 as "never again".

A server without WEBHOOK_SECRET refuses webhook URLs. The alternative, a secret of our own making kept in
DATA_DIR, differs from machine to machine behind one address, and a receiver could not know why half of its
events do not verify. An unsigned event is one that anybody can send.
"""

import base64
import binascii
import hashlib
import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx2
from pydantic import SecretStr
from standardwebhooks import Webhook

from bot.errors import RequestError, SettingsError
from bot.public_http import is_public
from bot.store.deliveries import DeliveryStatus
from bot.store.kept_json import to_json

MAX_ATTEMPTS = 8
MAX_URL = 2000
_FIRST_WAIT_SECONDS = 2.0
_GROWTH = 4.0
_LONGEST_WAIT_SECONDS = 3600.0
_JITTER = 0.2
MAX_RETRY_AFTER_SECONDS = 3600.0
"""A receiver may ask for more; it is asked again after this."""
HOW_TO_MAKE_ONE = (
    "Make one with `openssl rand -base64 32`, set WEBHOOK_SECRET=whsec_… to it here and give it to the receiver."
)
_MIN_SECRET_BYTES = 16

Schedule = Callable[[int, float], float]
"""(attempts made in this round, a random number from 0 to 1) to seconds until the next attempt."""


class EventType(StrEnum):
    CALL_STARTED = "call_started"
    CALL_ENDED = "call_ended"
    CALL_ANALYZED = "call_analyzed"

    @property
    def place(self) -> int:
        """In the life of a call, from 1."""
        return list(EventType).index(self) + 1


def delivery_id(call_id: str, event: EventType) -> str:
    """Always the same for the same event of the same call: receivers know repeats by it."""
    return "msg_" + hashlib.sha256(f"{call_id}\n{event.value}".encode()).hexdigest()[:32]


def event_body(event: EventType, at: datetime, data: object) -> str:
    """The JSON that is kept and sent. ASCII: no database and no receiver's parser has a word to say on it."""
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    return to_json({"type": event.value, "timestamp": moment, "data": data})


def backoff_seconds(made: int, chance: float) -> float:
    """2 s, 8 s, 32 s, 2 min, 9 min, 34 min, 1 h, each up to a fifth shorter or longer.

    In sum 84 to 127 minutes: a receiver that is down for an hour, whenever it goes, is up for the last attempt.
    """
    wait = min(_FIRST_WAIT_SECONDS * _GROWTH ** (made - 1), _LONGEST_WAIT_SECONDS)
    return wait * (1 + _JITTER * (2 * chance - 1))


def retry_after_seconds(header: str | None, now: datetime) -> float:
    """What a Retry-After asks for (RFC 9110: seconds or a date), at most MAX_RETRY_AFTER_SECONDS; else 0."""
    if header is None:
        return 0.0
    header = header.strip()
    if re.fullmatch(r"[0-9]{1,9}", header, re.ASCII):
        return min(float(header), MAX_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER_SECONDS)


def standing(status_code: int, made: int) -> DeliveryStatus:
    """Where a delivery stands after its receiver's answer to attempt number `made`."""
    if HTTPStatus.OK <= status_code < HTTPStatus.MULTIPLE_CHOICES:
        return DeliveryStatus.DELIVERED
    if status_code == HTTPStatus.GONE or made >= MAX_ATTEMPTS:
        return DeliveryStatus.DEAD
    return DeliveryStatus.PENDING


class Signer:
    """Signs with every secret; a receiver verifies with any one of them."""

    def __init__(self, secrets: Sequence[SecretStr]) -> None:
        """SettingsError on a secret that is none; it is not repeated."""
        self._keys = [_key(secret) for secret in secrets]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def headers(self, message_id: str, now: datetime, body: str) -> dict[str, str]:
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(key.sign(message_id, now, body) for key in self._keys),
        }


def _key(secret: SecretStr) -> Webhook:
    """The library skips what is not base64; other libraries, at the receiver's, do not."""
    text = secret.get_secret_value().strip().removeprefix("whsec_")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) < _MIN_SECRET_BYTES:
        raise SettingsError(
            f"WEBHOOK_SECRET: each is whsec_ and at least {_MIN_SECRET_BYTES} bytes in base64. {HOW_TO_MAKE_ONE}",
            field="WEBHOOK_SECRET",
        )
    return Webhook(raw)


def check_url(url: str, *, signed: bool, allow_private: bool) -> None:
    """RequestError, field webhook_url, when events may not be sent to `url`.

    A name is not resolved here: where it leads is checked when the connection is made.
    """
    if not signed:
        raise _refused(f"this server has no WEBHOOK_SECRET to sign events with. {HOW_TO_MAKE_ONE}")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises ValueError for a port that is none
        httpx2.URL(url)
        (parts.hostname or "").encode("idna")  # as the resolver will; a label may be too long
    except (ValueError, httpx2.InvalidURL):
        raise _refused("give an http:// or https:// URL.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise _refused("give an http:// or https:// URL.")
    if len(url) > MAX_URL:
        raise _refused(f"is longer than {MAX_URL} characters.")
    if "@" in parts.netloc:
        raise _refused("no user and password in the URL; the signature says who sends.")
    if not allow_private and _is_private(parts.hostname):
        raise _refused("is not a public address. WEBHOOK_ALLOW_PRIVATE=true lets this server send there.")


def _is_private(host: str) -> bool:
    """Whether `host` says so by itself: an address, however it is written, or a name of this machine."""
    host = host.removesuffix(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not is_public(ipaddress.ip_address(host.split("%", 1)[0]))
    except ValueError:
        pass
    try:
        return not is_public(ipaddress.IPv4Address(socket.inet_aton(host)))  # 127.1, 0x7f000001, 2130706433
    except (OSError, UnicodeEncodeError):
        return False


def _refused(why: str) -> RequestError:
    return RequestError(f"webhook_url: {why}", code="bad_webhook_url", field="webhook_url")
