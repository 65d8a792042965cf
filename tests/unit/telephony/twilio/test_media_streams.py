"""Twilio's frames: what is understood, and that nothing else hurts."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.telephony.media import (
    AudioReceived,
    KeyPressed,
    MalformedFrame,
    MarkReached,
    StreamConnected,
    StreamStarted,
    StreamStopped,
)
from bot.telephony.simulated.stream import ClearReceived, MarkReceived, MediaReceived, parse_command
from bot.telephony.twilio import media_streams as protocol
from bot.telephony.twilio.media_streams import parse, with_token


def frame(**message: object) -> str:
    return json.dumps(message)


def test_each_event_of_the_documentation() -> None:
    start = {
        "streamSid": "MZ1",
        "callSid": "CA1",
        "accountSid": "AC1",
        "tracks": ["inbound"],
        "customParameters": {"token": "t", "n": 1},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    }
    payload = b64encode(b"\x01\x02").decode()
    media = {"track": "inbound", "chunk": "2", "timestamp": "40", "payload": payload}
    assert parse(frame(event="connected", protocol="Call", version="1.0.0")) == StreamConnected()
    assert parse(frame(event="start", streamSid="MZ1", start=start)) == StreamStarted("MZ1", "CA1", "t")
    assert parse(frame(event="media", streamSid="MZ1", media=media)) == AudioReceived(b"\x01\x02", 40)
    assert parse(frame(event="mark", mark={"name": "m1"})) == MarkReached("m1")
    assert parse(frame(event="dtmf", dtmf={"track": "inbound_track", "digit": "#"})) == KeyPressed("#")
    assert parse(frame(event="stop", stop={"callSid": "CA1"})) == StreamStopped()


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x00",
        "",
        "null",
        "3",
        "[]",
        "{}",
        "{",
        "[" * 1_000_000,
        '{"event":' * 100_000,
        frame(event=None),
        frame(event="media"),
        frame(event="media", media=None),
        frame(event="media", media={"payload": None}),
        frame(event="media", media={"payload": "????"}),
        frame(event="media", media={"payload": ""}),
        frame(event="media", media={"payload": "AA"}),
        frame(event="media", media={"payload": "ÄÄÄÄ"}),
        frame(event="media", media={"payload": b64encode(bytes(8001)).decode()}),
        frame(event="media", media={"track": "outbound", "payload": "AAAA"}),
        frame(event="mark", mark={"name": ""}),
        frame(event="mark", mark="m1"),
        frame(event="dtmf", dtmf={"digit": "12"}),
        frame(event="dtmf", dtmf={"digit": ""}),
        frame(event="start", start={"callSid": "CA1"}),
        frame(event="start", start={"streamSid": 1, "callSid": "CA1"}),
        frame(event="start", start=[]),
        frame(event=["media"]),
    ],
)
def test_whatever_else_comes_is_malformed(wrong: str | bytes) -> None:
    event = parse(wrong)
    assert isinstance(event, MalformedFrame)
    assert event.reason
    assert len(event.reason) < 80, "the reason never quotes the frame"


@pytest.mark.parametrize("timestamp", [None, "x", "-1", -1, True, "9" * 12, "٣", 1.5, [], {}])
def test_a_timestamp_that_is_none_is_left_out(timestamp: object) -> None:
    event = parse(frame(event="media", media={"payload": "AAAA", "timestamp": timestamp}))
    assert event == AudioReceived(b"\x00\x00\x00", None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(["media", "mark", "dtmf", "start", "stop", "streamSid", "payload"])


@given(
    st.sampled_from(["media", "mark", "dtmf", "start", "stop", "connected"]), st.dictionaries(keys, json_values)
)
def test_parse_never_raises(event: str, rest: dict[str, object]) -> None:
    parse(frame(**(rest | {"event": event})))


@given(st.text() | st.binary())
def test_parse_never_raises_on_noise(noise: str | bytes) -> None:
    parse(noise)


@given(st.binary(min_size=1, max_size=800))
def test_what_we_send_is_what_the_far_end_reads(mulaw: bytes) -> None:
    assert parse_command(protocol.media("MZ1", mulaw), "MZ1") == MediaReceived(mulaw)
    assert parse_command(protocol.mark("MZ1", "m12"), "MZ1") == MarkReceived("m12")
    assert parse_command(protocol.clear("MZ1"), "MZ1") == ClearReceived()


@pytest.mark.parametrize(
    "parameters", [{}, {"customParameters": None}, {"customParameters": {"token": "old", "x": "y"}}]
)
def test_a_start_gets_another_token(parameters: dict[str, object]) -> None:
    start = {"event": "start", "streamSid": "MZ1", "start": {"callSid": "CA1", **parameters}}
    assert parse(with_token(json.dumps(start), "new")) == StreamStarted("MZ1", "CA1", "new")
