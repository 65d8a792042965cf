"""The Twilio carrier, through the real SDK, against the simulated REST API: orders, errors, retries."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from loguru import logger

from bot.errors import CarrierError, DialUnconfirmedError, SettingsError
from bot.records import Status
from bot.settings import Settings
from bot.telephony.carrier import Carrier, DialOrder, EndCall, masked
from bot.telephony.simulated.script import Conversation, parse_conversation
from bot.telephony.twilio import signatures
from bot.telephony.twilio.carrier import TwilioCarrier
from bot.telephony.twilio.http import RequestBounds
from tests.simulators.faults import Plan
from tests.simulators.twilio import (
    OWN_NUMBER,
    UNREACHABLE,
    Dropped,
    ServerError,
    TooMany,
    TwilioSimulator,
    Unanswered,
)
from tests.unit.clocks import let_pass
from tests.unit.telephony.simulated.media_server import Media, MediaServer, until

TO = "+12025550123"
BELOW = "http://127.0.0.1:9/api/phone/twilio"
RINGS = 'name = "r"\ndescription = "d"\n[pickup]\nanswer = "no-answer"\n'
WAITS = (
    'name = "w"\ndescription = "d"\n[pickup]\nring_ms = 50\n'
    '[[steps]]\ndo = "wait_for_hang_up"\nwithin_ms = 20000\n'
)
FAST = RequestBounds(attempts=3, base_seconds=0.01, longest_seconds=0.5)


def script(text: str) -> Conversation:
    return parse_conversation(text, file="test.toml")


def order(**changes: object) -> DialOrder:
    fields: dict[str, object] = {
        "to": TO,
        "from_number": None,
        "origin": "http://127.0.0.1:9",
        "ring_seconds": 17,
        "time_limit_seconds": 600,
        "scenario": "any",
        "call_id": "c1",
    }
    return DialOrder(**{**fields, **changes})  # type: ignore[arg-type]


@asynccontextmanager
async def account(
    text: str = RINGS, *, total_seconds: float = 5.0, bounds: RequestBounds = FAST, **simulated: object
) -> AsyncIterator[tuple[TwilioSimulator, TwilioCarrier]]:
    simulator = TwilioSimulator(conversations=lambda _: script(text), **simulated)  # type: ignore[arg-type]
    async with simulator:
        carrier = TwilioCarrier(
            account_sid=simulator.account_sid,
            auth_token=simulator.auth_token,
            default_from=OWN_NUMBER,
            base_url=simulator.url,
            bounds=replace(bounds, total_seconds=total_seconds),
        )
        await carrier.open()
        try:
            yield simulator, carrier
        finally:
            await carrier.close()


async def test_it_keeps_the_contract_and_reads_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        _env_file=None, twilio_account_sid="AC1", twilio_auth_token="t", twilio_phone_number=OWN_NUMBER
    )
    carrier: Carrier = TwilioCarrier.from_settings(settings, {})
    assert (carrier.vendor, carrier.default_from) == ("twilio", OWN_NUMBER)
    monkeypatch.delenv("TWILIO_AUTH_TOKEN", raising=False)
    with pytest.raises(SettingsError, match="TWILIO_AUTH_TOKEN"):
        TwilioCarrier.from_settings(Settings(_env_file=None, twilio_account_sid="AC1"), {})


async def test_dial_orders_everything() -> None:
    async with account() as (simulator, carrier):
        sid = await carrier.dial(order())
        assert simulator.network.get(sid) is not None
        (request,) = simulator.requests
        assert request.path == f"/2010-04-01/Accounts/{simulator.account_sid}/Calls.json"
        events = [value for name, value in request.form if name == "StatusCallbackEvent"]
        assert events == ["initiated", "ringing", "answered", "completed"]
        assert {name: value for name, value in request.form if name != "StatusCallbackEvent"} == {
            "To": TO,
            "From": OWN_NUMBER,
            "Url": f"{BELOW}/voice?call_id=c1",
            "Method": "POST",
            "StatusCallback": f"{BELOW}/status?call_id=c1",
            "StatusCallbackMethod": "POST",
            "Timeout": "17",
            "TimeLimit": "600",
        }


async def test_dial_asks_who_answers_where_somebody_wants_to_know() -> None:
    async with account() as (simulator, carrier):
        await carrier.dial(order(detect=True))
        form = dict(simulator.requests[0].form)
    assert {name: value for name, value in form.items() if "Amd" in name or "Machine" in name} == {
        "MachineDetection": "DetectMessageEnd",
        "AsyncAmd": "true",
        "AsyncAmdStatusCallback": f"{BELOW}/amd?call_id=c1",
        "AsyncAmdStatusCallbackMethod": "POST",
    }


async def test_a_custom_base_url_wins_over_edge_and_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    monkeypatch.setenv("TWILIO_REGION", "au1")
    async with account() as (simulator, carrier):
        await carrier.dial(order())
        assert len(simulator.requests) == 1
    ours = TwilioCarrier(account_sid="AC1", auth_token="t")
    await ours.open()
    try:
        client = ours._client
        assert client.api.base_url == "https://api.twilio.com"
        assert client.get_hostname("https://api.twilio.com/x") == "https://api.sydney.au1.twilio.com/x"
    finally:
        await ours.close()


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"to": "+1202555"}, 21211, "The 'To' number +1202555 is not a valid phone number."),
        ({"to": UNREACHABLE}, 21214, "cannot be reached"),
        ({"from_number": "+12025550199"}, 21210, "not yet verified"),
        ({"origin": "ftp://x"}, 21205, "Url is not a valid URL"),
    ],
)
async def test_refusals_keep_twilios_code_and_message(changes: dict[str, object], code: int, words: str) -> None:
    async with account() as (simulator, carrier):
        with pytest.raises(CarrierError) as caught:
            await carrier.dial(order(**changes))
        assert len(simulator.requests) == 1
    error = caught.value
    assert not isinstance(error, DialUnconfirmedError)
    assert (error.provider, error.status, error.carrier_code, error.retryable) == ("twilio", 400, code, False)
    assert words in error.message
    assert "Unable to create" not in error.message


async def test_wrong_keys() -> None:
    async with account() as (simulator, _):
        stranger = TwilioCarrier(
            account_sid=simulator.account_sid, auth_token="wrong", base_url=simulator.url, bounds=FAST
        )
        await stranger.open()
        with pytest.raises(CarrierError) as caught:
            await stranger.check_account()
        await stranger.close()
    assert (caught.value.status, caught.value.carrier_code) == (401, 20003)
    assert caught.value.message == "Authenticate"


async def test_no_from_number() -> None:
    carrier = TwilioCarrier(account_sid="AC1", auth_token="t")
    with pytest.raises(CarrierError, match="TWILIO_PHONE_NUMBER"):
        await carrier.dial(order())


async def test_429_is_waited_out_and_dials_once() -> None:
    plan = Plan((TooMany(), TooMany(retry_after=0.2)))
    async with account(rest=plan) as (simulator, carrier):
        started = asyncio.get_running_loop().time()
        await carrier.dial(order())
        assert asyncio.get_running_loop().time() - started >= 0.2
        assert len(simulator.requests) == 3
        assert len(simulator.network.calls) == 1


async def test_429_for_ever_is_reported_as_retryable() -> None:
    async with account(rest=Plan(then=TooMany())) as (simulator, carrier):
        with pytest.raises(CarrierError) as caught:
            await carrier.dial(order())
        assert len(simulator.requests) == 3
    assert (caught.value.status, caught.value.carrier_code, caught.value.retryable) == (429, 20429, True)
    assert not isinstance(caught.value, DialUnconfirmedError)


@pytest.mark.parametrize(
    "fault",
    [ServerError(500, acted=True), ServerError(503), Unanswered(acted=True), Dropped(acted=True), Dropped()],
)
async def test_a_dial_without_an_answer_is_never_repeated(fault: ServerError | Unanswered | Dropped) -> None:
    since = datetime.now(UTC)
    async with account(rest=Plan((fault,))) as (simulator, carrier):
        dialling = asyncio.create_task(carrier.dial(order()))
        if isinstance(fault, Unanswered):
            await until(lambda: bool(simulator.network.calls))
            let_pass(60.0)
        with pytest.raises(DialUnconfirmedError) as caught:
            await dialling
        assert len(simulator.requests) == 1
        assert not caught.value.retryable
        left = await carrier.recent_calls(TO, since)
        assert len(left) == (1 if fault.acted else 0)
        assert await carrier.recent_calls("+12025550124", since) == []
        assert await carrier.recent_calls(TO, since + timedelta(hours=1)) == []


async def test_nobody_at_the_address_is_retryable() -> None:
    async with account() as (simulator, _):
        gone = simulator.url
    carrier = TwilioCarrier(
        account_sid="AC1", auth_token="t", default_from=OWN_NUMBER, base_url=gone, bounds=FAST
    )
    await carrier.open()
    with pytest.raises(CarrierError) as caught:
        await carrier.dial(order())
    await carrier.close()
    assert not isinstance(caught.value, DialUnconfirmedError)
    assert (caught.value.status, caught.value.retryable) == (0, True)


async def test_reading_is_repeated() -> None:
    plan = Plan((None, ServerError(502), Dropped()))
    async with account(rest=plan) as (simulator, carrier):
        sid = await carrier.dial(order())
        known = await carrier.fetch(sid)
        assert len(simulator.requests) == 4
        assert known is not None
        assert (known.call_sid, known.status) == (sid, Status.RINGING)
        assert (known.to, known.from_number) == (TO, OWN_NUMBER)
        assert await carrier.fetch("CA" + "0" * 32) is None


async def test_hang_up_finds_the_word_for_a_ringing_call() -> None:
    async with account() as (simulator, carrier):
        sid = await carrier.dial(order())
        await until(lambda: simulator.network.calls[0].status is Status.RINGING)
        await carrier.hang_up(sid)
        words = [dict(request.form)["Status"] for request in simulator.requests[1:]]
        assert words == ["completed", "canceled"]
        known = await carrier.fetch(sid)
        assert known is not None
        assert (known.status, known.duration_seconds) == (Status.CANCELED, None)
        await carrier.hang_up(sid)
        await carrier.hang_up("CA" + "0" * 32)


@pytest.mark.parametrize("lazy", [False, True])
async def test_hang_up_of_an_answered_call_takes_one_request(lazy: bool) -> None:
    async def agent(media: Media) -> None:
        await media.until("media", 2)
        asked = len(simulator.requests)
        await carrier.hang_up(sid)
        assert [dict(request.form) for request in simulator.requests[asked:]] == [{"Status": "completed"}]

    async with MediaServer(agent) as server, account(WAITS, lazy_updates=lazy) as (simulator, carrier):
        server.holds = functools.partial(signatures.holds, carrier.auth_token)
        sid = await carrier.dial(order(origin=server.public))
        last = await server.until_over()
        assert last["CallStatus"] == "completed"
        assert server.unsigned == []
        known = await carrier.fetch(sid)
        assert known is not None
        assert known.status is Status.COMPLETED
        assert known.duration_seconds is not None


async def test_hang_up_is_repeated_through_faults() -> None:
    plan = Plan((None, TooMany(), Dropped(acted=True)))
    async with account(WAITS, rest=plan) as (simulator, carrier):
        sid = await carrier.dial(order())
        await carrier.hang_up(sid)
        assert simulator.network.calls[0].status.final


async def test_instruct_is_given_once() -> None:
    async with account(rest=Plan((None, ServerError(500)))) as (simulator, carrier):
        sid = await carrier.dial(order())
        with pytest.raises(CarrierError):
            await carrier.instruct(sid, EndCall())
        assert len(simulator.requests) == 2
        with pytest.raises(CarrierError) as caught:
            await carrier.instruct(sid, EndCall())
        assert caught.value.carrier_code == 21220


async def test_what_the_doctor_asks() -> None:
    deaf = "+15005550009"
    async with account(numbers={OWN_NUMBER: True, deaf: False}) as (_, carrier):
        known = await carrier.check_account()
        assert (known.status, known.kind) == ("active", "Full")
        owned = [await carrier.owns_number(number) for number in (OWN_NUMBER, deaf)]
        assert [(number.number, number.voice) for number in owned if number] == [
            (OWN_NUMBER, True),
            (deaf, False),
        ]
        assert await carrier.owns_number("+12025550199") is None


async def test_no_number_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, level=0)
    caplog.set_level(logging.DEBUG)
    try:
        async with account(rest=Plan((None, TooMany()))) as (_, carrier):
            await carrier.dial(order())
            await carrier.recent_calls(TO, datetime.now(UTC))
            await carrier.owns_number(OWN_NUMBER)
            with pytest.raises(CarrierError):
                await carrier.dial(order(to="+1202555"))
    finally:
        logger.remove(sink)
    logged = "".join(str(line) for line in lines) + caplog.text
    assert "Twilio dials" in logged
    for number in (TO, OWN_NUMBER):
        assert number[1:] not in logged


def test_masked() -> None:
    assert masked(TO) == "+12…23"
    assert masked("+12") == "…"
    assert masked(None) == "none"
