"""Who picked up: hellos of every kind, and the machines: voicemail, screening, menus, a carrier's message."""

from __future__ import annotations

from dataclasses import replace

from tests.benchmarks.acts import (
    Act,
    AgentQuiet,
    AgentSaid,
    HangUp,
    Noise,
    Note,
    Pause,
    Pressed,
    Say,
    UntilHungUp,
)
from tests.benchmarks.rules import (
    Answers,
    Ends,
    GoesOn,
    Lives,
    Never,
    Opens,
    Presses,
    Rule,
    Says,
    Silent,
    Sounds,
    Stops,
)
from tests.benchmarks.situations.situation import ASK_TIME, OPENING, TIME, Situation, menu_replies
from tests.simulators.twilio import AmdNews

MESSAGE = (
    "Hello John, this is Alex from Downtown Dental about your visit on Thursday at two. Please call us back."
)
"""What tests/benchmarks/pipelines/visit_message.toml leaves."""
MACHINE_PITCH = 1.15
GREETING = Say(
    "You have reached the voicemail of John Miller. I can't take your call right now. Please leave a message "
    "after the tone.",
    name="greeting",
    pitch=MACHINE_PITCH,
)
SCREENING = Say(
    "Hi, the person you are calling is using a screening service. Please say your name and why you are calling.",
    name="screening",
    pitch=MACHINE_PITCH,
)
MENU = Say(
    "Thank you for calling Miller and Sons. For appointments, press one. For billing, press two. For all other "
    "questions, press zero.",
    name="menu",
    pitch=MACHINE_PITCH,
)
NOT_IN_SERVICE = Say(
    "The number you have dialed is not in service. Please check the number and dial again.",
    name="announcement",
    pitch=MACHINE_PITCH,
)
BEEP = Noise("beep", 500, name="beep")
HELLO = Say("Hello?", name="hello")
LONG_GREETING_MS = 1500.0
"""A greeting beyond 2.5 s is no person at once: machines greet at length too."""


def _picked_up(
    name: str, *acts: Act, rules: tuple[Rule, ...], first: str = "callee", scenario: str = "visit"
) -> Situation:
    return Situation(
        name,
        "hello",
        (Pause(300), *acts, HangUp()),
        (*rules, Lives()),
        first_speaker=first,
        scenario=scenario,
    )


def _machine(
    name: str, *acts: Act, rules: tuple[Rule, ...], scenario: str = "visit_message", theme: str = "voicemail"
) -> Situation:
    return Situation(
        name,
        theme,
        (Pause(400), *acts),
        rules,
        first_speaker="callee",
        scenario=scenario,
        replies=menu_replies,
        longest_ms=75_000,
    )


SITUATIONS = (
    _picked_up("quick hello", HELLO, AgentQuiet(), rules=(Opens(OPENING, after="hello"),)),
    _picked_up(
        "name only",
        Say("Miller.", name="hello"),
        AgentQuiet(),
        rules=(Opens(OPENING, after="hello"),),
    ),
    _picked_up(
        "receptionist",
        Say("Good afternoon, Miller and Sons, this is Julia speaking, how may I help you?", name="hello"),
        AgentQuiet(),
        rules=(Opens(OPENING, after="hello", within_ms=LONG_GREETING_MS),),
    ),
    _picked_up(
        "hello, and again",
        HELLO,
        Pause(900),
        Say("Hello?", name="again", speed=0.9),
        AgentQuiet(pause_ms=1500),
        rules=(Opens(OPENING, after="hello"), GoesOn(OPENING, over="again", answered=True)),
    ),
    _picked_up("nobody speaks", AgentQuiet(), rules=(Opens(OPENING, within_ms=1700.0, not_before_ms=900.0),)),
    _picked_up("agent first", AgentQuiet(), first="agent", rules=(Opens(OPENING, within_ms=300.0),)),
    _picked_up(
        "hello over the opening",
        AgentSaid(400),
        Say("Hello?", name="hello"),
        AgentQuiet(),
        Pause(1700),
        first="agent",
        rules=(Opens(OPENING, within_ms=300.0), GoesOn(OPENING, over="hello")),
    ),
    _picked_up(
        "hello beside a television",
        Noise("talk", 12_000, louder_db=-18, wait=False),
        Pause(500),
        HELLO,
        AgentQuiet(pause_ms=2000),
        rules=(Opens(OPENING, after="hello", within_ms=1200.0),),
    ),
    replace(
        _picked_up(
            "Twilio takes them for a machine",
            HELLO,
            AgentQuiet(),
            Pause(500),
            ASK_TIME,
            AgentQuiet(),
            rules=(Opens(OPENING, after="hello"), Answers("question", TIME)),
        ),
        amd=(AmdNews("machine_start", 3500),),
    ),
    replace(
        _machine(
            "a greeting without a machine's words",
            Say(
                "Hi, this is John. I am probably out in the garden with the dogs, so tell me what it is about.",
                name="greeting",
            ),
            Pause(300),
            BEEP,
            UntilHungUp(20_000),
            rules=(Says(MESSAGE, after="beep", within_ms=3000.0), Ends(("voicemail_reached",))),
        ),
        amd=(AmdNews("machine_end_beep", 6500),),
    ),
    _machine(
        "early beep",
        GREETING,
        Pause(300),
        BEEP,
        UntilHungUp(20_000),
        rules=(Says(MESSAGE, after="beep", within_ms=2500.0), Never(OPENING), Ends(("voicemail_reached",))),
    ),
    _machine(
        "late beep",
        GREETING,
        Pause(5500),
        BEEP,
        UntilHungUp(20_000),
        rules=(
            Says(MESSAGE, after="beep", within_ms=2500.0, not_before_ms=0.0),
            Never(OPENING),
            Ends(("voicemail_reached",)),
        ),
    ),
    _machine(
        "no beep",
        GREETING,
        UntilHungUp(25_000),
        rules=(
            Says(MESSAGE, after="greeting", within_ms=12_000.0, not_before_ms=0.0),
            Never(OPENING),
            Ends(("voicemail_reached",)),
        ),
    ),
    _machine(
        "hung up on",
        GREETING,
        Pause(300),
        BEEP,
        UntilHungUp(10_000),
        scenario="visit",
        rules=(Never(OPENING), Ends(("voicemail_reached",), after="greeting", within_ms=4000.0)),
    ),
    _machine(
        "person before the beep",
        GREETING,
        Pause(700),
        Say("Hello? Hi, this is John, sorry, I am here.", name="person"),
        AgentQuiet(),
        ASK_TIME,
        AgentQuiet(),
        HangUp(),
        rules=(Sounds("person", 1500.0), Never(MESSAGE), Answers("question", TIME), Lives()),
    ),
    _machine(
        "person during the message",
        GREETING,
        Pause(300),
        BEEP,
        AgentSaid(2000, within_ms=6000),
        Say("Hello? Hello, I am here, this is John.", name="person"),
        AgentQuiet(),
        ASK_TIME,
        AgentQuiet(),
        HangUp(),
        rules=(Stops("person", within_ms=900.0, cut=False), Answers("question", TIME), Lives()),
    ),
    _machine(
        "then a person",
        SCREENING,
        AgentQuiet(),
        Say("Thank you. Please stay on the line.", name="thanks", pitch=MACHINE_PITCH),
        Pause(6000),
        Say("Hello, this is John.", name="person"),
        AgentQuiet(),
        ASK_TIME,
        AgentQuiet(),
        HangUp(),
        theme="screening",
        scenario="visit",
        rules=(
            Sounds("screening", 2500.0),
            Silent("thanks", until="person"),
            Sounds("person", 1500.0),
            Answers("question", TIME),
            Lives(),
        ),
    ),
    _machine(
        "nobody comes",
        SCREENING,
        AgentQuiet(),
        Note("answered"),
        UntilHungUp(45_000),
        theme="screening",
        scenario="visit",
        rules=(
            Sounds("screening", 2500.0),
            Ends(("screening_unanswered",), after="answered", within_ms=36_000.0),
        ),
    ),
    _machine(
        "keys",
        MENU,
        Pressed("1"),
        Pause(800),
        Say("Appointments, Julia speaking, how can I help you?", name="person"),
        AgentQuiet(),
        ASK_TIME,
        AgentQuiet(),
        HangUp(),
        theme="menu",
        scenario="visit",
        rules=(Presses("1"), Sounds("person", 2500.0), Answers("question", TIME), Lives()),
    ),
    _machine(
        "in circles",
        *(MENU, Pressed("1"), Pause(1200)) * 4,
        UntilHungUp(15_000),
        theme="menu",
        scenario="visit",
        rules=(Never(OPENING), Ends(("menu_reached",))),
    ),
    _machine(
        "hung up on",
        MENU,
        UntilHungUp(15_000),
        theme="menu",
        scenario="visit_no_menu",
        rules=(Never(OPENING), Ends(("menu_reached",))),
    ),
    _machine(
        "not in service",
        Noise("sit", 1000),
        NOT_IN_SERVICE,
        UntilHungUp(15_000),
        theme="unavailable",
        scenario="visit",
        rules=(Never(OPENING), Ends(("unavailable", "dial_failed", "dial_no_answer"))),
    ),
)
