"""A hundred thousand contacts in one upload: how long, how much memory, and what calls on the line feel of it.

python -m tests.benchmarks.campaign [--contacts 100000] [--shape csv|json|form] [--dial-seconds 20]

The server is a process of its own: the product's routes, store and durable engine, and in place of telephones
calls that are kept and end at once. While it takes the upload, a timer of 20 ms, as often as a line sends audio,
notes how late it is. Then the campaign is let go, and the rate and the order of its calls are looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gc
import io
import json
import multiprocessing
import random
import resource
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import phonenumbers
import uvicorn
import uvloop
from fastapi import FastAPI

from bot.api import router
from bot.calls.campaigns import Campaigns
from bot.calls.planner import Planner
from bot.calls.queues import DialQueue
from bot.conversation.scenario.scenario import Scenarios
from bot.records import CallRecord, EndedReason, Outcome, Status
from bot.settings import Settings
from bot.store import CallChange, Database, SqlCallStore
from bot.store.address import parse_database_url
from bot.store.campaigns import SqlCampaignStore
from bot.store.durable.engine import DurableEngine

ROOT = Path(__file__).parents[2]
MOST_SECONDS, MOST_MB = 60.0, 500.0
TICK_SECONDS = 0.02


@dataclass
class Probe:
    """How late the event loop is, in ms."""

    late_ms: list[float] = field(default_factory=list)

    async def run(self) -> None:
        while True:
            due = time.perf_counter() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.late_ms.append((time.perf_counter() - due) * 1000)

    def take(self) -> list[float]:
        taken, self.late_ms = self.late_ms, []
        return taken


class Ending:
    """Keeps each call and ends it at once."""

    def __init__(self, store: SqlCallStore) -> None:
        self._store = store
        self.campaigns: Campaigns | None = None
        self.order: list[str] = []

    async def place(self, record: CallRecord) -> None:
        assert self.campaigns is not None
        await self._store.add(record)
        self.order.append(record.spec.phone_number)
        change = CallChange(ended_reason=EndedReason.AGENT_HANGUP, outcome=Outcome(True, "Done.", {}))
        await self._store.advance(record.call_id, Status.COMPLETED, at=datetime.now(UTC), change=change)
        kept = await self._store.get(record.call_id)
        assert kept is not None
        await self.campaigns.contact_done(kept)

    async def cancel(self, call_id: str) -> None:
        return

    @property
    def after_calls(self) -> Ending:
        return self

    async def still_due(self, _call_ids: Collection[str]) -> Collection[str]:
        return ()


async def serve(url: str | None, folder: Path, listener: socket.socket, parent: Connection) -> None:
    address = parse_database_url(url, folder / "calls.db")
    database, engine = Database(address), DurableEngine(address)
    store = SqlCallStore(database)
    telephones = Ending(store)
    campaigns = Campaigns(
        engine=engine,
        store=SqlCampaignStore(database),
        planner=Planner(
            Scenarios.load(ROOT / "pipelines"), Settings(_env_file=None), {}, "simulated", simulated_line=True
        ),
        queue=cast(DialQueue, telephones),
    )
    telephones.campaigns = campaigns
    campaigns.register()
    probe = Probe()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await database.open()
        await engine.open()
        app.state.phone_agent = SimpleNamespace(campaigns=campaigns, settings=Settings(_env_file=None))
        gc.collect()
        gc.freeze()  # as the product's own app does
        task = asyncio.create_task(probe.run())
        parent.send("open")
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.close()
        await database.close()

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)

    @app.get("/figures")
    async def figures() -> dict[str, Any]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "late_ms": probe.take(),
            "peak_mb": usage.ru_maxrss / 1024,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "order": telephones.order,
        }

    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.to_thread(parent.recv)
    server.should_exit = True
    await serving


def run_server(url: str | None, folder: Path, listener: socket.socket, parent: Connection) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(url, folder, listener, parent))


def numbers(count: int) -> list[str]:
    """Numbers that exist, each once, in the order they are called."""
    picked: dict[str, None] = {}
    dice = random.Random(4)
    while len(picked) < count:
        text = f"+1{dice.choice((202, 212, 305, 415, 713))}{dice.randint(2000000, 9999999)}"
        if phonenumbers.is_valid_number(phonenumbers.parse(text)):
            picked[text] = None
    return list(picked)


def table(called: list[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("phone_number", "callee_name", "date", "doctor", "notes"))
    for index, called_number in enumerate(called):
        writer.writerow((called_number, f"Zoë {index}", "Thursday, at 2pm", "Dr. Smith", 'Bring the "card"'))
        if index % 100 == 99:
            writer.writerow((f"bad {index}", "", "", "", ""))
    return text.getvalue().encode()


def as_json(called: list[str], fields: dict[str, Any]) -> bytes:
    contacts = [
        {
            "phone_number": one,
            "callee_name": f"Zoë {index}",
            "date": "Thursday",
            "doctor": "Dr. Smith",
            "notes": "x",
        }
        for index, one in enumerate(called)
    ]
    return json.dumps({"contacts": contacts, **fields}).encode()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)] if values else 0.0


def upload(client: httpx.Client, shape: str, called: list[str], fields: dict[str, Any]) -> httpx.Response:
    url = "/api/phone/campaigns"
    if shape == "json":
        return client.post(url, content=as_json(called, fields), headers={"content-type": "application/json"})
    if shape == "csv":
        return client.post(url, params=fields, content=table(called), headers={"content-type": "text/csv"})
    files = {"file": ("contacts.csv", table(called), "text/csv")}
    return client.post(url, data={name: str(value) for name, value in fields.items()}, files=files)


def measure(client: httpx.Client, shape: str, called: list[str], dial_seconds: float) -> None:
    time.sleep(2.0)
    idle = client.get("/figures").json()
    fields = {"action": "Confirm the visit to {{doctor}} on {{date}}", "context": "{{notes}}", "concurrency": 50}
    begun = time.perf_counter()
    answer = upload(client, shape, called, fields)
    seconds = time.perf_counter() - begun
    assert answer.status_code == 201, answer.text[:500]
    created = answer.json()
    loaded = client.get("/figures").json()
    campaign = f"/api/phone/campaigns/{created['campaign_id']}"
    print(f"{created['accepted']} accepted, {created['rejected']} bad rows")
    print(f"upload      {seconds:6.1f} s    (at most {MOST_SECONDS:.0f})")
    print(f"processor   {loaded['cpu_seconds'] - idle['cpu_seconds']:6.1f} s")
    print(f"memory      {loaded['peak_mb']:6.0f} MB   (at most {MOST_MB:.0f}; {idle['peak_mb']:.0f} before)")
    for name, figures in (("idle", idle), ("upload", loaded)):
        late = figures["late_ms"]
        print(
            f"loop late   {percentile(late, 0.5):6.1f} ms at p50, {percentile(late, 0.99):.1f} at p99, "
            f"{max(late):.1f} at most ({name})"
        )
    time.sleep(dial_seconds)
    asked = time.perf_counter()
    progress = client.get(campaign).json()["progress"]
    asked = time.perf_counter() - asked
    dialled = client.get("/figures").json()
    order = dialled["order"]
    kept_order = order == called[: len(order)]
    late = percentile(dialled["late_ms"], 0.99)
    print(f"dialled     {len(order) / dial_seconds:6.1f} calls a second, in order: {kept_order}")
    print(f"            loop late {late:.1f} ms at p99")
    print(f"progress    {asked * 1000:6.0f} ms, {progress['done']} done")
    client.post(f"{campaign}/pause")
    begun = time.perf_counter()
    lines = client.get(f"{campaign}/results", params={"format": "csv"}).text.count("\r\n")
    print(f"results     {time.perf_counter() - begun:6.1f} s for {lines - 1} rows of CSV")
    assert created["accepted"] == len(called)
    assert kept_order
    assert seconds < MOST_SECONDS
    assert loaded["peak_mb"] < MOST_MB


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--shape", choices=("csv", "json", "form"), default="form")
    parser.add_argument("--dial-seconds", type=float, default=20.0)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    called = numbers(options.contacts)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = context.Process(target=run_server, args=(options.database_url, Path(folder), listener, theirs))
        process.start()
        try:
            assert ours.poll(60) and ours.recv() == "open"
            with httpx.Client(base_url=address, trust_env=False, timeout=300.0) as client:
                measure(client, options.shape, called, options.dial_seconds)
            ours.send("stop")
            process.join(30)
        finally:
            process.kill()
            process.join()


if __name__ == "__main__":
    main()
