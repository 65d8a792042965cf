"""Be the callee of a scenario in the terminal, by typing: the whole conversation, no audio."""

import argparse
import asyncio
import sys
import threading
from dataclasses import replace

from bot.cli.simulate import print_turn, summary
from bot.conversation.reports import CallReports
from bot.conversation.scenario.scenario import DEFAULT_OUTBOUND, Scenario, Scenarios
from bot.records import CallSpec, Direction, Speaker, Turn
from bot.settings import load_settings
from bot.suites.text_call import NUMBER, TextRequest, TextRoom, hold
from bot.suites.typed_line import TypedLine

WORD_SECONDS = 0.02
"""Nobody waits for speech that is read."""
PATIENCE_SECONDS = 3600.0
"""Who types takes their time."""
PIPE_PAUSE_SECONDS = 1.5
"""Of the agent's silence, after which the next line of a pipe is said."""
KEYS = "/keys "
_HELP = f"You are the callee. Type what you say; {KEYS.strip()} 12# presses keys; Ctrl-D hangs up.\n"


async def run(chosen: argparse.Namespace) -> int:
    """Hold one call with the person who types; 0 if its goal was reached."""
    settings = load_settings()
    scenarios = Scenarios.load(settings.pipelines_dir, settings.compliance_profile)
    scenario = scenarios.get(chosen.scenario or DEFAULT_OUTBOUND)
    patient = Scenarios(
        _patient(scenario) if name == scenario.name else scenarios.get(name) for name in scenarios.names
    )
    room = TextRoom(settings, patient, word_seconds=WORD_SECONDS)
    await room.open()
    try:
        print(_HELP)
        request = TextRequest(_spec(chosen, scenario), Direction(scenario.direction), reports=_Shown())
        record = await hold(room, request, _Typist(asyncio.get_running_loop()))
    finally:
        await room.close()
    for line in summary(record, settings.data_dir):
        print(line)
    return 0 if record.outcome is not None and record.outcome.reached_goal else 1


def _patient(scenario: Scenario) -> Scenario:
    limits = scenario.limits.model_copy(
        update={"silence_seconds": PATIENCE_SECONDS, "max_duration_seconds": PATIENCE_SECONDS}
    )
    return scenario.model_copy(update={"limits": limits})


def _spec(chosen: argparse.Namespace, scenario: Scenario) -> CallSpec:
    example = scenario.example
    callee = example.callee_name if scenario.direction == "outbound" else None
    return CallSpec(
        NUMBER,
        scenario.name,
        example.action if chosen.action is None else chosen.action,
        example.context if chosen.context is None else chosen.context,
        chosen.callee_name or callee,
        organization=chosen.organization or example.organization,
    )


class _Shown(CallReports):
    """Prints the agent's turns: the callee's stand in the terminal as they were typed."""

    def turn_completed(self, turn: Turn) -> None:
        if turn.speaker is Speaker.AGENT:
            print_turn(replace(turn, latency=None))


class _Typist:
    """Takes lines from the terminal; from a file or a pipe, each when the agent has finished."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._waits = not sys.stdin.isatty()

    async def talk(self, line: TypedLine) -> None:
        # A thread that waits for a key cannot be ended: as a daemon it holds no process back.
        threading.Thread(target=self._read, daemon=True, name="terminal").start()
        first = True
        while (text := await self._next(line)) is not None:
            if self._waits and not first and not await line.hear(pause_seconds=PIPE_PAUSE_SECONDS):
                return
            first = False
            if text.startswith(KEYS):
                line.far.press("".join(c for c in text.removeprefix(KEYS) if c in "0123456789*#"))
            elif text:
                await line.say(text, word_seconds=WORD_SECONDS)
        if self._waits:
            await line.hear()

    async def _next(self, line: TypedLine) -> str | None:
        """The next line; None where there is none, or the call is over."""
        taking = asyncio.ensure_future(self._lines.get())
        over = asyncio.ensure_future(line.far.over.wait())
        try:
            await asyncio.wait({taking, over}, return_when=asyncio.FIRST_COMPLETED)
            return taking.result() if taking.done() else None
        finally:
            taking.cancel()
            over.cancel()

    def _read(self) -> None:
        for text in sys.stdin:
            self._loop.call_soon_threadsafe(self._lines.put_nowait, text.strip())
        self._loop.call_soon_threadsafe(self._lines.put_nowait, None)
