"""As for whole calls: no environment of the developer's, and the models loaded once."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # pipecat 1.14 defines classes upon its own deprecated ones; the import is what warns.
    warnings.simplefilter("ignore", DeprecationWarning)
    from tests.calls.conftest import _log, _own_environment, _ready, pytest_configure

__all__ = ["_log", "_own_environment", "_ready", "pytest_configure"]
