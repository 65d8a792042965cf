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
from bot.telephony.simulated import twiml_reader as verbs
from bot.telephony.twilio import twiml
from tests.unit.calls.calls_in_memory import NotingCarrier, refusal

CALLER = Caller("call-1", "CA-callee", "en", "+12025550100")
WARM = TransferTarget(name="desk", number="+12025550177")
COLD = TransferTarget(name="sales", number="+12025550178", mode="cold", ring_seconds=20)


class HouseDoors:
    def __init__(self) -> None:
        self.opened: list[tuple[str, float]] = []

    async def stream(self, call_id: str, seconds: float) -> twiml.StreamAddress:
        self.opened.append((call_id, seconds))
        return twiml.StreamAddress("wss://a.example/media", {"token": f"t{len(self.opened)}"})

    async def transfer_url(self, token: str, step: str) -> str:
        return f"https://a.example/transfer/{token}/{step}"


class Desk:
    """A transfer on its way."""

    def __init__(self, target: TransferTarget = WARM, summary: str = "John wants to pay.") -> None:
        self.carrier, self.ingress = NotingCarrier(), HouseDoors()
        self.transfers = Transfers(self.carrier, self.ingress)
        self.transfer = Transfer(CALLER, target, summary)

    async def tell(self, step: str, **form: str) -> str:
        query = {"round": form.pop("round")} if "round" in form else {}
        return await self.transfers.webhook(self.transfer.token, step, form, query)


async def test_the_person_is_called_and_asked() -> None:
    desk = Desk()
    await desk.transfers.ring(desk.transfer)
    (order,) = desk.carrier.dialled
    assert (order.to, order.from_number, order.ring_seconds) == ("+12025550177", "+12025550100", 25)
    assert order.time_limit_seconds == TALK_SECONDS
    assert order.voice_url == f"https://a.example/transfer/{desk.transfer.token}/answered"
    asked = ET.fromstring(await desk.tell("answered"))
    (gather,) = asked
    assert gather.get("action") == f"https://a.example/transfer/{desk.transfer.token}/reply?round=1"
    assert gather.get("actionOnEmptyResult") == "true"
    spoken = gather.findtext("Say") or ""
    assert "John wants to pay." in spoken
    assert "press 1" in spoken


async def test_a_yes_moves_the_callee_first_and_then_the_person() -> None:
    desk = Desk()
    await desk.transfers.ring(desk.transfer)
    await desk.tell("answered")
    replying = asyncio.create_task(desk.tell("reply", Digits="1", round="1"))
    assert await desk.transfer.outcome() is Verdict.ACCEPTED
    assert not replying.done(), "the person waits until the callee was moved"
    await desk.transfers.join(desk.transfer)
    ((call_sid, document),) = desk.carrier.instructed
    assert call_sid == "CA-callee"
    (mine,) = verbs.read(document)
    (theirs,) = verbs.read(await replying)
    assert mine == theirs == verbs.DialConference(desk.transfer.conference, end_on_exit=True, action=None)


async def test_a_yes_to_a_caller_who_is_gone_is_told_so() -> None:
    desk = Desk()
    await desk.transfers.ring(desk.transfer)
    await desk.tell("answered")
    replying = asyncio.create_task(desk.tell("reply", Digits="1", round="1"))
    await desk.transfer.outcome()
    desk.carrier.failures["instruct"] = refusal()
    with pytest.raises(CarrierError):
        await desk.transfers.join(desk.transfer)
    await desk.transfers.give_up(desk.transfer)
    assert "hung up" in await replying
    assert desk.carrier.hung_up == ["CA1"]


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
    desk = Desk()
    await desk.transfers.ring(desk.transfer)
    await desk.tell("answered")
    again = ET.fromstring(await desk.tell("reply", Digits="", round="1"))
    assert again[0].get("action", "").endswith("?round=2")
    assert verbs.read(await desk.tell("reply", Digits="", round="2")) == (verbs.Hangup(),)
    assert await desk.transfer.outcome() is Verdict.NO_REPLY


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
    desk = Desk()
    await desk.transfers.ring(desk.transfer)
    if answered:
        await desk.tell("answered")
    for early in ("initiated", "ringing", "in-progress", "nonsense"):
        assert not await desk.tell("status", CallStatus=early)
    assert desk.transfer.verdict is None
    await desk.tell("status", CallStatus=status)
    assert await desk.transfer.outcome() is verdict
    await desk.transfers.give_up(desk.transfer)
    assert desk.carrier.hung_up == [], "it is over already"


async def test_a_carrier_that_never_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOST_CALLBACK_SECONDS", -24.95)
    monkeypatch.setattr(module, "ASK_SECONDS", 0.05)
    unheard, heard = Transfer(CALLER, WARM, ""), Transfer(CALLER, WARM, "")
    heard.leg_answered()
    assert await unheard.outcome() is Verdict.UNTOLD
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
        desk = Desk()
        await desk.transfers.ring(desk.transfer)
        await desk.tell("answered")
        await desk.tell("status", CallStatus="in-progress")
        desk.transfer.decide(Verdict.ACCEPTED)
        await desk.transfers.join(desk.transfer)
        await desk.transfers.give_up(desk.transfer)
        assert desk.carrier.hung_up == [], "they talk"
        if first == "callee":
            await desk.transfers.call_over("CA-other")
            await desk.transfers.call_over("CA-callee")
            assert desk.carrier.hung_up == ["CA1"]
        else:
            await desk.tell("status", CallStatus="completed")
            assert desk.carrier.hung_up == ["CA-callee"]


async def test_a_callee_is_brought_back_from_where_nobody_waits() -> None:
    desk = Desk()
    await desk.transfers.ring(desk.transfer)
    await desk.tell("answered")
    desk.transfer.decide(Verdict.ACCEPTED)
    await desk.tell("status", CallStatus="completed")
    await desk.transfers.join(desk.transfer)
    await desk.transfers.bring_back(desk.transfer, 10.0)
    (back,) = verbs.read(desk.carrier.instructed[-1][1])
    assert back == verbs.StreamVerb("wss://a.example/media", {"token": "t1"})
    await desk.transfers.give_up(desk.transfer)
    await desk.transfers.call_over("CA-callee")
    assert desk.carrier.hung_up == [], "the leg had ended by itself"


async def test_a_dial_that_fails_is_forgotten() -> None:
    desk = Desk()
    desk.carrier.failures["dial"] = refusal()
    with pytest.raises(CarrierError):
        await desk.transfers.ring(desk.transfer)
    assert verbs.read(await desk.tell("answered")) == (verbs.Hangup(),)
    assert not await desk.tell("status", CallStatus="completed")


async def test_a_call_that_is_dialled_on() -> None:
    desk = Desk(COLD)
    await desk.transfers.dial_on(desk.transfer)
    ((call_sid, document),) = desk.carrier.instructed
    (dialled,) = verbs.read(document)
    token = desk.transfer.token
    assert call_sid == "CA-callee"
    assert dialled == verbs.DialNumber(
        number="+12025550178",
        timeout_seconds=20,
        caller_id="+12025550100",
        action=f"https://a.example/transfer/{token}/dialled",
        status_url=f"https://a.example/transfer/{token}/status",
        events=frozenset({"answered", "completed"}),
    )
    await desk.tell("status", CallStatus="in-progress")
    assert await desk.transfer.outcome() is Verdict.ACCEPTED
    assert verbs.read(await desk.tell("dialled", DialCallStatus="completed")) == (verbs.Hangup(),)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [("busy", Verdict.BUSY), ("no-answer", Verdict.NO_ANSWER), ("failed", Verdict.FAILED), ("", Verdict.FAILED)],
)
async def test_a_callee_whom_nobody_took_comes_back_to_the_stream(status: str, verdict: Verdict) -> None:
    desk = Desk(COLD)
    await desk.transfers.dial_on(desk.transfer)
    await desk.tell("status", CallStatus=status or "completed")
    assert desk.transfer.verdict is None
    (stream,) = verbs.read(await desk.tell("dialled", DialCallStatus=status))
    assert stream == verbs.StreamVerb("wss://a.example/media", {"token": "t1"})
    assert desk.ingress.opened[0][0] == "call-1"
    assert await desk.transfer.outcome() is verdict


async def test_a_callee_who_comes_back_to_a_call_that_is_over_is_hung_up() -> None:
    desk = Desk(COLD)
    await desk.transfers.dial_on(desk.transfer)
    await desk.transfers.give_up(desk.transfer)
    assert verbs.read(await desk.tell("dialled", DialCallStatus="busy")) == (verbs.Hangup(),)


async def test_a_callee_who_hangs_up_while_it_rings_gets_no_stream() -> None:
    desk = Desk(COLD)
    await desk.transfers.dial_on(desk.transfer)
    answer = await desk.tell("dialled", DialCallStatus="canceled", CallStatus="completed")
    assert verbs.read(answer) == (verbs.Hangup(),)
    assert desk.ingress.opened == []
    assert await desk.transfer.outcome() is Verdict.NO_ANSWER


async def test_a_summary_that_is_no_xml_is_asked_all_the_same() -> None:
    desk = Desk(summary="John\x0b wants\n to \ud800 <pay>\x00.")
    await desk.transfers.ring(desk.transfer)
    document = (await desk.tell("answered")).encode()
    assert b"John" in document
    assert ET.fromstring(document).find("Gather/Say") is not None


async def test_a_callee_who_is_moved_too_late_is_told_of_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOIN_SECONDS", 0.01)
    desk = Desk()
    await desk.transfers.ring(desk.transfer)
    await desk.tell("answered")
    assert "hung up" in await desk.tell("reply", Digits="1", round="1")
    assert desk.transfer.over, "the person was sent away: nobody may be moved to them"


async def test_keys_are_pressed_and_the_stream_comes_back() -> None:
    desk = Desk()
    await desk.transfers.press(CALLER, "1w#", 12.0)
    ((call_sid, document),) = desk.carrier.instructed
    assert call_sid == "CA-callee"
    assert verbs.read(document) == (
        verbs.TimedVerb(ms=1000, digits="1#"),
        verbs.StreamVerb("wss://a.example/media", {"token": "t1"}),
    )
    assert desk.ingress.opened == [("call-1", 12.0)]


async def test_old_attempts_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    await desk.transfers.ring(desk.transfer)
    await desk.transfers.give_up(desk.transfer)
    desk.transfer.rang_at -= module.KEPT_SECONDS + 1
    await desk.transfers.ring(Transfer(CALLER, WARM, ""))
    assert desk.transfer.token not in desk.transfers._by_token
