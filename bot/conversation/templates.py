"""Placeholders in texts, {{name}} or {{name|fallback}}; and [[parts]] that vanish without a value."""

import re
from collections.abc import Callable, Iterator, Mapping

VARIABLES = frozenset({"callee_name", "agent_name", "organization", "action", "reason", "question"})
"""What a scenario's {{…}} may name: the call spec's fields; `reason`, the action as it follows "I'm calling to";
and `question`, what to ask after it."""
_NAME = r"\{\s*([^\W\d][\w -]*?)\s*(?:\|([^{}|]*))?\}"
_PLACEHOLDER = re.compile(r"\{" + _NAME + r"\}")
_PART_OF_TEMPLATE = re.compile(r"\[\[(?P<section>.*?)\]\]|" + _PLACEHOLDER.pattern, re.S)
_ONE_BRACE = re.compile(_NAME)
_BRACE = re.compile(r"[{}]")
_BEGUN = re.compile(r"\{+\s*[^\W\d]")


def placeholders(text: str) -> Iterator[tuple[str, str | None]]:
    """Each one's name and fallback; None: it has none."""
    return ((match[1], match[2]) for match in _PLACEHOLDER.finditer(text))


def fill(text: str, one: Callable[[str, str | None], str]) -> str:
    """`text` with each placeholder replaced by `one(name, fallback)`.

    One pass: a value that looks like a placeholder stays a value.
    """
    return _PLACEHOLDER.sub(lambda match: one(match[1], match[2]), text)


def check_braces(text: str) -> None:
    """ValueError for braces around a name that would be taken as they stand. Other braces are text."""
    rest = _PLACEHOLDER.sub("", text)
    if (single := _ONE_BRACE.search(rest)) is not None:
        raise ValueError(f"{single[0]} is not filled: write {{{{{single[0].strip('{}').strip()}}}}}")
    if (stray := _stray(rest)) is not None:
        raise ValueError(f"a placeholder is not closed at {stray!r}: write {{{{name}}}} or {{{{name|fallback}}}}")


def _stray(text: str) -> str | None:
    """The words around a brace that has no other half."""
    begun: list[int] = []
    for brace in _BRACE.finditer(text):
        at = brace.start()
        if brace[0] == "{":
            begun.append(at)
        elif begun:
            begun.pop()
        elif at and text[at - 1].isalnum():
            return text[max(at - 20, 0) : at + 1]
    return next((text[at : at + 20] for at in begun if _BEGUN.match(text, at)), None)


def checked(text: str) -> str:
    """A scenario's text. ValueError for an unknown variable, or for brackets that would be spoken."""
    unknown = sorted({name for name, _ in placeholders(text)} - VARIABLES)
    if unknown:
        raise ValueError(f"unknown variable {{{{{unknown[0]}}}}}; known: {', '.join(sorted(VARIABLES))}")
    check_braces(text)
    stray = re.search(r"\[\[|\]\]", re.sub(r"\[\[(.*?)\]\]", r"\1", _PLACEHOLDER.sub("", text), flags=re.S))
    if stray:
        raise ValueError(f"{stray.group()} without its other half; write [[a part]]")
    return text


def render(template: str, values: Mapping[str, str | None]) -> str:
    """Fill a scenario's text; a missing variable leaves nothing.

    Spaces doubled by what vanished are folded.
    """

    def filled(text: str) -> tuple[str, bool]:
        missing = False

        def one(name: str, fallback: str | None) -> str:
            nonlocal missing
            value = values.get(name) or fallback
            missing = missing or not value
            return value or ""

        return fill(text, one), missing

    def part(match: re.Match[str]) -> str:
        section = match.group("section")
        text, missing = filled(match.group() if section is None else section)
        return "" if section is not None and missing else text

    # One pass: a value that looks like a template stays a value.
    return re.sub(r"\s+", " ", _PART_OF_TEMPLATE.sub(part, template)).strip()
