"""What Deepgram's two listening protocols share: the query, the audio decoding, what a session sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bot.audio import mulaw_to_pcm


@dataclass(frozen=True)
class Send:
    """A JSON message, `after_ms` from now, behind everything sent before it."""

    message: dict[str, Any]
    after_ms: float = 0.0


@dataclass(frozen=True)
class Close:
    """A close frame; code None is a close frame without a status."""

    code: int | None = 1000
    reason: str = ""
    after_ms: float = 0.0


Out = Send | Close


class Rejected(Exception):
    """The handshake is answered with an HTTP status instead of 101. The message becomes `dg-error`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Query:
    """A query string, in order; repeated names are lists."""

    path: str
    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, target: str) -> Query:
        parts = urlsplit(target)
        return cls(parts.path, tuple(parse_qsl(parts.query, keep_blank_values=True)))

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    def get(self, name: str, default: str | None = None) -> str | None:
        values = self.all(name)
        return values[-1] if values else default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean. Rejected for anything but true and false."""
        value = self.get(name)
        if value is None:
            return default
        if value not in ("true", "false"):
            raise invalid(f"{name} must be true or false, not {value!r}")
        return value == "true"

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number in a range, None if absent. Rejected otherwise."""
        value = self.get(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            raise invalid(f"{name} must be a number, not {value!r}") from None
        if not low <= number <= high:
            raise invalid(f"{name} must be between {low:g} and {high:g}, not {value}")
        return number


def invalid(message: str) -> Rejected:
    return Rejected(400, "INVALID_QUERY_PARAMETER", message)


_DECODERS: dict[str, Callable[[bytes], bytes]] = {"linear16": lambda audio: audio, "mulaw": mulaw_to_pcm}


@dataclass(frozen=True)
class AudioFormat:
    """Raw audio as the query declares it: linear16 or mulaw, mono."""

    encoding: str
    sample_rate: int

    @classmethod
    def of(cls, query: Query) -> AudioFormat:
        encoding = query.get("encoding")
        if encoding not in _DECODERS:
            raise invalid(f"this simulator hears {' and '.join(_DECODERS)} only, not {encoding!r}")
        rate = query.number("sample_rate", 8000, 48000)
        if rate is None:
            raise invalid("sample_rate is required with encoding")
        if query.get("channels", "1") != "1":
            raise invalid("this simulator hears one channel only")
        return cls(encoding, int(rate))


class Decoder:
    """Bytes of any length to whole 16-bit samples."""

    def __init__(self, audio: AudioFormat) -> None:
        self._decode = _DECODERS[audio.encoding]
        self._width = 2 if audio.encoding == "linear16" else 1
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data
        whole = len(data) - len(data) % self._width
        self._rest = data[whole:]
        return self._decode(data[:whole])


def known_model(model: str | None, prefixes: Sequence[str]) -> str:
    """The model name, or the refusal Deepgram gives an unknown one."""
    if model is None or not model.startswith(tuple(prefixes)):
        raise Rejected(400, "INVALID_QUERY_PARAMETER", f"No such model/language/tier combination found: {model}.")
    return model
