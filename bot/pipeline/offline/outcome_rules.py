"""An outcome without a model: the same shape a model fills, as far as rules go. Pure.

The rule-based brain listens to the talk once more, as if it had held it, and what it learns from each of the
callee's turns is kept with that turn as evidence. Fields a request asks for by a schema have no question of
their own; a turn answers one where what the agent had just asked names it. What is not known is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bot.languages import of, plain
from bot.outcome_schema import Schema, fits
from bot.pipeline.offline import brief_hearing
from bot.pipeline.offline.brain_facts import BrainField, answered_in
from bot.pipeline.offline.days import day_meant
from bot.pipeline.offline.outcome_words import words_of
from bot.pipeline.offline.times import moment
from bot.pipeline.offline.tongue_spanish import SPANISH
from bot.pipeline.offline.understanding import Intent, intents
from bot.records import AnsweredBy, EndedReason, Outcome, Sentiment, Speaker, Turn

_REFUSING = frozenset(
    {Intent.NO, Intent.DECLINE, Intent.CANCEL, Intent.RESCHEDULE, Intent.DO_NOT_CALL, Intent.WRONG_NUMBER}
)
_EMPTY_WORDS = frozenset(
    [
        *(
            "the",
            "and",
            "for",
            "was",
            "are",
            "has",
            "had",
            "did",
            "does",
            "will",
            "would",
            "can",
            "they",
            "their",
        ),
        *("your", "you", "callee", "caller", "whether", "what", "which", "who", "when", "how", "field", "value"),
        *("name", "los", "las", "una", "del", "que", "sus", "son", "por", "para", "con", "como"),
    ]
)
_STEM = 5
"""Letters by which words of one family are known: confirm, confirmed, confirmation."""
_CLAUSES = re.compile(r"[,.;!?]+(?=\s|$)|\b(?:but|pero)\b", re.IGNORECASE)
_RULED_OUT = re.compile(
    r"\b(?:can'?t|cannot|won'?t|doesn'?t|don'?t|not|unable|no longer|no puedo|no podré|no me (?:viene|va))\b",
    re.IGNORECASE,
)
_LONE_WORDS = 2
"""Of a yes that says nothing else; a longer one may still be cut, but it says what it agrees to."""


def brain_fields(schema: Schema) -> tuple[BrainField, ...]:
    """The properties of a plain schema that rules can fill: yes or no, a choice, a number, a text."""
    found = []
    for name, node in schema["properties"].items():
        bare = _bare(node)
        kind, options = bare.get("type"), bare.get("enum", ())
        description = str(node.get("description") or node.get("title") or name)
        if kind == "string":
            choice = "choice" if options else "string"
            found.append(BrainField(name, choice, description, None, tuple(options)))  # type: ignore[arg-type]
        elif kind == "boolean":
            found.append(BrainField(name, "boolean", description))
        elif kind in ("integer", "number"):
            found.append(BrainField(name, "number", description))
    return tuple(found)


def _bare(node: Schema) -> Schema:
    """What a value is when it is not null; {} where that may be several things."""
    real = [choice for choice in node.get("anyOf", [node]) if choice.get("type") != "null"]
    return real[0] if len(real) == 1 else {}


@dataclass
class Heard:
    """What the callee's turns say, beside what the brain learns of them."""

    language: str
    fields: Sequence[BrainField]
    """Those that may be answered although nothing asks for them."""
    schema: Schema | None = None
    values: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, list[str]] = field(default_factory=dict)
    _learnt: dict[str, Any] = field(default_factory=dict)

    def listen(
        self, asked: str, turn: Turn, learnt: Mapping[str, Any], questions: Sequence[BrainField] = ()
    ) -> None:
        """`asked`: the agent's words before; `learnt`: what the brain knows after the turn."""
        for name, value in learnt.items():
            if self._learnt.get(name) != value and (value is not False or self._meant(turn.text) & _REFUSING):
                self.evidence[name] = [turn.text]
        self._learnt = dict(learnt)
        if Intent.ORDERS in self._meant(turn.text):
            return
        found = answered_in(questions, asked, turn.text)
        for spec in self.fields:
            value = self._answer(spec, asked, turn)
            if value is not None:
                found[spec.name] = value
        for name, value in found.items():
            self.values[name] = value
            self.evidence[name] = [turn.text]

    def _meant(self, words: str) -> frozenset[Intent]:
        return _meant(words, self.language)

    @property
    def _is_spanish(self) -> bool:
        return of(self.language).code == "es"

    def _answer(self, spec: BrainField, asked: str, turn: Turn) -> Any:
        node = _bare(self.schema["properties"][spec.name]) if self.schema else {}
        dated = node.get("format") in ("date", "date-time")
        if dated:
            if Intent.CANCEL in self._meant(turn.text):
                return None
            return when_meant(turn.text, turn.started_at, self.language, with_time=node["format"] == "date-time")
        question = _questions(asked)
        if not question or not names(spec, question):
            return None
        if spec.type == "string" and not spec.is_time and not _asks_for_words(question):
            return None
        if self._is_spanish:
            return certain_in_spanish(spec, turn.text)
        found = answered_in([replace(spec, question=question)], question, turn.text)
        return found.get(spec.name)


def certain_in_spanish(spec: BrainField, heard: str) -> Any:
    """The field's value; a courtesy beside a goodbye ("vale, adiós") is no yes."""
    value = brief_hearing.parsed(spec, heard, SPANISH)
    leaves = Intent.GOODBYE in brief_hearing.meant_by(heard, SPANISH)
    return None if value is True and leaves and not SPANISH.certain.found_in(heard) else value


def _questions(asked: str) -> str:
    return " ".join(part for part in re.findall(r"[^.!?¿]+\?", asked)).strip()


def _asks_for_words(question: str) -> bool:
    return bool(
        re.search(
            r"\b(what|which|who|whom|where|why|how|tell|que|cual|quien|donde|por que|como)\b", plain(question)
        )
    )


def names(spec: BrainField, question: str) -> bool:
    """Whether a question is about a field: it shares a word of the name, or half of the description's."""
    asked = _stems(question)
    named = _stems(re.sub(r"(?<=[a-z])(?=[A-Z])|[_.-]", " ", spec.name))
    told = _stems(spec.description)
    return bool(named & asked) or (len(told) > 1 and 2 * len(told & asked) >= len(told))


def _stems(words: str) -> set[str]:
    return {word[:_STEM] for word in plain(words).split() if len(word) > 2 and word not in _EMPTY_WORDS}


def when_meant(words: str, now: datetime, language: str, *, with_time: bool) -> str | None:
    """The day, or day and hour, named last and not ruled out, in ISO 8601; None unless all of it is named.

    `now`: of the call. Its day is taken in UTC: nobody's zone is known to the rules.
    """
    clauses = [part for part in _CLAUSES.split(words.replace("’", "'")) if not _RULED_OUT.search(part)]
    named = [(part, day) for part in clauses if (day := day_meant(part, now.date(), language)) is not None]
    if not named:
        return None
    words, day = named[-1]
    if not with_time:
        return day.isoformat()
    said = moment(words) if of(language).code == "en" else None
    if said is None or said.minutes is None:
        return None
    minutes = said.minutes
    if said.vague and minutes < 7 * 60:
        minutes += 720  # "at two": nobody means the night
    return f"{day.isoformat()}T{minutes // 60:02d}:{minutes % 60:02d}:00"


def fitted(schema: Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    """Every property of the schema: its value where it fits, else None. An empty text tells nothing."""
    properties: Schema = schema["properties"]
    found: dict[str, Any] = {}
    for name, node in properties.items():
        value = values.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        empty = value is None or (isinstance(value, str) and not value.strip())
        found[name] = value if not empty and fits(node, value) else None
    return found


def sentiment(turns: Sequence[Turn], language: str) -> Sentiment:
    """By the callee's own words: one annoyed turn outweighs two pleased ones."""
    words = words_of(language)
    said = [turn.text for turn in turns if turn.speaker is Speaker.CALLEE]
    mood = sum(words.pleased.found_in(text) for text in said) - 2 * sum(words.annoyed.found_in(t) for t in said)
    return Sentiment.POSITIVE if mood > 0 else Sentiment.NEGATIVE if mood < 0 else Sentiment.NEUTRAL


def heard_out(turns: Sequence[Turn], ended_reason: EndedReason | None, language: str) -> list[Turn]:
    """The turns that something may be inferred from: all, unless the call was cut from our side.

    There a lone yes is none when it is the last that was said, or answers a question that was not heard out:
    "yes, but" begins like it, and nobody was left to hear the rest.
    """
    if not _cut_by_us(turns, ended_reason, language):
        return list(turns)
    last = max((n for n, turn in enumerate(turns) if turn.text.strip()), default=-1)
    kept: list[Turn] = []
    asked_whole = True
    for n, turn in enumerate(turns):
        if turn.speaker is Speaker.AGENT:
            asked_whole = turn.complete and not turn.interrupted
        elif _is_lone_yes(turn.text, language) and (n == last or not asked_whole or not turn.complete):
            continue
        kept.append(turn)
    return kept


def _cut_by_us(turns: Sequence[Turn], ended_reason: EndedReason | None, language: str) -> bool:
    """By a stop of the server, or by a request: the agent itself says goodbye or uses its tool."""
    if ended_reason is not EndedReason.AGENT_HANGUP:
        return ended_reason is EndedReason.SERVER_SHUTDOWN
    if any(tool.name == "end_call" for turn in turns for tool in turn.tools):
        return False
    said = [turn for turn in turns if turn.text.strip()]
    if not said or said[-1].speaker is not Speaker.AGENT:
        return True
    return Intent.GOODBYE not in _meant(said[-1].text, language)


def _is_lone_yes(words: str, language: str) -> bool:
    return len(plain(words).split()) <= _LONE_WORDS and Intent.YES in _meant(words, language)


def _meant(words: str, language: str) -> frozenset[Intent]:
    return brief_hearing.meant_by(words, SPANISH) if of(language).code == "es" else intents(words)


def unreached(
    *,
    ended_reason: EndedReason | None,
    answered_by: AnsweredBy | None,
    spoken: bool,
    language: str,
    names: Sequence[str],
) -> Outcome:
    """Of a call with nobody to talk to. `spoken`: the agent said something; `names`: of the fields."""
    words = words_of(language)
    told: dict[AnsweredBy | EndedReason, tuple[str, str]] = {
        AnsweredBy.VOICEMAIL: (words.voicemail, words.message_left if spoken else words.no_message),
        AnsweredBy.UNAVAILABLE: (words.unavailable, words.nobody),
        AnsweredBy.NOBODY: (words.no_voice, words.nobody),
        EndedReason.DIAL_BUSY: (words.busy, words.nobody),
        EndedReason.DIAL_NO_ANSWER: (words.no_answer, words.nobody),
        EndedReason.DIAL_FAILED: (words.not_dialled, words.nobody),
        EndedReason.CANCELED: (words.canceled, words.nobody),
    }
    known = next(
        (told[why] for why in (answered_by, ended_reason) if why in told), (words.no_voice, words.nobody)
    )
    return Outcome(False, " ".join(known), dict.fromkeys(names))
