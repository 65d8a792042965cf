"""Every page in a real browser: shown without a fault, to everybody, small and large, light and dark."""

from __future__ import annotations

import math
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from playwright.async_api import Browser, expect
from pydantic import SecretStr

from bot.pipeline.line.recording import wav_header
from tests.browser.browser import Loaded, Problems, context, faults, needs_browser, open_browser
from tests.browser.seeded import CAMPAIGN, SCRIPT, calls, keep_calls, keep_campaign
from tests.calls.server import RunningServer, running_server

pytestmark = needs_browser
SHOTS = Path(os.environ.get("SCREENSHOTS", Path(__file__).parents[2] / "site" / "screenshots"))
"""CI keeps the folder."""
CALL = "/calls/call_00000"
PAGES = {
    "calls": "/",
    "call": CALL,
    "phone": "/phone",
    "figures": "/figures",
    "campaigns": "/campaigns",
    "campaign": f"/campaigns/{CAMPAIGN}",
    "campaign_new": "/campaigns/new",
    "scenarios": "/scenarios",
    "scenario": "/scenarios/appointment_confirmation",
    "softphone": "/phone",
}
READY = {"call": ".player[data-ready]", "figures": "#figures[data-ready]"}
"""What a page shows once its scripts have done their work."""
MOST_BYTES = 300_000
"""Of a page with all it loads; the recording of a call is no part of its page."""


def write_recording(path: Path, seconds: float = 30.0) -> None:
    """Two tones that take turns, callee left, agent right."""
    time = np.arange(int(seconds * 8000)) / 8000
    pairs = np.zeros((len(time), 2), "<i2")
    for side, hertz in enumerate((220, 330)):
        on = (time // 3).astype(int) % 2 == side
        pairs[:, side] = on * 9000 * np.sin(2 * math.pi * hertz * time) * (0.5 + 0.5 * np.sin(9 * time))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav_header(len(pairs)) + pairs.tobytes())


@asynccontextmanager
async def seeded_server(data_dir: Path, *, count: int = 70, key: str = "") -> AsyncIterator[RunningServer]:
    async with running_server(data_dir, profile=None, api_keys=(SecretStr(key),) if key else ()) as server:
        kept = list(calls(count))
        await keep_calls(server.agent.store.database, kept)
        await keep_campaign(server.agent.store.database, kept[:40])
        write_recording(data_dir / "recordings" / "call_00000.wav")
        yield server


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
async def test_every_page_in_every_dress(tmp_path: Path, phone: bool) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    async with seeded_server(tmp_path, count=24) as server, open_browser() as browser:
        for dark in (False, True):
            await _look(server, browser, phone=phone, dark=dark)


async def _look(server: RunningServer, browser: Browser, *, phone: bool, dark: bool) -> None:
    dress = f"{'phone' if phone else 'desktop'}-{'dark' if dark else 'light'}"
    visit = await context(browser, phone=phone, dark=dark)
    page = await visit.new_page()
    problems, loaded = Problems(page), Loaded(page)
    for name, path in PAGES.items():
        await page.goto(server.url + path, wait_until="load")
        sizes = await loaded.sizes()
        assert {path, "/static/app.css", "/static/app.js"} <= set(sizes)
        assert sum(sizes.values()) < MOST_BYTES, f"{name}: {sizes}"
        if name in READY:
            await expect(page.locator(READY[name])).to_be_visible()
        await page.screenshot(path=SHOTS / f"{name}-{dress}.png", full_page=True)
        width = await page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], f"{name} is wider than the {dress} screen"
        assert problems.said == [], f"{name} {dress}"
        if phone == dark:  # colours and sizes, each once
            assert await faults(page) == [], f"{name} {dress}"
        problems.said.clear()  # axe-core's own style sheet is refused, as it should be
    await visit.close()


async def test_days_are_the_readers_from_the_first_visit(tmp_path: Path) -> None:
    """At any moment one of the two islands has another date than the server."""
    async with seeded_server(tmp_path, count=1) as server, open_browser() as browser:
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
            visit = await context(browser, timezone_id=zone)
            page = await visit.new_page()
            await page.goto(server.url + "/figures")
            today = (datetime.now(ZoneInfo(zone)).date() - date(1970, 1, 1)).days * 86_400
            chart = page.locator("#chart-cost")
            await expect(chart).to_have_attribute("data-chart", re.compile(rf"[ ,]{today}\]"))
            await visit.close()


async def test_what_callees_say_is_text(tmp_path: Path) -> None:
    async with seeded_server(tmp_path, count=1) as server, open_browser() as browser:
        page = await browser.new_page()
        await page.goto(server.url + CALL)
        await expect(page.locator("#turn-2 .said")).to_contain_text(SCRIPT)
        assert "owned" not in await page.title()


async def test_the_transcript_follows_the_recording(tmp_path: Path) -> None:
    async with seeded_server(tmp_path, count=1) as server, open_browser() as browser:
        page = await browser.new_page()
        await page.goto(server.url + CALL)
        await expect(page.locator(".player[data-ready]")).to_be_visible()
        await page.locator("#turn-3 .word").nth(2).click()
        await expect(page.locator("#turn-3 .word.now")).to_be_visible()
        await expect(page.locator("#play")).to_have_text("Pause")
        await page.locator(".quote").first.click()
        assert page.url.endswith("#turn-2")


async def test_the_documentation_needs_no_internet(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, open_browser() as browser:
        page = await browser.new_page()
        problems = Problems(page)
        await page.goto(server.url + "/docs")
        await expect(page.get_by_text("Make a call", exact=True)).to_be_visible(timeout=20_000)
        await page.goto(server.url + "/redoc")
        await expect(page.get_by_role("heading", name="Make a call").first).to_be_visible(timeout=20_000)
        assert problems.said == []


async def test_the_key_opens_the_pages(tmp_path: Path) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    async with seeded_server(tmp_path, count=1, key="secret-one") as server, open_browser() as browser:
        visit = await browser.new_context()
        page = await visit.new_page()
        await page.goto(server.url + CALL)
        assert "/sign-in" in page.url
        await page.screenshot(path=SHOTS / "sign_in-desktop-light.png")
        assert await faults(page) == []
        await page.get_by_label("API key").fill("wrong")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert").first).to_contain_text("none of the API_KEYS")
        await page.get_by_label("API key").fill("secret-one")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator(".player[data-ready]")).to_be_visible()
        assert page.url == server.url + CALL
        cookie = next(c for c in await visit.cookies() if c["name"] == "phone_session")
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert "secret-one" not in cookie["value"]
        refused = await page.evaluate(
            "() => fetch('/api/phone/calls/none/hangup', {method: 'POST'}).then(a => a.status)"
        )
        assert refused == 401, "without the page's token"
        allowed = await page.evaluate("() => api('/api/phone/calls/none/hangup').catch(e => e.status)")
        assert allowed == 404
        await page.get_by_role("button", name="Sign out").click()
        await page.goto(server.url + "/")
        assert "/sign-in" in page.url
