"""A campaign from its table to its end, by the buttons of the pages."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from playwright.async_api import FilePayload, Page, expect

from tests.browser.browser import Problems, context, faults, needs_browser, open_browser
from tests.browser.test_pages import SHOTS, seeded_server

pytestmark = needs_browser
TABLE = """phone_number,callee_name,doctor,date
+12025550123,John,Dr. Smith,Thursday at 2pm
+12025550199,Ann <b>,Dr. Lee,Friday at 9am
12,Bob,Dr. Lee,Friday at 10am
"""


async def choose(page: Page, text: str) -> None:
    table = FilePayload(name="contacts.csv", mimeType="text/csv", buffer=text.encode())
    await page.get_by_label("Table of contacts, CSV").set_input_files(table)


async def test_a_campaign_from_its_table_to_its_end(tmp_path: Path) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    async with seeded_server(tmp_path, count=45) as server, open_browser() as browser:
        visit = await context(browser)
        page = await visit.new_page()
        problems = Problems(page)
        await page.goto(server.url + "/campaigns")
        await page.get_by_role("link", name="New campaign").click()
        await page.get_by_role("button", name="Preview").click()
        await expect(page.locator("#problem")).to_contain_text("Choose the table of contacts first")
        await page.get_by_label("What each call is to achieve").fill("Confirm your visit to {{dentist}}")
        await choose(page, TABLE)
        await page.get_by_role("button", name="Preview").click()
        await expect(page.locator("#problem")).to_contain_text("dentist")
        await expect(page.get_by_label("What each call is to achieve")).to_have_value(
            "Confirm your visit to {{dentist}}"
        )
        problems.said.clear()  # the console notes the 422
        await page.get_by_label("What each call is to achieve").fill(
            "Confirm your visit to {{doctor}} on {{date}}"
        )
        await page.get_by_label("Name", exact=True).fill("Visits")
        await page.get_by_label("Not before").fill("2030-01-02T09:00")
        await page.get_by_role("button", name="Preview").click()
        await expect(page.get_by_role("heading", name="2 contacts can be called")).to_be_visible()
        preview = page.locator("#preview")
        await expect(preview).to_contain_text("Confirm your visit to Dr. Smith on Thursday at 2pm")
        await expect(preview).to_contain_text("Ann <b>")
        await expect(preview.get_by_role("region", name="Bad rows")).to_contain_text("12,Bob")
        await page.screenshot(path=SHOTS / "campaign_preview-desktop-light.png", full_page=True)
        assert await faults(page) == []
        problems.said.clear()  # axe-core's style sheet
        await page.get_by_label("Calls at a time").fill("3")
        await expect(preview).to_be_hidden()
        await page.get_by_role("button", name="Preview").click()
        await page.get_by_role("button", name="Start: call 2 contacts").click()
        await expect(page.get_by_role("heading", name="Visits running")).to_be_visible()
        await expect(page.get_by_role("status")).to_have_text("Waits for its start.")
        await page.get_by_role("button", name="Pause").click()
        await page.get_by_role("button", name="Resume").click()
        await expect(page.get_by_role("button", name="Pause")).to_be_visible()
        page.on("dialog", lambda dialog: dialog.accept())
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("heading", name="Visits canceled")).to_be_visible()
        assert problems.said == []
        await visit.close()


async def test_results_are_sorted_and_downloaded(tmp_path: Path) -> None:
    async with seeded_server(tmp_path, count=45) as server, open_browser() as browser:
        page = await browser.new_page()
        await page.goto(server.url + "/campaigns")
        await page.get_by_role("link", name="Reminders of November").click()
        await expect(page.locator("tbody tr").first).to_contain_text("John Miller")
        await page.get_by_role("link", name="Goal").click()
        await expect(page.get_by_role("columnheader", name="Goal")).to_have_attribute("aria-sort", "ascending")
        await expect(page.locator("tbody tr").first).to_contain_text("missed")
        await page.get_by_role("link", name="Goal").click()
        await expect(page.locator("tbody tr").first).to_contain_text("reached")
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download CSV").click()
        table = await (await download.value).path()
        rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"))))
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Download JSON").click()
        results = json.loads((await (await download.value).path()).read_text(encoding="utf-8"))
        assert len(rows) == len(results) == 52
        assert [row["phone_number"] for row in rows] == [result["phone_number"] for result in results]
