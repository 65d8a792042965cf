"""TwiML of transfers read back, and what Twilio would refuse of it."""

from __future__ import annotations

import pytest

from bot.telephony.simulated import twiml_reader as verbs
from bot.telephony.twilio import twiml

ACTION = "https://a.example/next?a=1&b=2"


def test_a_question() -> None:
    document = twiml.ask("Take it?", action_url=ACTION, language="es-MX", hints="sí, no", wait_seconds=7)
    assert verbs.read(document) == (
        verbs.Gather(
            action=ACTION,
            inputs=frozenset({"dtmf", "speech"}),
            prompt_ms=480,
            timeout_seconds=7,
            num_digits=1,
            finish_on_key="#",
            action_on_empty=True,
        ),
    )
    assert document.count('language="es-MX"') == 2


def test_a_number_dialled_on() -> None:
    document = twiml.dial_on("+1", caller_id=None, ring_seconds=9, action_url=ACTION, status_url=ACTION)
    assert verbs.read(document) == (
        verbs.DialNumber("+1", 9, None, ACTION, ACTION, frozenset({"answered", "completed"})),
    )
    assert "callerId" not in document
    bare = verbs.read("<Response><Dial><Number>+1</Number></Dial></Response>")
    assert bare == (verbs.DialNumber("+1", 30, None, None, None, frozenset({"completed"})),)


def test_a_conference() -> None:
    document = twiml.join_conference("c-1")
    assert verbs.read(document) == (verbs.DialConference("c-1", end_on_exit=True, action=None),)
    assert 'waitUrl=""' in document
    assert 'beep="false"' in document


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("<Dial/>", "12200"),
        ("<Dial><Number>+1</Number><Number>+2</Number></Dial>", "12200"),
        ("<Dial><Sip>sip:a</Sip></Dial>", "12200"),
        ("<Dial><Conference/></Dial>", "12200"),
        ('<Dial action="/next"><Number>+1</Number></Dial>', "11100"),
        ("<Redirect>/voice</Redirect>", "11100"),
        ("<Gather/>", "11100"),
        ('<Gather action="https://a"><Hangup/></Gather>', "12200"),
        ('<Gather action="https://a" input="thought"/>', "13325"),
    ],
)
def test_what_twilio_would_refuse(document: str, why: str) -> None:
    with pytest.raises(verbs.TwimlError, match=why):
        verbs.read(f"<Response>{document}</Response>")
