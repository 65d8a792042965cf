"""Figures: what replies took, how calls ended, who answered when, what a day cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from bot.store.figures import MOST_COUNTED, STAGES, CallFigures, FigureSearch, Percentiles, Period, ReplyFigures
from bot.web.bars import StagePart, stage_parts
from bot.web.calls import zone_of
from bot.web.page import STAGE_WORDS, LockedPage, agent_of, render

router = APIRouter(route_class=LockedPage, include_in_schema=False)
SPANS = (7, 30, 90)
"""Days."""
_EPOCH = date(1970, 1, 1)


class FiguresQuery(BaseModel):
    days: Literal["7", "30", "90"] = "30"
    scenario: str | None = None
    part: Literal["voice_to_voice", "vad", "stt", "turn", "llm", "sentence", "tts", "line"] = "voice_to_voice"

    def period(self, now: datetime, zone: ZoneInfo) -> Period:
        """Whole days of the reader, and what of today has passed."""
        first = now.astimezone(zone).date() - timedelta(days=int(self.days) - 1)
        since = datetime.combine(first, time(), zone).astimezone(UTC)
        return Period(since, now, zone, self.scenario)


@dataclass(frozen=True)
class Curve:
    """One series of a chart; `color` is a variable of app.css."""

    label: str
    color: str
    values: list[float | None]


def chart(kind: Literal["lines", "stack", "bars"], unit: str, x: list[int], *curves: Curve) -> dict[str, Any]:
    """What static/figures.js draws: `x` is a day as Unix time, or an hour of the day."""
    return {"kind": kind, "unit": unit, "x": x, "series": [vars(curve) for curve in curves]}


@router.get("/figures")
async def figures(request: Request) -> Response:
    agent = agent_of(request)
    query = FiguresQuery.model_validate({name: value for name, value in request.query_params.items() if value})
    period = query.period(datetime.now(UTC), zone_of(request))
    search = FigureSearch(agent.store.database)
    replies = await search.replies(period, f"{query.part}_ms")
    calls = await search.calls(period)
    return render(
        request,
        "figures.html",
        query=query,
        spans=SPANS,
        most_counted=MOST_COUNTED,
        scenarios=agent.planner.scenarios.names,
        own_number=agent.settings.twilio_phone_number,
        replies=replies,
        calls=calls,
        part="Voice to voice" if query.part == "voice_to_voice" else STAGE_WORDS[query.part].capitalize(),
        stacks=_stacks(replies.means_by_scenario),
        **_charts(period, replies, calls),
    )


def _charts(period: Period, replies: ReplyFigures, calls: CallFigures) -> dict[str, Any]:
    # From the first day that has something to show, but not less than a week.
    first = min([*replies.means_by_day, *calls.by_day, *period.days[-SPANS[0] :]])
    days = [day for day in period.days if day >= first]
    hours = list(range(24))
    x = [(day - _EPOCH).days * 86_400 for day in days]
    of_day = [replies.by_day.get(day) for day in days]
    means = [replies.means_by_day.get(day) for day in days]
    spent: list[float | None] = [counts.usd if (counts := calls.by_day.get(day)) else 0.0 for day in days]
    by_hour = [calls.by_hour.get(hour) for hour in hours]
    return {
        "latency": chart(
            "lines",
            "ms",
            x,
            *(
                Curve(f"p{share}", color, [_read(found, f"p{share}") for found in of_day])
                for share, color in ((50, "--good"), (90, "--link"), (99, "--s-tts"))
            ),
        ),
        "stages": chart(
            "stack",
            "ms",
            x,
            *(
                Curve(
                    STAGE_WORDS[stage.removesuffix("_ms")],
                    f"--s-{stage.removesuffix('_ms')}",
                    [None if mean is None else round(mean[stage], 1) for mean in means],
                )
                for stage in STAGES
            ),
        ),
        "cost": chart("bars", "usd", x, Curve("cost", "--accent", spent)),
        "hours": chart(
            "bars",
            "%",
            hours,
            Curve("answered", "--agent-soft", [None if c is None else _percent(c.answer_rate) for c in by_hour]),
            Curve("by a person", "--agent", [None if c is None else _percent(c.person_rate) for c in by_hour]),
        ),
    }


def _read(found: Percentiles | None, name: str) -> float | None:
    return None if found is None else getattr(found, name)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _stacks(means: Mapping[str, Mapping[str, float]]) -> dict[str, list[StagePart]]:
    """The mean reply of each scenario."""
    longest = max((sum(mean.values()) for mean in means.values()), default=0.0) or 1.0
    return {
        scenario: stage_parts({stage.removesuffix("_ms"): ms for stage, ms in mean.items()}, longest)
        for scenario, mean in means.items()
    }
