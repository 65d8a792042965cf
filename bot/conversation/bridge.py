"""What is said while a tool works: a short phrase, so that its wait is no silence.

One phrase a wait, however many tools work at once. It comes after a second where the reply that called the
tool had no words; where it had some ("Let me look that up."), only when the tool takes long. The phrase that
is due waits until it can be said: while somebody speaks there is no silence to fill.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

AFTER_WORDS_SECONDS = 4.0
"""How long a tool may take in silence after a reply that announced it."""
TRY_AGAIN_SECONDS = 0.2


class Bridge:
    """The bridges of one call. `say` plays a phrase and tells whether it did; `working` hears of waits.

    `phrases` are taken in turn where a tool names none of its own.
    """

    def __init__(
        self,
        phrases: Sequence[str],
        *,
        after_seconds: float,
        say: Callable[[str], bool],
        working: Callable[[bool], None],
    ) -> None:
        self._phrases = tuple(phrases)
        self._after_seconds = after_seconds
        self._say = say
        self._working = working
        self._tools = 0
        self._bridged = False
        self._next = 0

    @asynccontextmanager
    async def over(self, meanwhile: str | None, *, announced: bool) -> AsyncIterator[None]:
        """Bridges the block. `announced`: the reply had words. `meanwhile` "" says nothing."""
        self._tools += 1
        if self._tools == 1:
            self._bridged = False
            self._working(True)
        bridging = asyncio.create_task(self._bridge(meanwhile, announced=announced), name="bridge")
        try:
            yield
        finally:
            bridging.cancel()
            self._tools -= 1
            if self._tools == 0:
                self._working(False)
            await asyncio.gather(bridging, return_exceptions=True)

    async def _bridge(self, meanwhile: str | None, *, announced: bool) -> None:
        wait = max(self._after_seconds, AFTER_WORDS_SECONDS) if announced else self._after_seconds
        await asyncio.sleep(wait)
        while not self._bridged:
            phrase = meanwhile
            if phrase is None and self._phrases:
                phrase = self._phrases[self._next % len(self._phrases)]
            if not phrase:
                return
            if self._say(phrase):
                self._bridged = True
                self._next += meanwhile is None
                return
            await asyncio.sleep(TRY_AGAIN_SECONDS)
