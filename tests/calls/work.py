"""What a whole call costs, in counts that no clock and no busy machine changes."""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from onnxruntime import InferenceSession  # type: ignore[import-untyped]
from pipecat.processors.frame_processor import FrameProcessor
from sqlalchemy import event
from sqlalchemy.engine import Engine


@dataclass
class Work:
    """Of everything in the process since `counted` began."""

    frames: Counter[str] = field(default_factory=Counter)
    """By the class of the processor that handled them."""
    runs: int = 0
    """Of ONNX models."""
    statements: Counter[str] = field(default_factory=Counter)
    """By what they do, and to which table."""
    sessions: int = 0
    tls_contexts: int = 0


@dataclass(frozen=True)
class Holding:
    """What the process holds at one moment."""

    tasks: int
    threads: int
    files: int

    @classmethod
    def now(cls) -> Holding:
        files = len(list(Path("/proc/self/fd").iterdir()))
        return cls(len(asyncio.all_tasks()), threading.active_count(), files)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    work = Work()
    handle, run, build = FrameProcessor.process_frame, InferenceSession.run, InferenceSession.__init__
    make_context = ssl.create_default_context

    async def handle_frame(self: Any, *args: Any) -> None:
        work.frames[type(self).__name__] += 1
        await handle(self, *args)

    def run_model(self: Any, *args: Any, **kwargs: Any) -> Any:
        work.runs += 1
        return run(self, *args, **kwargs)

    def build_session(self: Any, *args: Any, **kwargs: Any) -> None:
        work.sessions += 1
        build(self, *args, **kwargs)

    def build_context(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        work.tls_contexts += 1
        return make_context(*args, **kwargs)

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        work.statements[_named(statement)] += 1

    with monkeypatch.context() as patched:
        patched.setattr(FrameProcessor, "process_frame", handle_frame)
        patched.setattr(InferenceSession, "run", run_model)
        patched.setattr(InferenceSession, "__init__", build_session)
        patched.setattr(ssl, "create_default_context", build_context)
        event.listen(Engine, "before_cursor_execute", note)
        try:
            yield work
        finally:
            event.remove(Engine, "before_cursor_execute", note)


def _named(statement: str) -> str:
    """What it does, and to which table first."""
    found = re.search(r"(?:FROM|INTO|UPDATE)\s+(\S+)", statement)
    return f"{statement.split(maxsplit=1)[0]} {found[1] if found else ''}".strip()
