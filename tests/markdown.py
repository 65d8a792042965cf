"""Reads our Markdown pages: their fenced blocks, headings, links and the shell commands they show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs_site import ROOT, pages

_FENCE = re.compile(r"^```(?P<kind>\w*)(?P<options>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `kind` is its language."""

    kind: str
    options: str
    text: str


@dataclass(frozen=True)
class Page:
    """A page, by its path in the repository."""

    path: Path
    text: str

    @property
    def blocks(self) -> list[Block]:
        return [Block(m["kind"], m["options"].strip(), m["text"]) for m in _FENCE.finditer(self.text)]

    @property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def links(self) -> list[str]:
        return [match["target"] for match in _LINK.finditer(self.prose)]

    @property
    def spans(self) -> list[str]:
        """What stands in backticks."""
        return _SPAN.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """Of its headings, as a code host and the site's generator make them."""
        headings = re.findall(r"^#+ (.*)$", self.prose, re.M)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}

    @property
    def commands(self) -> list[list[str]]:
        """Of its `sh` blocks, split into words; comments are dropped."""
        return [words for block in self.blocks if block.kind == "sh" for words in _commands(block.text)]

    def rows(self, heading: str) -> list[list[str]]:
        """The cells of the tables under `heading`, without the tables' own heads."""
        (section,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", self.text, re.M | re.S)
        lines = [line for line in section.splitlines() if line.startswith("|")]
        heads = {number - 1 for number, line in enumerate(lines) if re.match(r"\|-", line)}
        kept = [line for number, line in enumerate(lines) if number not in heads and number - 1 not in heads]
        return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in kept]


def read(path: str | Path) -> Page:
    return Page(Path(path), (ROOT / path).read_text(encoding="utf-8"))


def all_pages() -> list[Page]:
    """Every page of the site."""
    return [read(path) for path in pages()]


def names(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return _SPAN.findall(cell)


def _commands(text: str) -> Iterator[list[str]]:
    held = ""
    for line in text.splitlines(keepends=True):
        held += line
        if held.endswith("\\\n"):
            continue
        try:
            words = shlex.split(held.replace("\\\n", " "), comments=True)
        except ValueError:  # a quote is still open
            continue
        held = ""
        if words:
            yield words
    assert not held, f"a command has no end: {held}"
