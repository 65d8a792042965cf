"""What Twilio would refuse of a transfer's TwiML."""

from __future__ import annotations

import pytest

from bot.telephony.simulated import twiml_reader as verbs


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
