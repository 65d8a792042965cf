"""Imports vendors' SDKs and pipecat's services once, where their own deprecations may be heard."""

from __future__ import annotations

import warnings

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
