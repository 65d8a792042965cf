"""The far end's messages, byte for byte, and what it makes of the server's."""

from __future__ import annotations

import base64
import json

import pytest

from bot.telephony.simulated.stream import (
    ClearReceived,
    MarkReceived,
    MediaReceived,
    StreamIds,
    StreamMessages,
    parse_command,
)

IDS = StreamIds(account_sid="AC1", call_sid="CA1", stream_sid="MZ1")


def test_messages_byte_for_byte() -> None:
    wire = StreamMessages(IDS)
    assert wire.connected() == '{"event":"connected","protocol":"Call","version":"1.0.0"}'
    assert wire.start({"token": 'a"b'}) == (
        '{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1",'
        '"callSid":"CA1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw",'
        '"sampleRate":8000,"channels":1},"customParameters":{"token":"a\\"b"}},"streamSid":"MZ1"}'
    )
    assert wire.media("AAAA") == (
        '{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"0",'
        '"payload":"AAAA"},"streamSid":"MZ1"}'
    )
    assert wire.mark("m") == ('{"event":"mark","sequenceNumber":"3","streamSid":"MZ1","mark":{"name":"m"}}')
    assert wire.dtmf("5") == (
        '{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"4","dtmf":{"track":"inbound_track","digit":"5"}}'
    )
    second = json.loads(wire.media("BBBB"))
    assert second["sequenceNumber"] == "5"
    assert second["media"] == {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": "BBBB"}
    assert wire.stop() == (
        '{"event":"stop","sequenceNumber":"6","streamSid":"MZ1","stop":{"accountSid":"AC1","callSid":"CA1"}}'
    )


def test_commands() -> None:
    payload = base64.b64encode(b"\x01\x02").decode()
    media = json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": payload}})
    assert parse_command(media, "MZ1") == MediaReceived(b"\x01\x02")
    mark = json.dumps({"event": "mark", "streamSid": "MZ1", "mark": {"name": "n"}})
    assert parse_command(mark, "MZ1") == MarkReceived("n")
    assert parse_command('{"event":"clear","streamSid":"MZ1"}', "MZ1") == ClearReceived()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('{"event":"clear"}', "streamSid"),
        ('{"event":"clear","streamSid":"MZ2"}', "streamSid"),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"*"}}', "base64"),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":null}}', "media"),
        ('{"event":"mark","streamSid":"MZ1"}', "mark"),
        ('{"event":"dance","streamSid":"MZ1"}', "dance"),
    ],
)
def test_what_twilio_would_refuse(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_command(text, "MZ1")
