"""Who a person says they are, in answer to the agent's question."""

from __future__ import annotations

import pytest

from bot import languages
from bot.conversation.templates import placeholders
from bot.languages import Identity

EN, ES = languages.of("en").identity, languages.of("es").identity
JOHN, ANA = "John Miller", "Ana García"


@pytest.mark.parametrize(
    "text",
    [
        *("Yes.", "Yes?", "Yeah, speaking.", "Speaking.", "This is he.", "That's me.", "Yes, I am.", "Uh, yeah."),
        *(
            "This is John.",
            "Hi, John Miller here.",
            "John.",
            "Mr. Miller speaking.",
            "It's John here, what is it?",
        ),
        *("Yes, this is John, who's this?", "I'm John, go ahead.", "You are speaking with John Miller."),
        *("Yes, how can I help you?", "No problem, this is John."),
    ],
)
def test_it_is_they(text: str) -> None:
    assert EN.judge(text, JOHN) is Identity.CONFIRMED


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("No.", "denied"),
        ("No, this is Mary.", "denied"),
        ("This is John's wife.", "denied"),
        ("This is not John.", "denied"),
        ("He's not here right now.", "denied"),
        ("Wrong number.", "denied"),
        ("I don't know any John.", "denied"),
        ("John is my brother, he has moved.", "denied"),
        ("Who is this?", "asks"),
        ("Yes, who is calling?", "asks"),
        ("Yes please, what's it about?", "asks"),
        ("Tell me what it is about and I'll tell John.", "asks"),
        ("Are you a robot?", "asks"),
        ("This is Jane Miller.", "unclear"),
        ("Jane Miller speaking.", "unclear"),
        ("Yes, he is here.", "unclear"),
        ("Yes, one moment please.", "unclear"),
        ("Sure, hold on.", "unclear"),
        ("John?", "unclear"),
        ("Is this about John?", "unclear"),
        ("I know John.", "unclear"),
        ("I want to speak to John too.", "unclear"),
        ("OK, John can talk to you now.", "unclear"),
        ("Hello?", "unclear"),
        ("I'm busy.", "unclear"),
    ],
)
def test_it_is_not_known_to_be_they(text: str, identity: str) -> None:
    assert EN.judge(text, JOHN) is Identity(identity)


def test_a_yes_to_another_question_says_nothing_and_a_name_does() -> None:
    assert EN.judge("Yes.", JOHN, asked=False) is Identity.UNCLEAR
    assert EN.judge("Speaking.", JOHN, asked=False) is Identity.UNCLEAR
    assert EN.judge("Hello, this is John.", JOHN, asked=False) is Identity.CONFIRMED


@pytest.mark.parametrize(
    ("text", "confirmed"),
    [
        *(("This is Mary.", True), ("My name is Bob.", True), ("Mary speaking.", True), ("I'm busy.", False)),
        *(("Yes.", False), ("Who wants to know?", False), ("I'm not telling you.", False), ("Speaking.", False)),
    ],
)
def test_where_no_name_is_known_they_say_theirs(text: str, confirmed: bool) -> None:
    assert (EN.judge(text, None) is Identity.CONFIRMED) is confirmed


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        *(
            ("Sí.", "confirmed"),
            ("Sí, soy yo.", "confirmed"),
            ("Al habla.", "confirmed"),
            ("Soy Ana.", "confirmed"),
        ),
        *(("Con ella.", "confirmed"), ("Ana García al habla.", "confirmed"), ("Sí, dígame.", "confirmed")),
        *(("No, soy su marido.", "denied"), ("No está.", "denied"), ("Número equivocado.", "denied")),
        *(("¿De parte de quién?", "asks"), ("Sí, ¿quién es?", "asks"), ("Diga.", "unclear")),
    ],
)
def test_in_spanish(text: str, identity: str) -> None:
    assert ES.judge(text, ANA) is Identity(identity)


@pytest.mark.parametrize("code", sorted(languages.KNOWN))
def test_what_is_said_before_names_nobody_s_matter(code: str) -> None:
    words = languages.of(code).identity
    texts = (words.introduction, words.asks, words.asks_unnamed, words.why, words.message, words.screening)
    named = {name for text in texts for name, _ in placeholders(text)}
    assert named <= {"callee_name", "agent_name", "organization"}
