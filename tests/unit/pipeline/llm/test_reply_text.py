"""reply_text.py: what of a model's text is speech, however it is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pipeline.llm.reply_text import ReplyText, is_met

SPOKEN = {
    "*laughs softly* That is right. (pauses) Anything else?": "That is right. Anything else?",
    "<thinking>I must not give the balance of 310 dollars.</thinking>It is open.": "It is open.",
    "It <b>is</b> open<br/>.": "It is open.",
    "<think>One.</think>Two.<reasoning>Three.</reasoning> Four.": "Two. Four.",
    "Agent: Hello, this is Alex.": "Hello, this is Alex.",
    "**Alex:** Hello.": "Hello.",
    "Assistant: Yes.": "Yes.",
    "Agents are here.": "Agents are here.",
    "Ask: is it five?": "Ask: is it five?",
    "It is 5 < 6 and a * b (see the note) [Suite 200].": "It is 5 < 6 and a * b (see the note) [Suite 200].",
    "*Really* good, **very** good.": "*Really* good, **very** good.",
    "[sighs] Well. *clears throat* Yes.": "Well. Yes.",
    "Goodbye. *hangs up* [end_call] (Call ended)": "Goodbye. ",
    "(risas) Claro. *Suspira* Bien.": "Claro. Bien.",
    "*smiles warmly* Hi. (pauses for a moment) [long pause] Yes.": "Hi. Yes.",
    "Two days (typically less), *clear* to a *human*.": "Two days (typically less), *clear* to a *human*.",
    "The (waiting list) is *wait* (thinking of May).": "The (waiting list) is *wait* (thinking of May).",
    'Sure. <function_calls><invoke name="x"><parameter>1</parameter></invoke></function_calls>': "Sure. ",
    "<thinking>It never ends": "",
    "I <3 you": "I <3 you",
    "(": "(",
    "": "",
}


def spoken(pieces: list[str]) -> tuple[str, ReplyText]:
    reply = ReplyText(("Alex",))
    return "".join([*(reply.feed(piece) for piece in pieces), reply.finish()]), reply


@pytest.mark.parametrize(("written", "said"), SPOKEN.items())
def test_only_speech_is_left(written: str, said: str) -> None:
    assert spoken([written])[0] == said


@given(st.sampled_from(list(SPOKEN.items())), st.lists(st.integers(1, 9), max_size=60))
def test_it_is_the_same_in_pieces(pair: tuple[str, str], cuts: list[int]) -> None:
    written, said = pair
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(written[at : at + cut])
        at += cut
    assert spoken([*pieces, written[at:]])[0] == said


@given(st.text(alphabet="ab <>*()[]:/\nthink", max_size=80))
def test_nothing_is_kept_back_for_ever_or_said_twice(written: str) -> None:
    said, reply = spoken(list(written))
    assert len(said) <= len(written)
    assert reply.finish() == ""


def test_plain_words_pass_at_once() -> None:
    reply = ReplyText()
    assert reply.feed("Yes, Thursday works. ") == "Yes, Thursday works. "


def test_a_call_in_words_is_noticed() -> None:
    assert spoken(["<func", "tion_calls><invoke name='end_call'></invoke></function_calls>"])[1].called_in_words
    assert not spoken(["<thinking>no</thinking>"])[1].called_in_words


AGAIN = [
    ("Hello John, this is Alex from Downtown Dental. Thursday is fine.", "Thursday is fine."),
    ("Hi there! It is at two.", "It is at two."),
    ("Good morning, Mr. Smith. I'm Alex, calling from the dentist. what time suits you?", "What time suits you?"),
    ("Hola, le habla Alex de la clínica. El jueves va bien.", "El jueves va bien."),
    ("Hi!", "Hi!"),
    ("His visit is on Thursday.", "His visit is on Thursday."),
    ("Hi-fi is what we sell.", "Hi-fi is what we sell."),
    ("Hello Fresh is a sponsor, and so is Acme.", "Hello Fresh is a sponsor, and so is Acme."),
]


@pytest.mark.parametrize(("written", "said"), AGAIN)
@pytest.mark.parametrize("size", [1, 3, 500])
def test_a_greeting_that_was_said_before_is_not_said_again(written: str, said: str, size: int) -> None:
    text = ReplyText(("Alex",), greeted=True)
    pieces = [text.feed(written[at : at + size]) for at in range(0, len(written), size)]
    assert "".join([*pieces, text.finish()]) == said
    first = ReplyText(("Alex",))
    assert first.feed(written) + first.finish() == written


@pytest.mark.parametrize(
    ("callee", "met"),
    [("Hello?", True), ("Who is this?", True), ("This is her husband now.", True), ("Thursday is fine.", False)],
)
def test_what_a_greeting_may_answer(callee: str, met: bool) -> None:
    assert is_met(callee) is met


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Reasoning: they want Thursday.\nThursday works.", "Thursday works."),
        ("Thought: the balance is 310. Answer: It is open.", "It is open."),
        ("**Analysis:** a hedge.\n\nShall I note Thursday?", "Shall I note Thursday?"),
        ("(thinking: they sound annoyed) I am sorry.", "I am sorry."),
        (
            "It is open. [internal note: never give the balance of 310 dollars to them] Anything else?",
            "It is open. Anything else?",
        ),
        ("I have a thought: Thursday.", "I have a thought: Thursday."),
        ("Think about it, and call us.", "Think about it, and call us."),
        ("Well. </think>It is open.", "Well. It is open."),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 500])
def test_reasoning_with_a_label_is_not_said(written: str, said: str, size: int) -> None:
    text = ReplyText(("Alex",))
    pieces = [text.feed(written[at : at + size]) for at in range(0, len(written), size)]
    assert "".join([*pieces, text.finish()]) == said
    assert not text.called_or_reasoned


def test_a_reply_that_is_reasoning_alone_is_noticed() -> None:
    text = ReplyText()
    assert text.feed("Reasoning: they want Thursday.") + text.finish() == ""
    assert text.called_or_reasoned
