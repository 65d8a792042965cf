"""What all calls share is built once and closed whole."""

import contextlib
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.pipeline.offline.voice import LocalVoice
from bot.pipeline.resources import Resources
from bot.settings import Settings

URL = "http://127.0.0.1:1/v1"


class UnclosableVoice(LocalVoice):
    def close(self) -> None:
        raise RuntimeError("the voice does not close")


class MeetingTls:
    """Two threads that build a client at once meet here; one alone goes on after a moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.built = 0
        self._barrier = threading.Barrier(2)
        self._make = ssl.create_default_context
        monkeypatch.setattr(ssl, "create_default_context", self)

    def __call__(self) -> ssl.SSLContext:
        self.built += 1
        with contextlib.suppress(threading.BrokenBarrierError):
            self._barrier.wait(timeout=0.2)
        return self._make()


async def test_two_threads_get_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    resources, tls = Resources(Settings(_env_file=None)), MeetingTls(monkeypatch)
    with ThreadPoolExecutor(2) as threads:
        first, second = [threads.submit(resources.openai, URL, "key") for _ in range(2)]
    assert first.result() is second.result()
    assert tls.built == 1
    await resources.close()


async def test_a_part_that_does_not_close_leaves_no_other_open() -> None:
    resources = Resources(Settings(_env_file=None), voice=UnclosableVoice())
    client = resources.openai(URL, "key")
    with pytest.raises(RuntimeError, match="the voice"):
        await resources.close()
    assert client.is_closed()
