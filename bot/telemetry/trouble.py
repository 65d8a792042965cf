"""Which call a vendor's failure belongs to: the one in whose tasks it is counted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[str, str], None] | None] = ContextVar("trouble", default=None)


@contextmanager
def heard_by(listener: Callable[[str, str], None]) -> Iterator[None]:
    """In the block, and in all tasks begun in it, `listener` gets each vendor's name and what happened."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(vendor: str, what: str) -> None:
    """To the call that this happens in, if any."""
    listener = _listener.get()
    if listener is not None:
        listener(vendor, what)
