"""When a simulator misbehaves: the nth connection (or request, or context) gets the nth fault.

The faults themselves are frozen dataclasses beside the simulator that knows how to suffer them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

F_co = TypeVar("F_co", covariant=True)


@dataclass(frozen=True)
class Plan(Generic[F_co]):
    """`first[n]` for the nth (None: healthy), then `then` for all after them.

    `Plan()` is healthy, `Plan(then=fault)` is always broken, `Plan((fault,))` is broken once. A simulator's
    plan may be replaced while it runs; the count of what was served goes on.
    """

    first: tuple[F_co | None, ...] = ()
    then: F_co | None = None

    def nth(self, index: int) -> F_co | None:
        """The fault of the `index`th, counted from 0."""
        return self.first[index] if index < len(self.first) else self.then
