"""Where a reply's text is cut: the first clause first, and never in a wrong place."""

from __future__ import annotations

from statistics import median

import pytest
from pipecat.utils.text.simple_text_aggregator import SimpleTextAggregator

from bot.pipeline.tts.first_clause import FirstClauseAggregator, first_cut

TOKEN_SECONDS = 1 / 80
REPLIES = (
    "Yes, we have an opening on Thursday at two in the afternoon. Would that suit you?",
    "Our office is in Suite 200 on the second floor, right beside the post office on Main Street.",
    "I would like to confirm your dentist appointment with Dr. Smith on Thursday at 2 p.m. Does that work?",
    "No problem at all, I can move it to Friday. What time would be best for you?",
    "Thank you, that is everything I needed to know today.",
    "Parking is free for patients behind the building and you can take the tram to the old town hall as well.",
    "Of course. Let me check that for you, it will only take a moment.",
)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Sure, I can do that. Anything else", "Sure,"),
        ("Of course, Mr. Brown, we can", "Of course,"),
        ("Unfortunately, we", "Unfortunately,"),
        ("Hi John. Does", "Hi John."),
        ("No. We do not", "No."),
        ("We live at no. 5 on the square, it", "We live at no. 5 on the square,"),
        ("Good morning — this is Alex", "Good morning —"),
        ("Here it is: the second floor", "Here it is:"),
        ("We meet Dr. Smith at 3:30 on Thursday, so", "We meet Dr. Smith at 3:30 on Thursday,"),
        ("It costs 1,000, 2,000 dollars, maybe", "It costs 1,000, 2,000 dollars,"),
        ("We live on Main St. near J. F. Park, and", "We live on Main St. near J. F. Park,"),
        ('She said "come by." Then', 'She said "come by."'),
        ("Well... I'm not quite sure, but", "Well..."),
        ("One two three four five six seven eight nine", "One two three four"),
        ("I would like to confirm your appointment with Doctor", "I would like to confirm"),
        ("The number of the house we are at is 12 on", "The number of the house"),
        ("Our office is in Suite 200 on the second floor", "Our office is in Suite 200"),
        ("¿Le viene bien el jueves? Puedo", "¿Le viene bien el jueves?"),
        ("Le llamo de parte de la Dra. Pérez, para", "Le llamo de parte de la Dra. Pérez,"),
    ],
)
def test_the_first_piece(text: str, first: str) -> None:
    cut = first_cut(text)
    assert cut is not None
    assert text[:cut].strip() == first


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes,",
        "Yes, I",
        "Hello there.",
        "It is at 2 p.m.",
        "It is at 2 p.m. on",
        "That makes 3.",
        "That makes 3.5",
        "At 3:30",
        "Call 555, 0123",
        "We meet Dr. Smith",
        "e.g. this",
        "The code is 12 45 of",
    ],
)
def test_more_has_to_come(text: str) -> None:
    assert first_cut(text) is None


def tokens(text: str) -> list[str]:
    """As a model streams: short words whole, long ones in two."""
    found: list[str] = []
    for index, word in enumerate(text.split(" ")):
        spaced = f" {word}" if index else word
        found += [spaced[:5], spaced[5:]] if len(word) > 6 else [spaced]
    return found


async def pieces(aggregator: SimpleTextAggregator, text: str) -> list[tuple[int, str]]:
    """Each piece, and how many tokens had come by then."""
    found: list[tuple[int, str]] = []
    stream = tokens(text)
    for count, token in enumerate(stream, start=1):
        found += [(count, piece.text) async for piece in aggregator.aggregate(token)]
    if (rest := await aggregator.flush()) is not None:
        found.append((len(stream), rest.text))
    return found


@pytest.mark.parametrize("text", REPLIES)
async def test_no_word_is_lost_and_later_pieces_are_sentences(text: str) -> None:
    found = [piece for _, piece in await pieces(FirstClauseAggregator(language="en"), text)]
    assert " ".join(found).split() == text.split()
    assert all(piece[-1] in ".?!" for piece in found[1:])


async def test_the_first_piece_is_out_before_the_first_sentence() -> None:
    """At 80 tokens a second; the longer the first sentence, the more it is worth."""
    waits: list[tuple[float, float]] = []
    for text in REPLIES:
        ours = await pieces(FirstClauseAggregator(language="en"), text)
        stock = await pieces(SimpleTextAggregator(language="en"), text)  # type: ignore[no-untyped-call]
        waits.append(((stock[0][0] - 1) * TOKEN_SECONDS, (ours[0][0] - 1) * TOKEN_SECONDS))
    assert all(ours <= stock for stock, ours in waits), waits
    assert median(ours for _, ours in waits) < 0.115
    assert max(ours for _, ours in waits) < 0.15
    long = [(stock, ours) for stock, ours in waits if stock > 0.2]
    assert median(ours for _, ours in long) < 0.6 * median(stock for stock, _ in long)


async def test_one_token_may_hold_it_all() -> None:
    aggregator = FirstClauseAggregator(language="en")
    found = [piece.text async for piece in aggregator.aggregate("Of course, sir. It is here. And")]
    assert found == ["Of course,", "sir.", "It is here."]
    rest = await aggregator.flush()
    assert rest is not None
    assert rest.text == "And"


@pytest.mark.parametrize("how", ["flush", "interruption"])
async def test_each_reply_begins_with_its_first_clause(how: str) -> None:
    aggregator = FirstClauseAggregator(language="en")
    for _ in range(2):
        found = [piece.text async for piece in aggregator.aggregate("That is quite right, it is")]
        assert found == ["That is quite right,"]
        if how == "flush":
            await aggregator.flush()
        else:
            await aggregator.handle_interruption()
    assert aggregator.take() == ""
