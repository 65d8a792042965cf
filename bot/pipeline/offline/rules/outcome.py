"""An outcome without a model: the same shape a model fills, as far as rules go. Pure.

The local LLM listens to the talk once more, as if it had held it, and what it learns from each of the callee's
turns is kept with that turn as evidence. Fields a request asks for by a schema have no question of their own; a
turn answers one where what the agent had just asked names it. What is not known is None.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.json_schema import Schema, fits, of_fields
from bot.languages import plain
from bot.pipeline.offline.rules.dialogue import Dialogue
from bot.pipeline.offline.rules.state import RuleField
from bot.pipeline.offline.rules.words import Intent, Words, words_of
from bot.records import AnsweredBy, CallSpec, EndedReason, Outcome, Sentiment, Speaker, Turn

_REFUSING = frozenset(
    {Intent.NO, Intent.DECLINE, Intent.CANCEL, Intent.RESCHEDULE, Intent.DO_NOT_CALL, Intent.WRONG_NUMBER}
)
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
    zone: str = "UTC",
) -> Outcome:
    """The outcome of a call by its transcript; what tools recorded in the call outranks it.

    `schema`: what a request asks for instead of `fields`, in plain form (`outcome_schema.checked`). The fields
    are listened for all the same: they lead through the talk, and one of them may be the goal. `zone`: where the
    callee's days begin, an IANA name.
    """
    words, wanted, own = words_of(language), _fields_of(schema), {field.name for field in fields}
    talk = Dialogue(spec, [*fields, *(w for w in wanted if w.name not in own)], frozenset(), goal, language)
    values: dict[str, Any] = {}
    known: dict[str, Any] = {}
    evidence: dict[str, list[str]] = {}
    opening, asked = "", ""
    for said in turns:
        turn = replace(said, started_at=said.started_at.astimezone(ZoneInfo(zone)))
        if turn.speaker is Speaker.AGENT:
            asked, opening = turn.text, opening or turn.text
        elif plain(turn.text) and opening:
            talk.reply(turn.text, spoken=None if talk.last else opening)
            meant, learnt = words.meant(turn.text), talk.outcome().fields
            found = {
                n: v for n, v in learnt.items() if known.get(n) != v and (v is not False or meant & _REFUSING)
            }
            known = dict(learnt)
            if Intent.ORDERS not in meant:
                heard = _answered(fields, asked, turn.text, words) | _answers(wanted, schema, asked, turn, words)
                values, found = values | heard, found | heard
            evidence |= {name: [turn.text] for name in found}
    outcome = talk.outcome()
    values = outcome.fields | values
    shown = fitted(of_fields(fields) if schema is None else schema, values)
    reached = bool(values[goal]) if goal in values else outcome.reached_goal
    if schema is not None and all(value is None for value in shown.values()):
        reached = False  # nothing of what was asked for is known
    # What the talk left open contradicts nothing; what it learnt otherwise, and noted, does.
    was = outcome.reached_goal or (goal not in outcome.fields and reached)
    summary = agreeing(outcome.summary, was=was, reached=reached, language=language)
    if was and reached and not outcome.reached_goal:
        summary = summary.replace(words.note("not_reached"), words.note("reached"))
    quotes = {name: said for name, said in evidence.items() if shown.get(name) is not None}
    return Outcome(reached, summary, shown, outcome.source, sentiment(turns, language), quotes)


def _answered(fields: Sequence[RuleField], asked: str, heard: str, words: Words) -> dict[str, Any]:
    """What `heard` says as the answer to whichever fields' questions `asked` holds.

    What is only polite beside a goodbye ("okay, goodbye!") is no yes.
    """
    said, found = set(plain(asked).split()), {}
    leaves = Intent.GOODBYE in words.meant(heard) and not words.found("certain", heard)
    for spec in fields:
        question = set(plain(spec.question or "").split())
        if question and len(question & said) >= 0.6 * len(question):
            value = spec.parsed(heard, words)
            if value is not None and not (value is True and leaves):
                found[spec.name] = value
    return found


def _fields_of(schema: Schema | None) -> tuple[RuleField, ...]:
    """The properties of a plain schema that rules can fill: yes or no, a choice, a number, a text."""
    found = []
    for name, node in schema["properties"].items() if schema else ():
        bare = _bare(node)
        options = tuple(bare.get("enum", ())) if bare.get("type") == "string" else ()
        kind: Any = "number" if bare.get("type") == "integer" else bare.get("type")
        if kind in ("boolean", "string", "number"):
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
        text = spec.type == "string" and not spec.is_time(words) and not words.found("asks_for_words", question)
        if kind in ("date", "date-time"):
            if Intent.CANCEL not in words.meant(turn.text):
                found[spec.name] = when_meant(turn.text, turn.started_at, words, with_time=kind == "date-time")
        elif question and not text and _names(spec, question, words):
            found |= _answered([replace(spec, question=question)], question, turn.text, words)
    return {name: value for name, value in found.items() if value is not None}


def _names(spec: RuleField, question: str, words: Words) -> bool:
    """Whether a question is about a field: it shares a word of the name, or half of the description's."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])|[_.-]", " ", spec.name)
    asked, named, told = (
        {w[:_STEM] for w in plain(text).split() if len(w) > 2 and w not in words.sets["empty_names"]}
        for text in (question, name, spec.description)
    )
    return bool(named & asked) or (len(told) > 1 and 2 * len(told & asked) >= len(told))


def when_meant(text: str, now: datetime, words: Words, *, with_time: bool) -> str | None:
    """The day, or day and hour, named last and not ruled out, in ISO 8601; None unless all of it is named.

    `now`: of the words, by the callee's clock.
    """
    named = [(part, day) for part in words.allowed(text) if (day := words.day(part, now.date())) is not None]
    said = words.moment(named[-1][0]) if named else None
    if not named or not with_time or said is None or said.minutes is None:
        return named[-1][1].isoformat() if named and not with_time else None
    # "At two": nobody means the night.
    minutes = said.minutes + (720 if said.vague and said.minutes < 7 * 60 else 0)
    return f"{named[-1][1].isoformat()}T{minutes // 60:02d}:{minutes % 60:02d}:00"


def fitted(schema: Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    """Every property of the schema: its value where it fits, else None. An empty text tells nothing."""
    found: dict[str, Any] = {}
    for name, node in schema["properties"].items():
        value = values.get(name)
        value = int(value) if isinstance(value, float) and value.is_integer() else value
        empty = value is None or (isinstance(value, str) and not value.strip())
        found[name] = value if not empty and fits(node, value) else None
    return found


def sentiment(turns: Sequence[Turn], language: str) -> Sentiment:
    """By the callee's own words: one annoyed turn outweighs two pleased ones."""
    words, said = words_of(language), [turn.text for turn in turns if turn.speaker is Speaker.CALLEE]
    mood = sum(words.found("pleased", text) - 2 * words.found("annoyed", text) for text in said)
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
        return ended_reason in (EndedReason.SERVER_SHUTDOWN, EndedReason.API_HANGUP)
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
    words = words_of(language)
    told = (AnsweredBy.VOICEMAIL, AnsweredBy.UNAVAILABLE, EndedReason.DIAL_BUSY, EndedReason.DIAL_NO_ANSWER,
            EndedReason.DIAL_FAILED, EndedReason.CANCELED, EndedReason.DO_NOT_CALL)  # fmt: skip
    why = next((why for why in (answered_by, ended_reason) if why in told), None)
    note = "not_dialled" if why is EndedReason.DO_NOT_CALL else why or "no_voice"
    left = ("message_left" if spoken else "no_message") if why is AnsweredBy.VOICEMAIL else "nobody"
    return Outcome(False, f"{words.note(note)} {words.note(left)}", dict.fromkeys(names))


def agreeing(summary: str, *, was: bool, reached: bool, language: str) -> str:
    """`summary`, made where the goal `was` reached or not, for `reached`: notes of another end go."""
    words = words_of(language)
    return (
        summary
        if was is reached
        else f"{words.note('spoke')} {words.note('reached' if reached else 'not_reached')}"
    )
