"""The loop of a server process."""

from __future__ import annotations

import asyncio
import threading

from bot.cli.server import THREADS, new_loop


def test_names_that_do_not_resolve_leave_a_thread_for_the_calls() -> None:
    answered = threading.Event()

    async def recorded() -> str:
        unresolved = [asyncio.create_task(asyncio.to_thread(answered.wait)) for _ in range(THREADS - 1)]
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(30):
                return await asyncio.to_thread(lambda: "recorded")
        finally:
            answered.set()
            await asyncio.gather(*unresolved)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(recorded()) == "recorded"
