"""Whole campaigns on a whole server: a table in, calls in order, results out; and a restart in the middle."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.calls.server import HANG_UP, RunningServer, hear, running_server, say, steps

PERSON = steps(say("Hello?"), hear(within_ms=15_000), say("Yes, that works."), hear(), HANG_UP)
URL = "/api/phone/campaigns"


def table(count: int, *more: str) -> bytes:
    rows = [f"+1202555{index:04};Guest {index};Thursday at {index + 1}pm" for index in range(count)]
    return "\r\n".join(["\ufeffphone_number;callee_name;date", *rows, *more, ""]).encode()


async def uploaded(server: RunningServer, data: bytes, **fields: str) -> dict[str, Any]:
    files = {"file": ("contacts.csv", data, "text/csv")}
    fields = {"action": "Confirm your dentist appointment {{date}}"} | fields
    answer = await server.http.post(URL, data=fields, files=files)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def until(
    server: RunningServer, campaign_id: str, holds: Callable[[dict[str, Any]], bool], within: float
) -> dict[str, Any]:
    deadline = asyncio.get_running_loop().time() + within
    while True:
        found: dict[str, Any] = (await server.http.get(f"{URL}/{campaign_id}")).json()
        if holds(found):
            return found
        assert asyncio.get_running_loop().time() < deadline, f"not within {within} s: {found}"
        await asyncio.sleep(0.1)


def still(found: dict[str, Any]) -> bool:
    """Nobody is dialled or on the line."""
    return bool(found["progress"]["dialling"] + found["progress"]["on_the_line"] == 0)


async def calls_of(server: RunningServer) -> list[dict[str, Any]]:
    """All there are, the oldest first."""
    page = (await server.http.get("/api/phone/calls", params={"limit": 200})).json()
    calls: list[dict[str, Any]] = page["calls"]
    return calls[::-1]


async def test_a_table_becomes_calls_and_a_table_of_results(tmp_path: Path) -> None:
    async with running_server(tmp_path, callees=lambda _: PERSON) as server:
        created = await uploaded(server, table(2, "12025550199;Nobody;x"), concurrency="1")
        assert (created["accepted"], [row["line"] for row in created["bad_rows"]]) == (2, [4])
        campaign_id = created["campaign_id"]
        busy = await until(server, campaign_id, lambda found: found["progress"]["on_the_line"] == 1, 30)
        assert busy["progress"]["dialling"] == 0, "one at a time"
        found = await until(server, campaign_id, lambda found: found["status"] == "completed", 100)
        assert (found["progress"]["done"], found["progress"]["reached_goal"]) == (2, 2)
        calls = await calls_of(server)
        assert [call["phone_number"] for call in calls] == [f"+1202555{index:04}" for index in range(2)]
        assert [call["action"] for call in calls] == [
            f"Confirm your dentist appointment Thursday at {index + 1}pm" for index in range(2)
        ]
        assert [call["callee_name"] for call in calls] == ["Guest 0", "Guest 1"]
        assert all(after["started_at"] >= before["ended_at"] for before, after in itertools.pairwise(calls))
        answer = await server.http.get(f"{URL}/{campaign_id}/results", params={"format": "csv"})
        rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"), newline="")))
        assert [row["phone_number"] for row in rows] == [call["phone_number"] for call in calls]
        assert [row["call_id"] for row in rows] == [call["call_id"] for call in calls]
        assert {(row["state"], row["status"], row["reached_goal"], row["answered_by"]) for row in rows} == {
            ("done", "completed", "true", "person")
        }
        assert [row["date"] for row in rows] == ["Thursday at 1pm", "Thursday at 2pm"]


async def test_a_restart_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    """Everybody is busy and called twice: each exactly twice, whatever the server was doing when it stopped."""
    retry = '{"attempts": 2, "delay_seconds": 1, "on": ["busy"]}'
    async with running_server(tmp_path, callees=lambda _: steps(answer="busy")) as server:
        created = await uploaded(server, table(6), concurrency="2", retry=retry)
        campaign_id = created["campaign_id"]
        await until(server, campaign_id, lambda found: found["progress"]["queued"] <= 3, 30)
    async with running_server(tmp_path, callees=lambda _: steps(answer="busy")) as server:
        found = await until(server, campaign_id, lambda found: found["status"] == "completed", 80)
        assert (found["progress"]["done"], found["progress"]["left"]) == (6, 0)
        calls = [call for call in await calls_of(server) if call["status"] == "busy"]
        assert Counter(call["phone_number"] for call in calls) == {f"+1202555{index:04}": 2 for index in range(6)}
        assert Counter(call["attempt"] for call in calls) == {1: 6, 2: 6}


async def test_a_paused_campaign_waits_and_a_canceled_one_ends(tmp_path: Path) -> None:
    async with running_server(tmp_path, callees=lambda _: steps(answer="busy", ring_ms=1500)) as server:
        created = await uploaded(server, table(8), concurrency="1", retry='{"attempts": 1}')
        path = f"{URL}/{created['campaign_id']}"
        await until(server, created["campaign_id"], lambda found: found["progress"]["done"] >= 1, 30)
        assert (await server.http.post(f"{path}/pause")).json()["status"] == "paused"
        await until(server, created["campaign_id"], still, 30)
        dialled = len(await calls_of(server))
        await asyncio.sleep(1.5)
        assert len(await calls_of(server)) == dialled
        assert (await server.http.post(f"{path}/resume")).json()["status"] == "running"
        await until(server, created["campaign_id"], lambda found: found["progress"]["done"] > dialled, 30)
        assert (await server.http.post(f"{path}/cancel")).json()["status"] == "canceled"
        over = await until(
            server,
            created["campaign_id"],
            lambda found: still(found) and found["progress"]["done"] + found["progress"]["left"] == 8,
            30,
        )
        assert over["progress"]["left"] > 0
