"""Templates of scenario files: {{variables}} with their fallbacks, and [[parts]] that vanish without a value."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\{\{\s*([a-z_]+)\s*(?:\|([^{}]*))?\}\}")
_PART_OF_TEMPLATE = re.compile(r"\[\[(?P<section>.*?)\]\]|" + _VARIABLE.pattern, re.S)
VARIABLES = frozenset({"callee_name", "agent_name", "organization", "action", "reason", "question"})
"""What {{…}} may name: the call spec's fields; `reason`, the action as it follows "I'm calling to"; and
`question`, what to ask after it."""


def checked(text: str) -> str:
    """ValueError for an unknown variable, or for brackets that would be spoken."""
    unknown = sorted({name for name, _ in _VARIABLE.findall(text)} - VARIABLES)
    if unknown:
        raise ValueError(f"unknown variable {{{{{unknown[0]}}}}}; known: {', '.join(sorted(VARIABLES))}")
    plain = _VARIABLE.sub("", re.sub(r"\[\[(.*?)\]\]", r"\1", text, flags=re.S))
    stray = re.search(r"\{\{|\}\}|\[\[|\]\]", plain)
    if stray:
        raise ValueError(f"{stray.group()} without its other half; write {{{{name}}}} or [[a part]]")
    return text


def render(template: str, values: Mapping[str, str | None]) -> str:
    """Fill {{name}}, {{name|fallback}} and [[sections]]; a missing variable leaves nothing.

    Spaces doubled by what vanished are folded.
    """

    def fill(text: str) -> tuple[str, bool]:
        missing = False

        def one(match: re.Match[str]) -> str:
            nonlocal missing
            value = values.get(match.group(1)) or match.group(2)
            missing = missing or not value
            return value or ""

        return _VARIABLE.sub(one, text), missing

    def part(match: re.Match[str]) -> str:
        section = match.group("section")
        text, missing = fill(match.group() if section is None else section)
        return "" if section is not None and missing else text

    # One pass: a value that looks like a template stays a value.
    return re.sub(r"\s+", " ", _PART_OF_TEMPLATE.sub(part, template)).strip()
