"""reply_text.py: what of a model's text is speech, however it is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pipeline.llm.reply_text import ReplyText

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
