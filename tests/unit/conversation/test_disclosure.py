"""That an AI assistant speaks: said in the first sentence whatever the text was, and heard to its end."""

from __future__ import annotations

import pytest

from bot import languages
from bot.conversation.disclosure import DisclosureWatch, disclosed, discloses, first_sentence
from bot.conversation.prompt import (
    lawful,
    opening_text,
    screening_text,
    shared_prompt,
    spare_opening,
    voicemail_text,
)
from bot.conversation.scenario.scenario import Scenario
from bot.records import CallSpec

EN, ES = languages.of("en"), languages.of("es")
SENTENCE = EN.notices.disclosure


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Hi John, this is Alex from Acme. Is it a good time?",
            "Hi John, this is Alex, an AI assistant, from Acme. ",
        ),
        ("Hi Dr. Smith, this is Alex.", "Hi Dr. Smith, this is Alex, an AI assistant."),
        (
            "Hello, this is Acme, Alex speaking. How can I help?",
            "Hello, this is Acme, Alex speaking, an AI assistant.",
        ),
        ("Hi, I'm Alex, an AI assistant from Acme.", "Hi, I'm Alex, an AI assistant from Acme."),
        ("Hi there! This is your AI phone assistant.", "Hi there! This is your AI phone assistant."),
        ("Your visit is on Thursday.", "This is an AI assistant. Your visit"),
        ("Hello?", "This is an AI assistant. Hello?"),
        ("", "This is an AI assistant."),
        ("This is Alex's office.", "This is an AI assistant. This is Alex's"),
        # Named, and not as the one who speaks.
        ("Hi, this is Alex, I'm not an AI assistant.", "Hi, this is Alex, an AI assistant, I'm not"),
        ("Hi, this is Alex about your AI assistant.", "Hi, this is Alex, an AI assistant, about your AI"),
        ("We sell an AI assistant.", "This is an AI assistant. We sell"),
        # Only in the second sentence.
        ("This is Alex from Acme. I am an AI assistant.", "This is Alex, an AI assistant, from Acme. I am"),
    ],
)
def test_it_is_in_the_first_sentence(text: str, said: str) -> None:
    result = disclosed(text, "Alex", EN, SENTENCE)
    assert result.startswith(said)
    assert discloses(result, EN, SENTENCE)
    assert "AI" in result[: first_sentence(result)]
    assert disclosed(result, "Alex", EN, SENTENCE) == result, "once is enough"


def test_in_spanish_and_in_a_language_of_the_scenarios_own() -> None:
    said = disclosed(
        "Hola, Juan, le habla Elena de Acme. Le llamo por su cita.", "Elena", ES, ES.notices.disclosure
    )
    assert said.startswith("Hola, Juan, le habla Elena, asistente de inteligencia artificial, de Acme.")
    french = "Je suis un assistant IA."
    assert disclosed("Bonjour Jean.", "Alex", languages.of("fr"), french) == f"{french} Bonjour Jean."


SPEC = CallSpec("+12025550123", "s", action="Confirm the visit", callee_name="John", agent_name="Kim")


def scenario(**table: object) -> Scenario:
    return Scenario.model_validate(
        {
            "description": "A test.",
            "instructions": "Talk.",
            "opening": {"text": "Hi {{callee_name}}, this is {{agent_name}}."},
            "compliance": table,
        }
    )


@pytest.mark.parametrize("profile", ["us_service", "us_marketing", "eu"])
def test_whatever_is_said_first_has_it_in_each_profile(profile: str) -> None:
    lawful_one = scenario(profile=profile)
    written_by_a_model = lawful("Hello John, I have news for you.", SPEC, lawful_one)
    texts = [written_by_a_model, opening_text(SPEC, lawful_one), spare_opening(SPEC, lawful_one)]
    texts += [voicemail_text(SPEC, lawful_one), screening_text(SPEC, lawful_one)]
    for text in texts:
        assert text is not None
        assert discloses(text, EN, SENTENCE), text
    assert "AI assistant" in shared_prompt(lawful_one).split("first sentence")[1]


@pytest.mark.parametrize("table", [{"profile": "none"}, {"profile": "us_service", "disclosure": False}])
def test_off_is_a_setting(table: dict[str, object]) -> None:
    off = scenario(**table)
    assert (opening_text(SPEC, off) or "").startswith("Hi John, this is Kim.")
    assert lawful("Hello.", SPEC, off).startswith("Hello.")
    assert "first sentence you say" not in shared_prompt(off)


class TestHeardToItsEnd:
    def watch(self) -> DisclosureWatch:
        watch = DisclosureWatch(EN, SENTENCE, wanted=True)
        assert not watch.pending, "nobody has been spoken to"
        watch.begin()
        return watch

    def test_the_word_after_it_says_that_it_was_heard(self) -> None:
        watch = self.watch()
        for word in ["Hi", "John,", "this", "is", "Alex,", "an", "AI", "assistant,"]:
            watch.note_words(word)
            assert watch.pending, word
        watch.note_words("from")
        assert not watch.pending
        assert watch.heard_at is not None

    def test_its_last_word_is_heard_at_the_end_of_the_turn(self) -> None:
        watch = self.watch()
        watch.note_words("This is an AI assistant.")
        assert watch.pending
        watch.note_turn_over(interrupted=False)
        assert not watch.pending
        assert not watch.due()

    def test_cut_off_it_is_said_again(self) -> None:
        watch = self.watch()
        watch.note_words("This is an AI")
        watch.note_words("assistant.")
        watch.note_turn_over(interrupted=True)
        assert watch.pending
        assert watch.heard_at is None
        assert watch.due()
        assert not watch.due(), "once a cut"
        watch.note_words(SENTENCE)
        watch.note_turn_over(interrupted=False)
        assert not watch.pending

    def test_it_is_said_again_to_who_comes_back(self) -> None:
        watch = self.watch()
        watch.note_words("This is an AI assistant.")
        watch.note_turn_over(interrupted=False)
        watch.begin()
        watch.note_words(EN.notices.disclosure_again)
        watch.note_words("Nobody")
        assert not watch.pending

    def test_switched_off_it_waits_for_nothing(self) -> None:
        watch = DisclosureWatch(EN, SENTENCE, wanted=False)
        watch.begin()
        watch.note_turn_over(interrupted=True)
        assert not watch.pending
        assert not watch.due()
