"""The HTTP server of one process: uvicorn that ends the calls before it closes their sockets."""

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from types import FrameType

import uvicorn
import uvloop
from fastapi import FastAPI
from loguru import logger

from bot.api.answers import as_event
from bot.api.app import create_app
from bot.calls.agent import PhoneAgent, open_phone_agent
from bot.calls.process import CallListener
from bot.cli.http_protocol import BoundedHttp
from bot.cli.workers import Parent, Post, bind
from bot.conversation.scenario.scenario import Scenarios
from bot.errors import PhoneAgentError
from bot.settings import Settings, environment
from bot.telemetry import tracing
from bot.telephony.media import MAX_FRAME_BYTES
from bot.web import install

SAME_WISH_SECONDS = 0.5
"""A signal so soon after the first is no second wish: Ctrl-C reaches a whole process group, and a parent passes
on what it got."""
THREADS = 32
"""Of the loop: files, vendors' clients, the resolver of names. Python's own number is the cores and four: as many
names that do not resolve would hold up the recordings and the beginnings of all calls."""
EXAMPLE = {
    "phone_number": "+12025550123",
    "action": "Confirm your dentist appointment Thursday at 2pm",
    "context": "Dr. Smith, Suite 200. Rescheduling available Mon-Fri.",
    "callee_name": "John",
    "agent_name": "Alex",
    "organization": "Downtown Dental",
}


class PhoneServer(uvicorn.Server):
    """uvicorn that ends the calls before it closes their sockets, and says last what is there.

    SIGTERM drains; Ctrl-C ends the calls with an apology; a second signal ends at once. `should_exit`, set by a
    program, ends the calls without a word. `owns_process`: nothing is left to do afterwards, so
    a SIGTERM that was obeyed is not raised again, and the process ends by itself, with code 0. `serves` is called
    once the sockets listen.
    """

    def __init__(
        self,
        app: FastAPI,
        settings: Settings,
        *,
        announcing: bool = True,
        owns_process: bool = False,
        serves: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                http=BoundedHttp,
                log_config=None,
                access_log=False,
                ws_max_size=MAX_FRAME_BYTES,
                ws_ping_interval=None,
                timeout_graceful_shutdown=10,
            )
        )
        self._app = app
        self._announcing = announcing
        self._owns_process = owns_process
        self._signal: int | None = None
        self._signalled_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hurry = asyncio.Event()
        self._serves = serves

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        agent = self._app.state.phone_agent
        if agent is not None and self.started and self._announcing:
            announce(agent)
        if self.started and self._serves is not None:
            self._serves()

    def orphaned(self) -> None:
        """The parent is gone and can send no SIGTERM: as after one, unless it came already."""
        if self._signal is None:
            self.handle_exit(signal.SIGTERM, None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """In a signal handler: notes what is to happen, and wakes the loop."""
        now = time.monotonic()
        if self._signal is None:
            self._signal, self._signalled_at = sig, now
            self._captured_signals.append(sig)
            self.should_exit = True
        elif now - self._signalled_at > SAME_WISH_SECONDS:
            self.force_exit = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._hurry.set)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals():
            yield
            if self._owns_process and self._signal == signal.SIGTERM:
                self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        agent: PhoneAgent | None = self._app.state.phone_agent
        if self._signal is not None:
            logger.info("{}: the server stops", signal.Signals(self._signal).name)
        if agent is not None:
            if self._signal == signal.SIGTERM:
                await agent.drain(self._hurry)
            apologise = self._signal is not None and not self._hurry.is_set()
            await agent.stop_calls(apologise=apologise, hurry=self._hurry)
        await super().shutdown(sockets)


def announce(agent: PhoneAgent) -> None:
    """Where the pages are, which vendor or engine fills each slot and why, and the line to try."""
    settings = agent.settings
    host = "localhost" if settings.host in ("127.0.0.1", "0.0.0.0", "::") else settings.host  # noqa: S104
    url = f"http://{host}:{settings.port}"
    logger.info("pages    {}/phone  open it: hold a call here, hear it, see what was said", url)
    for name, slot in agent.health().slots.items():
        logger.info("{:<8} {:<13} {}{}", name, slot.vendor, slot.why, "" if slot.state == "ready" else " (!)")
    key = ' -H "Authorization: Bearer ONE_OF_API_KEYS"' if settings.api_keys else ""
    body = json.dumps(EXAMPLE)
    logger.bind(as_is=True).info(
        'try      curl -X POST "{}/api/phone/call" -H "Content-Type: application/json"{} -d \'{}\'',
        url,
        key,
        body,
    )


def app_around(agent: PhoneAgent) -> FastAPI:
    """Our app with an open agent. Its schema is made before the first call: later it would stop the loop, and
    with it the calls, for a quarter of a second."""
    app = create_app(agent.settings)
    install(app)
    app.state.phone_agent = agent
    app.openapi()
    return app


@asynccontextmanager
async def serving(
    settings: Settings, *, scenarios: Scenarios | None = None, listener: CallListener | None = None
) -> AsyncIterator[PhoneAgent]:
    """Our own server, quietly, for as long as the block lasts."""
    async with open_phone_agent(settings, present=as_event, scenarios=scenarios, listener=listener) as agent:
        server = PhoneServer(app_around(agent), settings, announcing=False)
        running = asyncio.create_task(server.serve(), name="server")
        try:
            while not server.started:
                if running.done():
                    await running
                    raise PhoneAgentError("the server did not start; see the log above")
                await asyncio.sleep(0.05)
            yield agent
        finally:
            server.should_exit = True
            await running


def new_loop() -> asyncio.AbstractEventLoop:
    """The loop of a server process, with its threads."""
    loop = uvloop.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="asyncio"))
    return loop


def run(settings: Settings, post: Post | None) -> None:
    """Serve on a loop of its own until a signal; traces are open as long."""
    tracing.open_traces(environment(), transcripts=settings.trace_transcripts, version=version("phone-agent"))
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(serve(settings, post))
    finally:
        tracing.close_traces()


async def serve(settings: Settings, post: Post | None = None) -> None:
    """Serve until a signal; at a `post`, as one of several workers.

    The agent is opened first, so a wrong setting is said before anything listens.
    """
    if post is not None:
        await _work(settings, post)
        return
    bind(settings.host, settings.port).close()
    async with open_phone_agent(settings, present=as_event) as agent:
        await PhoneServer(app_around(agent), settings, owns_process=True).serve()


async def _work(settings: Settings, post: Post) -> None:
    """Behind the socket that all share, and one of its own by which the other processes reach this one."""
    with socket.socket(fileno=post.listener) as listener, bind(settings.host, 0) as own:
        own_port = own.getsockname()[1]
        async with open_phone_agent(settings, present=as_event, own_port=own_port) as agent:
            app, announcing = app_around(agent), post.number == 0
            with Parent(post) as parent:
                server = PhoneServer(
                    app, settings, announcing=announcing, owns_process=True, serves=parent.report_serving
                )
                async with parent.watched(server.orphaned):
                    await server.serve(sockets=[listener, own])
