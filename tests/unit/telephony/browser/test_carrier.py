"""Which of two carriers gets what, and what happens to a browser's call at neither."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from bot.errors import CarrierError
from bot.phone_numbers import is_browser, is_client
from bot.pipeline.offline.scripted_stt import CalleeScripts
from bot.records import Status
from bot.telephony.browser.carrier import SID, Callees, WithClients
from bot.telephony.carrier import Carrier, CarrierRequest, DialOrder, EndCall
from bot.telephony.media import MediaStream
from bot.telephony.twilio import media_streams
from tests.unit.telephony.browser.test_words import Browser


class Spy:
    """A carrier that notes what it is asked; of the calls and requests that are its own."""

    vendor, simulated, media, signature_headers = "spy", False, media_streams, ("sig",)
    request_seconds, default_from = 3.0, "+12025550100"

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[str] = []

    def _note(self, what: str) -> str:
        self.asked.append(what)
        return self.name

    async def open(self) -> None:
        self._note("open")

    async def close(self) -> None:
        self._note("close")

    async def dial(self, order: DialOrder) -> str:
        return self._note(f"dial {order.to}")

    async def hang_up(self, call_sid: str) -> None:
        self._note(f"hang up {call_sid}")

    async def instruct(self, call_sid: str, instruction: Any, **_: Any) -> None:
        self._note(f"instruct {call_sid}")

    async def fetch(self, call_sid: str) -> None:
        self._note(f"fetch {call_sid}")

    async def recent_calls(self, to: str, since: datetime) -> list[Any]:
        self._note(f"recent {to}")
        return []

    def knows(self, call_sid: str) -> bool:
        return self.name in call_sid

    def signed(self, request: CarrierRequest, origin: str) -> bool:
        return request.headers.get("sig") == self.name

    admits = signed

    def read(self, request: CarrierRequest, origin: str) -> None:
        self._note("read")

    def reply(self, request: CarrierRequest, instruction: Any, origin: str) -> Any:
        return self._note("reply")


def both() -> tuple[Spy, Spy, WithClients]:
    phones, callees = Spy("phones"), Spy("callees")
    return phones, callees, WithClients(cast(Carrier, phones), cast(Callees, callees), CalleeScripts())


def order(to: str, call_id: str) -> DialOrder:
    return DialOrder(to, None, "https://bot.example.com", 30, 60, "s", call_id)


def test_addresses_that_are_no_number() -> None:
    assert [is_client(to) for to in ("client:menu.1f", "client:typed", "+12025550123", "")] == [
        True,
        True,
        False,
        False,
    ]
    assert [is_browser(to) for to in ("client:browser", "client:typed", "client:menu.1f")] == [True, True, False]


async def test_a_simulated_callee_is_never_the_carriers_nor_is_whom_they_are_put_through_to() -> None:
    phones, callees, carrier = both()
    assert await carrier.dial(order("client:menu.1f", "watched")) == "callees"
    assert await carrier.dial(order("+12025550199", "watched")) == "callees"
    assert await carrier.dial(order("+12025550123", "real")) == "phones"
    now = datetime.now(UTC)
    for sid in ("CA-callees", "CA-phones"):
        await carrier.hang_up(sid)
        await carrier.instruct(sid, EndCall())
        await carrier.fetch(sid)
    await carrier.recent_calls("client:menu.1f", now)
    await carrier.recent_calls("+12025550123", now)
    asked = ["hang up CA-{0}", "instruct CA-{0}", "fetch CA-{0}"]
    assert phones.asked == [
        "dial +12025550123",
        *(each.format("phones") for each in asked),
        "recent +12025550123",
    ]
    assert callees.asked[2:] == [*(each.format("callees") for each in asked), "recent client:menu.1f"]


async def test_a_signature_says_whose_a_request_is() -> None:
    _, _, carrier = both()
    for name in ("phones", "callees"):
        request = CarrierRequest("/voice", "/voice", headers={"sig": name})
        assert carrier.admits(request, "https://bot.example.com")
        assert str(carrier.reply(request, None, "https://bot.example.com")) == name
    assert not carrier.admits(CarrierRequest("/media-stream"), "https://bot.example.com")


async def test_a_browsers_call_is_at_no_carrier() -> None:
    phones, callees, carrier = both()
    sid, browser = carrier.new_sid(), Browser()
    assert sid.startswith(SID)
    assert await carrier.fetch(sid) is None
    await carrier.hang_up(sid)  # before its stream came
    carrier.taken(MediaStream(browser, media_streams, "BRs", sid))
    found = await carrier.fetch(sid)
    assert found is not None
    assert found.status is Status.IN_PROGRESS
    with pytest.raises(CarrierError, match="cannot be put through"):
        await carrier.instruct(sid, EndCall())
    await carrier.hang_up(sid)
    assert browser.closed == [1000]
    assert await carrier.fetch(sid) is None
    assert phones.asked == callees.asked == []


async def test_one_carrier_for_both_is_opened_once() -> None:
    simulated = Spy("callees")
    carrier = WithClients(cast(Carrier, simulated), cast(Callees, simulated), CalleeScripts())
    await carrier.open()
    await carrier.close()
    assert simulated.asked == ["open", "close"]
