"""the simulated network on the verbs of a transfer, against a server that answers TwiML by path."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import pytest
from aiohttp import web

from bot.records import Status
from bot.telephony.carrier import EndCall, JoinConference
from bot.telephony.simulated.network import SimulatedCall
from bot.telephony.simulated.script import Conversation
from bot.telephony.twilio import twiml
from tests.simulators.twilio import OWN_NUMBER, TwilioSimulator

Act = Mapping[str, Any]
CALLER, OTHER = "+12025550123", "+12025550177"
PRESS_1: Act = {"do": "press", "digits": "1"}
HANG_UP: Act = {"do": "hang_up"}


def steps(*acts: Act, ring_ms: int = 50, answer: str = "answered") -> Conversation:
    pickup = {"ring_ms": ring_ms, "answer": answer}
    return Conversation.model_validate({"name": "t", "description": "t", "pickup": pickup, "steps": list(acts)})


def say(text: str) -> Act:
    return {"do": "say", "text": text}


def silence(for_ms: int) -> Act:
    return {"do": "silence", "for_ms": for_ms}


def wait() -> Act:
    return {"do": "wait_for_hang_up", "within_ms": 20_000}


PATIENT = steps(wait(), ring_ms=50)
BRIEF = steps(silence(100), say("Sam."), HANG_UP, ring_ms=50)


class Answers:
    """`documents` by path; `asked` keeps every request."""

    def __init__(self, **documents: str) -> None:
        self.documents = documents
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def __aenter__(self) -> Answers:
        app = web.Application()
        app.router.add_post("/{name}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.origin = f"http://{host}:{port}"
        self.documents = {name: text.replace("HERE", self.origin) for name, text in self.documents.items()}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append((request.match_info["name"], form))
        return web.Response(text=self.documents.get(request.match_info["name"], ""), content_type="text/xml")

    def forms(self, name: str) -> list[dict[str, str]]:
        return [form for asked, form in self.asked if asked == name]


def dial_on(ring_seconds: int = 5) -> str:
    return (
        f'<Response><Dial action="HERE/dialled" timeout="{ring_seconds}" callerId="{OWN_NUMBER}">'
        f'<Number statusCallback="HERE/other" statusCallbackEvent="answered completed">{OTHER}</Number>'
        "</Dial></Response>"
    )


def question() -> str:
    return (
        '<Response><Gather input="dtmf speech" numDigits="1" timeout="1" action="HERE/reply" '
        'actionOnEmptyResult="true"><Say>Yes?</Say></Gather></Response>'
    )


def call(twilio: TwilioSimulator, server: Answers, voice: str = "voice") -> SimulatedCall:
    sid = twilio.call_in(
        voice_url=f"{server.origin}/{voice}",
        status_url=f"{server.origin}/status",
        scenario=twilio.conversations(CALLER),
        from_number=CALLER,
    )
    found = twilio.network.get(sid)
    assert found is not None
    return found


def simulator(caller: Conversation, other: Conversation) -> TwilioSimulator:
    return TwilioSimulator(conversations=lambda number: caller if number == CALLER else other)


async def test_a_dialled_number_talks_and_the_action_is_asked() -> None:
    async with (
        Answers(voice=dial_on(), dialled=twiml.render(EndCall())) as server,
        simulator(PATIENT, BRIEF) as twilio,
    ):
        first = call(twilio, server)
        await first.ended.wait()
        other = twilio.network.calls[0]
        assert (other.leg.direction, other.leg.from_number, other.status) == (
            "outbound-dial",
            OWN_NUMBER,
            Status.COMPLETED,
        )
        assert other.callee is not None
        assert other.callee.said == ["Sam."]
        (asked,) = server.forms("dialled")
        assert (asked["CallSid"], asked["DialCallSid"]) == (first.call_sid, other.call_sid)
        assert asked["DialCallStatus"] == "completed"
        assert "DialCallDuration" in asked
        statuses = server.forms("other")
        assert [form["CallStatus"] for form in statuses] == ["in-progress", "completed"]
        assert {form["ParentCallSid"] for form in statuses} == {first.call_sid}


@pytest.mark.parametrize(
    ("answer", "status"), [("busy", "busy"), ("failed", "failed"), ("no-answer", "no-answer")]
)
async def test_a_dial_nobody_answers_goes_on_with_the_action(answer: str, status: str) -> None:
    nobody = steps(ring_ms=50, answer=answer)
    documents = {"voice": dial_on(ring_seconds=1), "dialled": twiml.render(EndCall())}
    async with Answers(**documents) as server, simulator(PATIENT, nobody) as twilio:
        await call(twilio, server).ended.wait()
        (asked,) = server.forms("dialled")
        assert asked["DialCallStatus"] == status
        assert "DialCallDuration" not in asked


async def test_a_caller_who_hangs_up_ends_the_dialled_leg() -> None:
    caller = steps(silence(300), HANG_UP)
    async with Answers(voice=dial_on()) as server, simulator(caller, steps(wait(), ring_ms=5000)) as twilio:
        first = call(twilio, server)
        await first.ended.wait()
        other = twilio.network.calls[0]
        await other.ended.wait()
        assert (first.status, other.status) == (Status.COMPLETED, Status.CANCELED)


@pytest.mark.parametrize(
    ("callee", "got"),
    [
        (steps(silence(100), PRESS_1, wait()), {"Digits": "1"}),
        (steps(silence(100), say("Yes."), wait()), {"SpeechResult": "Yes."}),
        (steps(wait()), {"Digits": ""}),
    ],
    ids=["key", "speech", "nothing"],
)
async def test_a_question_is_answered_to_its_action(callee: Conversation, got: dict[str, str]) -> None:
    async with (
        Answers(voice=question(), reply=twiml.render(EndCall())) as server,
        simulator(callee, BRIEF) as twilio,
    ):
        await call(twilio, server).ended.wait()
        (form,) = server.forms("reply")
        assert got.items() <= form.items()


async def test_two_meet_in_a_conference_and_it_ends_for_both() -> None:
    room = twiml.render(JoinConference("room-1"))
    async with Answers(voice=room) as server, simulator(PATIENT, BRIEF) as twilio:
        first = call(twilio, server)
        await asyncio.sleep(0.1)
        assert first.status is Status.IN_PROGRESS
        sid = twilio.call_in(
            voice_url=f"{server.origin}/voice", status_url=None, scenario=BRIEF, from_number=OTHER
        )
        second = twilio.network.get(sid)
        assert second is not None
        await asyncio.gather(first.ended.wait(), second.ended.wait())
        assert twilio.network._conferences == {}


async def test_new_twiml_and_a_new_limit_reach_a_call_in_a_conference() -> None:
    documents = {"voice": twiml.render(JoinConference("room-1"))}
    async with Answers(**documents) as server, simulator(PATIENT, BRIEF) as twilio:
        first = call(twilio, server)
        await asyncio.sleep(0.1)
        assert twilio.network.instruct(first.call_sid, question().replace("HERE", server.origin))
        async with asyncio.timeout(5):
            while not server.forms("reply"):  # noqa: ASYNC110  # told by a list
                await asyncio.sleep(0.01)
        await first.ended.wait()
        second = call(twilio, server)
        await asyncio.sleep(0.1)
        twilio.network.limit(second.call_sid, 0.2)
        async with asyncio.timeout(3):
            await second.ended.wait()
        assert second.status is Status.COMPLETED
