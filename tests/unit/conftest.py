"""The clock of tests marked `virtual_time`; vendors' SDKs and pipecat's services are imported once.

The imports stand here because their own deprecations may be heard here.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Mapping

import pytest

from tests.unit.clocks import VirtualLoop

with warnings.catch_warnings():
    # At import they use their own and others' deprecated classes; under "error" that would fail the first test.
    warnings.simplefilter("ignore", DeprecationWarning)
    import deepgram.listen.v1.client  # noqa: F401
    import pipecat.services.elevenlabs.tts
    import pipecat.services.llm_service
    import pipecat.services.stt_service
    import pipecat.services.tts_service  # noqa: F401

from hypothesis import HealthCheck, settings

# A machine that is busy with calls in real time is no finding about the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    virtual = item.get_closest_marker("virtual_time") is not None
    return {"loop": VirtualLoop if virtual else asyncio.SelectorEventLoop}
