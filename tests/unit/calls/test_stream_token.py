"""A media token and the address in it."""

from __future__ import annotations

import re

import pytest

from bot.calls.ingress import Home, hashed, home_of, new_token


@pytest.mark.parametrize("home", [None, Home("http://10.0.0.7:8001", True), Home("http://[fd00::7]:1", False)])
def test_a_home_travels_in_the_token(home: Home | None) -> None:
    token = new_token(home)
    assert home_of(token) == home
    assert re.fullmatch(r"[\w.-]{43,200}", token)
    assert hashed(token) != hashed(new_token(home))


@pytest.mark.parametrize("token", ["", "abc", "abc.h", "abc.x.aHR0cDovLzE", "abc.h.*", "abc.k./w==", "abc.h._w"])
def test_what_names_no_home(token: str) -> None:
    assert home_of(token) is None
