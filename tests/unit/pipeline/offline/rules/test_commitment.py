"""The words that commit a callee, and those that only sound so; held against `commitments.toml`."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.pipeline.offline.rules.commitment import commitment, deferred, says_something
from bot.records import Speaker, Turn

CASES = tomllib.loads(Path(__file__).with_name("commitments.toml").read_text("utf-8"))
IS = {"given": True, "refused": False, "open": None}
ABOUT = ["Does that still work for you?", "¿Le sigue viniendo bien?", "Whether the appointment is confirmed."]
TALKS = [
    *(
        (case["language"], case["is"], (case["asked"], words))
        for case in CASES["said"]
        for words in case["words"]
    ),
    *((case["language"], case["is"], tuple(case["lines"])) for case in CASES["talk"]),
]


def turns(lines: Sequence[str], *, keys: bool = False) -> list[Turn]:
    """The agent begins."""
    sides = (Speaker.AGENT, Speaker.CALLEE)
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return [Turn(n, sides[n % 2], text, at, n * 1000, keys=keys and n % 2 == 1) for n, text in enumerate(lines)]


@pytest.mark.parametrize(("language", "expected", "lines"), TALKS, ids=lambda value: str(value)[-60:])
def test_what_commits(language: str, expected: str, lines: tuple[str, ...]) -> None:
    found = commitment(turns(lines), language, about=ABOUT).given
    if expected == "given":
        assert found is True
    else:  # a hedged no is as little of a yes as a no
        assert found in (None, False)
        assert expected == "open" or found is False


def test_the_words_it_rests_on() -> None:
    talk = turns(["Does Thursday work?", "Yes.", "Anything else?", "No.", "So you confirm?", "Yes, I confirm."])
    assert commitment(talk, "en", about=ABOUT).words == ("Yes.", "Yes, I confirm.")
    assert commitment(talk[:3] + turns(["", "", "", "I can't come."])[3:], "en", about=ABOUT).words == (
        "I can't come.",
    )


def test_a_yes_to_another_fields_question_is_none() -> None:
    talk = turns(["Do you accept the new terms?", "Yes."])
    terms = "Do you accept the new terms?"
    assert commitment(talk, "en", about=["Can I confirm the visit?"], others=[terms]).given is None
    assert commitment(talk, "en", about=[terms], others=["Can I confirm the visit?"]).given is True


def test_a_key_that_was_offered_commits() -> None:
    talk = turns(["Press 1 to confirm, or 2 to cancel.", "1"], keys=True)
    assert commitment(talk, "en", about=ABOUT).given is True
    assert commitment(turns(["Press 1 to confirm.", "2"], keys=True), "en", about=ABOUT).given is None


@pytest.mark.parametrize(
    ("language", "said", "left_open"),
    [
        ("en", "Friday at nine. The team will get back to you to confirm it.", True),
        ("en", "I'll pass that on, and we will let you know if it works.", True),
        ("en", "Someone will call you to confirm the new time.", True),
        ("en", "Great, Friday at nine is yours. See you then.", False),
        ("en", "We look forward to seeing you.", False),
        ("es", "El viernes a las nueve. El equipo le llamará para confirmarlo.", True),
        ("es", "Perfecto, nos vemos el viernes.", False),
    ],
)
def test_what_the_agent_leaves_open(language: str, said: str, left_open: bool) -> None:
    assert deferred(turns([said]), language) is left_open


@pytest.mark.parametrize(
    ("text", "something"),
    [
        ("Great, thank you. Goodbye!", False),
        ("Hello?", False),
        ("Okay, bye.", False),
        ("Four. The staff were kind.", True),
        ("No.", True),
    ],
)
def test_nothing_said_is_nothing(text: str, something: bool) -> None:
    assert says_something(text, "en") is something


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize(
    "piece", ["10 ", "ten in the morning ", "el lunes ", "word ", "yes ", "no ", "if ", "i "]
)
def test_no_words_take_long(language: str, piece: str) -> None:
    """A pattern that backtracks would take for ever; a slow machine does not."""
    talk = turns(["Does that still work for you?", piece * 3000])
    began = time.process_time()
    commitment(talk, language, about=ABOUT)
    assert time.process_time() - began < 5
