"""Whose Idempotency-Key is which call."""

from __future__ import annotations

import re

import pytest

from bot.calls.idempotency import Asked, check_same
from bot.errors import ConflictError


def test_the_same_key_of_the_same_client_is_the_same_id() -> None:
    asked = Asked("key", "a", "1")
    assert re.fullmatch("call_[0-9a-f]{24}", asked.id_of("call"))
    assert asked.id_of("call") == Asked("key", "a", "2").id_of("call")
    others = [Asked("another", "a"), Asked(None, "a"), Asked("key", "b"), Asked("key")]
    ids = [asked.id_of("call"), asked.id_of("campaign").replace("campaign", "call")]
    ids += [other.id_of("call") for other in others]
    assert len(set(ids)) == len(ids)


def test_without_api_keys_an_id_does_not_follow_from_the_key_alone() -> None:
    ids = {Asked(None, "order-1", secret=secret).id_of("call") for secret in ("of one database", "of another")}
    assert len(ids) == 2
    assert Asked("key", "order-1", secret="x").id_of("call") == Asked("key", "order-1").id_of("call")


def test_without_a_key_each_id_is_new() -> None:
    assert len({Asked().id_of("call") for _ in range(3)}) == 3


def test_another_request_is_refused() -> None:
    check_same(None, None, "call")
    check_same("1", "1", "call")
    with pytest.raises(ConflictError, match="another campaign before: use a new key") as caught:
        check_same("1", "2", "campaign")
    assert (caught.value.code, caught.value.field) == ("idempotency_key_reused", "Idempotency-Key")
