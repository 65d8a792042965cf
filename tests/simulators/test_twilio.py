"""The Twilio simulator against Twilio's own SDK, and its carrier against a server that takes its calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException  # type: ignore[import-untyped]  # ships no py.typed
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from bot.telephony.carrier import EndCall
from bot.telephony.simulated.script import Conversation, parse_conversation
from bot.telephony.twilio import twiml
from tests.simulators.faults import Plan
from tests.simulators.twilio import (
    OWN_NUMBER,
    UNREACHABLE,
    CallbackFaults,
    FormantVoice,
    RestFault,
    ServerError,
    TooMany,
    TwilioSimulator,
)
from tests.unit.telephony.simulated.media_server import Media, MediaServer, until

TO = "+12025550123"
RINGS = 'name = "r"\ndescription = "d"\n[pickup]\nanswer = "no-answer"\n'
WAITS = (
    'name = "w"\ndescription = "d"\n[pickup]\nring_ms = 50\n'
    '[[steps]]\ndo = "wait_for_hang_up"\nwithin_ms = 20000\n'
)
EVENTS = ["initiated", "ringing", "answered", "completed"]


def script(text: str) -> Conversation:
    return parse_conversation(text, file="test.toml")


@asynccontextmanager
async def sdk(simulator: TwilioSimulator, token: str | None = None) -> AsyncIterator[Any]:
    """The SDK's synchronous client; use it through asyncio.to_thread."""
    http = TwilioHttpClient(timeout=5)
    client = Client(simulator.account_sid, token or simulator.auth_token, http_client=http)
    client.api.base_url = simulator.url
    try:
        yield client
    finally:
        http.session.close()


def create(client: Any, **changes: object) -> Any:
    fields = {"to": TO, "from_": OWN_NUMBER, "url": "http://127.0.0.1:9/voice", **changes}
    return client.calls.create(**fields)


async def test_a_call_resource_as_the_sdk_reads_it() -> None:
    async with TwilioSimulator(conversations=lambda _: script(RINGS)) as simulator, sdk(simulator) as client:
        made = await asyncio.to_thread(create, client)
        assert (made.status, made.direction) == ("queued", "outbound-api")
        assert (made.to, made._from, made.account_sid) == (TO, OWN_NUMBER, simulator.account_sid)
        assert abs(made.date_created - datetime.now(UTC)) < timedelta(seconds=5)
        assert (made.start_time, made.duration) == (None, None)
        fetched = await asyncio.to_thread(client.calls(made.sid).fetch)
        assert (fetched.sid, fetched.status) == (made.sid, "ringing")
        untouched = await asyncio.to_thread(client.calls(made.sid).update, status="completed")
        assert untouched.status == "ringing"
        canceled = await asyncio.to_thread(client.calls(made.sid).update, status="canceled")
        assert canceled.status == "canceled"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to": ""}, 21201),
        ({"to": "abc"}, 21211),
        ({"to": UNREACHABLE}, 21214),
        ({"from_": ""}, 21213),
        ({"from_": "abc"}, 21212),
        ({"from_": "+12025550199"}, 21210),
        ({"url": "nowhere"}, 21205),
    ],
)
async def test_refusals(changes: dict[str, object], code: int) -> None:
    async with TwilioSimulator() as simulator, sdk(simulator) as client:
        with pytest.raises(TwilioRestException) as caught:
            await asyncio.to_thread(create, client, **changes)
        assert (caught.value.status, caught.value.code) == (400, code)
        assert simulator.network.calls == ()


async def test_doors() -> None:
    async with TwilioSimulator() as simulator, sdk(simulator) as client, sdk(simulator, "wrong") as stranger:
        with pytest.raises(TwilioRestException) as caught:
            await asyncio.to_thread(create, stranger)
        assert (caught.value.status, caught.value.code, caught.value.msg.endswith("Authenticate")) == (
            401,
            20003,
            True,
        )
        with pytest.raises(TwilioRestException) as caught:
            await asyncio.to_thread(client.calls("CA" + "0" * 32).fetch)
        assert (caught.value.status, caught.value.code) == (404, 20404)


async def test_the_account_and_its_numbers() -> None:
    async with TwilioSimulator() as simulator, sdk(simulator) as client:
        known = await asyncio.to_thread(client.api.v2010.accounts(simulator.account_sid).fetch)
        assert known.status == "active"
        owned = await asyncio.to_thread(client.incoming_phone_numbers.list, phone_number=OWN_NUMBER)
        assert [number.capabilities["voice"] for number in owned] == [True]
        assert await asyncio.to_thread(client.incoming_phone_numbers.list, phone_number=TO) == []


async def test_faults_come_in_order_and_then_it_is_healthy() -> None:
    plan: Plan[RestFault] = Plan((TooMany(retry_after=3), ServerError(503)))
    simulator = TwilioSimulator(rest=plan, conversations=lambda _: script(RINGS))
    async with simulator, sdk(simulator) as client:
        for status, code in ((429, 20429), (503, 503)):
            with pytest.raises(TwilioRestException) as caught:
                await asyncio.to_thread(create, client)
            assert (caught.value.status, caught.value.code) == (status, code)
        await asyncio.to_thread(create, client)


async def test_a_whole_call_signed_with_the_accounts_token() -> None:
    async def agent(media: Media) -> None:
        for text in ("{", "[]", '{"event":"clear"}', '{"event":"media","media":null}'):
            await media.socket.send_str(text)
        await media.socket.send_bytes(b"\x00")
        await media.play(bytes(1600), mark="played")
        await media.until("mark")
        await asyncio.to_thread(client.calls(simulator.network.calls[0].call_sid).update, status="completed")

    async with MediaServer(agent) as server, TwilioSimulator(conversations=lambda _: script(WAITS)) as simulator:
        validator = RequestValidator(simulator.auth_token)
        server.holds = lambda url, form, signature: bool(validator.validate(url, form, signature))
        async with sdk(simulator) as client:
            made = await asyncio.to_thread(
                create,
                client,
                url=server.voice_url,
                status_callback=server.status_url,
                status_callback_event=EVENTS,
            )
            await server.until_over()
            assert server.unsigned == []
            assert server.words == ["initiated", "ringing", "in-progress", "completed"]
            call = simulator.network.get(made.sid)
            assert call is not None
            assert call.refused_messages == 5
            for filters, found in (
                ({"to": TO}, 1),
                ({"to": OWN_NUMBER}, 0),
                ({"start_time_after": datetime.now(UTC) - timedelta(days=1)}, 1),
                ({"start_time_after": datetime.now(UTC) + timedelta(days=2)}, 0),
                ({"start_time_before": datetime.now(UTC) - timedelta(days=2)}, 0),
                ({"status": "completed"}, 1),
            ):
                assert len(await asyncio.to_thread(client.calls.list, **filters)) == found, filters
            with pytest.raises(TwilioRestException) as caught:
                await asyncio.to_thread(client.calls(made.sid).update, twiml=twiml.render(EndCall()))
            assert caught.value.code == 21220


async def test_twiml_by_rest_ends_the_stream() -> None:
    async def agent(media: Media) -> None:
        await media.until("media", 2)
        sid = simulator.network.calls[0].call_sid
        await asyncio.to_thread(client.calls(sid).update, twiml=twiml.render(EndCall()))
        await media.until("stop")

    async with MediaServer(agent) as server, TwilioSimulator(conversations=lambda _: script(WAITS)) as simulator:
        server.holds = lambda *_: True
        async with sdk(simulator) as client:
            await asyncio.to_thread(create, client, url=server.voice_url, status_callback=server.status_url)
            last = await server.until_over()
    assert server.words == ["completed"], "only completed is called back unless more is asked for"
    assert last["SequenceNumber"] == "0"


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (CallbackFaults(lost=frozenset({"ringing"})), ["initiated", "busy"]),
        (CallbackFaults(duplicated=frozenset({"busy"})), ["initiated", "ringing", "busy", "busy"]),
        (CallbackFaults(late=frozenset({"ringing"})), ["initiated", "busy", "ringing"]),
    ],
)
async def test_callbacks_lost_repeated_and_out_of_order(faults: CallbackFaults, words: list[str]) -> None:
    busy = script('name = "b"\ndescription = "d"\n[pickup]\nanswer = "busy"\nring_ms = 50\n')
    simulator = TwilioSimulator(conversations=lambda _: busy, callbacks=faults)
    async with MediaServer() as server, simulator, sdk(simulator) as client:
        server.holds = lambda *_: True
        await asyncio.to_thread(
            create,
            client,
            url=server.voice_url,
            status_callback=server.status_url,
            status_callback_event=EVENTS,
        )
        await until(lambda: len(server.words) >= len(words))
    assert server.words == words


async def test_an_inbound_call() -> None:
    async def agent(media: Media) -> None:
        await media.until("media", 3)
        await media.socket.close()

    async with MediaServer(agent) as server, TwilioSimulator() as simulator:
        server.holds = lambda *_: True
        sid = simulator.call_in(
            voice_url=server.voice_url,
            status_url=server.status_url,
            scenario="inbound_reception",
            from_number=TO,
        )
        last = await server.until_over()
    assert server.voices[0]["CallStatus"] == "ringing"
    assert (server.voices[0]["Direction"], server.voices[0]["From"]) == ("inbound", TO)
    assert (last["CallSid"], last["CallStatus"]) == (sid, "completed")


async def test_its_voice_times_its_words() -> None:
    speech = await FormantVoice().speak("Yes, that works.")
    assert [word.text for word in speech.words] == ["Yes,", "that", "works."]
    assert speech.words[0].start_ms == 0
    assert speech.words[-1].end_ms == speech.duration_ms


async def test_error_bodies_are_twilios() -> None:
    async with TwilioSimulator() as simulator, sdk(simulator) as client:
        http = client.http_client
        url = f"{simulator.url}/2010-04-01/Accounts/{simulator.account_sid}/Calls.json"
        answer = await asyncio.to_thread(
            http.request, "POST", url, data={"To": "x"}, auth=(simulator.account_sid, simulator.auth_token)
        )
        assert answer.status_code == 400
        assert json.loads(answer.text) == {
            "code": 21213,
            "message": "No 'From' number is specified",
            "more_info": "https://www.twilio.com/docs/errors/21213",
            "status": 400,
        }
