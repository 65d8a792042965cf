"""A PostgreSQL of its own, and no environment of the developer's."""

from __future__ import annotations

import warnings

import pytest

with warnings.catch_warnings():
    # pipecat 1.14 defines classes upon its own deprecated ones; the import is what warns.
    warnings.simplefilter("ignore", DeprecationWarning)
    import tests.calls.server  # noqa: F401

from tests.postgres import PostgresServer


@pytest.fixture
def database_url(postgres: PostgresServer) -> str:
    return postgres.new_url()
