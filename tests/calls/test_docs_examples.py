"""Every curl of the documentation, sent as it stands to a whole server with the simulated carrier."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from bot.cli.server import EXAMPLE
from tests.calls.server import HANG_UP, RunningServer, running_server, say, steps, wait
from tests.calls.test_webhooks import SIGNED
from tests.markdown import Page, all_pages, read
from tests.simulators.webhook_receiver import Reply, WebhookReceiver

HOST = "localhost:8000"
PATIENT = "quick"
"""The scenario whose callee stays on the line."""


@dataclass
class Curl:
    """One command, as curl understands it."""

    method: str = "GET"
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    form: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, words: list[str]) -> Self:
        found, method = cls(), None
        left = iter(words[1:])
        for word in left:
            match word:
                case "-X":
                    method = next(left)
                case "-H":
                    name, _, value = next(left).partition(": ")
                    found.headers[name] = value
                case "-d":
                    found.body = next(left)
                case "-F":
                    name, _, value = next(left).partition("=")
                    found.form[name] = value
                case "-o":
                    next(left)
                case _:
                    assert word.startswith("http://"), word
                    found.url = word
        found.method = method or ("POST" if found.body or found.form else "GET")
        return found

    async def send(self, http: httpx.AsyncClient, path: str, page: Page) -> httpx.Response:
        """To the server of `http`; files are the page's own blocks."""
        if not self.form:
            return await http.request(self.method, path, headers=self.headers, content=self.body)
        fields = {name: value for name, value in self.form.items() if not value.startswith("@")}
        files = {
            name: (value[1:], next(block.text for block in page.blocks if block.kind == "csv"), "text/csv")
            for name, value in self.form.items()
            if value.startswith("@")
        }
        return await http.request(self.method, path, headers=self.headers, data=fields, files=files)


async def test_every_curl_is_answered(tmp_path: Path) -> None:
    callee, patient = steps(say("Hello?"), HANG_UP), steps(say("Hello?"), wait(120_000))
    async with (
        WebhookReceiver() as receiver,
        running_server(
            tmp_path,
            callees=lambda scenario: patient if scenario == PATIENT else callee,
            webhook_url=receiver.url,
            **SIGNED,
        ) as server,
    ):
        receiver.usual = Reply(410)
        stand_ins = await _stand_ins(server)
        sent = 0
        for page in all_pages():
            for words in page.commands:
                if words[0] == "curl":
                    await _check(server, page, Curl.parse(words), stand_ins)
                    sent += 1
        assert sent > 15


def test_the_readme_s_curl_is_the_one_that_the_server_shows() -> None:
    curl = Curl.parse(next(words for words in read("README.md").commands if words[0] == "curl"))
    assert json.loads(curl.body or "") == EXAMPLE


async def _check(server: RunningServer, page: Page, curl: Curl, stand_ins: dict[str, str]) -> None:
    parts = urlsplit(curl.url)
    assert parts.netloc == HOST, curl.url
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    names = {**stand_ins, "CALL_ID": stand_ins["QUEUED"]} if path.endswith("/hangup") else stand_ins
    for name, value in names.items():
        path = path.replace(name, value)
    answer = await curl.send(server.http, path, page)
    assert answer.status_code < 300, f"{page.path}: {curl.method} {curl.url}: {answer.text}"


async def _stand_ins(server: RunningServer) -> dict[str, str]:
    """For words in capitals: calls that are over, on the line and waiting, a campaign, a delivery given up."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    over = await server.call()
    queued = await _post(server, "/api/phone/call", phone_number="+12025550123", action="a", schedule_at=tomorrow)
    contacts = [{"phone_number": "+12025550123"}]
    campaign = await _post(server, "/api/phone/campaigns", action="a", start_at=tomorrow, contacts=contacts)
    live = await server.call(scenario=PATIENT, phone_number="+12025550124")
    await server.ended(over)
    await server.talking(live)
    return {
        "LIVE_ID": live,
        "CALL_ID": over,
        "QUEUED": str(queued["call_id"]),
        "CAMPAIGN_ID": str(campaign["campaign_id"]),
        "DELIVERY_ID": await _given_up(server),
    }


async def _post(server: RunningServer, path: str, **body: Any) -> dict[str, Any]:
    answer = await server.http.post(path, json=body)
    assert answer.status_code < 300, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _given_up(server: RunningServer) -> str:
    async with asyncio.timeout(20):
        while True:
            answer = await server.http.get("/api/phone/webhooks/deliveries?status=dead")
            if deliveries := answer.json()["deliveries"]:
                return str(deliveries[0]["delivery_id"])
            await asyncio.sleep(0.2)
