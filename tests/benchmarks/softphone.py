"""What a call in the browser costs, both sides: `python -m tests.benchmarks.softphone`.

One typed call for `SECONDS`, in the machine's Chrome, to a server of its own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from typing import Any

from playwright.async_api import CDPSession, Error, Page

from tests.benchmarks.servers import cpu_seconds
from tests.browser.browser import context, executable, open_browser

SECONDS = 20.0
START_SECONDS = 60.0
RECORD = """
  window.frames = [];
  document.addEventListener("phone:frame", ({ detail }) => frames.push(performance.now() - 1000 * detail.at));
"""
"""In the page: for each 20 ms how long after the audio clock the page got them, but for a constant."""
LOUDSPEAKER = """async () => {
  const context = new AudioContext({ latencyHint: "interactive" });
  await context.resume();
  await new Promise((resolve) => setTimeout(resolve, 500));
  return 1000 * (context.baseLatency + context.outputLatency);
}"""


async def main() -> None:
    if executable() is None:
        print("no Chrome or Chromium here")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PORT": str(port), "DATA_DIR": folder}
        server = await asyncio.create_subprocess_exec(sys.executable, "server.py", env=environment)
        try:
            async with open_browser() as browser:
                page = await (await context(browser)).new_page()
                await page.add_init_script(RECORD)
                await _open(page, f"http://127.0.0.1:{port}/phone")
                await _measure(page, server.pid)
        finally:
            server.kill()
            await server.wait()


async def _open(page: Page, url: str) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                await page.goto(url)
            except Error:  # it does not listen yet
                await asyncio.sleep(0.3)
            else:
                return


async def _measure(page: Page, server: int) -> None:
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    await page.get_by_label("Type, and a local voice speaks").check()
    await page.get_by_role("button", name="Let the agent call me").click()
    await page.get_by_label("What you say").wait_for()
    await asyncio.sleep(2)
    before, page_before = cpu_seconds(server), await _tasks(session)
    await asyncio.sleep(SECONDS)
    after, page_after = cpu_seconds(server), await _tasks(session)
    late = sorted(await page.evaluate("frames"))
    print(f"server           {100 * (after - before) / SECONDS:.1f} % of a core")
    print(f"page             {100 * (page_after - page_before) / SECONDS:.1f} % of a core")
    for name, part in (("median", 0.5), ("99 of 100", 0.99)):
        print(f"frame to page    {late[int(len(late) * part)] - late[0]:.1f} ms, {name}")
    print(f"loudspeaker      {await page.evaluate(LOUDSPEAKER):.0f} ms")


async def _tasks(session: CDPSession) -> float:
    """Seconds the page's thread has worked."""
    metrics: dict[str, Any] = await session.send("Performance.getMetrics")
    return float(next(each["value"] for each in metrics["metrics"] if each["name"] == "TaskDuration"))


if __name__ == "__main__":
    asyncio.run(main())
