"""Signatures: Twilio's published example, WebSocket variants, and what does not hold."""

from __future__ import annotations

import pytest

from bot.telephony.twilio import signatures

TOKEN = "12345"
EXAMPLE_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
EXAMPLE_FIELDS = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}
EXAMPLE_SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
"""The worked example of Twilio's security page."""


def test_twilios_own_example() -> None:
    assert signatures.sign(TOKEN, EXAMPLE_URL, EXAMPLE_FIELDS) == EXAMPLE_SIGNATURE
    assert signatures.holds(TOKEN, EXAMPLE_URL, EXAMPLE_FIELDS, EXAMPLE_SIGNATURE)


def test_what_does_not_hold() -> None:
    changed = {**EXAMPLE_FIELDS, "Digits": "9"}
    assert not signatures.holds(TOKEN, EXAMPLE_URL, changed, EXAMPLE_SIGNATURE)
    assert not signatures.holds("other", EXAMPLE_URL, EXAMPLE_FIELDS, EXAMPLE_SIGNATURE)
    assert not signatures.holds(TOKEN, "https://mycompany.com/other", EXAMPLE_FIELDS, EXAMPLE_SIGNATURE)
    assert not signatures.holds(TOKEN, EXAMPLE_URL, EXAMPLE_FIELDS, "")


def test_get_signs_the_query_only() -> None:
    signature = signatures.sign(TOKEN, EXAMPLE_URL)
    assert signatures.holds(TOKEN, EXAMPLE_URL, {}, signature)
    assert signatures.holds(TOKEN, EXAMPLE_URL, None, signature)


@pytest.mark.parametrize(
    ("signed", "ours"),
    [
        ("https://a.example/x", "https://a.example/x"),
        ("https://a.example:443/x", "https://a.example/x"),
        ("https://a.example/x", "https://a.example:443/x"),
        ("wss://a.example/media", "wss://a.example/media"),
        ("wss://a.example:443/media", "wss://a.example/media"),
        ("wss://a.example/media", "wss://a.example:443/media"),
        ("wss://a.example/media/", "wss://a.example/media"),
        ("ws://127.0.0.1:8000/media", "ws://127.0.0.1:8000/media"),
        ("ws://a.example:80/media", "ws://a.example/media"),
    ],
)
def test_default_ports_and_handshakes(signed: str, ours: str) -> None:
    assert signatures.holds(TOKEN, ours, {}, signatures.sign(TOKEN, signed))


@pytest.mark.parametrize(
    ("signed", "ours"),
    [
        ("https://a.example/media", "wss://a.example/media"),
        ("wss://a.example/media?token=1", "wss://a.example/media"),
        ("wss://b.example/media", "wss://a.example/media"),
    ],
)
def test_other_doors_do_not_hold(signed: str, ours: str) -> None:
    assert not signatures.holds(TOKEN, ours, {}, signatures.sign(TOKEN, signed))
