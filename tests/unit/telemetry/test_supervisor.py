"""What runs beside the calls does not die unseen."""

from __future__ import annotations

import asyncio

from loguru import logger

from bot.telemetry.supervisor import Supervisor, watched


async def test_what_fails_or_returns_is_logged_and_begun_again() -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}", level="ERROR")
    begun = 0
    third = asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise RuntimeError("it broke")
        if begun == 3:
            third.set()
            await asyncio.Event().wait()

    before = asyncio.all_tasks()
    supervisor = Supervisor(first_pause_seconds=0.001)
    supervisor.keep("the work", work)
    await third.wait()
    await supervisor.close()
    await supervisor.close()
    logger.remove(sink)
    assert asyncio.all_tasks() == before
    assert ["the work failed" in lines[0], "the work ended" in lines[1]] == [True, True]


async def test_a_task_that_is_only_watched_says_why_it_failed() -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}", level="ERROR")

    async def work() -> None:
        raise RuntimeError("it broke")

    task = watched(work(), "late tools")
    canceled = watched(asyncio.sleep(60), "sleep")
    canceled.cancel()
    await asyncio.wait([task, canceled])
    await asyncio.sleep(0)
    logger.remove(sink)
    assert len(lines) == 1
    assert "late tools failed" in lines[0]
    assert "it broke" in lines[0]
