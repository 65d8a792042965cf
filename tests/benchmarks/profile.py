"""Where a call's CPU goes, by stage: N calls on our server, its threads looked at by their CPU clocks.

    python -m tests.benchmarks.profile [--calls 16] [--seconds 20]

A thread of the server looks at all others every few milliseconds. What a thread's own CPU clock has gone forward
since the last look counts for the stage that its innermost known frame belongs to: idle waits cost nothing, a
model that runs without the interpreter costs what it takes. The loop's thread between two callbacks is the event
loop itself, TLS and sockets in C among it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from types import FrameType

STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("smart turn", ("turn/smart_turn",)),
    ("VAD", ("turns/vad", "audio/vad", "turns/beep", "turns/music", "vad_")),
    ("turn taking", ("bot/pipeline/turns", "pipecat/turns", "aggregators")),
    ("STT", ("bot/pipeline/stt", "deepgram", "pipecat/services/stt")),
    ("LLM", ("bot/pipeline/llm", "anthropic", "pipecat/services/llm", "httpx2", "httpcore2", "pipecat/adapters")),
    (
        "TTS",
        ("bot/pipeline/tts", "elevenlabs", "pipecat/services/tts", "pipecat/utils/text", "pipecat/utils/context"),
    ),
    (
        "line: media stream, codec, marks",
        ("bot/pipeline/line", "bot/telephony", "bot/audio", "starlette", "uvicorn"),
    ),
    ("WebSockets of vendors", ("websockets",)),
    ("durable engine", ("dbos", "bot/store/durable", "psycopg")),
    ("store", ("bot/store", "sqlalchemy", "aiosqlite", "asyncpg")),
    ("conversation", ("bot/conversation",)),
    ("calls, API", ("bot/calls", "bot/api", "fastapi", "pydantic", "twilio", "aiohttp")),
    ("pipecat: frames, queues, tasks", ("pipecat",)),
    ("logs, metrics, traces", ("loguru", "bot/telemetry", "opentelemetry", "prometheus")),
    ("TLS contexts", ("ssl.py",)),
    ("asyncio", ("asyncio/",)),
)
LOOP, OTHER = "event loop, sockets", "other"
EVERY_SECONDS = 0.004
_OWN = __name__


class CpuByStage:
    """A thread that looks at all others until `close`. `report` gives seconds and forgets them."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._frames: defaultdict[str, float] = defaultdict(float)
        self._clocks: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="cpu by stage", daemon=True)
        self._thread.start()
        # A thread is seen where it gives up the interpreter: it has to, ten times as often as usual.
        sys.setswitchinterval(0.0005)

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def report(self) -> dict[str, dict[str, float]]:
        seconds, self._seconds = self._seconds, defaultdict(float)
        frames, self._frames = self._frames, defaultdict(float)
        return {"stages": _most(seconds, len(seconds)), "frames": _most(frames, 40)}

    def _look(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            for thread, frame in sys._current_frames().items():
                if thread == self._thread.ident:
                    continue
                with contextlib.suppress(OSError):  # it is over
                    now = time.clock_gettime(time.pthread_getcpuclockid(thread))
                    spent = now - self._clocks.get(thread, now)
                    self._clocks[thread] = now
                    if spent > 0:
                        self._seconds[stage_of(frame)] += spent
                        self._frames[_place(frame)] += spent


def stage_of(frame: FrameType | None) -> str:
    """Of the innermost frame that belongs to one."""
    if frame is not None and frame.f_code.co_filename.endswith(("asyncio/runners.py", "asyncio/base_events.py")):
        return LOOP
    while frame is not None:
        name = frame.f_code.co_filename
        for stage, parts in STAGES:
            if any(part in name for part in parts):
                return stage
        frame = frame.f_back
    return OTHER


def _most(spent: Mapping[str, float], count: int) -> dict[str, float]:
    return dict(sorted(spent.items(), key=lambda item: -item[1])[:count])


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename.rsplit('site-packages/', 1)[-1].rsplit('/bot/', 1)[-1]} {code.co_name}"


async def main() -> None:
    # The server imports this module for the thread; what holds calls is the benchmark's.
    from tests.benchmarks.callee import INTERRUPTION, QUESTIONS, utterances
    from tests.benchmarks.density import Bench
    from tests.benchmarks.figures import table
    from tests.benchmarks.line import operator
    from tests.benchmarks.servers import cores, pin, server, vendors

    parser = argparse.ArgumentParser(description="Where a call's CPU goes, by stage.")
    parser.add_argument("--calls", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20.0)
    chosen = parser.parse_args()
    server_core, load_core = cores()
    spoken = await asyncio.to_thread(utterances, (*QUESTIONS, INTERRUPTION))
    async with contextlib.AsyncExitStack() as stack:
        simulated = await stack.enter_async_context(vendors(core=load_core))
        exchange = await stack.enter_async_context(operator())
        looked_at = {"PROBE_CPU": "1"}
        ours = await stack.enter_async_context(
            server("ours", simulated, exchange.environment, core=server_core, environment=looked_at)
        )
        pin(os.getpid(), load_core)
        bench = Bench(exchange, simulated, spoken, chosen.seconds)
        await bench.warm_up(ours)
        await ours.probe("/probe/cpu")
        step = await bench.step(ours, chosen.calls)
        cpu = await ours.probe("/probe/cpu")
    total = sum(cpu["stages"].values())
    rows = [[stage, f"{100 * spent / total:.1f}"] for stage, spent in cpu["stages"].items()]
    print(table(["stage", "% of the CPU"], rows))
    print("\n".join(f"{100 * spent / total:5.1f} %  {place}" for place, spent in cpu["frames"].items()))
    print(f"{chosen.calls} calls, {100 * step.cpu / chosen.calls:.2f} % of a core a call, looking included")


if __name__ == "__main__":
    asyncio.run(main())
