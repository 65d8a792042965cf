"""The words that a browser sends beside the sound."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bot.audio import TimedWord
from bot.telephony.browser.words import MAX_WORDS, WordsSocket, read_words


class Browser:
    """A socket that sends its frames, then closes."""

    def __init__(self, *frames: str | bytes) -> None:
        self.frames = list(frames)
        self.sent: list[str] = []
        self.closed: list[int] = []

    async def accept(self) -> None:
        return

    async def receive(self) -> str | bytes | None:
        return self.frames.pop(0) if self.frames else None

    async def send(self, text: str) -> None:
        self.sent.append(text)

    async def close(self, code: int, reason: str = "") -> None:
        self.closed.append(code)


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[str, str, list[float]]] = []

    def say(self, call_sid: str, text: str, words: Sequence[TimedWord]) -> None:
        self.heard.append((call_sid, text, [word.start_ms for word in words]))


async def test_words_go_to_the_listener_and_all_else_to_the_line() -> None:
    words = '{"event":"words","text":"yes  please","words":[[0,300],[320,700]]}'
    media = '{"event":"media","media":{"payload":"//8="}}'
    listener, left = Listener(), []
    socket = WordsSocket(
        Browser(media, words, b"\x00", words[:40], media), "BR1", listener, lambda: left.append(1)
    )
    assert [await socket.receive() for _ in range(3)] == [media, b"\x00", media]
    assert listener.heard == [("BR1", "yes please", [0.0, 320.0])]
    assert left == []
    assert await socket.receive() is None
    assert left == [1]


async def test_a_hang_up_closes_the_socket_and_is_its_end() -> None:
    browser, left = Browser(), []
    socket = WordsSocket(browser, "BR1", Listener(), lambda: left.append(1))
    await socket.send("out")
    await socket.close(1000)
    assert (browser.sent, browser.closed, left) == (["out"], [1000], [1])


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        '{"text":"yes"}',
        '{"text":"yes","words":[[0]]}',
        '{"text":"yes","words":[["0",1]]}',
        '{"text":"yes please","words":[[0,1]]}',
        '{"text":" ","words":[]}',
        f'{{"text":"{"a " * (MAX_WORDS + 1)}","words":[{",".join(["[0,1]"] * (MAX_WORDS + 1))}]}}',
    ],
)
def test_what_is_no_words_is_said_to_be_none(frame: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_words(frame)
