"""Where the text of a reply is cut for the voice: the first clause first, sentences after it. No I/O.

A reply's first audio waits for its first piece, so that piece ends at the first clause, or after four words
where there is none: a 17-word sentence at 80 tokens a second keeps the voice waiting for 0.3 s, its first
clause for a third of that. Cutting every piece at clauses was rejected: a voice that knows the whole sentence
speaks it better, and the first clause sounds while the rest of its sentence comes. Handing on single tokens
was rejected too: the vendor then gathers text by a schedule of its own (120 characters before it begins).
"""

import re
from collections.abc import AsyncIterator
from itertools import pairwise

from pipecat.utils.text.base_text_aggregator import Aggregation, TextType

from bot.pipeline.pipecat_internals import OpenTextAggregator

MIN_WORDS = 2
MIN_CHARACTERS = 5
"""A first clause has so many words or so many characters: 0.4 s of speech, longer than the next piece takes. A
sentence may be shorter: nothing waits for the one after it."""
MIN_SENTENCE = 3
"""Characters: "No." is one, "1." is not."""
MAX_WORDS = 4
"""Without a clause the first piece has so many words, and more where speech may not pause behind them."""

_BOUNDARY = re.compile(r"[,;:.!?…]+[\"'”’»)\]]*(?=\s+\S)|\s*[—–]+\s*(?=\S)|\s-(?=\s+\S)")
_TITLES = frozenset(
    re.findall(
        r"\w+",
        "dr mr mrs ms prof st mt ft gen sgt capt lt col rev hon sr sra srta dra ud uds av avda",
    )
)
"""A name follows: never the end of a sentence."""
_SHORT = frozenset(
    re.findall(
        r"\w+",
        # English, then Spanish
        "jr vs etc no inc ltd co corp dept est approx ave blvd rd apt ste ext tel fig jan feb mar apr jun jul "
        "aug sep sept oct nov dec mon tue wed thu fri sat sun vd vds pza núm num pág tfno aprox lic ing",
    )
)
"""The end of a sentence where a capital follows."""
_CONNECTING = frozenset(
    re.findall(
        r"\w+",
        "and but or so because that which who when while if in on at with for from to as before after "
        "y e o u pero porque que cuando si en con para por desde hasta como antes después",
    )
)
"""Speech does not pause behind these: what they connect follows."""
_BEHIND_NUMBERS = _CONNECTING - frozenset(("and", "or", "to", "y", "e", "o", "u", "de", "hasta", "por", "from"))
"""Of these, the ones that no number goes on with."""


def first_cut(text: str) -> int | None:
    """How much of `text`, the beginning of a reply, is its first piece; None: more has to come.

    Never inside a number or a time of day, nor behind an abbreviation or an initial. What follows the cut has
    begun, so what stands before it is whole.
    """
    for found in _BOUNDARY.finditer(text):
        piece = text[: found.end()].strip()
        mark = found.group().strip()
        ends_sentence = mark[0] in ".!?" and not mark.startswith("..") and len(piece) >= MIN_SENTENCE
        if (ends_sentence or _long_enough(piece)) and _ends_a_clause(text, found):
            return found.end()
    return _cut_between_words(text)


def _long_enough(piece: str) -> bool:
    return len(piece) >= MIN_CHARACTERS or len(piece.split()) >= MIN_WORDS


def _ends_a_clause(text: str, found: re.Match[str]) -> bool:
    before, after = text[: found.start()], text[found.end() :].lstrip()
    mark = found.group().strip()
    if before[-1:].isdigit() and after[:1].isdigit():
        return False  # 555, 0123
    return not mark.startswith(".") or mark.startswith("..") or not _is_abbreviated(before, after)


def _is_abbreviated(before: str, after: str) -> bool:
    """Whether a period right behind `before` belongs to its last word: Dr, p.m, an initial, no before 5."""
    word = re.split(r"[\s(\"'“‘—–-]", before)[-1].lower()
    in_a_sentence = word in _SHORT and not after[:1].isupper()
    return in_a_sentence or word in _TITLES or "." in word or (len(word) == 1 and word.isalpha())


def _cut_between_words(text: str) -> int | None:
    words = list(re.finditer(r"\S+", text))
    for last, following in pairwise(words[MAX_WORDS - 1 :]):
        if _may_part(last.group(), following.group()):
            return last.end()
    return None


def _may_part(word: str, following: str) -> bool:
    """Whether speech may pause behind a word: not where the next one completes it or, a number, counts on."""
    bare = word.rstrip("\"'”’»)].,;:")
    whole = bare.lower() not in _CONNECTING and bare.lower() not in ("the", "a", "an", "el", "la", "los", "un")
    abbreviated = word.endswith(".") and _is_abbreviated(word[:-1], "")
    counted = bare[-1:].isdigit() and following.lower() not in _BEHIND_NUMBERS
    named = following[:1].isdigit()  # Suite 200
    return whole and not (abbreviated or counted or named) and any(c.isalnum() for c in bare)


class FirstClauseAggregator(OpenTextAggregator):
    """pipecat's sentences, after a first piece cut by `first_cut`. A flush or an interruption begins anew."""

    def __init__(self, *, language: str | None = None) -> None:
        super().__init__(language=language)  # type: ignore[no-untyped-call]
        self._first_is_out = False

    async def aggregate(self, text: str) -> AsyncIterator[Aggregation]:
        if self._first_is_out:
            async for piece in super().aggregate(text):
                yield piece
            return
        self.waiting += text
        cut = first_cut(self.waiting)
        if cut is None:
            return
        first, rest = self.waiting[:cut].strip(), self.waiting[cut:]
        self.waiting = ""
        self._first_is_out = True
        yield Aggregation(text=first, type=TextType.SENTENCE)
        # The rest may hold whole sentences already: it is read from its beginning.
        async for sentence in super().aggregate(rest):
            yield sentence

    def take(self) -> str:
        """What waits, as it came; nothing waits any more."""
        text, self.waiting = self.waiting, ""
        return text

    async def reset(self) -> None:
        await super().reset()  # type: ignore[no-untyped-call]
        self._first_is_out = False

    async def flush(self) -> Aggregation | None:
        remaining = await super().flush()
        self._first_is_out = False
        return remaining

    async def handle_interruption(self) -> None:
        await super().handle_interruption()  # type: ignore[no-untyped-call]
        self._first_is_out = False
