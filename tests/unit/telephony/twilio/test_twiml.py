"""TwiML as text, and read back by the simulated line."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from bot.telephony.carrier import (
    AskPerson,
    ConnectStream,
    DialOn,
    EndCall,
    JoinConference,
    PressKeys,
    RefuseBusy,
    SayAndEnd,
    StreamAddress,
)
from bot.telephony.simulated import twiml_reader as verbs
from bot.telephony.twilio import twiml

STREAM = StreamAddress("wss://a.example/media", 'a<b&"')
ORIGIN, BELOW = "https://a.example", "https://a.example/api/phone/twilio/transfer/t"


def test_a_stream_is_the_last_word() -> None:
    document = twiml.render(ConnectStream(STREAM))
    assert document == (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="wss://a.example/media">'
        '<Parameter name="token" value="a&lt;b&amp;&quot;" /></Stream></Connect></Response>'
    )
    assert [child.tag for child in ET.fromstring(document)] == ["Connect"]
    assert verbs.read(document) == (verbs.StreamVerb("wss://a.example/media", {"token": 'a<b&"'}),)


def test_the_short_documents() -> None:
    assert verbs.read(twiml.render(RefuseBusy())) == (verbs.Reject("busy"),)
    assert verbs.read(twiml.render(EndCall())) == (verbs.Hangup(),)
    assert verbs.read(twiml.ask_again("https://a/b?c=1&d=2")) == (verbs.Redirect("https://a/b?c=1&d=2"),)


def test_what_the_carrier_s_own_voice_says() -> None:
    spoken = twiml.render(SayAndEnd("Todas nuestras líneas están ocupadas.", "es"))
    assert "Todas nuestras líneas están ocupadas.</Say>" in spoken
    assert 'language="es"' in spoken
    said = verbs.read(spoken)
    assert isinstance(said[0], verbs.TimedVerb)
    assert said[0].ms > 0
    assert said[1] == verbs.Hangup()


def test_keys_then_the_stream_again() -> None:
    assert verbs.read(twiml.render(PressKeys("1w#", STREAM))) == (
        verbs.TimedVerb(ms=1000, digits="1#"),
        verbs.StreamVerb("wss://a.example/media", {"token": 'a<b&"'}),
    )


@pytest.mark.parametrize("digits", ["", "12a", "1 2", "+1"])
def test_not_keys(digits: str) -> None:
    with pytest.raises(ValueError, match="digits"):
        twiml.render(PressKeys(digits, STREAM))


def test_a_question() -> None:
    question = AskPerson("Take it?", "es-MX", "sí, no", 7, "t", ORIGIN, round=2)
    document = twiml.render(question)
    assert verbs.read(document) == (
        verbs.Gather(
            action=f"{BELOW}/reply?round=2",
            inputs=frozenset({"dtmf", "speech"}),
            prompt_ms=480,
            timeout_seconds=7,
            num_digits=1,
            finish_on_key="#",
            action_on_empty=True,
        ),
    )
    assert document.count('language="es-MX"') == 2
    behind_keys = verbs.read(twiml.render(replace(question, keys="w7")))
    assert behind_keys == (verbs.TimedVerb(ms=750, digits="7"), *verbs.read(document))


def test_a_number_dialled_on() -> None:
    document = twiml.render(DialOn("+1", None, 9, "t", ORIGIN))
    events = frozenset({"answered", "completed"})
    assert verbs.read(document) == (
        verbs.DialNumber("+1", 9, None, f"{BELOW}/dialled", f"{BELOW}/status", events),
    )
    assert "callerId" not in document
    assert "sendDigits" not in document
    (dialled,) = verbs.read(twiml.render(DialOn("+1", None, 9, "t", ORIGIN, keys="WW7#")))
    assert isinstance(dialled, verbs.DialNumber)
    assert dialled.keys == verbs.TimedVerb(ms=2500, digits="7#")


def test_a_conference() -> None:
    document = twiml.render(JoinConference("c-1"))
    assert verbs.read(document) == (verbs.DialConference("c-1", end_on_exit=True, action=None),)
    assert 'waitUrl=""' in document
    assert 'beep="false"' in document


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("busy", "12100"),
        ("<Answer/>", "12100"),
        ("<Response><Dial>+1</Dial></Response>", "12200"),
        ("<Response><Connect/></Response>", "12200"),
        ('<Response><Dial><Number sendDigits="x">+1</Number></Dial></Response>', "13510"),
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


def test_a_number_is_read_without_what_is_optional() -> None:
    bare = verbs.read("<Response><Dial><Number>+1</Number></Dial></Response>")
    assert bare == (verbs.DialNumber("+1", 30, None, None, None, frozenset({"completed"})),)
