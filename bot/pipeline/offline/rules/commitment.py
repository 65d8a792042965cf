"""What a callee's words commit them to: a yes to the question that asks for it, not taken back later. Pure.

Who counts a hedge for a yes sends somebody to an appointment that nobody keeps, so what is not clearly a
commitment is none: "should be fine", a yes to another question, a polite "okay, bye". The words are data:
commitment.toml of each language. A turn is read clause by clause: people correct themselves within a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any

from bot import languages
from bot.languages import plain
from bot.pipeline.offline.rules.words import words_of
from bot.records import Speaker, Turn

_CLAUSES = re.compile(
    r"[.,;:!¡¿…—–]+|(?<=\?)|\s-\s|\b(?:but|although|though|however|because|pero|aunque|porque)\b", re.IGNORECASE
)
_SENTENCES = re.compile(r"(?<=[.!?…])\s+")
_STEM = 5
_KEY = re.compile(
    r"\b(?:press|pulse|presione|marque)\s+(\w+)\s+(?:to|para)\s+(?:confirm|accept|agree|aceptar)", re.IGNORECASE
)


MAX_CHARACTERS = 1500
"""Of a turn, its end: longer ones are speeches, and the patterns take their time."""


class Said(Enum):
    """What one clause says."""

    NOTHING = auto()
    YES = auto()
    """To what was asked."""
    COMMIT = auto()
    """Whatever was asked."""
    SOFT = auto()
    """Thinking aloud."""
    HEDGE = auto()
    NO = auto()
    UNDO = auto()


class AskedFor(Enum):
    """What the agent had just asked."""

    NOTHING = auto()
    COMMITMENT = auto()
    ASIDE = auto()
    """Surely something else."""
    UNKNOWN = auto()


@dataclass(frozen=True)
class Commitment:
    """How a talk ended: True: committed; False: refused or taken back; None: neither."""

    given: bool | None
    words: tuple[str, ...] = ()
    """The callee's, that say so."""
    hedged: bool = False
    """The last answer to what was asked was neither a yes nor a no."""
    asides: tuple[str, ...] = ()
    """The callee's turns that answered something else."""


class CommitmentWords:
    """The words of one language."""

    def __init__(self, data: Mapping[str, Any], parted: Callable[[str], Sequence[str]]) -> None:
        """`parted`: a text's sentences, also parted where a statement turns into a question."""
        self._parted = parted
        clauses, agent, parts = data["clauses"], data["agent"], data["parts"]
        for _ in range(2):  # a part may name another
            parts = {name: _expanded(rule, parts) for name, rule in parts.items()}
        rules = {name: _expanded(rule, parts) for name, rule in {**clauses, **agent}.items() if name != "claims"}
        self._rules = {name: re.compile(rf"\b(?:{rule})\b") for name, rule in rules.items()}
        self._whole = {name: re.compile(rf"(?:{rule})") for name, rule in rules.items()}
        self._echo_words = frozenset(clauses["echo"].split("|"))
        self._never_echo = frozenset(map(_root, clauses["never_echo"].split("|")))
        self._day = re.compile(rf"\b{parts['day']}\b")
        self.claims = [
            (re.compile(rf"\b(?:{said})\b"), re.compile(done, re.IGNORECASE)) for said, done in agent["claims"]
        ]

    def found(self, rule: str, text: str) -> bool:
        return bool(self._rules[rule].search(plain(text)))

    def ends_talk(self, text: str) -> bool:
        """Whether nothing is said but that there is nothing more to say."""
        said = [plain(part) for part in re.split(r"[.!?…]+", text) if plain(part)]
        closes = [self._is("nothing_more", part) for part in said]
        return any(closes) and all(
            c or _polite(p) or _LEAVES.fullmatch(p) for c, p in zip(closes, said, strict=True)
        )

    def ends(self, rule: str, text: str) -> bool:
        """Whether one of the clauses ends with what the rule names."""
        return any(self._rules[rule].search(plain(clause)) for clause in _CLAUSES.split(text))

    def is_weak(self, text: str) -> bool:
        """Whether all that is taken back is what was just asked: "no, actually not"."""
        return self._is("weak", plain(text))

    def _is(self, rule: str, clause: str) -> bool:
        return bool(self._whole[rule].fullmatch(clause))

    def days(self, text: str) -> set[str]:
        """Days of the week and the like, as far as they are named."""
        return {found.split()[-1].removesuffix("s") for found in self._day.findall(plain(text))}

    def heard(self, text: str, question: str = "") -> Said:
        """What a turn says, the last clear word counting. A question says nothing.

        `question`: of the agent, whose words answer it.
        """
        said, asks = Said.NOTHING, False
        echo = _roots(question, self._never_echo)
        text = text[-MAX_CHARACTERS:]
        text = self._rules["no_is_yes"].sub("", text.lower().replace("’", "'"))
        for sentence in self._parted(text):
            if self._is("whole", plain(sentence)) or self._is("nothing_more", plain(sentence)):
                continue
            for clause in _CLAUSES.split(sentence):
                if said in (Said.YES, Said.COMMIT) and self._is("beside", plain(clause)):
                    continue
                said = _after(said, self._clause(clause, echo))
                asks = asks or clause.rstrip().endswith("?")
            whole = self._rules["no_is_none"].sub(" ", plain(sentence))
            if said in (Said.NO, Said.YES) and not sentence.endswith("?") and self._rules["undo"].search(whole):
                said = Said.UNDO  # "actually, no, wait": of several clauses
        clauses = [clause for clause in _CLAUSES.split(text) if plain(clause)]
        if any(_LEAVES.fullmatch(plain(c)) for c in clauses) and all(
            _polite(c) or _LEAVES.fullmatch(plain(c)) for c in clauses
        ):
            return Said.NOTHING
        if said is Said.YES and any(self._is("greets", plain(clause)) for clause in clauses):
            return Said.NOTHING  # "Yes, hello, who is calling?"
        first = _SENTENCES.split(text)[0].split(",")[0]
        if asks and said is Said.YES and (_polite(first) or self._is("bare_time", plain(first))):
            return Said.NOTHING  # "Okay, and what do I get?"
        return said

    def _clause(self, clause: str, echo: frozenset[str]) -> Said:
        words = plain(clause)
        kind = " ".join(self._rules["no_is_none"].sub(" ", words).split())
        bare = " ".join(self._rules["late"].sub(" ", kind).split())
        if not bare:
            return Said.NOTHING if kind == words else Said.YES
        if self._rules["if"].match(clause.strip().lower()):
            return Said.HEDGE
        asks = clause.rstrip().endswith("?") or self._is("question", bare)
        if self._rules["undo"].search(bare) and not asks:
            return Said.UNDO
        if self._is("soft", bare):
            return Said.SOFT
        if asks:
            return self._before_question(bare)
        if self._rules["hedge"].search(bare):
            return Said.NO if self._is("no", bare) else Said.HEDGE  # "I'm on holiday until the tenth"
        if self._rules["commit"].search(bare) and not self._negated(bare):
            return Said.COMMIT
        if self._rules["no"].search(bare):
            return Said.NO
        return Said.YES if self._yes_only(bare) or self._echoes(bare, echo) else Said.NOTHING

    def _before_question(self, words: str) -> Said:
        """A yes in front of a question that no mark parts from it: "yes that works for me where is it?"."""
        said, rest = Said.NOTHING, words
        while (found := self._rules["commit"].match(rest)) or (found := self._rules["yes"].match(rest)):
            said = (
                Said.COMMIT if found.re is self._rules["commit"] else max(said, Said.YES, key=lambda s: s.value)
            )
            rest = rest[found.end() :].strip()
        return said if rest and self._rules["question"].match(rest) else Said.NOTHING

    def _negated(self, words: str) -> bool:
        commit = self._rules["commit"].search(words)
        before = words[: commit.start()] if commit else words
        return bool(re.search(r"\b(?:not|dont|doesnt|never|wont|cant|cannot|nobody|no)$", before.strip()))

    def _yes_only(self, words: str) -> bool:
        """Whether little but a yes is said: "yes it does", no story that begins with "yes"."""
        rest = self._rules["yes"].sub(" ", words).split()
        return len(rest) < len(words.split()) and (len(rest) <= 1 or bool(self._rules["yes"].match(words)))

    def _echoes(self, words: str, echo: frozenset[str]) -> bool:
        """Whether all that is said are words of the question: "we'll keep it", "la mantengo"."""
        said = [word for word in words.split() if word not in self._echo_words]
        return bool(said) and all(_root(word) in echo for word in said)

    def asked(self, text: str, about: Sequence[str]) -> AskedFor:
        """What the last question of the agent's words asks; `about`: texts on what is to be committed to."""
        questions = [s for s in _SENTENCES.split(text[-MAX_CHARACTERS:]) if s.rstrip(" \"'»”").endswith("?")]
        if not questions:
            return AskedFor.NOTHING
        last = plain(questions[-1])
        topic = any(len(_stems(last) & _stems(text)) >= 2 for text in about)
        if any(_alike(last, plain(text)) for text in about):
            return AskedFor.COMMITMENT
        if self._rules["aside"].search(last):
            return AskedFor.ASIDE
        if topic or self._rules["asks"].search(last):
            return AskedFor.COMMITMENT
        # "You have a table for four on Saturday. Shall we keep it?" asks of what was just said.
        before = " ".join(_SENTENCES.split(text[-MAX_CHARACTERS:])[:-1])
        of_it = self._rules["of_it"].search(last) and not self._is("question_word", last)
        said = of_it and any(len(_stems(before) & _stems(text)) >= 2 for text in about)
        return AskedFor.COMMITMENT if said else AskedFor.UNKNOWN


def _after(said: Said, clause: Said) -> Said:
    """What stands after one more clause."""
    match clause:
        case Said.NOTHING:
            return said
        case Said.SOFT:
            return (
                Said.HEDGE
                if said in (Said.YES, Said.COMMIT, Said.HEDGE)
                else said
                if said is Said.NO
                else Said.SOFT
            )
        case Said.YES:
            return said if said in (Said.COMMIT, Said.HEDGE, Said.NO, Said.UNDO) else Said.YES
        case Said.NO:
            return Said.UNDO if said is Said.UNDO else Said.NO
        case _:
            return clause


def commitment(
    turns: Sequence[Turn], language: str, *, about: Sequence[str], others: Sequence[str] = ()
) -> Commitment:
    """Whether the callee committed to what `about` says (questions, descriptions, the action).

    `others`: the questions of other fields; a yes to one of them is none here.
    """
    words = commitment_words(language)
    answering = languages.of(language).answering if languages.knows(language) else None
    given: bool | None = None
    quotes: tuple[str, ...] = ()
    agent, hedged = "", False
    asides: list[str] = []
    spoke = Speaker.CALLEE
    for turn in turns:
        if turn.speaker is Speaker.AGENT:
            agent = f"{agent} {turn.text}".strip() if spoke is Speaker.AGENT else turn.text
            spoke = Speaker.AGENT
            continue
        spoke = Speaker.CALLEE
        text = turn.text.strip()
        if answering and any(
            w.found_in(text)
            for w in (answering.tone, answering.voicemail, answering.recording, answering.unavailable)
        ):
            continue
        asked = words.asked(agent, about)
        if asked is AskedFor.COMMITMENT and _belongs_to_other(agent, about, others):
            asked = AskedFor.ASIDE
        if turn.keys:
            chosen = {key.lower() for key in _KEY.findall(agent)}
            given, quotes = (
                (True, (text,)) if _digit(text) in {_digit(key) for key in chosen} else (given, quotes)
            )
            continue
        said, topic = words.heard(text, _SENTENCES.split(agent)[-1]), " ".join((agent, *about))
        if said is Said.YES and asked is AskedFor.NOTHING and words.found("asks", agent) and not _polite(text):
            asked = AskedFor.COMMITMENT  # "I have you down for Thursday." – "Yes, correct."
        if said is Said.UNDO and asked is not AskedFor.COMMITMENT and words.is_weak(text):
            said = Said.NO
        if said is Said.NO and asked is AskedFor.NOTHING and words.ends("cannot", text):
            said = Said.UNDO
        known = words.days(topic)
        elsewhen = said in (Said.COMMIT, Said.YES) and bool(known) and bool(words.days(text) - known)
        found = given if elsewhen else _judged(said, asked, given)
        hedged = asked is AskedFor.COMMITMENT and found is None
        asides += [text] if asked is AskedFor.ASIDE else []
        if found is not given:
            quotes = (text,)
        elif not elsewhen and (said is Said.COMMIT or (said is Said.YES and asked is AskedFor.COMMITMENT)):
            quotes = (*quotes, text)
        given = found
    return Commitment(given, quotes if given is not None else (), hedged and given is None, tuple(asides))


def _judged(said: Said, asked: AskedFor, given: bool | None) -> bool | None:
    """What stands after one turn of the callee, of what stood before."""
    match said:
        case Said.UNDO:
            return False
        case Said.COMMIT:
            return True
        case Said.YES if asked is AskedFor.COMMITMENT:
            return True
        case Said.NO if asked is AskedFor.COMMITMENT:
            return False
        case Said.HEDGE | Said.SOFT if asked is AskedFor.COMMITMENT:
            return None
        case _:
            return given


_POLITE = re.compile(
    r"(?:ok(?:ay)?|all ?right|alright|thanks?|thank you|great|good|fine|vale|bueno|bien|gracias| )+"
)
_LEAVES = re.compile(
    r"(?:good ?bye|bye|adios|hasta luego|chao|see you|have a (?:good|nice) \w+|muchas gracias|very much| )+"
)


def _polite(text: str) -> bool:
    """An "okay" to what was told agrees to nothing."""
    return bool(_POLITE.fullmatch(plain(text)))


def _belongs_to_other(agent: str, about: Sequence[str], others: Sequence[str]) -> bool:
    question = plain(_SENTENCES.split(agent)[-1])
    own = max((len(_stems(question) & _stems(text)) for text in about), default=0)
    return any(len(_stems(question) & _stems(text)) > own and _alike(question, plain(text)) for text in others)


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in plain(text).split() if len(word) > 3}


def _roots(text: str, but: frozenset[str]) -> frozenset[str]:
    return frozenset(root for word in plain(text).split() if len(word) > 2 and (root := _root(word)) not in but)


def _root(word: str) -> str:
    """What forms of one verb share: confirma, confirmado; fit, fits."""
    return word.removesuffix("s")[:4]


def _alike(one: str, other: str) -> bool:
    """Whether two plain questions say nearly the same."""
    a, b = set(one.split()), set(other.split())
    return bool(b) and len(a & b) >= 0.6 * len(a | b)


def _digit(key: str) -> str:
    named = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    spanish = ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve")
    key = plain(key)
    return str(named.index(key)) if key in named else str(spanish.index(key)) if key in spanish else key


def deferred(turns: Sequence[Turn], language: str) -> bool:
    """Whether the agent leaves the matter open: "the team will get back to you to confirm it"."""
    words = commitment_words(language)
    said = [turn.text for turn in turns if turn.speaker is Speaker.AGENT]
    return any(words.found("defers", sentence) for text in said for sentence in _SENTENCES.split(text))


def _expanded(rule: str | list[str], parts: Mapping[str, str]) -> str:
    text = rule if isinstance(rule, str) else "|".join(rule)
    return re.sub(r"\{(\w+)\}", lambda m: parts[m[1]] if m[1] in parts else m[0], text)


@cache
def _commitment_words(code: str) -> CommitmentWords:
    return CommitmentWords(languages.data_of(code, "commitment.toml"), words_of(code).parts)


def commitment_words(language: str) -> CommitmentWords:
    """The words of a code like "es-MX"; English where the language has none."""
    return _commitment_words(languages.folder_of(language))


def says_something(text: str, language: str) -> bool:
    """Whether a turn is more than a greeting, thanks, or a goodbye: nothing is reached by those."""
    known = languages.of(languages.folder_of(language))
    if known.is_greeting(text) or commitment_words(language).found("whole", text):
        return False
    return any(
        plain(clause)
        and not (
            _polite(clause)
            or known.is_greeting(clause)
            or known.is_backchannel(clause)
            or _LEAVES.fullmatch(plain(clause))
        )
        for sentence in _SENTENCES.split(text)
        for clause in _CLAUSES.split(sentence)
    ) or bool(re.fullmatch(r"(?:yes|si|no|yeah|yep|nope)", plain(text)))
