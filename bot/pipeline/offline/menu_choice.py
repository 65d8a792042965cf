"""The rule-based brain at an automatic menu: which key fits. Pure.

A model reads the menu and its note; the rules compare words: those of what is looked for with those beside each
key, and a person at the desk otherwise.
"""

from __future__ import annotations

import re

MENU_SIGN = "An automatic menu has picked up"
"""Begins the note that tells a model so."""
MENU_OVER = "The menu is behind you"
"""Begins the note that takes it back."""
_GOAL = "Find your way to: "
_ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SPANISH = ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve")
_DIGITS = {
    **{word: str(n) for words in (_ENGLISH, _SPANISH) for n, word in enumerate(words)},
    **{"star": "*", "pound": "#", "hash": "#", "asterisco": "*", "numeral": "#", "almohadilla": "#"},
    **{str(n): str(n) for n in range(10)},
}
_KEY = "|".join(sorted(_DIGITS, key=len, reverse=True))
_VERB = r"(?:press|dial|push|hit|enter|say|pulse|presione|marque|oprima|digite|diga)"
_THE = r"(?:the |el |la |number |numero )?"
_OPTION = re.compile(
    rf"\b(?:for|to|if|para|si) (?P<before>[^.;]{{2,80}}?),? (?:please |por favor )?{_VERB}"
    rf" {_THE}(?P<key>{_KEY})\b"
    rf"|\b{_VERB} {_THE}(?P<first>{_KEY}) (?:for|to|if|para|si) (?P<after>(?:(?! or | o )[^.,;]){{2,80}})",
    re.IGNORECASE,
)
_DESK = re.compile(
    r"\b(operator|reception(?:ist)?|representative|agent|someone|person|front desk|speak|talk|staff|team|"
    r"operador|operadora|recepcion(?:ista)?|agente|asesor|representante|hablar|persona)\b"
)
_COMMON = re.compile(
    r"\b(the|an?|to|of|for|you|your|our|my|me|i|with|and|or|is|at|in|on|please|call|about|that|this|it|be|would|"
    r"like|el|las?|los|una?|del?|que|con|sus?|por|para|en|y|o|si)\b"
)
OPERATOR = "0"


def menu_note(goal: str) -> str:
    """Tells a model that it talks to a menu, and what to reach through it. In parentheses: nobody has said it."""
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
    return bool(_OPTION.search(menu))


def choose_key(menu: str, sought: str) -> str:
    """The key whose words share most with `sought`, else a person's, else 0. Ties go to the first."""
    options = [(m["key"] or m["first"], (m["before"] or m["after"]).lower()) for m in _OPTION.finditer(menu)]
    wanted = _words(sought)
    best, most = "", 0
    for key, words in options:
        shared = sum(any(_alike(word, other) for other in wanted) for word in _words(words))
        if shared > most:
            best, most = key, shared
    if not best:
        best = next((key for key, words in options if _DESK.search(words)), "")
    return _DIGITS.get(best.lower(), OPERATOR)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W\d_]+", _COMMON.sub(" ", text.lower())))


def _alike(one: str, other: str) -> bool:
    """The same word, or another form of it: "appointment" and "appointments"."""
    short, long = sorted((one, other), key=len)
    return short == long or (len(short) >= 5 and long.startswith(short[: max(5, len(short) - 2)]))
