"""What every whole call needs: no environment of the developer's, and the models loaded once."""

from __future__ import annotations

import os
import warnings

import pytest

with warnings.catch_warnings():
    # pipecat 1.14 defines classes upon its own deprecated ones; the import is what warns.
    warnings.simplefilter("ignore", DeprecationWarning)
    from bot.settings import Settings
    from bot.telemetry.logs import set_up
    from tests.calls.server import shared_voice

_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})


def pytest_configure(config: pytest.Config) -> None:
    # The Deepgram SDK names it while it connects.
    ignored = "ignore:websockets.exceptions.InvalidStatusCode is deprecated:DeprecationWarning"
    config.addinivalue_line("filterwarnings", ignored)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone: keys and proxies of this machine lead nowhere."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields or name.lower() in _PROXIES:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _ready() -> None:
    """Models loaded before the first call, and a log that a failed test can be read by."""
    shared_voice()


@pytest.fixture(autouse=True)
def _log() -> None:
    """Anew for each test: pytest gives each its own stderr."""
    set_up("DEBUG")
