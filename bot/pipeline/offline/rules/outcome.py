"""An outcome without a model: the same shape a model fills, as far as rules go. Pure.

The local LLM listens to the talk once more, as if it had held it, and what it learns from each of the callee's
turns is kept with that turn as evidence. Fields a request asks for by a schema have no question of their own; a
turn answers one where what the agent had just asked names it. What is not known is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from bot.languages import plain
from bot.outcome_schema import Schema, fits, of_fields
from bot.pipeline.offline.rules.dialogue import Dialogue
from bot.pipeline.offline.rules.learnt import RuleField, answered_in
from bot.pipeline.offline.rules.understanding import day_meant, moment
from bot.pipeline.offline.rules.words import Intent, Words, words_of
from bot.records import AnsweredBy, CallSpec, EndedReason, Outcome, Sentiment, Speaker, Turn

_REFUSING = frozenset(
    {Intent.NO, Intent.DECLINE, Intent.CANCEL, Intent.RESCHEDULE, Intent.DO_NOT_CALL, Intent.WRONG_NUMBER}
)
_KINDS: dict[str, Literal["boolean", "string", "number"]] = {
    "boolean": "boolean",
    "string": "string",
    "number": "number",
    "integer": "number",
}
_STEM = 5
"""Letters by which words of one family are known: confirm, confirmed, confirmation."""
_LONE_WORDS = 2
"""Of a yes that says nothing else; a longer one may still be cut, but it says what it agrees to."""


def rule_outcome(
    spec: CallSpec,
    fields: Sequence[RuleField],
    turns: Sequence[Turn],
    goal: str | None = None,
    language: str = "en",
    *,
    schema: Schema | None = None,
) -> Outcome:
    """The outcome of a call by its transcript; what tools recorded in the call outranks it.

    `schema`: what a request asks for instead of `fields`, in plain form (`outcome_schema.checked`). The fields
    are listened for all the same: they lead through the talk, and one of them may be the goal.
    """
    words = words_of(language)
    wanted = () if schema is None else _fields_of(schema)
    own = {field.name for field in fields}
    talk = Dialogue(spec, [*fields, *(w for w in wanted if w.name not in own)], frozenset(), goal, language)
    values: dict[str, Any] = {}
    known: dict[str, Any] = {}
    evidence: dict[str, list[str]] = {}
    opening, asked = "", ""
    for turn in turns:
        if turn.speaker is Speaker.AGENT:
            asked = turn.text
            opening = opening or turn.text
        elif plain(turn.text) and opening:
            talk.reply(turn.text, spoken=None if talk.last else opening)
            meant, learnt = words.meant(turn.text), talk.outcome().fields
            for name, value in learnt.items():
                if known.get(name) != value and (value is not False or meant & _REFUSING):
                    evidence[name] = [turn.text]
            known = dict(learnt)
            if Intent.ORDERS not in meant:
                found = answered_in(fields, asked, turn.text, words) | _answers(
                    wanted, schema, asked, turn, words
                )
                values |= found
                evidence |= {name: [turn.text] for name in found}
    outcome = talk.outcome()
    values = outcome.fields | values
    shown = fitted(of_fields(fields) if schema is None else schema, values)
    reached = bool(values[goal]) if goal in values else outcome.reached_goal
    if schema is not None and all(value is None for value in shown.values()):
        reached = False  # nothing of what was asked for is known
    # What the talk left open contradicts nothing; what it learnt otherwise, and noted, does.
    was = outcome.reached_goal if goal in outcome.fields or outcome.reached_goal else reached
    summary = agreeing(outcome.summary, was=was, reached=reached, language=language)
    return Outcome(
        reached,
        two_sentences(summary, reached=reached, language=language),
        shown,
        outcome.source,
        sentiment(turns, language),
        {name: quotes for name, quotes in evidence.items() if shown.get(name) is not None},
    )


def _fields_of(schema: Schema) -> tuple[RuleField, ...]:
    """The properties of a plain schema that rules can fill: yes or no, a choice, a number, a text."""
    found = []
    for name, node in schema["properties"].items():
        bare = _bare(node)
        options = tuple(bare.get("enum", ())) if bare.get("type") == "string" else ()
        kind = _KINDS.get(str(bare.get("type")))
        if kind:
            described = str(node.get("description") or node.get("title") or name)
            found.append(RuleField(name, "choice" if options else kind, described, None, options))
    return tuple(found)


def _bare(node: Schema) -> Schema:
    """What a value is when it is not null; {} where that may be several things."""
    real = [choice for choice in node.get("anyOf", [node]) if choice.get("type") != "null"]
    return real[0] if len(real) == 1 else {}


def _answers(
    fields: Sequence[RuleField], schema: Schema | None, asked: str, turn: Turn, words: Words
) -> dict[str, Any]:
    """The fields of a schema that a turn answers: a day where one is named, others where the question does."""
    question = " ".join(re.findall(r"[^.!?¿]+\?", asked)).strip()
    found: dict[str, Any] = {}
    for spec in fields:
        kind = _bare(schema["properties"][spec.name]).get("format") if schema else None
        if kind in ("date", "date-time"):
            if Intent.CANCEL not in words.meant(turn.text):
                found[spec.name] = when_meant(turn.text, turn.started_at, words, with_time=kind == "date-time")
        elif question and _names(spec, question, words):
            if spec.type == "string" and not spec.is_time(words) and not words.found("asks_for_words", question):
                continue
            found |= answered_in([replace(spec, question=question)], question, turn.text, words)
    return {name: value for name, value in found.items() if value is not None}


def _names(spec: RuleField, question: str, words: Words) -> bool:
    """Whether a question is about a field: it shares a word of the name, or half of the description's."""
    asked = _stems(question, words)
    named = _stems(re.sub(r"(?<=[a-z])(?=[A-Z])|[_.-]", " ", spec.name), words)
    told = _stems(spec.description, words)
    return bool(named & asked) or (len(told) > 1 and 2 * len(told & asked) >= len(told))


def _stems(text: str, words: Words) -> set[str]:
    return {w[:_STEM] for w in plain(text).split() if len(w) > 2 and w not in words.sets["empty_names"]}


def when_meant(text: str, now: datetime, words: Words, *, with_time: bool) -> str | None:
    """The day, or day and hour, named last and not ruled out, in ISO 8601; None unless all of it is named.

    `now`: of the call. Its day is taken in UTC: nobody's zone is known to the rules.
    """
    clauses = words.written["clauses"].split(text.replace("’", "'"))
    allowed = [part for part in clauses if not words.found("refused", part)]
    named = [(part, day) for part in allowed if (day := day_meant(part, now.date(), words)) is not None]
    if not named:
        return None
    text, day = named[-1]
    said = moment(text, words)
    if not with_time or said is None or said.minutes is None:
        return None if with_time else day.isoformat()
    # "At two": nobody means the night.
    minutes = said.minutes + (720 if said.vague and said.minutes < 7 * 60 else 0)
    return f"{day.isoformat()}T{minutes // 60:02d}:{minutes % 60:02d}:00"


def fitted(schema: Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    """Every property of the schema: its value where it fits, else None. An empty text tells nothing."""
    found: dict[str, Any] = {}
    for name, node in schema["properties"].items():
        value = values.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        empty = value is None or (isinstance(value, str) and not value.strip())
        found[name] = value if not empty and fits(node, value) else None
    return found


def sentiment(turns: Sequence[Turn], language: str) -> Sentiment:
    """By the callee's own words: one annoyed turn outweighs two pleased ones."""
    said = [plain(turn.text) for turn in turns if turn.speaker is Speaker.CALLEE]
    pleased, annoyed = (
        sum(bool(words_of(language).moods[m].search(t)) for t in said) for m in ("pleased", "annoyed")
    )
    mood = pleased - 2 * annoyed
    return Sentiment.POSITIVE if mood > 0 else Sentiment.NEGATIVE if mood < 0 else Sentiment.NEUTRAL


def heard_out(turns: Sequence[Turn], ended_reason: EndedReason | None, language: str) -> list[Turn]:
    """The turns that something may be inferred from: all, unless the call was cut from our side.

    There a lone yes is none when it is the last that was said, or answers a question that was not heard out:
    "yes, but" begins like it, and nobody was left to hear the rest.
    """
    words = words_of(language)
    if not _cut_by_us(turns, ended_reason, words):
        return list(turns)
    last = max((n for n, turn in enumerate(turns) if turn.text.strip()), default=-1)
    kept: list[Turn] = []
    asked_whole = True
    for n, turn in enumerate(turns):
        lone_yes = len(plain(turn.text).split()) <= _LONE_WORDS and Intent.YES in words.meant(turn.text)
        if turn.speaker is Speaker.AGENT:
            asked_whole = turn.complete and not turn.interrupted
        elif lone_yes and (n == last or not asked_whole or not turn.complete):
            continue
        kept.append(turn)
    return kept


def _cut_by_us(turns: Sequence[Turn], ended_reason: EndedReason | None, words: Words) -> bool:
    """By a stop of the server, or by a request: the agent itself says goodbye or uses its tool."""
    if ended_reason is not EndedReason.AGENT_HANGUP:
        return ended_reason is EndedReason.SERVER_SHUTDOWN
    if any(tool.name == "end_call" for turn in turns for tool in turn.tools):
        return False
    said = [turn for turn in turns if turn.text.strip()]
    return not said or said[-1].speaker is not Speaker.AGENT or Intent.GOODBYE not in words.meant(said[-1].text)


def unreached(
    *,
    ended_reason: EndedReason | None,
    answered_by: AnsweredBy | None,
    spoken: bool,
    language: str,
    names: Sequence[str],
) -> Outcome:
    """Of a call with nobody to talk to. `spoken`: the agent said something; `names`: of the fields."""
    words = words_of(language).outcome
    why = next((why for why in (answered_by, ended_reason) if why in words), "no_voice")
    left = ("message_left" if spoken else "no_message") if why == AnsweredBy.VOICEMAIL else "nobody"
    return Outcome(False, f"{words[why]} {words[left]}", dict.fromkeys(names))


# A summary as two sentences that agree with whether the goal was reached. What was noted is quoted speech, names
# and hours: a full stop within them ends no sentence. Where it is not sure that one ends, it goes on.

_NEXT = re.compile(r"\s+(?=[¿¡«“\"(]*[A-ZÁÉÍÓÚÑÜ])|\s*$")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Dr|Dra|Mr|Mrs|Ms|Prof|St|Sr|Sra|Srta|Jr)|\b[AaPp]\.\s?[Mm]|(?<=\w\s)(?:No|[A-Z]))\.$"
)
"""A number's "No." and an initial have a word before them; alone they are a sentence."""
_ASIDE = re.compile(r"(?:Open question:|Message(?: from [^:\"]+)?:|Pregunta pendiente:|Mensaje(?: de [^:«]+)?:)")
_QUOTING = re.compile(rf"(?:{_ASIDE.pattern}|Asked|On) [\"«]")
"""Notes that end with what was said, and no full stop."""


def two_sentences(summary: str, *, reached: bool, language: str) -> str:
    """`summary` as two sentences, the result first: one is followed by whether the goal was reached, many are
    drawn together. That nothing was settled, or another end than `reached`, is left out."""
    words = words_of(language)
    goal, other = (
        words.outcome[end] for end in (("reached", "not_reached") if reached else ("not_reached", "reached"))
    )
    told = [
        part for part in sentences(summary) if part != other and not (reached and part == words.note("nothing"))
    ]
    if not told and reached:
        told = [words.outcome["spoke"]]
    told.sort(key=lambda part: _ASIDE.match(part) is not None)
    if len(told) < 2 and goal not in told:
        told = [goal, *told] if told and _ASIDE.match(told[0]) else [*told, goal]
    if len(told) < 2:
        return told[0]
    middle = [part if _ABBREVIATION.search(part) else part.removesuffix(".") for part in told[1:-1]]
    return f"{_ended(told[0])} {'; '.join([*middle, _ended(told[-1])])}"


def agreeing(summary: str, *, was: bool, reached: bool, language: str) -> str:
    """`summary`, told of a goal that `was` reached or not, where it is `reached` now: notes of another end go."""
    words = words_of(language).outcome
    return summary if was is reached else f"{words['spoke']} {words['reached' if reached else 'not_reached']}"


def sentences(text: str) -> list[str]:
    """They end at . ! ? before a capital or the end, not within quotes, numbers, or after an abbreviation."""
    text = text.strip()
    found: list[str] = []
    begin, quoted = 0, False
    for at, sign in enumerate(text):
        closes = sign in "»”" or (sign == '"' and quoted)
        if sign in '"«“»”':
            quoted = not closes
        if quoted or not (closes or sign in ".!?"):
            continue
        part = text[begin : at + 1]
        if closes and text[at - 1] not in ".!?" and not _QUOTING.match(part):
            continue
        following = _NEXT.match(text, at + 1)
        if following is None or (_ABBREVIATION.search(part) and not _ASIDE.match(text, following.end())):
            continue
        found.append(part)
        begin = following.end()
    return [*found, text[begin:]] if text[begin:] else found


def _ended(sentence: str) -> str:
    """With a mark at its end; one within the last quote is enough."""
    return sentence if sentence.rstrip('"»”')[-1:] in (".", "!", "?") else f"{sentence}."
