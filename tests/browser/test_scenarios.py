"""Scenario files as a browser shows them: a mistake, and the prompt that follows what is typed."""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.async_api import expect

from tests.browser.browser import context, faults, needs_browser, open_browser
from tests.browser.test_pages import SHOTS
from tests.calls.server import ROOT, running_server

pytestmark = needs_browser


async def test_a_mistake_and_the_prompt_of_what_is_typed(tmp_path: Path) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    folder = tmp_path / "pipelines"
    shutil.copytree(ROOT / "pipelines", folder)
    survey = folder / "survey.toml"
    wrong = survey.read_text(encoding="utf-8").replace("first_speaker", "first_speeker")
    survey.write_text(f"{wrong}\n[limits]\nring_seconds = 500\n", encoding="utf-8")
    async with (
        running_server(tmp_path / "data", profile=None, pipelines_dir=folder) as server,
        open_browser() as browser,
    ):
        visit = await context(browser)
        page = await visit.new_page()
        await page.goto(server.url + "/scenarios")
        await expect(page.get_by_role("region", name="Mistakes")).to_contain_text("ring_seconds")
        await page.screenshot(path=SHOTS / "scenarios_mistake-desktop-light.png", full_page=True)
        assert await faults(page) == []
        await page.get_by_role("link", name="survey.toml").first.click()
        await expect(page.locator(".source .wrong").first).to_contain_text("first_speeker")
        await page.screenshot(path=SHOTS / "scenario_mistake-desktop-light.png", full_page=True)
        await page.goto(server.url + "/scenarios/appointment_confirmation")
        await page.get_by_label("Action").fill("Confirm your haircut <today>")
        await expect(page.locator("#sent")).to_contain_text("Confirm your haircut <today>")
        await expect(page.get_by_label("Action")).to_be_focused()
        await visit.close()
