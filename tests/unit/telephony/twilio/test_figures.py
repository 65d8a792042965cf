"""Twilio's refusals and silences are counted; what is asked for and given is not."""

from __future__ import annotations

import pytest

from bot.errors import CarrierError
from tests.simulators.faults import Plan
from tests.simulators.twilio import ServerError
from tests.unit.telemetry.test_metrics import value
from tests.unit.telephony.twilio.test_carrier import account, order


def errors(kind: str) -> float:
    return value("phone_agent_vendor_errors_total", vendor="twilio", kind=kind)


async def test_a_dial_that_works_and_one_that_is_refused() -> None:
    before = errors("refused")
    async with account() as (_, carrier):
        await carrier.dial(order())
        assert errors("refused") == before
    async with account(rest=Plan(then=ServerError(500))) as (_, carrier):
        with pytest.raises(CarrierError):
            await carrier.dial(order())
    assert errors("refused") == before + 1


async def test_a_carrier_that_is_not_there() -> None:
    before = errors("unreachable")
    async with account() as (simulator, carrier):
        await simulator.__aexit__(None, None, None)
        with pytest.raises(CarrierError):
            await carrier.fetch("CA0")
    assert errors("unreachable") == before + 1
