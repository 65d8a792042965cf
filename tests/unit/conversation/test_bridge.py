"""Bridge: when a wait for tools is bridged, and with which words. Virtual time."""

from __future__ import annotations

import asyncio

import pytest

from bot.conversation.fillers import AFTER_WORDS_SECONDS, Bridge
from tests.unit.clocks import VirtualLoop, run


class Said:
    """Notes what is said and when; says nothing until `free_at`."""

    def __init__(self, free_at: float = 0.0) -> None:
        self.words: list[tuple[float, str]] = []
        self.working: list[bool] = []
        self.bridge = Bridge(["Moment.", "Nearly."], after_seconds=1.0, say=self.say, working=self.working.append)
        self._free_at = free_at

    def say(self, phrase: str) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._free_at:
            return False
        self.words.append((round(now, 1), phrase))
        return True

    async def tool(self, seconds: float, meanwhile: str | None = None, *, announced: bool = False) -> None:
        async with self.bridge.over(meanwhile, announced=announced):
            await asyncio.sleep(seconds)


def test_a_tool_that_is_quick_needs_none() -> None:
    said = Said()
    run(VirtualLoop(), said.tool(0.9))
    assert said.words == []
    assert said.working == [True, False]


@pytest.mark.parametrize(
    ("meanwhile", "announced", "expected"),
    [
        (None, False, [(1.0, "Moment.")]),
        ("Looking.", False, [(1.0, "Looking.")]),
        ("", False, []),
        (None, True, [(AFTER_WORDS_SECONDS, "Moment.")]),
    ],
)
def test_one_phrase_a_wait(meanwhile: str | None, announced: bool, expected: list[tuple[float, str]]) -> None:
    said = Said()
    run(VirtualLoop(), said.tool(30, meanwhile, announced=announced))
    assert said.words == expected


def test_side_by_side_tools_share_one() -> None:
    said = Said()

    async def both() -> None:
        await asyncio.gather(said.tool(3, "First."), said.tool(5, "Second."))

    run(VirtualLoop(), both())
    assert said.words == [(1.0, "First.")]
    assert said.working == [True, False]


def test_the_next_wait_takes_the_next_phrase() -> None:
    said = Said()

    async def twice() -> None:
        await said.tool(2)
        await said.tool(2)

    run(VirtualLoop(), twice())
    assert said.words == [(1.0, "Moment."), (3.0, "Nearly.")]


def test_it_waits_until_nobody_speaks() -> None:
    said = Said(free_at=2.5)
    run(VirtualLoop(), said.tool(4))
    assert [words for _, words in said.words] == ["Moment."]
    assert 2.5 <= said.words[0][0] <= 2.8


def test_a_tool_that_raises_ends_its_wait() -> None:
    said = Said()

    async def broken() -> None:
        async with said.bridge.over(None, announced=False):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(VirtualLoop(), broken())
    assert said.working == [True, False]
