"""What was imported is no garbage: as in the server itself, the collector need not walk it during a call."""

from __future__ import annotations

import gc

import pytest

gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.enable()
