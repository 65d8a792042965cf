"""Sessions: signed with the key that began them, for a time; and how often a wrong key may be tried."""

from __future__ import annotations

import pytest

from bot.calls.access import (
    SESSION_SECONDS,
    SIGN_IN_SECONDS,
    SIGN_IN_TRIES,
    SignInLimit,
    begin_session,
    key_id,
    same_origin,
    session_of,
)

NOW = 1_800_000_000.0


def test_a_session_holds_with_its_key_until_it_expires() -> None:
    session = begin_session("one", NOW)
    found = session_of(session.token, ["two", "one"], NOW + SESSION_SECONDS - 1)
    assert found == session
    assert found is not None and found.csrf == session.csrf
    assert session_of(session.token, ["two", "one"], NOW + SESSION_SECONDS) is None
    assert session_of(session.token, ["two"], NOW) is None, "its key was taken away"
    assert begin_session("one", NOW).token != session.token
    assert "one" not in session.token.split(".")


@pytest.mark.parametrize(
    "token", [None, "", "x", "1.2", "..", "99999999999.a.b", "٣٣٣٣٣٣٣٣٣٣.a.b", "9" * 50 + ".a.ö\udcff"]
)
def test_what_is_no_session(token: str | None) -> None:
    assert session_of(token, ["one"], NOW) is None


def test_a_changed_session_is_none() -> None:
    said, _, signature = begin_session("one", NOW).token.rpartition(".")
    expiry, _, nonce = said.partition(".")
    assert session_of(f"{int(expiry) + 9}.{nonce}.{signature}", ["one"], NOW) is None
    assert session_of(f"{said}.{'0' * len(signature)}", ["one"], NOW) is None


def test_wrong_keys_are_bounded_by_address() -> None:
    limit = SignInLimit()
    for second in range(SIGN_IN_TRIES):
        assert limit.seconds_to_wait("a", NOW + second) == 0
        limit.was_wrong("a", NOW + second)
    assert limit.seconds_to_wait("a", NOW + SIGN_IN_TRIES) == SIGN_IN_SECONDS - SIGN_IN_TRIES
    assert limit.seconds_to_wait("b", NOW) == 0
    assert limit.seconds_to_wait("a", NOW + SIGN_IN_SECONDS) == 0


def test_a_page_of_another_site() -> None:
    assert same_origin(None, "bot.example.com")
    assert same_origin("https://Bot.example.com", "bot.example.com")
    assert not same_origin("https://evil.example", "bot.example.com")
    assert not same_origin("null", "bot.example.com")


def test_a_key_has_a_short_name() -> None:
    assert key_id("one") != key_id("two")
    assert len(key_id("one")) == 16
