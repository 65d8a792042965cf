"""Calls: the list with filter and counters, and one call."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from bot.calls.agent import PhoneAgent
from bot.calls.costs import total_usd
from bot.records import CallRecord, EndedReason, Status, Turn
from bot.store.call_search import CallFilter, CallSearch
from bot.web.bars import StagePart, stage_parts
from bot.web.page import STAGE_WORDS, LockedPage, agent_of, render

router = APIRouter(route_class=LockedPage, include_in_schema=False)
ZONE_COOKIE = "zone"
"""The reader's time zone, as app.js found it."""
LONG_GAP_MS = 2000
"""Silence that a reader of the transcript should see."""


class CallQuery(BaseModel):
    q: str = ""
    state: Literal["live", "completed", "busy", "no-answer", "failed", "canceled"] | None = None
    goal: Literal["reached", "missed"] | None = None
    ended: EndedReason | None = None
    scenario: str | None = None
    day: date | None = None
    cursor: str | None = None

    def filter(self, zone: ZoneInfo) -> CallFilter:
        since = None if self.day is None else datetime.combine(self.day, time(), zone)
        return CallFilter(
            text=self.q.strip(),
            status=None if self.state in (None, "live") else Status(self.state),
            live=self.state == "live",
            reached_goal=None if self.goal is None else self.goal == "reached",
            ended_reason=self.ended,
            scenario=self.scenario,
            since=since,
            before=None if since is None else since + timedelta(days=1),
        )

    def link(self, **changes: Any) -> str:
        """The same list, changed."""
        fields = {**self.model_dump(mode="json", exclude_none=True), **changes}
        kept = {name: value for name, value in fields.items() if value}
        return f"?{urlencode(kept)}"


def zone_of(request: Request) -> ZoneInfo:
    try:
        return ZoneInfo(request.cookies.get(ZONE_COOKIE, "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


@router.get("/")
async def list_calls(request: Request) -> Response:
    return await _list(request, "calls.html")


@router.get("/calls")
async def list_rows(request: Request) -> Response:
    """The part of the list that changes by itself."""
    return await _list(request, "_calls.html")


async def _list(request: Request, template: str) -> Response:
    agent, zone = agent_of(request), zone_of(request)
    query = CallQuery.model_validate({name: value for name, value in request.query_params.items() if value})
    search = CallSearch(agent.store.database)
    page = await search.page(query.filter(zone), cursor=query.cursor)
    midnight = datetime.combine(datetime.now(zone).date(), time(), zone).astimezone(UTC)
    return render(
        request,
        template,
        query=query,
        calls=list(map(agent.planner.shown, page.items)),
        older=None if page.next_cursor is None else query.link(cursor=page.next_cursor),
        counts=await search.counts(midnight),
        scenarios=agent.planner.scenarios.names,
        reasons=list(EndedReason),
        filtered=any(value for name, value in query if name != "cursor"),
    )


@router.get("/calls/{call_id}")
async def one_call(call_id: str, request: Request) -> Response:
    return await _call(request, call_id, "call.html")


@router.get("/calls/{call_id}/live")
async def live_call(call_id: str, request: Request) -> Response:
    """The part of a call's page that changes while it goes on."""
    return await _call(request, call_id, "_call_changes.html")


async def _call(request: Request, call_id: str, template: str) -> Response:
    agent = agent_of(request)
    record = agent.planner.shown(await agent.store.find(call_id))
    deliveries = (await agent.webhooks.deliveries.page(call_id=call_id)).items
    return render(
        request,
        template,
        call=record,
        total=total_usd(record.costs),
        items=[(part, item) for part, priced in record.costs.items() for item in priced.items],
        deliveries=deliveries,
        turns=views(record.turns),
        targets=_targets(agent, record),
        quotes=functools.partial(quotes, record),
        chain=await _chain(agent.store, record),
    )


def _targets(agent: PhoneAgent, record: CallRecord) -> list[str]:
    """To whom the callee may be put through."""
    if record.spec.scenario not in agent.planner.scenarios.names:
        return []
    return [target.name for target in agent.planner.scenarios.get(record.spec.scenario).transfer]


async def _chain(store: Any, record: CallRecord) -> list[CallRecord]:
    """All attempts of the same wish, first to last; alone where there was one."""
    first = record if record.first_call_id is None else await store.get(record.first_call_id)
    chain = [] if first is None else [first]
    while chain and chain[-1].retried_as is not None and len(chain) < 50:
        following = await store.get(chain[-1].retried_as)
        if following is None:
            break
        chain.append(following)
    return chain if len(chain) > 1 else []


@dataclass(frozen=True)
class TurnView:
    """A turn as the page draws it."""

    turn: Turn
    parts: list[StagePart]
    total: float
    """Milliseconds from the callee's last sound to the reply's first."""
    gap_ms: int = 0
    """Silence before it, where that is long."""


def views(turns: Sequence[Turn]) -> list[TurnView]:
    """In the order of their beginnings; the bars of all have one scale."""
    turns = sorted(turns, key=lambda turn: turn.start_ms)
    stages = [
        {stage: ms for stage in STAGE_WORDS if (ms := getattr(turn.latency, f"{stage}_ms", None))}
        for turn in turns
    ]
    totals = [sum(parts.values()) for parts in stages]
    longest = max([*totals, 1000.0])
    # A turn that goes on has no silence behind it.
    ends = itertools.accumulate(
        (turn.end_ms or sys.maxsize for turn in turns), max, initial=turns[0].start_ms if turns else 0
    )
    gaps = [turn.start_ms - end for turn, end in zip(turns, ends, strict=False)]
    return [
        TurnView(turn, stage_parts(parts, longest), total, gap if gap >= LONG_GAP_MS else 0)
        for turn, parts, total, gap in zip(turns, stages, totals, gaps, strict=True)
    ]


@dataclass(frozen=True)
class Quote:
    """Words that a field of the outcome rests on, and the turn they stand in."""

    text: str
    turn: int


def quotes(record: CallRecord, field: str) -> list[Quote]:
    said = [] if record.outcome is None else record.outcome.evidence.get(field, [])
    return [
        Quote(text, next((turn.index for turn in record.turns if text.lower() in turn.text.lower()), 0))
        for text in said
    ]
