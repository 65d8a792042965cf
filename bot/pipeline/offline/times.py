"""Days and hours as people say them: the time in a sentence, and whether two name the same one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_DAYS = r"(mon|tues|wednes|thurs|fri|satur|sun)day"
_MONTHS = r"(january|february|march|april|may|june|july|august|september|october|november|december)"
_COUNT = r"(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_HALF = r"(am|pm|a\.m\.?|p\.m\.?)"
_HOURS = (
    rf"\d{{1,2}}(:\d\d)? ?({_HALF}|o'?clock)|\d{{1,2}}:\d\d|noon|midnight|half past {_COUNT}"
    rf"|{_COUNT} (o'?clock|thirty|fifteen|forty-?five|am|pm|a\.m\.?|p\.m\.?)|(?<=at ){_COUNT}\b"
)
_WHEN = re.compile(
    rf"((on|at|in|next|this|after|before|around|by|until|the|some time|sometime|early|late|maybe) )*"
    rf"({_DAYS}s?|tomorrow|today|tonight|next (week|month)|(this|the|in the) (morning|afternoon|evening"
    rf"|week|weekend)"
    rf"|(morning|afternoon|evening)s?\b|{_HOURS}|\d+ (minutes?|hours?|days?|weeks?)"
    rf"|(in )an? (hour|week|day|month)\b|any ?time\b"
    rf"|{_MONTHS} (the )?\d{{1,2}}(st|nd|rd|th)?)"
    rf"( ?(at|in|on|after|before|around|the|or|and|morning|afternoon|evening|night|{_DAYS}|{_HOURS}"
    rf"|half past|\d{{1,2}}|thirty|o'?clock|am\b|pm\b|{_COUNT}\b))*",
    re.IGNORECASE,
)
_NUMBERS = {word: n for n, word in enumerate(_COUNT.strip("()").split("|"), start=1)}
_CLOCK = re.compile(
    rf"(?P<half>half past )?\b(?P<hour>\d{{1,2}}|{_COUNT})(:(?P<minute>\d\d)| (?P<word>thirty|fifteen))?"
    rf" ?(?P<part>{_HALF}|o'?clock)?(?![\d/])"
)


def when_said(text: str) -> str | None:
    """The time the words name, as said: "Friday at 3 pm"; None without one."""
    text = text.replace("’", "'")
    best = max((m.group(0).strip(" ,.?!") for m in _WHEN.finditer(text)), key=len, default="")
    best = re.sub(r"( (at|in|on|after|before|around|the|or|and))+$", "", best, flags=re.IGNORECASE)
    best = re.sub(r"^maybe ", "", best, flags=re.IGNORECASE)
    if not re.match(rf"({_DAYS}|{_MONTHS})", best, re.IGNORECASE) and best:
        best = best[0].lower() + best[1:]
    return best or None


def without_refusal(text: str) -> str:
    """The words without what they rule out: "I can't on Thursday, how about Friday" keeps Friday."""
    return re.sub(
        r"\b(can'?t|cannot|won'?t|doesn'?t|don'?t|not|unable|no longer)\b.*?(?=[.,;!?]|\bbut\b"
        r"|\bhow about\b|\bcan we\b"
        r"|\bcould\b|\bmaybe\b|\binstead\b|$)",
        "",
        text.replace("’", "'"),
        flags=re.IGNORECASE,
    )


@dataclass(frozen=True)
class Moment:
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


def moment(text: str) -> Moment | None:
    """The first day and the first clock time of the text; None without either."""
    said = text.lower().replace("’", "'")
    day = re.search(rf"{_DAYS}|tomorrow|today|{_MONTHS} (the )?\d{{1,2}}", said)
    rest = re.sub(rf"{_MONTHS} (the )?\d{{1,2}}(st|nd|rd|th)?", "", said)
    minutes, vague = _clock(rest)
    if day is None and minutes is None:
        return None
    return Moment(day.group(0) if day else None, minutes, vague)


def _clock(said: str) -> tuple[int | None, bool]:
    if "noon" in said.replace("afternoon", ""):
        return 720, False
    for match in _CLOCK.finditer(said):
        named = match.group("part") or match.group("minute") or match.group("word") or match.group("half")
        before = said[: match.start()].rstrip()
        if not (named or re.search(r"\b(at|around|after|before|by)$", before) or _alone(match, said)):
            continue
        hour = int(_NUMBERS.get(match.group("hour"), 0) or match.group("hour"))
        extra = {"thirty": 30, "fifteen": 15}.get(match.group("word") or "", int(match.group("minute") or 0))
        minutes = hour % 24 * 60 + (30 if match.group("half") else extra)
        part = (match.group("part") or "").replace(".", "")
        late = part == "pm" or re.search(r"\b(afternoon|evening|tonight)\b", said)
        early = part == "am" or re.search(r"\bmorning\b", said)
        if late and hour < 12:
            minutes += 720
        elif early and hour == 12:
            minutes -= 720
        return minutes, not (late or early or hour > 12)
    return None, False


def _alone(match: re.Match[str], said: str) -> bool:
    """Whether a bare number follows a day: "Friday ten"."""
    return bool(re.search(rf"({_DAYS}|tomorrow|today)$", said[: match.start()].rstrip(" ,")))


def offered(facts: Iterable[str]) -> tuple[str, ...]:
    """The appointments that facts offer, each with a day and a clock time: "Friday at 10am"."""
    found: list[str] = []
    for fact in facts:
        free = re.search(r"\b(free|available|availability|openings?|slots?|possible|offer|choose)\b", fact, re.I)
        if not free or re.search(r"\b(from|between|hours)\b|\b\d+ ?(am|pm)? ?(to|-|–) ?\d", fact, re.I):
            continue
        for piece in re.split(r"\s+(?:and|or)\s+|[,;]\s*", fact):
            said = when_said(piece)
            at = moment(said) if said else None
            if said and at and at.day is not None and at.minutes is not None:
                found.append(said)
    return tuple(found)


def chosen(said: str, offers: Iterable[str]) -> str | None:
    """The one offer that the words mean; None where none fits, or several."""
    wanted = moment(said)
    fits = [offer for offer in offers if wanted and (at := moment(offer)) and wanted.fits(at)]
    return fits[0] if len(fits) == 1 else None
