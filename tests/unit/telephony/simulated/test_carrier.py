"""The simulated carrier against a server over real sockets: protocol, timing, hang-ups, callbacks, signatures."""

from __future__ import annotations

import asyncio
import base64
import functools
import gc
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from bot.audio import MULAW_SILENCE, Speech, TimedWord
from bot.errors import CarrierError
from bot.records import Status
from bot.telephony.carrier import (
    Carrier,
    ConnectStream,
    DialOrder,
    EndCall,
    PressKeys,
    RefuseBusy,
    SayAndEnd,
    StreamAddress,
)
from bot.telephony.simulated.callee import Voice
from bot.telephony.simulated.carrier import SimulatedCarrier
from bot.telephony.simulated.script import Conversation, parse_conversation, shipped_conversations
from bot.telephony.simulated.stream import FRAME_MS
from bot.telephony.twilio import signatures, twiml
from tests.simulators.twilio import FormantVoice
from tests.unit.telephony.simulated.media_server import Media, MediaServer, until

TO = "+12025550123"
QUICK = 'name = "quick"\ndescription = "d"\n[pickup]\nring_ms = 60\n'
WAITS = QUICK + '[[steps]]\ndo = "wait_for_hang_up"\nwithin_ms = 20000\n'
LOUD = bytes([0x10, 0x90]) * 80


class Told:
    def __init__(self) -> None:
        self.lines: list[tuple[str, Sequence[TimedWord]]] = []

    def say(self, call_sid: str, text: str, words: Sequence[TimedWord]) -> None:
        self.lines.append((text, words))


def conversation(text: str) -> Conversation:
    return parse_conversation(text, file="test.toml")


def order(server: MediaServer, **changes: object) -> DialOrder:
    fields: dict[str, object] = {
        "to": TO,
        "from_number": None,
        "origin": server.public,
        "ring_seconds": 5,
        "time_limit_seconds": 60,
        "scenario": "any",
        "call_id": "c1",
    }
    return DialOrder(**{**fields, **changes})  # type: ignore[arg-type]


@asynccontextmanager
async def line(
    server: MediaServer,
    script: str,
    *,
    told: Told | None = None,
    max_lines: int = 20,
    local: bool = False,
    voice: Voice | None = None,
) -> AsyncIterator[SimulatedCarrier]:
    """An open carrier whose every callee follows `script`; leaves no task behind."""
    before = asyncio.all_tasks()
    carrier = SimulatedCarrier(
        voice=voice or FormantVoice(),
        listener=told,
        max_lines=max_lines,
        local_origin=server.origin if local else None,
        conversations=lambda _: conversation(script),
    )
    server.holds = functools.partial(signatures.holds, carrier.auth_token)
    await carrier.open()
    try:
        yield carrier
    finally:
        await carrier.close()
        assert carrier.lines_taken == 0
    left = {task for task in asyncio.all_tasks() - before if "simulated" in task.get_name()}
    assert not left


async def test_it_keeps_the_contract() -> None:
    carrier: Carrier = SimulatedCarrier(voice=FormantVoice())
    assert carrier.vendor == "simulated"


async def test_a_call_as_twilio_would_make_it() -> None:
    async def agent(media: Media) -> None:
        await media.until("media", 10)
        await carrier.hang_up(sid)

    async with MediaServer(agent) as server, line(server, WAITS) as carrier:
        sid = await carrier.dial(order(server))
        assert re.fullmatch(r"CA[0-9a-f]{32}", sid)
        last = await server.until_over()
        media = server.media[0]
        await media.closed.wait()

        assert server.unsigned == []
        assert server.words == ["initiated", "ringing", "in-progress", "completed"]
        assert [form["SequenceNumber"] for form in server.statuses] == ["0", "1", "2", "3"]
        for form in [*server.statuses, *server.voices]:
            assert form["CallSid"] == sid
            assert form["AccountSid"] == carrier._network.account_sid
            assert (form["To"], form["From"], form["Direction"]) == (TO, "+15005550006", "outbound-api")
        assert last["CallbackSource"] == "call-progress-events"
        assert last["CallDuration"].isdigit()
        assert last["Timestamp"].endswith(" +0000")
        assert abs(parsedate_to_datetime(last["Timestamp"]) - datetime.now(UTC)) < timedelta(seconds=5)
        assert len(server.voices) == 1
        assert server.voices[0]["CallStatus"] == "in-progress"

        connected, start = media.messages[0][1], media.messages[1][1]
        assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        stream_sid = start["streamSid"]
        assert re.fullmatch(r"MZ[0-9a-f]{32}", stream_sid)
        assert start == {
            "event": "start",
            "sequenceNumber": "1",
            "start": {
                "accountSid": carrier._network.account_sid,
                "streamSid": stream_sid,
                "callSid": sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {"token": "t-1"},
            },
            "streamSid": stream_sid,
        }
        rest = [message for _, message in media.messages[1:]]
        assert [message["sequenceNumber"] for message in rest] == [str(n + 1) for n in range(len(rest))]
        for n, (_, message) in enumerate(media.events("media")):
            assert message["media"]["chunk"] == str(n + 1)
            assert message["media"]["timestamp"] == str(n * FRAME_MS)
            assert message["media"]["track"] == "inbound"
            assert len(base64.b64decode(message["media"]["payload"])) == 160
        assert rest[-1] == {
            "event": "stop",
            "sequenceNumber": str(len(rest)),
            "streamSid": stream_sid,
            "stop": {"accountSid": carrier._network.account_sid, "callSid": sid},
        }
        assert media.close_code == 1000
        assert media.raw[2].startswith(
            '{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"0",'
        )
        known = await carrier.fetch(sid)
        assert known is not None
        assert known.status is Status.COMPLETED
        assert known.duration_seconds is not None
        assert 0.15 < known.duration_seconds < 2
        found = await carrier.recent_calls(TO, datetime.now(UTC) - timedelta(minutes=1))
        assert [call.call_sid for call in found] == [sid]
        assert await carrier.recent_calls(TO, datetime.now(UTC) + timedelta(minutes=1)) == []
        assert await carrier.fetch("CA0") is None


async def test_the_clock_does_not_drift_past_a_stall() -> None:
    """Frames stand on one absolute schedule: also after the loop was held up, and over three seconds."""

    async def agent(media: Media) -> None:
        await media.until("media", 40)
        gc.collect()
        stall = asyncio.get_running_loop().time() + 0.09
        while asyncio.get_running_loop().time() < stall:
            pass
        await media.until("media", 150)
        await carrier.hang_up(sid)

    lags: list[float] = []

    async def measure() -> None:
        """How late this machine wakes who keeps such a schedule."""
        due = asyncio.get_running_loop().time()
        while True:
            due += 0.020
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            lags.append(asyncio.get_running_loop().time() - due)

    async with MediaServer(agent) as server, line(server, WAITS) as carrier:
        sid = await carrier.dial(order(server))
        measuring = asyncio.create_task(measure())
        await server.until_over()
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)
    arrivals = [at for at, _ in server.media[0].events("media")]
    offsets = sorted(at - n * 0.020 for n, at in enumerate(arrivals))
    # The earliest arrivals are those nothing delayed: they show the schedule. A drift stays to the end.
    first, _, last = ([at - n * 0.020 for n, at in part] for part in _thirds(arrivals))
    machine = sorted(lags)[-8]  # but for the stall itself, some four
    assert abs(min(first) - min(last)) < 0.005 + machine
    # Half of all frames are within one frame of it, or of what the machine leaves of it.
    assert offsets[len(offsets) // 2] - offsets[0] < 0.020 + machine


def _thirds(arrivals: list[float]) -> list[list[tuple[int, float]]]:
    numbered = list(enumerate(arrivals))
    size = len(numbered) // 3
    return [numbered[:size], numbered[size : 2 * size], numbered[2 * size :]]


async def test_marks_come_back_when_they_are_heard_and_at_once_after_clear() -> None:
    times: dict[str, float] = {}

    async def agent(media: Media) -> None:
        loop = asyncio.get_running_loop()
        await media.send("mark", mark={"name": "nothing before"})
        times["asked"] = loop.time()
        await media.until("mark", 1)
        times["sent"] = loop.time()
        await media.play(LOUD * 15, mark="after 300 ms")
        await media.play(LOUD * 10, mark="after 500 ms")
        await media.until("mark", 3)
        await media.play(LOUD * 500, mark="ten seconds on")
        await media.send("mark", mark={"name": "with it"})
        await asyncio.sleep(0.1)
        await media.send("clear")
        times["cleared"] = loop.time()
        await media.until("mark", 5)
        await carrier.hang_up(sid)

    async with MediaServer(agent) as server, line(server, WAITS) as carrier:
        sid = await carrier.dial(order(server))
        await server.until_over()
    marks = {message["mark"]["name"]: at for at, message in server.media[0].events("mark")}
    assert list(marks) == ["nothing before", "after 300 ms", "after 500 ms", "ten seconds on", "with it"]
    assert marks["nothing before"] - times["asked"] < 0.1
    assert 0.3 <= marks["after 300 ms"] - times["sent"] < 0.4
    assert 0.5 <= marks["after 500 ms"] - times["sent"] < 0.6
    assert marks["ten seconds on"] - times["cleared"] < 0.1
    assert marks["with it"] - times["cleared"] < 0.1
    numbers = [message["sequenceNumber"] for _, message in server.media[0].messages[1:]]
    assert numbers == [str(n + 1) for n in range(len(numbers))]


async def test_the_callee_speaks_presses_keys_and_hangs_up() -> None:
    told = Told()
    script = (
        QUICK + '[[steps]]\ndo="silence"\nfor_ms=100\n[[steps]]\ndo="say"\ntext="Hello?"\n'
        '[[steps]]\ndo="press"\ndigits="42"\n[[steps]]\ndo="hang_up"\n'
    )
    async with MediaServer() as server, line(server, script, told=told) as carrier:
        await carrier.dial(order(server))
        last = await server.until_over()
    assert last["CallStatus"] == "completed"
    media = server.media[0]
    assert [message["dtmf"]["digit"] for _, message in media.events("dtmf")] == ["4", "2"]
    assert media.events("dtmf")[0][1]["dtmf"]["track"] == "inbound_track"
    assert media.messages[-1][1]["event"] == "stop"
    ((text, words),) = told.lines
    assert (text, words[0].text, words[0].start_ms) == ("Hello?", "Hello?", 100.0)
    spoken = b"".join(base64.b64decode(message["media"]["payload"]) for _, message in media.events("media"))
    assert bytes([MULAW_SILENCE]) * 160 not in spoken
    assert max(bytes(127 - (code & 0x7F) for code in spoken[800:2400])) > 60
    assert max(bytes(127 - (code & 0x7F) for code in spoken[:800])) < 30


async def test_the_callee_hears_the_agent_through_the_playout() -> None:
    """Half a second sent in one message takes half a second to hear, and 700 ms of quiet end it."""
    told = Told()

    async def agent(media: Media) -> None:
        await media.until("media", 5)
        await media.play(LOUD * 25)
        await media.closed.wait()

    script = QUICK + '[[steps]]\ndo="hear"\n[[steps]]\ndo="say"\ntext="Yes"\n'
    async with MediaServer(agent) as server, line(server, script, told=told) as carrier:
        await carrier.dial(order(server))
        await server.until_over()
    ((_, words),) = told.lines
    assert 1250 <= words[0].start_ms <= 1400


@pytest.mark.parametrize(("pickup", "word"), [("busy", "busy"), ("failed", "failed"), ("no-answer", "no-answer")])
async def test_calls_that_are_never_answered(pickup: str, word: str) -> None:
    script = f'name = "n"\ndescription = "d"\n[pickup]\nanswer = "{pickup}"\nring_ms = 50\n'
    async with MediaServer() as server, line(server, script) as carrier:
        sid = await carrier.dial(order(server, ring_seconds=1 if word == "no-answer" else 5))
        last = await server.until_over()
        known = await carrier.fetch(sid)
    assert server.words == ["initiated", "ringing", word]
    assert last["CallDuration"] == "0"
    assert server.voices == []
    assert known is not None
    assert (known.status, known.duration_seconds) == (Status(word), None)


async def test_a_hang_up_while_it_rings_cancels() -> None:
    script = shipped_conversations()["no_answer"]
    async with MediaServer() as server:
        carrier = SimulatedCarrier(voice=FormantVoice(), conversations=lambda _: script)
        server.holds = functools.partial(signatures.holds, carrier.auth_token)
        await carrier.open()
        sid = await carrier.dial(order(server))
        await carrier.hang_up(sid)
        await server.until_over()
        await carrier.hang_up(sid)
        await carrier.hang_up("CAunknown")
        await carrier.close()
    assert server.words[-1] == "canceled"
    assert server.media == []


async def test_the_server_ends_the_call_by_closing_the_socket() -> None:
    async def agent(media: Media) -> None:
        await media.until("media", 3)
        await media.socket.close()

    async with MediaServer(agent) as server, line(server, WAITS) as carrier:
        await carrier.dial(order(server))
        last = await server.until_over()
    assert last["CallStatus"] == "completed"
    assert server.media[0].events("stop") == []


async def test_a_refused_media_socket_ends_the_call() -> None:
    elsewhere = MediaServer(answer=lambda url: twiml.render(ConnectStream(StreamAddress(f"{url}/nowhere", "t"))))
    async with elsewhere as server, line(server, WAITS) as carrier:
        await carrier.dial(order(server))
        last = await server.until_over()
    assert last["CallStatus"] == "completed"
    assert server.media == []


@pytest.mark.parametrize("case", ["reject", "webhook fails", "not TwiML", "hang up", "say"])
async def test_answers_without_a_stream_end_the_call(case: str) -> None:
    answers = {
        "reject": twiml.render(RefuseBusy()),
        "not TwiML": "<html>",
        "hang up": twiml.render(EndCall()),
        "say": twiml.render(SayAndEnd("Bye.")),
        "webhook fails": "",
    }
    server = MediaServer(answer=lambda _: answers[case], voice_status=500 if case == "webhook fails" else 200)
    async with server, line(server, WAITS) as carrier:
        await carrier.dial(order(server))
        last = await server.until_over()
    assert last["CallStatus"] == "completed"
    assert server.media == []


async def test_new_twiml_ends_the_stream_presses_keys_and_connects_again() -> None:
    async def agent(media: Media) -> None:
        await media.until("media", 3)
        if len(server.media) == 1:
            url = f"{server.origin}/media".replace("http", "ws", 1)
            await carrier.instruct(sid, PressKeys("12#", StreamAddress(url, "t-2")))
        else:
            await carrier.hang_up(sid)

    async with MediaServer(agent) as server, line(server, WAITS) as carrier:
        sid = await carrier.dial(order(server))
        await server.until_over()
        with pytest.raises(CarrierError) as caught:
            await carrier.instruct(sid, EndCall())
    assert caught.value.carrier_code == 21220
    first, second = server.media
    assert first.messages[-1][1]["event"] == "stop"
    assert second.messages[1][1]["start"]["customParameters"] == {"token": "t-2"}
    assert first.stream_sid != second.stream_sid
    assert second.events("media")[0][1]["media"]["timestamp"] == "0"


async def test_the_time_limit_ends_the_call() -> None:
    async with MediaServer() as server, line(server, WAITS) as carrier:
        await carrier.dial(order(server, time_limit_seconds=1))
        last = await server.until_over()
    assert (last["CallStatus"], last["CallDuration"], last["Duration"]) == ("completed", "1", "1")


async def test_malformed_messages_are_refused_and_the_call_goes_on() -> None:
    async def agent(media: Media) -> None:
        for text in ("{", "[]", '{"event":"clear"}', '{"event":"media","media":null}'):
            await media.socket.send_str(text)
        await media.socket.send_bytes(b"\x00")
        await media.send("mark", mark={"name": "still here"})
        await media.until("mark")
        await carrier.hang_up(sid)

    async with MediaServer(agent) as server, line(server, WAITS) as carrier:
        sid = await carrier.dial(order(server))
        await server.until_over()


async def test_lines_are_counted() -> None:
    async with MediaServer() as server, line(server, WAITS, max_lines=2) as carrier:
        sids = [await carrier.dial(order(server)) for _ in range(2)]
        with pytest.raises(CarrierError) as caught:
            await carrier.dial(order(server))
        assert (caught.value.status, caught.value.carrier_code, caught.value.retryable) == (429, 10004, True)
        for sid in sids:
            await carrier.hang_up(sid)
        await until(lambda: not carrier.lines_taken)
        await carrier.hang_up(await carrier.dial(order(server)))


@pytest.mark.parametrize(("to", "from_number", "code"), [("+1202555", None, 21211), (TO, "555", 21212)])
async def test_numbers_are_checked(to: str, from_number: str | None, code: int) -> None:
    async with MediaServer() as server, line(server, WAITS) as carrier:
        with pytest.raises(CarrierError) as caught:
            await carrier.dial(order(server, to=to, from_number=from_number))
    assert (caught.value.status, caught.value.carrier_code, caught.value.retryable) == (400, code, False)
    assert caught.value.message.endswith("is not a valid phone number.")
    assert TO not in repr(order(server))


async def calls_in(carrier: SimulatedCarrier, server: MediaServer) -> None:
    await carrier.call_in(
        origin=server.public,
        to="+15005550006",
        from_number=TO,
        scenario="any",
    )


async def test_an_inbound_call_is_rejected_or_answered() -> None:
    async with MediaServer(answer=lambda _: twiml.render(RefuseBusy())) as server, line(server, WAITS) as carrier:
        await calls_in(carrier, server)
        last = await server.until_over()
        assert (last["CallStatus"], last["Direction"]) == ("busy", "inbound")
        assert server.voices[0]["CallStatus"] == "ringing"
        server.answer = None
        server.statuses.clear()
        await calls_in(carrier, server)
        await until(lambda: bool(server.media))
        await server.media[0].until("media", 2)


async def test_an_inbound_call_that_is_sent_on_was_answered() -> None:
    def answer(_media_url: str) -> str:
        if len(server.voices) > 1:
            return twiml.render(RefuseBusy())
        return twiml.ask_again(f"{server.voice_url}&tries=2")

    async with MediaServer(answer=answer) as server, line(server, WAITS) as carrier:
        await calls_in(carrier, server)
        last = await server.until_over()
    assert server.unsigned == []
    assert [form["CallStatus"] for form in server.voices] == ["ringing", "in-progress"]
    assert len({form["CallSid"] for form in server.voices}) == 1
    assert last["CallStatus"] == "completed", "no busy tone any more"


async def test_a_public_url_is_signed_for_and_reached_at_the_local_door() -> None:
    async def agent(media: Media) -> None:
        await media.until("media", 2)
        await carrier.hang_up(sid)

    server = MediaServer(agent, public_origin="https://bot.example.com")
    async with server, line(server, WAITS, local=True) as carrier:
        sid = await carrier.dial(order(server))
        await server.until_over()
    assert server.unsigned == []
    assert len(server.media) == 1


class SlowVoice(FormantVoice):
    async def speak(self, text: str, *, speed: float = 1.0) -> Speech:
        await asyncio.sleep(0.4)
        return await super().speak(text)


async def test_it_rings_until_every_line_is_synthesised() -> None:
    script = QUICK + '[[steps]]\ndo="say"\ntext="One"\n[[steps]]\ndo="say"\ntext="Two"\n'
    async with MediaServer() as server, line(server, script, voice=SlowVoice()) as carrier:
        started = asyncio.get_running_loop().time()
        await carrier.dial(order(server))
        await until(lambda: bool(server.media))
        assert asyncio.get_running_loop().time() - started >= 0.8


async def test_closing_in_mid_call_leaves_nothing() -> None:
    async with MediaServer() as server:
        async with line(server, WAITS) as carrier:
            await carrier.dial(order(server))
            await until(lambda: bool(server.media))
            await server.media[0].until("media", 2)
        async with asyncio.timeout(2):
            await server.media[0].closed.wait()
        assert server.words[-1] == "completed"
