"""When and how often a number is dialled, on a whole server: hours, days, another attempt, a cancellation."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.calls.server import HANG_UP, TO, RunningServer, hear, running_server, say, steps, wait

PERSON = steps(say("Hello?"), hear(within_ms=15_000), say("Yes, that works."), hear(), HANG_UP)


async def placed(server: RunningServer, status: int, **changes: Any) -> dict[str, Any]:
    body = {"phone_number": TO, "action": "Confirm the appointment Thursday at 2pm"} | changes
    answer = await server.http.post("/api/phone/call", json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def when(call: dict[str, Any], field: str) -> datetime:
    return datetime.fromisoformat(call[field])


async def test_busy_and_then_reached(tmp_path: Path) -> None:
    answers = [steps(answer="busy"), steps(answer="busy"), PERSON]
    retry = {"attempts": 5, "delay_seconds": 1, "backoff": 2, "on": ["busy"]}
    async with running_server(tmp_path, callees=lambda _: answers.pop(0)) as server:
        first = (await placed(server, 201, retry=retry))["call_id"]
        calls = [await server.until(first, lambda call: call["retried_as"] is not None, 20)]
        second = calls[0]["retried_as"]
        calls.append(await _until_there(server, second, lambda call: call["retried_as"] is not None))
        calls.append(
            await _until_there(server, calls[1]["retried_as"], lambda call: call["ended_at"] is not None)
        )
        assert [call["status"] for call in calls] == ["busy", "busy", "completed"]
        assert [call["attempt"] for call in calls] == [1, 2, 3]
        assert [call["first_call_id"] for call in calls] == [None, first, first]
        assert calls[2]["retried_as"] is None
        # One second after the first, two after the second.
        for before, after, seconds in ((calls[0], calls[1], 1), (calls[1], calls[2], 2)):
            assert when(after, "started_at") - when(before, "ended_at") >= timedelta(seconds=seconds)
        assert answers == []


async def test_no_more_attempts_than_asked_for(tmp_path: Path) -> None:
    async with running_server(tmp_path, callees=lambda _: steps(answer="failed")) as server:
        first = await placed(server, 201, retry={"attempts": 2, "delay_seconds": 0, "on": ["failed"]})
        call = await server.until(first["call_id"], lambda call: call["retried_as"] is not None, 20)
        last = await _until_there(server, call["retried_as"], lambda call: call["ended_at"] is not None)
        assert (last["status"], last["attempt"], last["retried_as"]) == ("failed", 2, None)
        await asyncio.sleep(2.0)
        assert len((await server.http.get("/api/phone/calls")).json()["calls"]) == 2


async def test_an_attempt_that_waits_is_canceled_by_the_first_calls_id(tmp_path: Path) -> None:
    async with running_server(tmp_path, callees=lambda _: steps(answer="busy")) as server:
        first = await placed(server, 201, retry={"attempts": 2, "delay_seconds": 3600})
        url = f"/api/phone/calls/{first['call_id']}"
        call = await server.until(first["call_id"], lambda call: call["retried_as"] is not None, 20)
        await _until_there(server, call["retried_as"], lambda call: call["status"] == "queued")
        canceled = await server.http.delete(url)
        assert canceled.status_code == 200
        found = canceled.json()
        assert (found["call_id"], found["status"]) == (call["retried_as"], "canceled")
        assert (found["ended_reason"], found["call_sid"]) == ("canceled", None)
        assert (await server.http.delete(url)).status_code == 409


async def test_a_scheduled_call_is_dialled_then_and_not_before(tmp_path: Path) -> None:
    due = datetime.now(UTC) + timedelta(seconds=3)
    async with running_server(tmp_path, callees=lambda _: PERSON) as server:
        call = await placed(server, 202, schedule_at=due.isoformat())
        assert (call["status"], call["call_sid"]) == ("queued", None)
        dialled = await server.until(call["call_id"], lambda call: call["started_at"] is not None, 20)
        assert when(dialled, "started_at") >= due
        assert (await server.http.delete(f"/api/phone/calls/{call['call_id']}")).status_code == 409


async def test_a_scheduled_call_is_canceled_and_never_dialled(tmp_path: Path) -> None:
    dialled: list[str] = []

    def callee(scenario: str) -> Any:
        dialled.append(scenario)
        return PERSON

    async with running_server(tmp_path, callees=callee) as server:
        due = datetime.now(UTC) + timedelta(seconds=2)
        call = await placed(server, 202, schedule_at=due.isoformat())
        answer = await server.http.delete(f"/api/phone/calls/{call['call_id']}")
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
        await asyncio.sleep(4.0)
        after = await server.read(call["call_id"])
        assert (after["status"], after["ended_reason"], after["call_sid"]) == ("canceled", "canceled", None)
        assert dialled == []
        assert (await server.http.delete("/api/phone/calls/nobody")).status_code == 404


async def test_outside_the_callees_hours_a_call_waits_for_them(tmp_path: Path) -> None:
    zone = ZoneInfo("America/New_York")
    local = datetime.now(zone)
    # Open for one hour of the day that is not this one, on the clock there.
    start = (local.hour + 2) % 23
    hours = {"start": f"{start:02}:00", "end": f"{start + 1:02}:00"}
    async with running_server(tmp_path, callees=lambda _: steps(wait())) as server:
        call = await placed(server, 202, hours=hours)
        kept = await server.until(call["call_id"], lambda call: call["scheduled_at"] is not None, 20)
        waits_until = when(kept, "scheduled_at").astimezone(zone)
        assert (waits_until.hour, waits_until.minute) == (start, 0)
        assert waits_until > local
        assert kept["status"] == "queued"
        at_once = {"phone_number": TO, "action": "Try", "hours": hours, "wait": False}
        busy = await server.http.post("/api/phone/call", json=at_once)
        assert (busy.status_code, busy.json()["error"]["retryable"]) == (429, True)
        assert 0 < int(busy.headers["Retry-After"]) <= 24 * 3600
        refused = await server.http.post(
            "/api/phone/call", json={"phone_number": "+881612345678", "action": "Try", "hours": hours}
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unknown_time_zone")


async def test_a_number_is_dialled_so_often_a_day(tmp_path: Path) -> None:
    callee = steps(answer="busy")
    async with running_server(tmp_path, callees=lambda _: callee, max_calls_per_number_per_day=2) as server:
        answers = await asyncio.gather(
            *(
                server.http.post("/api/phone/call", json={"phone_number": TO, "action": "Try"}, timeout=30.0)
                for _ in range(4)
            )
        )
        ids = [answer.json()["call_id"] for answer in answers]

        async def settled() -> list[dict[str, Any]]:
            calls = [await server.read(call_id) for call_id in ids]
            return [call for call in calls if call["ended_at"] or call["scheduled_at"]]

        deadline = asyncio.get_running_loop().time() + 20
        while len(calls := await settled()) < 4:
            assert asyncio.get_running_loop().time() < deadline, calls
            await asyncio.sleep(0.1)
        assert sorted(call["status"] for call in calls) == ["busy", "busy", "queued", "queued"]
        midnight = datetime.now(ZoneInfo("America/New_York")).date() + timedelta(days=1)
        for call in calls:
            if call["status"] == "queued":
                tomorrow = when(call, "scheduled_at").astimezone(ZoneInfo("America/New_York"))
                assert (tomorrow.date(), tomorrow.hour, tomorrow.minute) == (midnight, 0, 0)
        other = await server.http.post("/api/phone/call", json={"phone_number": "+12025550199", "action": "Try"})
        assert other.status_code == 201


async def _until_there(server: RunningServer, call_id: str, holds: Any) -> dict[str, Any]:
    """As RunningServer.until, for a call that is not kept yet."""
    deadline = asyncio.get_running_loop().time() + 30
    while (await server.http.get(f"/api/phone/calls/{call_id}")).status_code == 404:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
    return await server.until(call_id, holds, 45)
