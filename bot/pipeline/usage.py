"""What a call uses of its vendors, counted where it is sent.

A counter handed to the services was preferred to pipecat's metrics frames: those are dropped by an interruption,
report a reply once whatever it took to get it, and know no seconds. What vendors bill is what was sent: the
reply that was never heard, the second request beside a slow one, the text said again after a socket was lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Used:
    """`quantity` of `unit`s (seconds, characters, input_tokens …); None where it cannot be known here."""

    vendor: str
    what: str
    unit: str
    quantity: float | None


@dataclass
class Usage:
    """Sums by vendor, product and unit. Of the event loop's thread only."""

    _sums: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def add(self, vendor: str, what: str, unit: str, quantity: float) -> None:
        if quantity:
            key = (vendor, what, unit)
            self._sums[key] = self._sums.get(key, 0.0) + quantity

    @property
    def items(self) -> tuple[Used, ...]:
        """In the order they were first used; to a thousandth."""
        return tuple(Used(*key, round(quantity, 3)) for key, quantity in self._sums.items())


class _Uncounted(Usage):
    def add(self, vendor: str, what: str, unit: str, quantity: float) -> None:
        """Not asked for."""


NO_USAGE: Usage = _Uncounted()
"""For a service that no call pays for."""


class Metered:
    """A mixin: a service that counts what it sends."""

    usage: Usage = NO_USAGE


def count_for(usage: Usage, services: Iterable[object]) -> None:
    """Let `usage` be what these services count in, those of them that count."""
    for service in services:
        if isinstance(service, Metered):
            service.usage = usage
