"""How the brain words things: never one sentence three times, and nothing asked that was just said. Pure."""

from __future__ import annotations

import re
from collections import Counter

from bot.pipeline.offline.understanding import plain, utterance_parts

_AGAIN = ("As I said, ", "Again, ", "Once more, ", "To say it again, ")


class Talk:
    """Remembers each sentence said in this call. `again` introduces what was said before."""

    def __init__(self, again: tuple[str, ...] = _AGAIN) -> None:
        self._said: Counter[str] = Counter()
        self._introductions = again

    def pick(self, *variants: str) -> str:
        """The variant said least so far, the first among equals."""
        return min(
            variants, key=lambda text: max((self._said[plain(s)] for s in utterance_parts(text)), default=0)
        )

    def utter(self, *sentences: str) -> str:
        """The sentences as one reply.

        One said twice before comes with an introduction ("As I said, …"), and of such only the last two of a
        reply: the rest was heard often enough.
        """
        parts = [part for text in sentences for part in utterance_parts(text)]
        parts = [part for n, part in enumerate(parts) if plain(part) not in map(plain, parts[:n])]
        worn = [part for part in parts if self._said[plain(part)] >= 2]
        parts = [part for part in parts if part not in worn[:-2]]
        said: list[str] = []
        free = list(self._introductions)
        for part in parts:
            form = part
            if part in worn:
                form = next((f for f in _forms(part, free) if self._said[plain(f)] < 2), "")
                free = [again for again in free if not form.startswith(again)]
            if form:
                self._said[plain(form)] += 1
                said.append(form)
        return " ".join(said)

    def unheard(self, reply: str, heard: str) -> None:
        """Takes back the sentences of `reply` that were cut off: said again, they are said for the first time."""
        for part in utterance_parts(reply):
            if not was_heard(part, heard) and self._said[plain(part)]:
                self._said[plain(part)] -= 1


def was_heard(sentence: str, heard: str) -> bool:
    """Whether the whole sentence is among the words that were played."""
    return f" {plain(sentence)} " in f" {plain(heard)} "


def was_cut(text: str, spoken: str) -> bool:
    """Whether too little of the text's last sentence was heard to answer it."""
    missing = len(plain(text).split()) - len(plain(spoken).split())
    parts = utterance_parts(text)
    return missing > max(1.0, 0.4 * len(plain(parts[-1]).split())) if parts else False


def bare(text: str) -> str:
    """A reply without its introductions, to be said again."""
    return re.sub(rf"(?<![\w,] )({'|'.join(map(re.escape, _AGAIN))})(\w)", lambda m: m.group(2).upper(), text)


def mid_sentence(sentence: str) -> str:
    """A sentence as it goes on after "And": its first word in lower case unless it is a name."""
    first = sentence.split(maxsplit=1)[0]
    keep = re.match(r"(I|Dr|Mr|Mrs|Ms)\b", sentence) or not first[1:].replace("'", "").islower()
    return sentence if keep else sentence[0].lower() + sentence[1:]


def _forms(sentence: str, introductions: list[str]) -> list[str]:
    sentence = re.sub(r"^(So|Coming back to my question), ", "", sentence)
    lowered = mid_sentence(sentence)
    return [again + lowered for again in introductions]
