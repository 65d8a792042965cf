"""The engines' shared models, loaded once a session, and a pipeline to run services in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

with warnings.catch_warnings():
    # pipecat imports audioop where Python still has it, and subclasses its own deprecated classes.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pipecat.services.llm_service import LLMService as _LLMService  # noqa: F401  # the import is what warns
    from pipecat.services.stt_service import STTService as _STTService  # noqa: F401  # as above
    from pipecat.services.tts_service import TTSService as _TTSService  # noqa: F401  # as above

    from tests.unit.pipeline.offline.line import Line

from bot.pipeline.offline.voice import LocalVoice


@pytest.fixture(scope="session")
def voice() -> Iterator[LocalVoice]:
    voice = LocalVoice()
    voice.load()
    yield voice
    voice.close()


@pytest.fixture
def line() -> Line:
    return Line()
