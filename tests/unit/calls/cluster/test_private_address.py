"""The address for other processes: what is said, what we listen on, or the way to the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.calls.cluster.private_address import find
from bot.settings import Settings
from bot.store.address import SqliteAddress, parse_database_url

UNUSED = Path("unused.db")
LOCAL = "postgresql://me@127.0.0.1:5433/calls"


def found(url: str, **settings: Any) -> str | None:
    return find(Settings(_env_file=None, **settings), parse_database_url(url, UNUSED), 8001)


def test_alone_there_is_none() -> None:
    assert find(Settings(_env_file=None), SqliteAddress(UNUSED), 8001) is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "http://127.0.0.1:8001"),
        ({"host": "10.0.0.7"}, "http://10.0.0.7:8001"),
        ({"host": "0.0.0.0", "internal_host": "10.0.0.8"}, "http://10.0.0.8:8001"),
        ({"host": "fd00::7"}, "http://[fd00::7]:8001"),
    ],
)
def test_what_is_said_or_listened_on(settings: dict[str, str], expected: str) -> None:
    assert found(LOCAL, **settings) == expected


@pytest.mark.parametrize(
    "url",
    [
        LOCAL,
        "postgresql://me@/calls?host=/var/run/postgresql",
        "postgresql://me@/calls?host=127.0.0.1,127.0.0.2",
        "postgresql://me@nowhere.invalid/calls",
    ],
)
def test_listening_on_all_it_is_the_way_to_the_database(url: str) -> None:
    assert found(url, host="0.0.0.0") == "http://127.0.0.1:8001"
