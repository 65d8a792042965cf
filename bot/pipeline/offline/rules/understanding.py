"""What a callee's words hold, by the rules of their language: questions, times, numbers, names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from bot.languages import plain
from bot.pipeline.offline.rules.words import Words


def parts_of(text: str, words: Words) -> list[str]:
    """The sentences, also parted where a statement turns into a question: "yes, that works, but where is it?" is
    two things. Recognisers leave the marks out, so a conjunction is enough."""
    parts: list[str] = []
    for sentence in words.sentences(text):
        rest = sentence.replace("’", "'")
        while (turn := _turn(rest, words)) is not None:
            parts.append(rest[: turn.start()])
            rest = rest[turn.end() :]
        parts.append(rest)
    return [part for part in parts if plain(part)]


def _turn(sentence: str, words: Words) -> re.Match[str] | None:
    for turn in words.written["turn"].finditer(sentence):
        left = sentence[: turn.start()]
        # "Could you tell me, please, where …" is one question; "where is it, and when" are two.
        if not plain(left) or (is_question(left, words) and not words.written["joins"].search(turn.group(0))):
            continue
        # "I don't know how …": the clause belongs to its verb.
        if not words.found("holds_clause", left):
            return turn
    return None


def is_question(part: str, words: Words) -> bool:
    """Whether one sentence asks something; recognisers leave question marks out."""
    return words.found("asks", part) or (part.rstrip().endswith("?") and len(plain(part).split()) > 2)


def when_said(text: str, words: Words) -> str | None:
    """The time the words name and do not rule out, as said: "Friday at 3 pm"; None without one."""
    clauses = words.written["clauses"].split(text.replace("’", "'"))
    allowed = [clause for clause in clauses if not words.found("refused", clause)]
    named = [m.group(0).strip(" ,.?!") for clause in allowed for m in words.written["time"].finditer(clause)]
    best = max(reversed(named), key=len, default="")
    while (shorter := words.written["time_edge"].sub("", best)) != best:
        best = shorter
    return words.lowered(best) or None


class Moment(NamedTuple):
    """A day and a clock time, as far as they were named."""

    day: str | None
    minutes: int | None
    """Of the day; of half a day where `vague`."""
    vague: bool = False
    """Morning or afternoon was left open."""

    def fits(self, other: Moment) -> bool:
        """Whether both may mean the same: what one leaves open, the other may fill."""
        if not (self.day == other.day or self.day is None or other.day is None):
            return False
        if self.minutes is None or other.minutes is None:
            return self.day is not None and self.day == other.day
        vague = self.vague or other.vague
        return self.minutes % 720 == other.minutes % 720 if vague else self.minutes == other.minutes


def moment(text: str, words: Words) -> Moment | None:
    """The first day and the first clock time of the text; None without either."""
    said = words.sub("spoken", text).lower().replace("’", "'")
    day = words.written["named_day"].search(said)
    minutes, vague = _clock(words.written["day_of_month"].sub("", said), words)
    return Moment(plain(day.group(0)) if day else None, minutes, vague) if day or minutes is not None else None


def _clock(said: str, words: Words) -> tuple[int | None, bool]:
    if words.written["noon"].search(said):
        return 720, False
    for match in words.written["clock"].finditer(said):
        lead, number, minute, extra, part = match.group("lead", "hour", "minute", "extra", "part")
        if not (lead or minute or extra or part):
            continue
        hour = words.numbers.get(number) if number in words.numbers else int(number)
        added = int(minute or 0) or next((n for w, n in words.minutes.items() if w in f"{lead} {extra}"), 0)
        late, early = (words.written[half].search(said) for half in ("late", "early"))
        minutes = hour % 24 * 60 + added + (720 if late and hour < 12 else -720 if early and hour == 12 else 0)
        return minutes, not (late or early or hour > 12)
    return None, False


def offered(facts: Iterable[str], words: Words) -> tuple[str, ...]:
    """The appointments that facts offer, each with a day and a clock time: "Friday at 10am"."""
    found: list[str] = []
    for fact in facts:
        if words.written["free"].search(fact) and not words.written["not_offered"].search(fact):
            for piece in words.written["between"].split(words.sub("spoken", fact)):
                said = when_said(piece, words)
                at = moment(said, words) if said else None
                if said and at and at.day is not None and at.minutes is not None:
                    found.append(said)
    return tuple(found)


def chosen(said: str, offers: Iterable[str], words: Words) -> str | None:
    """The one offer that the words mean; None where none fits, or several."""
    wanted = moment(said, words)
    fits = [offer for offer in offers if wanted and (at := moment(offer, words)) and wanted.fits(at)]
    return fits[0] if len(fits) == 1 else None


def number_said(text: str, words: Words) -> float | None:
    """The first number, in digits or words ("twenty five")."""
    if digits := re.search(r"-?\d+(?:\.\d+)?", text):
        return float(digits.group(0))
    said = plain(text).split()
    numbers = [word for word in said if word in words.numbers]
    # "Un nueve" is nine: an article counts where no other number does.
    numbers = [word for word in numbers if word not in words.sets["small_words"]] or numbers
    if not numbers:
        return None
    number, at = words.numbers[numbers[0]], said.index(numbers[0])
    after = words.numbers.get(said[at + 1], 0) if said[at + 1 :] else 0
    return float(number + after if 20 <= number < 100 and 0 < after < 10 else number)


def option_said(text: str, options: Sequence[str], words: Words) -> str | None:
    """The option the words name: whole, by one of its own words, or by its place ("the second")."""
    heard = plain(text)
    own = {option: plain(option.replace("_", " ")) for option in options}
    for option in sorted(options, key=len, reverse=True):
        if re.search(rf"\b{re.escape(own[option])}\b", heard):
            return option
    said = set(heard.split())
    for option, name in own.items():
        others = {word for other, names in own.items() if other != option for word in names.split()}
        if any(len(word) > 3 and word in said and word not in others for word in name.split()):
            return option
    return next((o for place, o in zip(words.lists["places"], options, strict=False) if place in said), None)


def phone_said(text: str, words: Words) -> str | None:
    """A phone number in digits or digit words, as digits; None below seven digits."""
    said = [str(words.numbers[w]) if words.numbers.get(w, 10) < 10 else w for w in plain(text).split()]
    digits = re.sub(r"\D", "", " ".join(said))
    return ("+" if "+" in text else "") + digits if len(digits) >= 7 else None


def phone_spoken(digits: str, words: Words) -> str:
    """A number to be read back, digit by digit in groups, a pause between them."""
    named = [words.lists["numbers"][int(digit)] for digit in re.sub(r"\D", "", digits)]
    sizes = {7: (3, 4), 10: (3, 3, 4), 11: (1, 3, 3, 4)}.get(len(named)) or [3] * (len(named) // 3 + 1)
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    groups = [" ".join(named[start : start + size]) for start, size in zip(starts, sizes, strict=True)]
    return ", ".join(group for group in groups if group)


def name_said(text: str, words: Words, *, asked: bool = True) -> str | None:
    """The name someone gives for themselves: "my name is Ann Lee", "it's Ann", or just "Ann Lee".

    Unasked, only an introduction counts, and of the vague ones ("I'm …") only before a capital letter.
    """
    text = text.replace("’", "'")
    intro = words.written["introduces"].search(text)
    vague = words.written["introduces_vaguely"].search(text)
    if intro is None and vague and (asked or text[vague.end() :][:1].isupper()):
        intro = vague
    if not intro and (not asked or is_question(text, words)):
        return None
    kept: list[str] = []
    for word in (text[intro.end() :] if intro else text.strip()).split()[: 2 if intro else 4]:
        bare = word.strip(".,!?;")
        if plain(bare) in words.sets["not_names"] or plain(bare) in words.numbers or not bare[:1].isalpha():
            break
        kept.append(bare)
        if bare != word:
            break
    if not kept or len(kept) > 3 or (not intro and words.meant(" ".join(kept))):
        return None
    return " ".join(word[:1].upper() + word[1:] for word in kept)


def without_introduction(text: str, words: Words) -> str:
    """The words beside a greeting and a name: "Hi, my name is Bob and I need …" keeps "I need …"."""
    name = name_said(text, words, asked=False)
    if name is None:
        return text
    intro = words.written["introduces"].search(text) or words.written["introduces_vaguely"].search(text)
    spot = re.search(rf"{re.escape(name)}\b", text, re.IGNORECASE)
    rest = words.written["after_name"].sub("", text[spot.end() :], count=1) if spot else ""
    around = ((text[: intro.start()] if intro else "").strip(" ,."), rest.strip(" ,."))
    return " ".join(part for part in around if len(part.split()) > 2)


def day_meant(text: str, today: date, words: Words) -> date | None:
    """The first day named, from `today` on; a weekday is the next one of its name. None without one."""
    if iso := re.search(r"\b(\d{4})-(\d{2})-(\d{2})\b", text):
        return _real(*(int(part) for part in iso.groups()))
    said, months, weekdays = plain(text), words.lists["months"], words.lists["weekdays"]
    either = "|".join(months)
    named = re.search(rf"\b(?P<month>{either}) (?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b", said) or re.search(
        rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)? (?:of |de )?(?P<month>{either})\b", said
    )
    if named:
        month, day = months.index(named["month"]) + 1, int(named["day"])
        this_year = _real(today.year, month, day)
        return this_year if this_year and this_year >= today else _real(today.year + 1, month, day)
    for rule, days in words.near:
        if rule.search(said):
            return today + timedelta(days=days)
    weekday = re.search(rf"\b({'|'.join(weekdays)})s?\b", said)
    ahead = (weekdays.index(weekday.group(1)) - today.weekday() - 1) % 7 + 1 if weekday else 0
    return today + timedelta(days=ahead) if weekday else None


def _real(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
