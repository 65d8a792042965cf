"""The list of calls: filter, search, pages, counters; fast with many."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.store.rows import call_row
from bot.store.schema import calls as table
from bot.web.calls import quotes, views
from tests.browser.seeded import calls, talk
from tests.unit.web.conftest import Pages

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def keep(pages: Pages, count: int) -> None:
    """Without turns: the list shows none."""
    async with pages.store.database.writer.begin() as connection:
        await connection.execute(table.insert(), [call_row(call) for call in calls(count, NOON, turns=False)])


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ("q=%2B12025550003", "call_00003", "call_00004"),
        ("q=ana+g", "Ana Gómez", "John Miller"),
        ("q=00007", "call_00007", "call_00008"),
        ("q=%25", "No call fits", "call_00001"),
        ("state=busy", "dial busy</span>", "agent hangup</span>"),
        ("state=live", "No call fits", "call_00001"),
        ("goal=reached", "agent hangup</span>", "dial busy</span>"),
        ("ended=voicemail_reached", "voicemail reached</span>", "agent hangup</span>"),
        ("scenario=survey", 'class="hint">survey', 'class="hint">lead callback'),
        ("day=2026-11-19", "call_00043", "call_00000"),
    ],
)
async def test_a_filter(pages: Pages, query: str, shown: str, hidden: str) -> None:
    await keep(pages, 90)
    text = (await pages.http.get(f"/calls?{query}")).text
    assert shown in text
    assert hidden not in text


async def test_a_day_is_the_readers(pages: Pages) -> None:
    """At noon in London it is the next day in Auckland."""
    await keep(pages, 1)
    there = {"Cookie": "zone=Pacific/Auckland"}
    assert "call_00000" in (await pages.http.get("/calls?day=2026-11-21", headers=there)).text
    assert "call_00000" not in (await pages.http.get("/calls?day=2026-11-21")).text
    assert "call_00000" in (await pages.http.get("/calls?day=2026-11-20", headers={"Cookie": "zone=../x"})).text


async def test_page_after_page_every_call_once(pages: Pages) -> None:
    await keep(pages, 120)
    seen: list[str] = []
    path = "/?q=202555"
    while path:
        text = (await pages.http.get(path)).text
        seen += [part[:10] for part in text.split('href="/calls/')[1:]]
        path = text.partition('class="button" href="/?')[2].partition('"')[0].replace("&amp;", "&")
        path = path and f"/?{path}"
    assert seen == [f"call_{number:05}" for number in range(120)]


async def test_an_empty_store_says_what_to_do(pages: Pages) -> None:
    assert "No calls yet" in (await pages.http.get("/")).text


async def test_ten_thousand_calls(pages: Pages) -> None:
    """The promise is 100 ms; a busy machine gets five times that before it is called a fault."""
    await keep(pages, 10_000)
    for query in ("", "?q=anyone", "?goal=reached", "?state=live", "?ended=dial_busy&scenario=survey"):
        taken = []
        for _ in range(3):
            before = time.process_time()
            assert (await pages.http.get(f"/calls{query}")).status_code == 200
            taken.append(time.process_time() - before)
        assert min(taken) < 0.5, query


def test_bars_of_all_turns_have_one_scale() -> None:
    shown = views(talk(NOON))
    assert [view.total for view in shown] == [0, 0, 0, 720.0, 0, 720.0]
    parts = shown[3].parts
    assert [part.stage for part in parts] == ["vad", "stt", "turn", "llm", "sentence", "tts", "line"]
    assert parts[0].width == 210.0
    assert all(a.x + a.width == pytest.approx(b.x, abs=0.2) for a, b in itertools.pairwise(parts))


def test_long_silences_are_shown_and_none_behind_a_turn_that_goes_on() -> None:
    one, two, three, *_ = talk(NOON)
    assert one.end_ms is not None
    late = replace(two, start_ms=one.end_ms + 3000, end_ms=one.end_ms + 4000)
    later = replace(three, start_ms=one.end_ms + 4500)
    assert [view.gap_ms for view in views([one, later, late])] == [0, 3000, 0]
    assert [view.gap_ms for view in views([replace(one, end_ms=None), late])] == [0, 0]


def test_a_quote_leads_to_its_turn() -> None:
    record = next(calls(1, NOON))
    assert [(quote.text, quote.turn) for quote in quotes(record, "confirmed")] == [("Yes, that works.", 2)]
    assert quotes(record, "requested_change") == []
