"""The keys the callee presses: gathered into an entry, which is a turn of theirs.

`Gathering` decides when an entry is whole, pure; `Keys` acts on it. A key with an action of its own, alone in
its entry, is that action and no turn. A secret entry is known to the LLM while the call lives; all that is kept
of it is MASK, also where a tool's arguments or the agent's words hold it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

from bot.conversation import prompt
from bot.conversation.masking import MASK, Secrets
from bot.conversation.scenario.parts import KeySettings
from bot.pipeline.turns.context import KeysBeganFrame, KeysEnteredFrame, UserContext

ACTION_SECONDS = 1.0
"""A key with an action that begins an entry is alone after so long: digits of a number follow each other faster,
and who wants no more calls is let go soon."""


class Gathering:
    """One call's. All times are seconds of one clock. `actions`: keys that do something by themselves."""

    def __init__(self, settings: KeySettings, actions: Collection[str] = ()) -> None:
        self._settings, self._actions = settings, frozenset(actions)
        self._keys = ""
        self._whole_at: float | None = None
        """When the entry is over, while there is one."""

    @property
    def open(self) -> bool:
        return self._whole_at is not None

    def press(self, key: str, now: float) -> None:
        """The end key ends an entry and is no part of it, but for one that it is all of."""
        ends = key == self._settings.end and bool(self._keys)
        self._keys += "" if ends else key
        ends = ends or len(self._keys) >= self._settings.longest
        timeout = self._settings.timeout_seconds
        if self._keys in self._actions:
            timeout = min(timeout, ACTION_SECONDS)
        self._whole_at = now if ends else now + timeout

    def take(self, now: float) -> str | None:
        """The entry, once it is whole."""
        if self._whole_at is None or now < self._whole_at:
            return None
        keys, self._keys, self._whole_at = self._keys, "", None
        return keys

    def wake_in(self, now: float) -> float | None:
        return None if self._whole_at is None else max(0.0, self._whole_at - now)


class Keys:
    """Gathers the keys of one call and hands its entries on.

    `entered` gets each entry, as it is kept; `interrupts`: the agent falls silent for a key now.
    """

    def __init__(
        self,
        settings: KeySettings,
        user: UserContext,
        *,
        actions: Mapping[str, Callable[[], Awaitable[None]]],
        secrets: Secrets,
        interrupts: Callable[[], bool],
        entered: Callable[[str], None],
    ) -> None:
        """`actions`: key → what it does where it is an entry by itself."""
        self._settings, self._user, self._actions = settings, user, actions
        self._gathering, self._secrets = Gathering(settings, actions), secrets
        self._interrupts, self._entered = interrupts, entered

    @property
    def open(self) -> bool:
        """Keys are being pressed."""
        return self._gathering.open

    def wake_in(self, now: float) -> Iterable[float]:
        wait = self._gathering.wake_in(now)
        return () if wait is None else (wait,)

    async def press(self, key: str) -> None:
        """A key was pressed: the agent falls silent with the first one."""
        begins = not self._gathering.open
        self._gathering.press(key, time.monotonic())
        if begins:
            await self._user.queue_frame(KeysBeganFrame(interrupts=self._interrupts()))

    async def attend(self, now: float) -> None:
        """Give the entry that is whole to its action, or to the conversation."""
        keys = self._gathering.take(now)
        if keys is None:
            return
        kept, action = self._kept(keys), self._actions.get(keys)
        self._entered(kept)
        if action is not None:
            await self._user.queue_frame(KeysEnteredFrame(None))
            await action()
        else:
            said = prompt.keys_pressed(keys, secret=self._settings.secret)
            await self._user.queue_frame(KeysEnteredFrame(said))

    async def close(self) -> None:
        """The call is over: what was pressed last is kept, and done where it is to do something."""
        keys = self._gathering.take(float("inf"))
        if keys is not None:
            self._entered(self._kept(keys))
            if keys in self._actions:
                await self._actions[keys]()

    def _kept(self, keys: str) -> str:
        if not self._settings.secret:
            return keys
        self._secrets.add(keys)
        return MASK
