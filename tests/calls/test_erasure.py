"""What a whole server keeps of a callee after an erasure: looked for in the bytes of its files."""

from __future__ import annotations

import asyncio
import base64
import itertools
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from tests.calls.server import TO, RunningServer, hear, running_server, say, steps, wait
from tests.calls.test_campaign import until
from tests.simulators.webhook_receiver import Reply, WebhookReceiver

SECRET = "whsec_" + base64.b64encode(bytes([7] * 32)).decode()
SIGNED: dict[str, Any] = {"webhook_secret": (SecretStr(SECRET),), "webhook_allow_private": True}
SAID = "Please do not call me again."
PERSON = steps(say("Hello?"), hear(within_ms=15_000), say(SAID), hear(), wait())
NAME = "Quintilian"
ROWS = f"""phone_number,callee_name
+12025550199,Zed
{TO},{NAME}
{TO},{NAME}
(202) 555-0123,{NAME}
202.555.0198,Zed
"""


def files_with(folder: Path, words: str) -> list[str]:
    """Files whose bytes hold the words."""
    return [path.name for path in folder.rglob("*") if path.is_file() and words.encode() in path.read_bytes()]


def rows_with(folder: Path, words: str) -> list[tuple[str, str]]:
    """(table, row) of both databases."""
    found = []
    for name in ("calls.db", "calls.durable.db"):
        with sqlite3.connect(folder / name) as connection:
            tables = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
            for (table,) in tables:
                rows = connection.execute(f'select * from "{table}"').fetchall()
                found += [(table, str(row)) for row in rows if words in str(row)]
        connection.close()
    return found


async def all_announced(server: RunningServer) -> None:
    """Past that nothing more is written of a call."""
    async with asyncio.timeout(20):
        while True:
            page = await server.http.get("/api/phone/webhooks/deliveries")
            if "call_analyzed" in [each["type"] for each in page.json()["deliveries"]]:
                return
            await asyncio.sleep(0.1)


async def test_no_byte_of_the_callee_is_left(tmp_path: Path) -> None:
    async with WebhookReceiver([SECRET]) as receiver:
        receiver.usual = Reply(503)
        async with running_server(
            tmp_path, callees=lambda _: PERSON, webhook_url=receiver.url, **SIGNED
        ) as server:
            call_id = await server.call(callee_name=NAME, metadata={"of": NAME})
            await server.ended(call_id)
            await all_announced(server)
            fields = {"action": "Confirm", "start_at": (datetime.now(UTC) + timedelta(days=2)).isoformat()}
            created = await server.http.post(
                "/api/phone/campaigns", data=fields, files={"file": ("a.csv", ROWS.encode(), "text/csv")}
            )
            assert (created.json()["accepted"], created.json()["rejected"]) == (2, 3), created.text
            for words in (NAME, SAID, TO):
                assert files_with(tmp_path, words), "there is something to erase"
            answer = await server.http.post("/api/phone/erasures", json={"phone_number": TO})
            assert answer.json()["calls"] == answer.json()["contacts"] == 1
            for words in (NAME, SAID):
                assert files_with(tmp_path, words) == [], f"{words!r} while the server runs"
            assert files_with(tmp_path, "555-0123") == []
            bad = await server.http.get(f"/api/phone/campaigns/{created.json()['campaign_id']}/bad-rows")
            assert [row["text"] for row in bad.json()["bad_rows"]] == ["", "", "202.555.0198,Zed"], (
                "the others' stay"
            )
    assert [table for table, _ in rows_with(tmp_path, TO[1:])] == ["do_not_call"]
    assert SAID not in rows_with(tmp_path, TO[1:])[0][1]
    assert files_with(tmp_path, NAME) + files_with(tmp_path, SAID) == []


async def test_who_is_erased_while_it_rings_is_not_called_again(tmp_path: Path) -> None:
    """By a campaign, whose next attempt would be a second later."""
    rings_ms = itertools.chain([8000], itertools.repeat(200))
    table = f"phone_number,callee_name\n{TO},{NAME}\n+12025550199,Zed\n".encode()
    retry = '{"attempts": 2, "delay_seconds": 1, "on": ["busy"]}'
    fields = {"action": "Confirm", "concurrency": "1", "retry": retry}
    async with running_server(tmp_path, callees=lambda _: steps(answer="busy", ring_ms=next(rings_ms))) as server:
        created = await server.http.post(
            "/api/phone/campaigns", data=fields, files={"file": ("a.csv", table, "text/csv")}
        )
        await server.until(await server.only_call(30), lambda call: call["status"] == "ringing", 30)
        answer = await server.http.post("/api/phone/erasures", json={"phone_number": TO})
        assert (answer.json()["calls_under_way"], answer.json()["contacts"]) == (1, 1)
        await until(server, created.json()["campaign_id"], lambda found: found["status"] == "completed", 90)
        calls = (await server.http.get("/api/phone/calls")).json()["calls"]
        assert sorted(call["phone_number"] for call in calls) == [TO, "+12025550199", "+12025550199"]
