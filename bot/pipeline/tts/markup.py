"""Take markdown, tags and emoji out of text: before the TTS speaks it, and out of the transcript."""

import re

_MARKUP: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=\d)\(([a-z])\)"), r"\1"),  # 401(k)
    (re.compile(r"(?<=\d)\"(?=\s(?:x|by|wide|tall|long|deep|thick|screens?|TVs?|pipes?|monitors?)\b)"), "″"),
    (re.compile(r"!?\[([^\]\n]*)\]\((?:[^()\s]|\([^()]*\))*\)"), r"\1"),
    (re.compile(r"```\w*\n?|`"), ""),
    (re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*(?:[-*+•‣–]|\d{1,2}[.)])[ \t]+(?=\S)", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*(?:[-*_=][ \t]*){3,}$", re.MULTILINE), ""),
    (re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", re.DOTALL), r"\2"),
    (re.compile(r"(?<![\w*])([*_])(?=\S)([^*_\n]+?)(?<=\S)\1(?![\w*])"), r"\2"),
    (re.compile(r"~~(.+?)~~"), r"\1"),
    (re.compile(r"<((?:https?://|[^<>\s@]+@)[^<>\s]+)>"), r"\1"),
    (re.compile(r"</?[A-Za-z!][^<>\n]{0,200}>"), " "),
    (re.compile(r"(?:[*|\\^]|~(?!\d))+|(?<![^\W_])_+|_+(?![^\W_])"), " "),
)
_SIGNS = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2190-\u21ff\u2300-\u23ff\u25a0-\u25ff\ufe0f\u200d\u20e3\U000e0020-\U000e007f"
    "\u2122\u00ae\u00a9\u2020\u2021]+"
)


def without_markup(text: str) -> str:
    """Text without markdown, tags and emoji; lines become sentences."""
    for pattern, kept in _MARKUP:
        text = pattern.sub(kept, text)
    text = _SIGNS.sub(" ", text)
    text = re.sub(r"(?<=[^\s.!?:;,…])[ \t]*\n\s*", ". ", text)
    text = re.sub(r"\s*[—―]\s*", ", ", text)
    text = re.sub(r"\s*[(\[{]\s*([^()\[\]{}]*?)\s*[)\]}]", _in_brackets, text)
    text = re.sub(r"(?!\(\d+\))\s*[\[\]{}]\s*|\s*\((?!\d+\))\s*|(?<!\d)\)", " ", text)
    text = re.sub(r"[“”„«»\"]", "", text)
    return re.sub(r"\s+([,.;:!?])", r"\1", re.sub(r"\s+", " ", text)).strip()


def without_marks(words: str) -> str:
    """A piece of written text as the transcript keeps it: without markdown, wherever it was cut."""
    bare = re.sub(r"\]\([^()\s]*\)?|[*`~|#\[\]]|(?<![^\W_])_+|_+(?![^\W_])|^\s*[-+•>]\s", "", words)
    return " ".join(_SIGNS.sub(" ", bare).split())


def _in_brackets(match: re.Match[str]) -> str:
    inside = match[1]
    if not any(char.isalnum() for char in inside):
        return " "
    if inside.isdigit():  # (202) 555-0147
        return f" {match.group().strip()}"
    follows = match.string[match.end() : match.end() + 1]
    return f", {inside}" + ("" if follows in ("", ".", ",", ";", ":", "!", "?") else ",")
