"""TwiML as text, and read back by the simulated line."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from bot.telephony.simulated import twiml_reader as verbs
from bot.telephony.twilio import twiml


def test_connect_stream_is_the_last_word() -> None:
    document = twiml.connect_stream("wss://a.example/media", {"token": 'a<b&"', "call_id": "c1"})
    assert document == (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="wss://a.example/media">'
        '<Parameter name="token" value="a&lt;b&amp;&quot;" /><Parameter name="call_id" value="c1" />'
        "</Stream></Connect></Response>"
    )
    assert [child.tag for child in ET.fromstring(document)] == ["Connect"]
    stream = verbs.StreamVerb("wss://a.example/media", {"token": 'a<b&"', "call_id": "c1"})
    assert verbs.read(document) == (stream,)


def test_the_short_documents() -> None:
    assert verbs.read(twiml.reject_busy()) == (verbs.Reject("busy"),)
    assert verbs.read(twiml.hang_up()) == (verbs.Hangup(),)
    assert verbs.read(twiml.ask_again("https://a/b?c=1&d=2")) == (verbs.Redirect("https://a/b?c=1&d=2"),)
    said = verbs.read(twiml.say_and_hang_up("We will call back."))
    assert isinstance(said[0], verbs.TimedVerb)
    assert said[0].ms > 0
    assert said[1] == verbs.Hangup()


def test_a_caller_is_turned_away_by_a_tone_or_by_words() -> None:
    assert verbs.read(twiml.turn_away("", "en")) == (verbs.Reject("busy"),)
    spoken = twiml.turn_away("Todas nuestras líneas están ocupadas.", "es")
    assert "Todas nuestras líneas están ocupadas.</Say>" in spoken
    assert 'language="es"' in spoken
    assert verbs.read(spoken)[-1] == verbs.Hangup()


def test_digits_then_the_stream_again() -> None:
    pressed = verbs.read(twiml.play_digits("1w#", twiml.StreamAddress("wss://a.example/media", {"token": "t"})))
    assert pressed == (
        verbs.TimedVerb(ms=1000, digits="1#"),
        verbs.StreamVerb("wss://a.example/media", {"token": "t"}),
    )
    assert len(verbs.read(twiml.play_digits("12"))) == 1


@pytest.mark.parametrize("digits", ["", "12a", "1 2", "+1"])
def test_not_digits(digits: str) -> None:
    with pytest.raises(ValueError, match="digits"):
        twiml.play_digits(digits)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("busy", "12100"),
        ("<Answer/>", "12100"),
        ("<Response><Dial>+1</Dial></Response>", "12200"),
        ("<Response><Connect/></Response>", "12200"),
        ('<Response><Connect><Stream url="https://a"/></Connect></Response>', "ws://"),
        ('<Response><Connect><Stream url="wss://a/b?token=1"/></Connect></Response>', "query"),
    ],
)
def test_documents_twilio_would_refuse(document: str, why: str) -> None:
    with pytest.raises(verbs.TwimlError, match=why):
        verbs.read(document)


def test_a_pause_is_as_long_as_it_says() -> None:
    assert verbs.read('<Response><Pause length="3"/><Pause/></Response>') == (
        verbs.TimedVerb(ms=3000),
        verbs.TimedVerb(ms=1000),
    )
