"""What the product knows of a language by itself: words it hears, phrases it says.

The sentences of machines have their tables in test_pickup.py.
"""

from __future__ import annotations

import dataclasses
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import languages
from bot.conversation.templates import VARIABLES
from bot.languages import Language, Wording, plain

ENGLISH, SPANISH = languages.of("en"), languages.of("es")
BOTH = pytest.mark.parametrize("language", [ENGLISH, SPANISH], ids=lambda language: language.name)

GOES_ON = {
    "en": [
        *("mhm", "Mm-hmm.", "mmhmm", "Mhmm", "mm hmm", "Mmm", "hmm", "Uh-huh.", "uh huh", "uhhuh", "UH-HUH"),
        *("okay", "OK.", "Okay, okay.", "ok ok ok", "Right.", "right, right", "Yeah.", "yeah yeah", "Yeahhh"),
        *("yep", "Sure.", "I see.", "Oh, I see.", "Got it.", "Alright", "Uh-huh, okay."),
        *("Mm-hmm. Right. Okay.", "Of course.", "Oh okay", "I understand", "Makes sense", "Yes."),
    ],
    "es": [
        *("Ajá.", "aja", "mhm", "Mm-hmm", "mmm", "Sí.", "si", "sí sí", "Sí, sí, claro.", "Claro", "Vale, vale."),
        *("Ya.", "ya veo", "Entiendo.", "OK", "okey", "De acuerdo.", "Está bien", "Perfecto.", "Bueno.", "Dale"),
        *("Claro que sí", "Muy bien", "Ajá, sí."),
    ],
}
TAKES_THE_TURN = {
    "en": [
        *("", "   ", "...", "no", "No.", "uh-uh", "I'm right here", "okay but what time", "right now", "yeah no"),
        *("yes but not on Thursday", "sure, where is it?", "What?", "hello?", "okay Thursday", "I see him"),
        *("who is this", "got it wrong", "thank you goodbye", "mhm what"),
    ],
    "es": [
        *("", "no", "No, no.", "sí pero ¿a qué hora?", "claro que no", "vale, ¿y dónde?", "ya no", "bueno, no"),
        *("¿Qué?", "hola", "entiendo que no", "sí el viernes", "adiós"),
    ],
}
STOPS = {
    "en": [
        *("stop", "Stop!", "Wait.", "wait wait", "Hold on.", "hang on a second", "One second.", "Excuse me?"),
        *("Oh wait, a second", "no no", "No, no, no.", "Sorry.", "sorry, one moment", "Just a moment please"),
        *("okay stop", "yeah hold on", "hey, stop talking"),
        # An order to wait, although something follows: silence at once is right, the words are heard anyway.
        "no wait that is wrong",
    ],
    "es": [
        *(
            "Espere.",
            "espera espera",
            "¡Para!",
            "pare, por favor",
            "Alto.",
            "Un momento.",
            "un momentito por favor",
        ),
        *(
            "Disculpe",
            "Perdón.",
            "oiga, espere",
            "no, no",
            "sí pero espere",
            "un segundo",
            "Perdone, una pregunta",
        ),
    ],
}
DOES_NOT_STOP = {
    "en": [
        *(
            "",
            "mhm",
            "okay",
            "yes",
            "no",
            "I can't wait",
            "where is the bus stop",
            "stop by on Friday",
            "nonstop",
        ),
        *("await", "I'll wait", "sorry to hear that", "waiter", "how long is the wait"),
        # "Wait" is one word of many here; so much speech interrupts by itself, a moment later.
        "no wait for me there is fine with everybody",
        "we had to stop the car on the way there yesterday",
    ],
    "es": [
        *("", "ajá", "claro", "no", "para el jueves", "¿para qué?", "¿Es para mí?", "en este momento"),
        *("le espero", "hace un momento", "no, no hay problema", "para confirmar", "parada", "sala de espera"),
    ],
}
HEARD = {
    *("code", "name", "backchannels", "stop_phrases", "not_stop_phrases", "greetings"),
    *("unfinished", "digits", "complete"),
}
"""What is not spoken."""
PICKS_UP = {
    "en": ["Hello?", "hello hello", "Hi, good morning.", "Speaking.", "Yes?", "Hello, who is this?"],
    "es": ["¿Diga?", "¿Dígame?", "¿Bueno?", "Aló", "Hola, buenas tardes.", "¿Sí?", "¿Sí, dígame?", "¿Quién es?"],
}


def table(phrases: dict[str, list[str]]) -> list[tuple[Language, str]]:
    return [(languages.of(code), text) for code, texts in phrases.items() for text in texts]


@pytest.mark.parametrize(("language", "text"), table(GOES_ON))
def test_a_backchannel_in_any_spelling(language: Language, text: str) -> None:
    assert language.is_backchannel(text)
    assert not language.asks_to_stop(text)


@pytest.mark.parametrize(("language", "text"), table(TAKES_THE_TURN))
def test_anything_beside_it_takes_the_turn(language: Language, text: str) -> None:
    assert not language.is_backchannel(text)


@pytest.mark.parametrize(("language", "text"), table(STOPS))
def test_words_that_stop_at_once(language: Language, text: str) -> None:
    assert language.asks_to_stop(text)
    assert not language.is_backchannel(text)


@pytest.mark.parametrize(("language", "text"), table(DOES_NOT_STOP))
def test_the_same_letters_that_stop_nothing(language: Language, text: str) -> None:
    assert not language.asks_to_stop(text)


@pytest.mark.parametrize(("language", "text"), table(PICKS_UP))
def test_a_hello(language: Language, text: str) -> None:
    assert language.is_greeting(text)


@pytest.mark.parametrize("text", ["", "Hello, I'm busy", "hello where are you", "Hi, this is the voicemail of"])
def test_more_than_a_hello(text: str) -> None:
    assert not ENGLISH.is_greeting(text)


@BOTH
def test_its_lists_hold_what_they_say(language: Language) -> None:
    for phrase in language.backchannels:
        assert language.is_backchannel(phrase), phrase
        assert not language.asks_to_stop(phrase), f"{phrase!r} says go on, and stop"
    for phrase in language.stop_phrases:
        assert language.asks_to_stop(phrase), phrase
        assert not language.is_backchannel(phrase), f"{phrase!r} says stop, and go on"
    for phrase in language.not_stop_phrases:
        assert not language.asks_to_stop(phrase), phrase
    for phrase in language.greetings:
        assert language.is_greeting(phrase), phrase


@BOTH
def test_its_phrases_can_be_spoken(language: Language) -> None:
    """Sentences, whole, whose variables are known and whose brackets close."""
    for field in dataclasses.fields(language):
        value = getattr(language, field.name)
        said = value if isinstance(value, tuple) else (value,)
        if field.name in HEARD or not all(isinstance(text, str) for text in said):
            continue
        assert said, field.name
        for text in said:
            bare = re.sub(r"\{\{(\w+)(?:\|([^}]*))?\}\}", r"\2", text).replace("[[", "").replace("]]", "").strip()
            assert text[0].isupper() or text[0] in "¿¡", text
            assert re.search(r"[.?!]$", bare), text
            assert not re.search(r"[\[\]{}]", bare), text
            assert set(re.findall(r"\{\{(\w+)", text)) <= VARIABLES, text


@BOTH
def test_its_own_phrases_are_no_machines(language: Language) -> None:
    """Nobody takes the agent of another house for a machine because it speaks our phrases."""
    for text in (*language.fillers, *language.silence, language.goodbye):
        for kind in ("voicemail", "screening", "menu", "unavailable"):
            assert not getattr(language.answering, kind).found_in(text), (kind, text)


def test_a_region_has_its_language() -> None:
    assert languages.of("en-US") is languages.of("en-GB") is ENGLISH
    assert languages.of("es-MX") is languages.of("es_ES") is SPANISH
    assert (SPANISH.code, SPANISH.name) == ("es", "Spanish")
    assert languages.knows("es-419") and not languages.knows("fr-CA")


def test_an_unknown_language_has_english_phrases_and_its_own_name() -> None:
    french = languages.of("fr-CA")
    assert (french.code, french.name) == ("fr", "the language with the code fr-CA")
    assert french.goodbye == ENGLISH.goodbye
    assert french.is_backchannel("mm-hmm")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("You've reached José's VOICEMAIL!", "youve reached joses voicemail"),
        ("Mm-hmm… okay?", "mm hmm okay"),
        ("¿Está ahí? ¡Sí!", "esta ahi si"),
        ("hmmmmm", "hmm"),
        ("1000 000", "1000 000"),
        ("", ""),
    ],
)
def test_plain_text(text: str, expected: str) -> None:
    assert plain(text) == expected


@given(st.text(max_size=60))
def test_plain_text_stays_plain(text: str) -> None:
    once = plain(text)
    assert plain(once) == once
    assert once == once.strip() and "  " not in once
    assert not set(once) & set(string.punctuation)


@given(st.text(alphabet=string.ascii_letters + " ,.?!'-", max_size=60))
def test_no_text_is_both(text: str) -> None:
    for language in (ENGLISH, SPANISH):
        assert not (language.is_backchannel(text) and language.asks_to_stop(text))


def test_a_wording_matches_whole_words() -> None:
    wording = Wording(r"tone", r"buzon(?: de voz)?")
    assert wording.found_in("after the TONE.") and wording.found_in("El buzón de voz")
    assert not wording.found_in("stones") and not wording.found_in("")
