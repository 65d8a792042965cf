"""One fork server and one PostgreSQL for all runs."""

from __future__ import annotations

import warnings

import pytest

with warnings.catch_warnings():
    # pipecat 1.14 defines classes upon its own deprecated ones; the import is what warns.
    warnings.simplefilter("ignore", DeprecationWarning)
    from tests.crash.dying import Runs


@pytest.fixture(scope="module")
def runs() -> Runs:
    return Runs()
