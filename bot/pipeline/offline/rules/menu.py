"""What the local LLM does without a word: presses a menu's key, or puts the callee through to a person. Pure.

A model reads the menu and its note; the rules compare words: those of what is looked for with those beside each
key, and a person at the desk otherwise.
"""

import re
from collections.abc import Sequence

from bot.languages import KNOWN, plain
from bot.pipeline.offline.rules.words import words_of

MENU_SIGN = "An automatic menu has picked up"
"""Begins the note that tells a model so."""
MENU_OVER = "The menu is behind you"
"""Begins the note that takes it back."""
KEYS_SIGN = "Keys pressed"
"""Begins the message that is what the callee typed."""
BUSINESS_SIGN = "Note from the business, not said by the callee"
"""Begins the note that tells a model a fact."""
SPEAK_UP = "Tell the callee now, in one sentence."
"""Ends one that is to be spoken of."""
OPERATOR = "0"
_GOAL = "Find your way to: "
_LANGUAGES = tuple(words_of(code) for code in KNOWN)
"""Menus and wishes for a person are understood in all of them: a menu offers several languages."""
_DIGITS = {str(n): str(n) for n in range(10)}
for _words in _LANGUAGES:
    _DIGITS |= {word: str(n) for n, word in enumerate(_words.lists["numbers"][:10])} | _words.tables["menu_keys"]
_KEY = "|".join(sorted(_DIGITS, key=len, reverse=True))
_OPTIONS = [
    re.compile(words.written["menu"].pattern.replace("<digit>", _KEY), re.IGNORECASE) for words in _LANGUAGES
]
_COMMON = re.compile(rf"\b(?:{'|'.join('|'.join(words.lists['menu_common']) for words in _LANGUAGES)})\b")


def menu_note(goal: str) -> str:
    """Tell a model that it talks to a menu, and what to reach through it. In parentheses: nobody has said it."""
    return (
        f"({MENU_SIGN}: what you hear now is a recording, not a person. {_GOAL}{goal}. "
        "If it offers keys, call send_digits with the one that fits and say nothing. If it wants words, say only "
        "those, as short as it asks for. Where nothing fits, choose the operator, or 0. If it leads nowhere, or "
        "the office is closed, call end_call. When a person answers, talk to them as in any call.)"
    )


def goal_of(note: str) -> str:
    """What a note names as its goal."""
    return note.partition(_GOAL)[2].partition(". If it offers")[0]


def offers_keys(menu: str) -> bool:
    return any(option.search(menu) for option in _OPTIONS)


def choose_key(menu: str, sought: str) -> str:
    """The key whose words share most with `sought`, else a person's, else 0. Ties go to the first."""
    found = sorted((m for option in _OPTIONS for m in option.finditer(menu)), key=lambda m: m.start())
    options = [(m["key"] or m["first"], (m["before"] or m["after"]).lower()) for m in found]
    wanted = _sought(sought)
    best, most = "", 0
    for key, said in options:
        shared = sum(any(_alike(word, other) for other in wanted) for word in _sought(said))
        if shared > most:
            best, most = key, shared
    if not best:
        best = next((key for key, said in options if any(w.found("desk", said) for w in _LANGUAGES)), "")
    return _DIGITS.get(best.lower(), OPERATOR)


def _sought(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W\d_]+", _COMMON.sub(" ", text.lower())))


def _alike(one: str, other: str) -> bool:
    """The same word, or another form of it: "appointment" and "appointments"."""
    short, long = sorted((one, other), key=len)
    return short == long or (len(short) >= 5 and long.startswith(short[: max(5, len(short) - 2)]))


def put_through(heard: str, targets: Sequence[str]) -> str | None:
    """The target the callee wants to speak to: the one they name, else the first. None where they do not."""
    said = plain(heard)
    named = next((target for target in targets if re.search(rf"\b{re.escape(plain(target))}\b", said)), None)
    for words in _LANGUAGES:
        asks = words.found("put_through", said) or (named is not None and words.found("speak_to", said))
        if asks and not any(w.found("not_put_through", said) for w in _LANGUAGES):
            return named or next(iter(targets), None)
    return None
