"""The loop of a server process, and its app."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import cast

from bot.calls.agent import PhoneAgent
from bot.cli.server import THREADS, app_around, new_loop
from bot.settings import Settings


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


def test_the_schema_is_there_before_the_first_call() -> None:
    agent = cast(PhoneAgent, SimpleNamespace(settings=Settings(_env_file=None)))
    app = app_around(agent)
    assert app.openapi_schema
    assert app.state.phone_agent is agent
