"""How well the rules that hold a call without a key answer: what is heard, and the kind of reply that is right.

    python -m tests.benchmarks.replies

Words in, words and tools out: no audio, no pipeline. `replies.toml` holds talks in the shipped scenarios. What a
reply must be is a list: a name of `[say]` in the rules of the language is one of its sentences, "~text" is a text
within the reply, "!tool" a tool that is called with it; "-" before any of them means that it must be missing.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.conversation import prompt
from bot.pipeline.offline.rules.dialogue import Dialogue
from bot.pipeline.offline.rules.state import RuleField, RuleReply
from bot.pipeline.offline.rules.words import Words, words_of
from bot.records import CallSpec
from tests.profiles import held_to

PIPELINES = Path(__file__).parents[2] / "pipelines"
TALKS = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Scored:
    scenario: str
    heard: str
    reply: RuleReply
    missing: tuple[str, ...]
    """What was expected and is not so; empty: right."""


def score(talks: Path = TALKS) -> list[Scored]:
    """One entry for each utterance of each talk."""
    return [
        scored
        for talk in tomllib.loads(talks.read_text("utf-8"))["talk"]
        for scored in _talk(talk["scenario"], talk["lines"], talk.get("context"))
    ]


def _talk(name: str, lines: Sequence[Sequence[str]], context: str | None) -> list[Scored]:
    scenario = held_to("none", PIPELINES / f"{name}.toml")
    example = scenario.example
    callee = example.callee_name if scenario.direction == "outbound" else None
    about = example.context if context is None else context
    spec = CallSpec("+12025550123", name, example.action, about, callee, organization=example.organization)
    spec = prompt.completed(spec, scenario)
    fields = tuple(RuleField(f.name, f.type, f.description, f.question, f.options) for f in scenario.outcome)
    dialogue = Dialogue(spec, fields, frozenset(scenario.tools), scenario.goal, scenario.language)
    spoken, words, found = prompt.opening_text(spec, scenario) or "", words_of(scenario.language), []
    for heard, *expected in lines:
        reply = dialogue.reply(heard, spoken=spoken)
        missing = tuple(sign for sign in expected if not _holds(reply, sign, words))
        found.append(Scored(name, heard, reply, missing))
        spoken = reply.text
    return found


def _holds(reply: RuleReply, sign: str, words: Words) -> bool:
    if sign.startswith("-"):
        return not _holds(reply, sign[1:], words)
    if sign.startswith("!"):
        return any(tool.name == sign[1:] for tool in reply.tools)
    if sign.startswith("~"):
        return sign[1:].lower() in reply.text.lower()
    return any(re.search(_pattern(way), reply.text, re.IGNORECASE) for way in words.variants(sign))


def _pattern(sentence: str) -> str:
    """A sentence of [say] as a pattern: what it is filled with is open, what stands in […] may be missing."""
    fixed = re.split(r"\[[^\]]*\]|\{\w+\}", sentence.strip(" .?!¿"))
    return ".*?".join(re.escape(part) for part in fixed)


def main() -> int:
    scored = score()
    for one in (one for one in scored if one.missing):
        print(f"{one.scenario}: {one.heard!r} is answered {one.reply.text!r}; not so: {', '.join(one.missing)}")
    right = sum(not one.missing for one in scored)
    print(f"{right} of {len(scored)} utterances are answered with the right kind of reply")
    return 0 if right == len(scored) else 1


if __name__ == "__main__":
    sys.exit(main())
