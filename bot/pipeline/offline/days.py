"""Which day of the calendar is meant by words like "next Thursday" or "el 5 de marzo". Pure."""

from __future__ import annotations

import re
from datetime import date, timedelta

from bot.languages import of, plain

_WEEKDAYS = {
    "en": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "es": ("lunes", "martes", "miercoles", "jueves", "viernes", "sabado", "domingo"),
}
_MONTHS = {
    "en": (
        *("january", "february", "march", "april", "may", "june"),
        *("july", "august", "september", "october", "november", "december"),
    ),
    "es": (
        *("enero", "febrero", "marzo", "abril", "mayo", "junio"),
        *("julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
    ),
}
_NEAR = {
    "en": ((r"day after tomorrow", 2), (r"tomorrow", 1), (r"today|tonight|this (?:afternoon|evening)", 0)),
    "es": ((r"pasado manana", 2), (r"(?<!la )manana", 1), (r"hoy|esta (?:tarde|noche)", 0)),
}


def day_meant(words: str, today: date, language: str) -> date | None:
    """The first day named, from `today` on; a weekday is the next one of its name. None without one."""
    iso = re.search(r"\b(\d{4})-(\d{2})-(\d{2})\b", words)
    if iso:
        return _real(*(int(part) for part in iso.groups()))
    code = of(language).code if of(language).code in _MONTHS else "en"
    said = plain(words)
    months = "|".join(_MONTHS[code])
    named = re.search(rf"\b({months}) (?:the )?(\d{{1,2}})(?:st|nd|rd|th)?\b", said)
    turned = re.search(rf"\b(\d{{1,2}})(?:st|nd|rd|th)? (?:of |de )?({months})\b", said)
    if named or turned:
        month, day = named.groups() if named else (turned.groups()[::-1] if turned else ("", ""))
        return _next(_MONTHS[code].index(month) + 1, int(day), today)
    for wording, days in _NEAR[code]:
        if re.search(rf"\b(?:{wording})\b", said):
            return today + timedelta(days=days)
    weekday = re.search(rf"\b({'|'.join(_WEEKDAYS[code])})s?\b", said)
    if weekday is None:
        return None
    ahead = (_WEEKDAYS[code].index(weekday.group(1)) - today.weekday() - 1) % 7 + 1
    return today + timedelta(days=ahead)


def _next(month: int, day: int, today: date) -> date | None:
    this_year = _real(today.year, month, day)
    return this_year if this_year and this_year >= today else _real(today.year + 1, month, day)


def _real(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
