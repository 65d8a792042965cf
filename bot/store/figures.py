"""Figures of many calls: percentiles of latency, endings, who answered when, what a day cost. Aggregated in SQL.

Percentiles come from a histogram, in steps of 10 ms up to two seconds: the database groups tens of thousands of
replies once, and days, scenarios and the whole are sums of the same rows. SQLite has no percentiles, and a window
function for each would sort all of them each time.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from bot.records import AnsweredBy, CostPart, Direction
from bot.store.database import Database
from bot.store.schema import REPLY_PARTS, calls, replies

TOTAL, *STAGES = REPLY_PARTS
MOST_COUNTED = 50_000
"""Replies, and calls, the newest: what a page may cost has a bound."""
_FINE_MS, _FINE_STEPS, _COARSE_MS, _LAST = 10, 200, 50, 360
"""Buckets of 10 ms to 2 s, of 50 ms to 10 s, and one for what is beyond."""
_DAY = 86_400
_EPOCH = date(1970, 1, 1)
_K = TypeVar("_K")


@dataclass(frozen=True)
class Period:
    """Which calls are counted, and whose days and hours they are counted by."""

    since: datetime
    before: datetime
    zone: ZoneInfo
    scenario: str | None = None

    @property
    def days(self) -> list[date]:
        """Of the zone; the last one is that of the last moment."""
        first = self.since.astimezone(self.zone).date()
        last = (self.before - timedelta(microseconds=1)).astimezone(self.zone).date()
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]

    def local(self, seconds: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
        """Unix time as the zone's clock shows it: summer time may begin in between."""
        changes = self._changes
        last = sa.literal(self._offset(self.before))
        cases = [(seconds < int(at.timestamp()), sa.literal(offset)) for at, offset in changes]
        return seconds + (sa.case(*cases, else_=last) if cases else last)

    @cached_property
    def _changes(self) -> list[tuple[datetime, int]]:
        """Until when which offset held, but for the last."""
        found, day = [], self.since
        while day < self.before:
            at, day = day, day + timedelta(days=1)
            before = self._offset(at)
            if self._offset(day) == before:
                continue
            while self._offset(at) == before:
                at += timedelta(hours=1)
            found.append((at, before))
        return found

    def _offset(self, at: datetime) -> int:
        offset = at.astimezone(self.zone).utcoffset()
        return 0 if offset is None else int(offset.total_seconds())


@dataclass(frozen=True)
class Percentiles:
    """Of the replies that were counted, in ms; to 10 ms below two seconds."""

    count: int
    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, buckets: Mapping[int, int]) -> Percentiles | None:
        """By nearest rank. None where nothing was counted."""
        count = sum(buckets.values())
        if not count:
            return None
        found: list[float] = []
        for share in (0.5, 0.9, 0.99):
            rank, passed = math.ceil(share * count), 0
            for bucket in sorted(buckets):
                passed += buckets[bucket]
                if passed >= rank:
                    found.append(_middle(bucket))
                    break
        return cls(count, *found)


@dataclass(frozen=True)
class ReplyFigures:
    """One part of replies in percentiles, and all stages as means, in ms."""

    whole: Percentiles | None
    by_day: Mapping[date, Percentiles]
    by_scenario: Mapping[str, Percentiles]
    means_by_day: Mapping[date, Mapping[str, float]]
    means_by_scenario: Mapping[str, Mapping[str, float]]
    cut: bool
    """There were more than MOST_COUNTED."""


@dataclass
class CallCounts:
    """Of some calls."""

    placed: int = 0
    dialled: int = 0
    """By us; what follows is of these."""
    answered: int = 0
    """By anybody, a machine too."""
    by_person: int = 0
    usd: float = 0.0
    """As far as prices are known."""
    unpriced: int = 0
    """Calls of which a price is unknown."""

    @property
    def answer_rate(self) -> float | None:
        return self.answered / self.dialled if self.dialled else None

    @property
    def person_rate(self) -> float | None:
        return self.by_person / self.dialled if self.dialled else None


@dataclass(frozen=True)
class CallFigures:
    whole: CallCounts = field(default_factory=CallCounts)
    by_day: Mapping[date, CallCounts] = field(default_factory=dict)
    by_hour: Mapping[int, CallCounts] = field(default_factory=dict)
    """Of the day, 0 to 23."""
    by_number: Mapping[str, CallCounts] = field(default_factory=dict)
    """The number we called from; empty: the server's own."""
    endings: Mapping[str, int] = field(default_factory=dict)
    """Of calls that are over, by `ended_reason`, or by status where there is none; most frequent first."""

    @property
    def cut(self) -> bool:
        """There were more than MOST_COUNTED."""
        return self.whole.placed == MOST_COUNTED


class FigureSearch:
    """Reads only, of MOST_COUNTED at most, by the indexes of time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replies(self, period: Period, part: str = TOTAL) -> ReplyFigures:
        """`part`: one of REPLY_PARTS."""
        at, scenario, value = replies.c.at_seconds, replies.c.scenario, replies.c[part]
        wanted = [
            at >= int(period.since.timestamp()),
            at < int(period.before.timestamp()),
            *([scenario == period.scenario] if period.scenario else ()),
        ]
        day, bucket = (period.local(at) // _DAY).label("day"), _bucket(value).label("bucket")
        histogram = sa.select(day, scenario, bucket, sa.func.count()).where(value.is_not(None))
        sums = [sa.func.coalesce(sa.func.sum(replies.c[stage]), 0.0) for stage in STAGES]
        means = sa.select(day, scenario, sa.func.count(), *sums)
        oldest = sa.select(at).where(*wanted).order_by(at.desc()).offset(MOST_COUNTED).limit(1)
        async with self._database.reader.connect() as connection:
            # A limit within the others would have the database copy all rows first.
            beyond = (await connection.execute(oldest)).scalar_one_or_none()
            wanted += [] if beyond is None else [at > beyond]
            grouped = histogram.where(*wanted).group_by(day, scenario, bucket)
            counted = (await connection.execute(grouped)).all()
            summed = (await connection.execute(means.where(*wanted).group_by(day, scenario))).all()
        whole: Counter[int] = Counter()
        by_day: defaultdict[int, Counter[int]] = defaultdict(Counter)
        by_scenario: defaultdict[str, Counter[int]] = defaultdict(Counter)
        for on, name, where, number in counted:
            whole[where] += number
            by_day[on][where] += number
            by_scenario[name][where] += number
        return ReplyFigures(
            Percentiles.of(whole),
            {_date(on): found for on, found in _percentiles(by_day).items()},
            _percentiles(by_scenario),
            _means((_date(on), number, rest) for on, _, number, *rest in summed),
            _means((name, number, rest) for _, name, number, *rest in summed),
            beyond is not None,
        )

    async def calls(self, period: Period) -> CallFigures:
        query = _call_counts(period)
        endings = dict[str, int]()
        by_day, by_hour, by_number = dict[date, CallCounts](), dict[int, CallCounts](), dict[str, CallCounts]()
        async with self._database.reader.connect() as connection:
            rows = (await connection.execute(query)).all()
        for kind, key, number, over, *rest in rows:
            counts = CallCounts(number, *rest)
            match kind:
                case "day":
                    by_day[_date(int(key))] = counts
                case "hour" if counts.dialled:
                    by_hour[int(key)] = counts
                case "number" if counts.dialled:
                    by_number[key] = counts
                case "ending" if over:
                    endings[key] = over
        sums = zip(*(vars(counts).values() for counts in by_day.values()), strict=True)
        return CallFigures(
            CallCounts(*map(sum, sums)),
            by_day,
            dict(sorted(by_hour.items())),
            dict(sorted(by_number.items(), key=lambda item: -item[1].dialled)),
            dict(sorted(endings.items(), key=lambda item: -item[1])),
        )


def _call_counts(period: Period) -> sa.CompoundSelect[Any]:
    """The calls are read once, and counted by each key."""
    counted = (calls.c.created_at >= period.since, calls.c.created_at < period.before)
    # When it was dialled, which may be days after it was asked for.
    local = period.local(_seconds(sa.func.coalesce(calls.c.started_at, calls.c.created_at)))
    dialled = sa.and_(calls.c.direction == Direction.OUTBOUND.value, calls.c.started_at.is_not(None))
    amounts = [calls.c[f"usd_{part.value}"] for part in CostPart]
    unknown = [
        sa.and_(calls.c[f"cost_{part.value}"].is_not(None), usd.is_(None))
        for part, usd in zip(CostPart, amounts, strict=True)
    ]
    usd: sa.ColumnElement[float] = sum((sa.func.coalesce(amount, 0.0) for amount in amounts), sa.literal(0.0))
    each = (
        sa.select(
            (local // _DAY).label("day"),
            (local % _DAY // 3600).label("hour"),
            sa.func.coalesce(calls.c.from_number, "").label("number"),
            sa.func.coalesce(calls.c.ended_reason, calls.c.status).label("ending"),
            _one(calls.c.ended_at.is_not(None)).label("over"),
            _one(dialled).label("dialled"),
            _one(sa.and_(dialled, calls.c.answered_at.is_not(None))).label("answered"),
            _one(sa.and_(dialled, calls.c.answered_by == AnsweredBy.PERSON.value)).label("by_person"),
            usd.label("usd"),
            _one(sa.or_(*unknown)).label("unpriced"),
        )
        .where(*counted, *([calls.c.scenario == period.scenario] if period.scenario else ()))
        .order_by(calls.c.created_at.desc())
        .limit(MOST_COUNTED)
        .cte("each")
    )
    sums = [sa.func.coalesce(sa.func.sum(each.c[name]), 0) for name in _SUMMED]
    keys = {"day": each.c.day, "hour": each.c.hour, "number": each.c.number, "ending": each.c.ending}
    parts = [
        sa.select(sa.literal(kind), sa.cast(key, sa.Text), sa.func.count(), *sums).group_by(key)
        for kind, key in keys.items()
    ]
    return sa.union_all(*parts)


_SUMMED = ("over", "dialled", "answered", "by_person", "usd", "unpriced")


def _one(holds: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.case((holds, 1), else_=0)


def _seconds(at: sa.ColumnElement[datetime]) -> sa.ColumnElement[int]:
    return sa.cast(sa.extract("epoch", at), sa.BigInteger)


def _bucket(ms: sa.ColumnElement[float]) -> sa.ColumnElement[int]:
    fine_end = _FINE_MS * _FINE_STEPS
    coarse = _FINE_STEPS + sa.cast(sa.func.round((ms - fine_end) / _COARSE_MS), sa.Integer)
    last = fine_end + (_LAST - _FINE_STEPS) * _COARSE_MS
    fine = sa.cast(sa.func.round(ms / _FINE_MS), sa.Integer)
    return sa.case((ms < fine_end, fine), (ms < last, coarse), else_=_LAST)


def _middle(bucket: int) -> float:
    return (
        bucket * _FINE_MS
        if bucket <= _FINE_STEPS
        else _FINE_MS * _FINE_STEPS + (bucket - _FINE_STEPS) * _COARSE_MS
    )


def _date(days: int) -> date:
    return _EPOCH + timedelta(days=days)


def _percentiles(buckets: Mapping[_K, Mapping[int, int]]) -> dict[_K, Percentiles]:
    return {key: found for key, counts in buckets.items() if (found := Percentiles.of(counts)) is not None}


def _means(rows: Iterable[tuple[_K, int, list[float]]]) -> dict[_K, dict[str, float]]:
    counts: Counter[_K] = Counter()
    sums: defaultdict[_K, list[float]] = defaultdict(lambda: [0.0] * len(STAGES))
    for key, number, values in rows:
        counts[key] += number
        sums[key] = [a + b for a, b in zip(sums[key], values, strict=True)]
    return {key: {s: v / counts[key] for s, v in zip(STAGES, sums[key], strict=True)} for key in sums}
