"""A call as its pages show it while it goes on: live rows and words, both sides' sound, words into it."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.browser import Problems, context, faults, needs_browser, open_browser
from tests.browser.seeded import SCRIPT
from tests.browser.test_pages import SHOTS
from tests.calls.server import hear, running_server, say, steps, wait

pytestmark = needs_browser
SLOW = 30_000
"""ms; a call's own pace on a busy machine."""


async def test_a_call_is_watched_heard_spoken_into_and_ended(tmp_path: Path) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    callee = steps(
        say("Hello?"),
        hear(),
        say(f"Where do I park? {SCRIPT}"),
        hear(),
        say("All right."),
        hear(),
        say("I see."),
        wait(120_000),
    )
    async with running_server(tmp_path, callees=lambda _: callee) as server, open_browser() as browser:
        visit = await context(browser)
        page = await visit.new_page()
        problems = Problems(page)
        await page.goto(server.url)
        await expect(page.get_by_text("No calls yet")).to_be_visible()
        call_id = await server.call(scenario="quick")
        await expect(page.get_by_role("button", name="Hang up")).to_be_visible(timeout=SLOW)  # a live row
        await expect(page.get_by_role("button", name="Listen")).to_be_visible(timeout=SLOW)
        await page.screenshot(path=SHOTS / "calls-live-desktop-light.png", full_page=True)
        await page.get_by_role("link", name="Speak").click()
        await expect(page.locator(".turn.callee .said", has_text=SCRIPT)).to_be_visible(timeout=SLOW)
        assert "owned" not in await page.title()
        await _listen(page)
        await page.get_by_label("Say in the agent's voice").fill("One moment, please.")
        await page.get_by_role("button", name="Say", exact=True).click()
        await expect(page.locator("form[data-act=say] output")).to_contain_text("aid", timeout=SLOW)
        await expect(page.locator(".turn.business").last).to_contain_text("One moment, please.", timeout=SLOW)
        await expect(page.locator(".turn.agent .said", has_text="One moment, please.")).to_be_visible(
            timeout=SLOW
        )
        for dress in ("light", "dark"):
            await page.emulate_media(color_scheme=dress)
            await page.screenshot(path=SHOTS / f"call-live-desktop-{dress}.png", full_page=True)
        await page.set_viewport_size({"width": 390, "height": 844})
        await page.screenshot(path=SHOTS / "call-live-phone-dark.png", full_page=True)
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert problems.said == []
        assert await faults(page) == []
        problems.said.clear()  # axe-core's own style sheet is refused, as it should be
        await page.evaluate("() => { window.sameLoad = true; }")
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.locator(".player[data-ready]")).to_be_visible(timeout=SLOW)
        assert await page.evaluate("() => window.sameLoad === true")  # the page was not loaded again
        await expect(page.locator("#live")).to_have_count(0)
        assert problems.said == []
        assert (await server.read(call_id))["ended_reason"] == "api_hangup"


async def _listen(page: Page) -> None:
    """Both sides are heard once the button is pressed, and not before."""
    meters = page.locator("meter[data-peak]")
    assert await meters.count() == 0
    await page.get_by_role("button", name="Listen").click()
    await expect(page.get_by_role("button", name="Mute")).to_be_visible()
    loud = "() => [...document.querySelectorAll('meter')].every((meter) => Number(meter.dataset.peak) > 0.02)"
    await page.get_by_label("Tell the agent a fact").fill("the garage is behind the house")
    await page.get_by_label("have it mention this in the next pause").check()
    await page.get_by_role("button", name="Tell").click()
    await page.wait_for_function(loud, timeout=SLOW)
    await page.get_by_role("button", name="Mute").click()
    await expect(page.get_by_role("button", name="Listen")).to_be_visible()
