"""X-Twilio-Signature: signing and checking, over the SDK's RequestValidator.

https://www.twilio.com/docs/usage/webhooks/webhooks-security. The SDK adds port 80 to a wss:// URL when it
tries the variant with a port, so the variants of WebSocket URLs are built here.
"""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # ships no py.typed

HEADER = "X-Twilio-Signature"
_WEBSOCKET_PORTS = {"ws": 80, "wss": 443}


Fields = Mapping[str, str | Sequence[str]]
"""Of a form. A key that stands there more than once has several values, and Twilio signs all of them."""


class _MultiDict(dict[str, str | Sequence[str]]):
    """Fields as the validator reads those of Django."""

    def getlist(self, name: str) -> Sequence[str]:
        value = self[name]
        return [value] if isinstance(value, str) else value


def sign(auth_token: str, url: str, params: Fields | None = None) -> str:
    """The signature Twilio sends for this URL (with its query) and these form fields."""
    return str(RequestValidator(auth_token).compute_signature(url, _MultiDict(params or {})))


def holds(auth_token: str, url: str, params: Fields | None, signature: str) -> bool:
    """Whether `signature` is this account's for the URL, with or without its default port.

    `url` is the public URL, never the request's own: a proxy changes that one.
    """
    validator = RequestValidator(auth_token)
    fields = _MultiDict(params or {})
    return any(bool(validator.validate(variant, fields, signature)) for variant in _variants(url))


def _variants(url: str) -> Iterator[str]:
    """The URL itself; a WebSocket's also with its default port and with a slash at the end of its path.

    Twilio is seen to sign a handshake with either form of the path.
    """
    yield url
    parts = urlsplit(url)
    port = _WEBSOCKET_PORTS.get(parts.scheme)
    if port is None:
        return
    netlocs = [parts.netloc] if parts.port else [parts.netloc, f"{parts.netloc}:{port}"]
    paths = [parts.path] if parts.path.endswith("/") else [parts.path, f"{parts.path}/"]
    for netloc in netlocs:
        for path in paths:
            yield urlunsplit((parts.scheme, netloc, path, parts.query, ""))
