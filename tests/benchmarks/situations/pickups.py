"""A hundred pickups: persons, mailboxes, screeners, menus, carriers, holds and nobody, in eight voices.

What the record says of each is counted in the confusion matrix. Each ends once it is known who is there.
"""

from __future__ import annotations

from itertools import cycle

from bot.records import AnsweredBy
from tests.benchmarks.acts import Act, AgentQuiet, AgentSaid, Circuit, HangUp, Noise, Pause, Say, UntilHungUp
from tests.benchmarks.rules import Never, Rule, TakenFor
from tests.benchmarks.situations.situation import OPENING, Situation
from tests.simulators.twilio import AmdNews

VOICES = ((0.7, 1.0), (1.0, 1.1), (0.6, 0.9), (1.15, 1.0), (0.8, 1.25), (1.3, 0.95), (0.65, 1.15), (0.9, 0.85))
"""Pitch and speed."""
PERSONS = (
    "Hello?",
    "Yeah?",
    "Yes, hello.",
    "Miller.",
    "John Miller.",
    "Hi, this is John.",
    "John speaking.",
    "Who's this?",
    "Yes? Who is calling, please?",
    "Good morning.",
    "Good afternoon, Miller and Sons, Julia speaking.",
    "Thank you for calling Miller and Sons, this is Peter, how can I help you?",
    "Front desk, good evening.",
    "Hello, you've reached the front desk, how may I help?",
    "Miller residence.",
    "Hey, what's up?",
    "Hang on, let me turn the radio down. Okay. Hello?",
    "Sorry, hello, I was just in the garden.",
    "Doctor Miller's office, how can I help you?",
    "Hello, yes, I can hear you.",
    "Accounting, Sarah speaking.",
    "Good day, you are speaking with Tom at the pharmacy on Main Street, what can I do for you?",
    "He's not available right now, who is calling?",
    "Hi there, can I help you?",
)
MAILBOXES = (
    "You have reached the voicemail of John Miller. Please leave a message after the tone.",
    "Hi, you've reached John. I can't come to the phone right now. Please leave a message after the beep.",
    "Hey, it's John, leave me a message.",
    "Your call has been forwarded to an automated voice messaging system. John is not available. At the tone, "
    "please record your message.",
    "Hello, this is the Millers. We are not at home. Leave your name and number and we will call you back.",
    "You've reached Miller and Sons. Our office is closed. Please leave a message after the tone.",
    "The person you are trying to reach is not available. Please leave a message after the tone.",
    "Hi, this is John, sorry I missed your call. Please leave your name and number after the beep.",
    "Please leave your message for two oh two, five five five, oh one two three.",
    "You have reached the mailbox of extension two oh four. Record your message after the tone.",
    "This is John. I'm on vacation until Monday. Please leave a message, and I'll get back to you.",
    "Thanks for calling. Nobody can take your call right now. At the beep, leave a message.",
    "John Miller is not available. To leave a voice message, press one or just wait for the tone.",
    "Hi, I can't answer the phone at the moment. Leave a message and have a great day.",
    "You've reached the voice mailbox of John. I'm either away from my desk or on another line. Leave a message.",
    "We're sorry, no one is available to take your call. Please leave your message after the tone.",
    "John here, you know what to do, wait for the beep.",
)
SCREENERS = (
    "Hi, the person you are calling is using a screening service. Please say your name and why you are calling.",
    "If you record your name and reason for calling, I'll see if this person is available.",
    "The person you are calling uses a call assistant. Who is calling, and what is it about?",
    "Before I connect you, please state your name and the reason for your call.",
    "This call is being screened. Please say who you are and why you are calling.",
    "Hello, please state your name after the tone, and I will try to connect you.",
    "The Google subscriber is screening this call. Please say your name and why you're calling.",
    "Your call is being screened by an assistant. Please record your name and reason for calling.",
    "Please say your name and why you're calling, and I'll see whether he is available.",
    "Who is calling, please? State your name and the purpose of your call after the beep.",
    "You are calling a number that screens its calls. Tell me your name and reason for calling.",
)
MENUS = (
    "Thank you for calling Miller and Sons. For appointments, press one. For billing, press two.",
    "Welcome to Downtown Health. If you are a patient, press one. If you are a doctor, press two.",
    "For English, press one. For Spanish, press two.",
    "Thank you for calling. If you know your party's extension, dial it now. For the operator, press zero.",
    "You have reached City Hospital. For emergencies, hang up and dial nine one one. For visitors, press two.",
    "Main menu. To hear our opening hours, press one. To speak to somebody, press zero.",
    "Press one for sales. Press two for service. Press three for all other questions.",
    "Please listen carefully, as our menu options have changed. For orders, press one. For returns, press two.",
    "To confirm that you are a person, press five now.",
    "Hi, thanks for calling. You can say appointments, billing, or something else.",
    "In a few words, tell me what you are calling about. You can say things like pay my bill.",
    "To repeat these options, press nine. For the pharmacy, press three.",
    "Enter the extension of the person you want to reach, followed by the pound key.",
    "For store hours and directions, press one. For the deli, press two. To end this call, press star.",
)
CARRIERS = (
    "The number you have dialed is not in service. Please check the number and dial again.",
    "We're sorry. Your call cannot be completed as dialed. Please hang up and try again.",
    "The number you are trying to reach has been disconnected.",
    "The subscriber you have dialed is currently not available. Please try again later.",
    "The person you are calling has a voice mailbox that has not been set up yet. Goodbye.",
    "The mailbox is full and cannot accept any messages at this time. Goodbye.",
    "The mobile phone you are calling is switched off or out of coverage.",
    "All circuits are busy now. Please try your call again later.",
    "The customer you are calling is not accepting calls at this time.",
    "You have dialed an incorrect number. Please check the number and dial again.",
    "The number you have reached has been changed. No further information is available.",
    "This number is no longer in service.",
)
QUEUES = (
    "Miller and Sons, please hold.",
    "Your call is important to us. Please stay on the line.",
    "All of our agents are currently busy. Your call will be answered in the order it was received.",
    "You are number three in the queue.",
    "Please hold while I transfer your call.",
    "Thank you for holding. Your estimated wait time is four minutes.",
    "Hold the line, please.",
    "We are experiencing a higher call volume than usual. Please stay on the line.",
    "The next available representative will be with you shortly.",
    "Can you hold for a moment, please?",
    "One moment please, I'll put you through.",
    "Doctor Miller's office, please hold.",
    "",
    "",
)
"""Music follows each; an empty one is music alone."""
_voices = cycle(VOICES)


def _said(text: str, voice: tuple[float, float], name: str = "greeting") -> Say:
    return Say(text, name=name, pitch=voice[0], speed=voice[1])


def _pickup(
    who: AnsweredBy,
    name: str,
    *acts: Act,
    rules: tuple[Rule, ...] = (Never(OPENING),),
    scenario: str = "visit",
    amd: tuple[AmdNews, ...] = (),
    circuit: Circuit | None = None,
) -> Situation:
    return Situation(
        name,
        f"pickup, {who}",
        (Pause(400), *acts),
        (TakenFor(who), *rules),
        first_speaker="callee",
        scenario=scenario,
        amd=amd,
        circuit=circuit or Circuit(),
        longest_ms=40_000,
    )


def _line(index: int) -> Circuit:
    """Every fourth line is noisy."""
    return Circuit(snr_db=20.0) if index % 4 == 3 else Circuit()


def _persons() -> list[Situation]:
    return [
        _pickup(
            AnsweredBy.PERSON,
            text,
            _said(text, next(_voices)),
            AgentSaid(700),
            HangUp(),
            rules=(),
            circuit=_line(index),
        )
        for index, text in enumerate(PERSONS)
    ]


def _mailboxes() -> list[Situation]:
    beeps = cycle((1000, 300, 0))
    return [
        _pickup(
            AnsweredBy.VOICEMAIL,
            text,
            _said(text, next(_voices)),
            Pause(300),
            *([Noise("beep", beep)] if (beep := next(beeps)) else []),
            UntilHungUp(12_000),
            circuit=_line(index),
        )
        for index, text in enumerate(MAILBOXES)
    ]


def _machines(
    who: AnsweredBy, texts: tuple[str, ...], *then: Act, scenario: str = "visit", before: tuple[Act, ...] = ()
) -> list[Situation]:
    return [
        _pickup(
            who,
            text,
            *(before if index % 2 else ()),
            _said(text, next(_voices)),
            *then,
            scenario=scenario,
            circuit=_line(index),
        )
        for index, text in enumerate(texts)
    ]


def _holds() -> list[Situation]:
    return [
        _pickup(
            AnsweredBy.HOLD,
            text or f"music {index}",
            *([_said(text, next(_voices))] if text else []),
            Noise("music", 7000 if text else 12_000),
            HangUp(),
            rules=(Never(OPENING),) if text else (),
        )
        for index, text in enumerate(QUEUES)
    ]


SITUATIONS = (
    *_persons(),
    *_mailboxes(),
    *_machines(AnsweredBy.SCREENING, SCREENERS, AgentQuiet(), HangUp()),
    *_machines(AnsweredBy.MENU, MENUS, UntilHungUp(12_000), scenario="visit_no_menu"),
    *_machines(AnsweredBy.UNAVAILABLE, CARRIERS, UntilHungUp(14_000), before=(Noise("sit", 1000),)),
    *_holds(),
    _pickup(AnsweredBy.NOBODY, "silence", Pause(4000), HangUp(), rules=()),
    _pickup(AnsweredBy.NOBODY, "a noisy line", Pause(4000), HangUp(), rules=(), circuit=Circuit(snr_db=20.0)),
    _pickup(AnsweredBy.NOBODY, "a street", Pause(4000), HangUp(), rules=(), circuit=Circuit(snr_db=10.0)),
    _pickup(AnsweredBy.NOBODY, "white noise", Pause(4000), HangUp(), rules=(), circuit=Circuit(20.0, "white")),
    _pickup(AnsweredBy.NOBODY, "a click", Noise("click", 40), Pause(4000), HangUp(), rules=()),
    _pickup(AnsweredBy.NOBODY, "a fax", Pause(6000), HangUp(), rules=(), amd=(AmdNews("fax", 900),)),
    _pickup(AnsweredBy.NOBODY, "a beep", Noise("beep", 500), Pause(4000), HangUp(), rules=()),
    _pickup(AnsweredBy.NOBODY, "a long silence", Pause(9000), HangUp(), rules=()),
)
