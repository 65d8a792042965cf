"""Transfers without phones: what a person's leg tells, what the carrier is asked, what a webhook answers."""

from __future__ import annotations

import asyncio
from xml.etree import ElementTree as ET

import pytest

from bot.conversation.tools.transfer_call import TransferTarget
from bot.conversation.transfers import transfers as module
from bot.conversation.transfers.transfers import (
    ASK_SECONDS,
    SUMMARY_CHARACTERS,
    TALK_SECONDS,
    Caller,
    Transfer,
    Transfers,
    Verdict,
)
from bot.errors import CarrierError
from bot.languages import asking
from bot.telephony.carrier import LegEvent, StreamAddress
from bot.telephony.simulated import twiml_reader as verbs
from bot.telephony.twilio import twiml
from tests.unit.calls.calls_in_memory import NotingCarrier, refusal, webhook

CALLER = Caller("call-1", "CA-callee", "s", "en", "+12025550100")
WARM = TransferTarget(name="desk", number="+12025550177")
COLD = TransferTarget(name="sales", number="+12025550178", mode="cold", ring_seconds=20)


ORIGIN = "https://a.example"
BELOW = f"{ORIGIN}/api/phone/twilio/transfer"
BACK = verbs.StreamVerb("wss://a.example/media", {"token": "t1"})


class OpenedStreams:
    """Our addresses; notes the streams that were asked for."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, float]] = []

    async def origin(self) -> str:
        return ORIGIN

    async def stream(self, call_id: str, seconds: float) -> StreamAddress:
        self.opened.append((call_id, seconds))
        return StreamAddress("wss://a.example/media", f"t{len(self.opened)}")


class Attempt:
    """A transfer on its way."""

    def __init__(self, target: TransferTarget = WARM, summary: str = "John wants to pay.") -> None:
        self.carrier, self.ingress = NotingCarrier(), OpenedStreams()
        self.transfers = Transfers(self.carrier, self.ingress)
        self.transfer = Transfer(CALLER, target, summary)

    async def report(self, step: str, **form: str) -> str:
        """What Twilio is answered to a step's form."""
        query = f"?round={form.pop('round')}" if "round" in form else ""
        event = self.carrier.read(webhook(f"/transfer/{self.transfer.token}/{step}{query}", form), ORIGIN)
        assert isinstance(event, LegEvent)
        instruction = await self.transfers.leg_event(event)
        return "" if instruction is None else twiml.render(instruction)


async def test_the_person_is_called_and_asked() -> None:
    attempt = Attempt()
    await attempt.transfers.ring(attempt.transfer)
    (order,) = attempt.carrier.dialled
    assert (order.to, order.from_number, order.ring_seconds) == ("+12025550177", "+12025550100", 25)
    assert order.time_limit_seconds == TALK_SECONDS
    assert (order.origin, order.transfer) == (ORIGIN, attempt.transfer.token)
    asked = ET.fromstring(await attempt.report("answered"))
    (gather,) = asked
    assert gather.get("action") == f"{BELOW}/{attempt.transfer.token}/reply?round=1"
    assert gather.get("actionOnEmptyResult") == "true"
    spoken = gather.findtext("Say") or ""
    assert "John wants to pay." in spoken
    assert "press 1" in spoken


async def test_a_yes_moves_the_callee_first_and_then_the_person() -> None:
    attempt = Attempt()
    await attempt.transfers.ring(attempt.transfer)
    await attempt.report("answered")
    replying = asyncio.create_task(attempt.report("reply", Digits="1", round="1"))
    assert await attempt.transfer.outcome() is Verdict.ACCEPTED
    assert not replying.done(), "the person waits until the callee was moved"
    await attempt.transfers.join(attempt.transfer)
    ((call_sid, document),) = attempt.carrier.instructed
    assert call_sid == "CA-callee"
    (mine,) = verbs.read(document)
    (theirs,) = verbs.read(await replying)
    assert mine == theirs == verbs.DialConference(attempt.transfer.conference, end_on_exit=True, action=None)


async def test_a_yes_to_a_caller_who_is_gone_is_told_so() -> None:
    attempt = Attempt()
    await attempt.transfers.ring(attempt.transfer)
    await attempt.report("answered")
    replying = asyncio.create_task(attempt.report("reply", Digits="1", round="1"))
    await attempt.transfer.outcome()
    attempt.carrier.failures["instruct"] = refusal()
    with pytest.raises(CarrierError):
        await attempt.transfers.join(attempt.transfer)
    await attempt.transfers.give_up(attempt.transfer)
    assert "hung up" in await replying
    assert attempt.carrier.hung_up == ["CA1"]


@pytest.mark.parametrize(
    ("form", "verdict"),
    [
        ({"Digits": "1"}, Verdict.ACCEPTED),
        ({"Digits": "2"}, Verdict.REFUSED),
        ({"SpeechResult": "Yes, put them through."}, Verdict.ACCEPTED),
        ({"SpeechResult": "No, not now."}, Verdict.REFUSED),
        ({"SpeechResult": "Who?"}, None),
        ({"Digits": ""}, None),
        ({}, None),
    ],
)
def test_what_they_say(form: dict[str, str], verdict: Verdict | None) -> None:
    transfer = Transfer(CALLER, WARM, "")
    words = asking("en")
    transfer.leg_said(words, form.get("Digits", ""), form.get("SpeechResult", ""), last_round=False)
    assert transfer.verdict is verdict
    transfer.leg_said(words, form.get("Digits", ""), form.get("SpeechResult", ""), last_round=True)
    assert transfer.verdict is (verdict or Verdict.NO_REPLY)


async def test_silence_is_asked_again_once() -> None:
    attempt = Attempt()
    await attempt.transfers.ring(attempt.transfer)
    await attempt.report("answered")
    again = ET.fromstring(await attempt.report("reply", Digits="", round="1"))
    assert again[0].get("action", "").endswith("?round=2")
    assert verbs.read(await attempt.report("reply", Digits="", round="2")) == (verbs.Hangup(),)
    assert await attempt.transfer.outcome() is Verdict.NO_REPLY


@pytest.mark.parametrize(
    ("status", "answered", "verdict"),
    [
        ("busy", False, Verdict.BUSY),
        ("no-answer", False, Verdict.NO_ANSWER),
        ("failed", False, Verdict.FAILED),
        ("canceled", False, Verdict.NO_ANSWER),
        ("completed", True, Verdict.REFUSED),
    ],
)
async def test_a_leg_that_ends_before_a_yes(status: str, answered: bool, verdict: Verdict) -> None:
    attempt = Attempt()
    await attempt.transfers.ring(attempt.transfer)
    if answered:
        await attempt.report("answered")
    for early in ("initiated", "ringing", "in-progress", "nonsense"):
        assert not await attempt.report("status", CallStatus=early)
    assert attempt.transfer.verdict is None
    await attempt.report("status", CallStatus=status)
    assert await attempt.transfer.outcome() is verdict
    await attempt.transfers.give_up(attempt.transfer)
    assert attempt.carrier.hung_up == [], "it is over already"


async def test_a_carrier_that_never_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOST_CALLBACK_SECONDS", -24.95)
    monkeypatch.setattr(module, "ASK_SECONDS", 0.05)
    unheard, heard = Transfer(CALLER, WARM, ""), Transfer(CALLER, WARM, "")
    heard.leg_answered()
    assert await unheard.outcome() is Verdict.UNREPORTED
    assert await heard.outcome() is Verdict.NO_REPLY


def test_an_answer_gives_time_to_be_asked() -> None:
    transfer = Transfer(CALLER, WARM, "x" * 1000)
    assert len(transfer.summary) == SUMMARY_CHARACTERS
    before = transfer._deadline
    transfer.leg_answered()
    assert transfer._deadline > before
    assert ASK_SECONDS > SUMMARY_CHARACTERS / 15 + 2 * module.ANSWER_SECONDS, "15 characters a second are spoken"


async def test_either_end_of_a_joined_pair_ends_the_other() -> None:
    for first in ("callee", "person"):
        attempt = Attempt()
        await attempt.transfers.ring(attempt.transfer)
        await attempt.report("answered")
        await attempt.report("status", CallStatus="in-progress")
        attempt.transfer.decide(Verdict.ACCEPTED)
        await attempt.transfers.join(attempt.transfer)
        await attempt.transfers.give_up(attempt.transfer)
        assert attempt.carrier.hung_up == [], "they talk"
        if first == "callee":
            await attempt.transfers.call_over("CA-other")
            await attempt.transfers.call_over("CA-callee")
            assert attempt.carrier.hung_up == ["CA1"]
        else:
            await attempt.report("status", CallStatus="completed")
            assert attempt.carrier.hung_up == ["CA-callee"]


async def test_a_callee_is_brought_back_from_where_nobody_waits() -> None:
    attempt = Attempt()
    await attempt.transfers.ring(attempt.transfer)
    await attempt.report("answered")
    attempt.transfer.decide(Verdict.ACCEPTED)
    await attempt.report("status", CallStatus="completed")
    await attempt.transfers.join(attempt.transfer)
    await attempt.transfers.bring_back(attempt.transfer, 10.0)
    (back,) = verbs.read(attempt.carrier.instructed[-1][1])
    assert back == BACK
    await attempt.transfers.give_up(attempt.transfer)
    await attempt.transfers.call_over("CA-callee")
    assert attempt.carrier.hung_up == [], "the leg had ended by itself"


async def test_a_dial_that_fails_is_forgotten() -> None:
    attempt = Attempt()
    attempt.carrier.failures["dial"] = refusal()
    with pytest.raises(CarrierError):
        await attempt.transfers.ring(attempt.transfer)
    assert verbs.read(await attempt.report("answered")) == (verbs.Hangup(),)
    assert not await attempt.report("status", CallStatus="completed")


async def test_an_extension_is_dialled_before_the_person_is_asked_or_talks() -> None:
    keyed = {"extension": "ww204"}
    warm = Attempt(TransferTarget.model_validate(WARM.model_dump() | keyed))
    await warm.transfers.ring(warm.transfer)
    pressed, asked = verbs.read(await warm.report("answered"))
    assert pressed == verbs.TimedVerb(ms=1750, digits="204")
    assert isinstance(asked, verbs.Gather)
    (again,) = verbs.read(await warm.report("reply", round="1"))
    assert isinstance(again, verbs.Gather), "pressed once"
    cold = Attempt(TransferTarget.model_validate(COLD.model_dump() | keyed))
    await cold.transfers.dial_on(cold.transfer)
    (dialled,) = verbs.read(cold.carrier.instructed[0][1])
    assert isinstance(dialled, verbs.DialNumber)
    assert dialled.keys == pressed


async def test_a_call_that_is_dialled_on() -> None:
    attempt = Attempt(COLD)
    await attempt.transfers.dial_on(attempt.transfer)
    ((call_sid, document),) = attempt.carrier.instructed
    (dialled,) = verbs.read(document)
    token = attempt.transfer.token
    assert call_sid == "CA-callee"
    assert dialled == verbs.DialNumber(
        number="+12025550178",
        timeout_seconds=20,
        caller_id="+12025550100",
        action=f"{BELOW}/{token}/dialled",
        status_url=f"{BELOW}/{token}/status",
        events=frozenset({"answered", "completed"}),
    )
    await attempt.report("status", CallStatus="in-progress")
    assert await attempt.transfer.outcome() is Verdict.ACCEPTED
    assert verbs.read(await attempt.report("dialled", DialCallStatus="completed")) == (verbs.Hangup(),)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [("busy", Verdict.BUSY), ("no-answer", Verdict.NO_ANSWER), ("failed", Verdict.FAILED), ("", Verdict.FAILED)],
)
async def test_a_callee_whom_nobody_took_comes_back_to_the_stream(status: str, verdict: Verdict) -> None:
    attempt = Attempt(COLD)
    await attempt.transfers.dial_on(attempt.transfer)
    await attempt.report("status", CallStatus=status or "completed")
    assert attempt.transfer.verdict is None
    (stream,) = verbs.read(await attempt.report("dialled", DialCallStatus=status))
    assert stream == BACK
    assert attempt.ingress.opened[0][0] == "call-1"
    assert await attempt.transfer.outcome() is verdict


async def test_a_callee_who_comes_back_to_a_call_that_is_over_is_hung_up() -> None:
    attempt = Attempt(COLD)
    await attempt.transfers.dial_on(attempt.transfer)
    await attempt.transfers.give_up(attempt.transfer)
    assert verbs.read(await attempt.report("dialled", DialCallStatus="busy")) == (verbs.Hangup(),)


async def test_a_callee_who_hangs_up_while_it_rings_gets_no_stream() -> None:
    attempt = Attempt(COLD)
    await attempt.transfers.dial_on(attempt.transfer)
    answer = await attempt.report("dialled", DialCallStatus="canceled", CallStatus="completed")
    assert verbs.read(answer) == (verbs.Hangup(),)
    assert attempt.ingress.opened == []
    assert await attempt.transfer.outcome() is Verdict.NO_ANSWER


async def test_a_summary_that_is_no_xml_is_asked_all_the_same() -> None:
    attempt = Attempt(summary="John\x0b wants\n to \ud800 <pay>\x00.")
    await attempt.transfers.ring(attempt.transfer)
    document = (await attempt.report("answered")).encode()
    assert b"John" in document
    assert ET.fromstring(document).find("Gather/Say") is not None


async def test_a_callee_who_is_moved_too_late_is_told_of_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOIN_SECONDS", 0.01)
    attempt = Attempt()
    await attempt.transfers.ring(attempt.transfer)
    await attempt.report("answered")
    assert "hung up" in await attempt.report("reply", Digits="1", round="1")
    assert attempt.transfer.over, "the person was sent away: nobody may be moved to them"


async def test_keys_are_pressed_and_the_stream_comes_back() -> None:
    attempt = Attempt()
    await attempt.transfers.press(CALLER, "1w#", 12.0)
    ((call_sid, document),) = attempt.carrier.instructed
    assert call_sid == "CA-callee"
    assert verbs.read(document) == (
        verbs.TimedVerb(ms=1000, digits="1#"),
        BACK,
    )
    assert attempt.ingress.opened == [("call-1", 12.0)]


async def test_old_attempts_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = Attempt()
    await attempt.transfers.ring(attempt.transfer)
    await attempt.transfers.give_up(attempt.transfer)
    attempt.transfer.rang_at -= module.KEPT_SECONDS + 1
    await attempt.transfers.ring(Transfer(CALLER, WARM, ""))
    assert attempt.transfer.token not in attempt.transfers._by_token
