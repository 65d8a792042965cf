"""The words of a browser's callee, sent beside the sound: one message more than Twilio's own.

    {"event": "words", "text": "yes please", "words": [[0, 310], [330, 700]]}

Each word's begin and end in ms of the stream's media clock, the `timestamp` of its media messages. The browser
knows them where its callee types, or where its own speech recognition listens.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson
from loguru import logger

from bot.audio import TimedWord
from bot.telephony.media import Socket

_BEGINS = '{"event":"words"'
MAX_WORDS = 400
"""Of one message; a person says some 150 in a minute."""


class WordsListener(Protocol):
    """Gets what the callee says."""

    def say(self, call_sid: str, text: str, words: Sequence[TimedWord]) -> None: ...


class WordsSocket:
    """A browser's media socket without its words, which go to `listener`. `closed` is called at its end."""

    def __init__(
        self, socket: Socket, call_sid: str, listener: WordsListener, closed: Callable[[], None]
    ) -> None:
        self._socket, self._call_sid, self._listener, self._closed = socket, call_sid, listener, closed

    async def accept(self) -> None:
        await self._socket.accept()

    async def receive(self) -> str | bytes | None:
        while True:
            frame = await self._socket.receive()
            if not isinstance(frame, str) or not frame.startswith(_BEGINS):
                if frame is None:
                    self._closed()
                return frame
            try:
                text, words = read_words(frame)
                self._listener.say(self._call_sid, text, words)
            except ValueError as e:
                logger.warning("words of a browser's callee were dropped: {}", e)

    async def send(self, text: str) -> None:
        await self._socket.send(text)

    async def close(self, code: int, reason: str = "") -> None:
        self._closed()
        await self._socket.close(code, reason)


def read_words(frame: str) -> tuple[str, tuple[TimedWord, ...]]:
    """ValueError, with what is wrong."""
    try:
        message: Any = orjson.loads(frame)
    except orjson.JSONDecodeError:
        raise ValueError("not JSON") from None
    match message:
        case {"text": str(text), "words": list(times)}:
            said = text.split()
        case _:
            raise ValueError("no text or no times")
    if not said or len(said) != len(times) or len(said) > MAX_WORDS:
        raise ValueError("not a time for each word")
    words = []
    for word, pair in zip(said, times, strict=True):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(at, int | float) for at in pair)):
            raise ValueError("times that are no pairs of milliseconds")
        words.append(TimedWord(word, float(pair[0]), float(pair[1])))
    return " ".join(said), tuple(words)
