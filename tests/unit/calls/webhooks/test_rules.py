"""The rules of webhooks: ids, bytes, signatures, waits and which URLs are refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from bot.calls.webhooks.rules import (
    MAX_ATTEMPTS,
    EventType,
    Signer,
    backoff_seconds,
    check_url,
    delivery_id,
    event_body,
    retry_after_seconds,
    standing,
)
from bot.errors import RequestError, SettingsError
from bot.store.deliveries import DeliveryStatus

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
HOUR = 3600.0


def test_an_event_has_one_id() -> None:
    ids = {delivery_id(call, event) for call in ("call_1", "call_2") for event in EventType}
    assert len(ids) == 6
    assert delivery_id("call_1", EventType.CALL_ENDED) in ids
    assert all("." not in each for each in ids), "the signature's parts are separated by dots"


def test_events_know_their_order() -> None:
    assert [event.place for event in EventType] == [1, 2, 3]


def test_the_body_says_type_time_and_call() -> None:
    body = event_body(EventType.CALL_ENDED, NOON, {"name": "Zoë \ud800", "nan": float("nan")})
    assert body.isascii()
    assert json.loads(body) == {
        "type": "call_ended",
        "timestamp": "2026-03-02T12:00:00.123Z",
        "data": {"name": "Zoë \ufffd", "nan": None},
    }


def waits(chances: list[float]) -> list[float]:
    return [backoff_seconds(made, chance) for made, chance in enumerate(chances, start=1)]


CHANCES = st.lists(st.floats(min_value=0.0, max_value=1.0), min_size=MAX_ATTEMPTS - 1, max_size=MAX_ATTEMPTS - 1)


@given(CHANCES)
def test_the_last_attempt_is_beyond_an_hour(chances: list[float]) -> None:
    assert 1.3 * HOUR < sum(waits(chances)) < 2.2 * HOUR


@given(CHANCES, st.floats(min_value=0.0, max_value=HOUR))
def test_a_receiver_down_for_an_hour_gets_the_event(chances: list[float], since: float) -> None:
    """The event comes `since` seconds after the receiver went down."""
    moments = [since + sum(waits(chances)[:made]) for made in range(MAX_ATTEMPTS)]
    assert any(moment > HOUR for moment in moments)


def test_waits_grow_and_scatter() -> None:
    assert [round(wait) for wait in waits([0.5] * 7)] == [2, 8, 32, 128, 512, 2048, 3600]
    assert waits([0.0] * 7) == pytest.approx([0.8 * wait for wait in waits([0.5] * 7)])
    assert waits([1.0] * 7) == pytest.approx([1.2 * wait for wait in waits([0.5] * 7)])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("7", 7),
        (" 120 ", 120),
        ("86400", HOUR),
        ("Mon, 02 Mar 2026 12:01:00 GMT", 60),
        ("Mon, 02 Mar 2026 11:00:00 GMT", 0),
        ("Tue, 03 Mar 2026 12:00:00 GMT", HOUR),
        ("-5", 0),
        ("soon", 0),
        ("1e9", 0),
        ("٣", 0),
        ("", 0),
    ],
)
def test_retry_after(header: str | None, seconds: float) -> None:
    assert retry_after_seconds(header, NOON.replace(microsecond=0)) == seconds


@pytest.mark.parametrize(
    ("code", "made", "status"),
    [
        (200, 1, DeliveryStatus.DELIVERED),
        (204, MAX_ATTEMPTS, DeliveryStatus.DELIVERED),
        (299, 1, DeliveryStatus.DELIVERED),
        (301, 1, DeliveryStatus.PENDING),
        (400, 1, DeliveryStatus.PENDING),
        (404, 7, DeliveryStatus.PENDING),
        (410, 1, DeliveryStatus.DEAD),
        (500, 7, DeliveryStatus.PENDING),
        (500, 8, DeliveryStatus.DEAD),
        (0, 8, DeliveryStatus.DEAD),
    ],
)
def test_what_an_answer_means(code: int, made: int, status: DeliveryStatus) -> None:
    assert standing(code, made) is status


def test_every_secret_signs() -> None:
    now = datetime.now(UTC)
    headers = Signer([SecretStr(SECRET), SecretStr(OTHER)]).headers("msg_1", now, '{"a": 1}')
    assert headers["webhook-timestamp"] == str(int(now.timestamp()))
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify('{"a": 1}', headers) == {"a": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"x" * 32).decode()).verify('{"a": 1}', headers)


def test_an_old_timestamp_does_not_verify() -> None:
    headers = Signer([SecretStr(SECRET)]).headers("msg_1", datetime.now(UTC) - timedelta(minutes=6), "{}")
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify("{}", headers)


def test_a_secret_without_its_prefix_or_padding_is_the_same() -> None:
    now = datetime.now(UTC)
    bare = SECRET.removeprefix("whsec_").rstrip("=")
    assert Signer([SecretStr(bare)]).headers("m", now, "{}") == Signer([SecretStr(SECRET)]).headers(
        "m", now, "{}"
    )


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64!!" * 3, "ü" * 32])
def test_what_is_no_secret(secret: str) -> None:
    with pytest.raises(SettingsError, match="openssl rand") as caught:
        Signer([SecretStr(secret)])
    assert not secret.removeprefix("whsec_") or secret not in caught.value.message


GOOD = [
    "https://crm.example/hook?token=a%20b",
    "http://crm.example:8080",
    "https://[2606:4700::1111]/",
    "http://8.8.8.8/",
]
BAD = [
    "crm.example/hook",
    "ftp://crm.example",
    "https://",
    "https://user:password@crm.example",
    "https://crm.example:99999",
    "https://crm.example/\nhook",
    "https://crm.example/a b",
    "http://[::1",
    "https://" + "x" * 64 + ".example/",
    "https://crm..example/",
    "https://crm.example/" + "x" * 2000,
]
PRIVATE = [
    "http://127.0.0.1/",
    "http://127.1:8080/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://10.1.2.3./",
    "http://localhost:9000/",
    "http://a.LOCALHOST./",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[::ffff:192.168.0.1]/",
]


@pytest.mark.parametrize("url", GOOD)
def test_good_urls(url: str) -> None:
    check_url(url, signed=True, allow_private=False)


@pytest.mark.parametrize("url", BAD)
def test_bad_urls(url: str) -> None:
    for allow_private in (False, True):
        with pytest.raises(RequestError, match="webhook_url") as caught:
            check_url(url, signed=True, allow_private=allow_private)
        assert caught.value.field == "webhook_url"


@pytest.mark.parametrize("url", PRIVATE)
def test_private_urls(url: str) -> None:
    with pytest.raises(RequestError, match="WEBHOOK_ALLOW_PRIVATE"):
        check_url(url, signed=True, allow_private=False)
    check_url(url, signed=True, allow_private=True)


def test_an_event_nobody_could_verify_is_refused() -> None:
    with pytest.raises(RequestError, match="WEBHOOK_SECRET"):
        check_url(GOOD[0], signed=False, allow_private=True)
