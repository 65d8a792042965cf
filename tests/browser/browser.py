"""A real browser for the tests: the machine's Chrome or Chromium, else the one that Playwright has fetched."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Response, async_playwright
from playwright.sync_api import sync_playwright

from bot.web.routes import STATIC

NAMES = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 860}


@cache
def executable() -> str | None:
    """Where a browser is; None: nowhere."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return found
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return str(own) if own.exists() else None


needs_browser = pytest.mark.skipif(
    executable() is None, reason="no Chrome or Chromium here: install one, or `playwright install chromium`"
)


@asynccontextmanager
async def open_browser(*flags: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


class Problems:
    """What a page complained of, in its console and by exceptions: a broken policy, a missing file."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        page.on("console", lambda m: self.said.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", self._outside)

    def _outside(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.said.append(f"asked for {request.url}")


class Loaded:
    """What a page takes from the server."""

    def __init__(self, page: Page) -> None:
        self._answers: list[Response] = []
        page.on("response", self._note)

    def _note(self, answer: Response) -> None:
        self._answers.append(answer)

    async def sizes(self) -> dict[str, int]:
        """Bytes since the last time, by path: files whole, though this browser may have them already; what else
        has a length. Recordings and streams are no part of a page."""
        answers, self._answers = self._answers, []
        found: dict[str, int] = {}
        for answer in answers:
            if not answer.url.startswith("http"):
                continue  # what a script made itself
            path = urlsplit(answer.url).path
            head = await answer.all_headers()
            if path.startswith("/static/"):
                found[path] = (STATIC / path.removeprefix("/static/")).stat().st_size
            elif "content-length" in head and not path.endswith("/recording"):
                found[path] = int(head["content-length"])
        return found


async def faults(page: Page) -> Sequence[str]:
    """What axe-core finds of serious or critical faults, as WCAG 2.1 A and AA have them."""
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.evaluate(
        "() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})"
    )
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


async def context(browser: Browser, *, phone: bool = False, dark: bool = False, **more: Any) -> BrowserContext:
    return await browser.new_context(
        viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
        color_scheme="dark" if dark else "light",
        has_touch=phone,
        **more,
    )
