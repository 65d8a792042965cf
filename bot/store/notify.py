"""What the processes of one database send and ask each other about calls: LISTEN and NOTIFY of PostgreSQL.

Best effort: news that are lost (a listener that was reconnecting, a process that was killed) are made up for
when calls are settled with the carrier, so nothing is kept, counted or sent again. A table that is polled
was the other way: it loses nothing, and costs each process a query per moment whether there are news or not.
A payload of NOTIFY is under 8000 bytes (https://www.postgresql.org/docs/current/sql-notify.html): what is said
here is shorter, and a longer message is lost like any other. Answers go to the channel of the process that
asked, all else to everybody's.
"""

import asyncio
import hashlib
import itertools
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # ships no types
import sqlalchemy as sa
from loguru import logger

from bot.store import Database
from bot.store.address import PostgresAddress
from bot.store.connections import DATABASE_ERRORS

Handler = Callable[[str, Any], Awaitable[Any]]
"""Told a call's id and the data, which is JSON. What it returns answers a question; None: not mine to say."""

MOST_BYTES = 7999
PROBE_SECONDS = 15.0
"""A silent connection is asked whether it lives: a dead peer without a reset is noticed by nothing else."""
DATABASE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 5.0
"""Between tries to connect again."""


class News:
    """Between the processes that share a database; this one is of a database that only this process uses."""

    process = "alone"
    """This process's name among them."""
    alone = True
    """There can be no others."""

    def on(self, kind: str, handler: Handler) -> None:
        """Who hears news and questions of a kind; one handler each, before `open`."""

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    async def send(self, call_id: str, kind: str, data: Any = None, *, to: str | None = None) -> None:
        """To all other processes, or to one. Never raises for a database that is away: the news are lost."""

    async def ask(self, call_id: str, kind: str, data: Any = None, *, timeout_seconds: float) -> Any:
        """The first answer of another process; None when none came in time."""
        return None


@dataclass(frozen=True)
class Message:
    """`reply_to` is the process that waits for an answer, `answers` the id of what is answered."""

    id: str
    sender: str
    call_id: str
    kind: str
    data: Any = None
    reply_to: str | None = None
    answers: str | None = None


class PostgresNews(News):
    """One process's listener and sender. The listener has a connection of its own, opened again when lost."""

    alone = False

    def __init__(self, database: Database) -> None:
        assert isinstance(database.address, PostgresAddress)
        self.process = secrets.token_hex(6)
        self._database, self._dsn = database, database.address.dsn
        self._handlers: dict[str, Handler] = {}
        self._numbers = itertools.count()
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        """Connected, and listening."""
        self._base = ""

    def on(self, kind: str, handler: Handler) -> None:
        assert kind not in self._handlers, kind
        self._handlers[kind] = handler

    async def open(self) -> None:
        """Listening when this returns; the database itself must be open. TimeoutError when it is not."""
        async with self._database.reader.connect() as connection:
            schema = (await connection.execute(sa.text("SELECT current_schema()"))).scalar_one()
        # Channels are a database's, our tables a schema's.
        self._base = f"phone_agent_{hashlib.sha256(str(schema).encode()).hexdigest()[:12]}"
        self._listening = asyncio.create_task(self._listen(), name="news")
        await asyncio.wait_for(self._heard.wait(), 4 * DATABASE_SECONDS)

    async def close(self) -> None:
        for task in (self._listening, *self._tasks):
            if task is not None:
                task.cancel()
        await asyncio.gather(*filter(None, (self._listening, *self._tasks)), return_exceptions=True)
        self._listening = None

    async def send(self, call_id: str, kind: str, data: Any = None, *, to: str | None = None) -> None:
        await self._send(self._base if to is None else f"{self._base}_{to}", self._message(call_id, kind, data))

    async def ask(self, call_id: str, kind: str, data: Any = None, *, timeout_seconds: float) -> Any:
        message = self._message(call_id, kind, data, reply_to=self.process)
        answer = self._waiting[message.id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await answer if await self._send(self._base, message) else None
        except TimeoutError:
            return None
        finally:
            del self._waiting[message.id]

    # -- sending --------------------------------------------------------------------------------------

    def _message(
        self, call_id: str, kind: str, data: Any, *, reply_to: str | None = None, answers: str | None = None
    ) -> Message:
        message_id = f"{self.process}.{next(self._numbers)}"
        return Message(message_id, self.process, call_id, kind, data, reply_to, answers)

    async def _send(self, channel: str, message: Message) -> bool:
        payload = json.dumps(asdict(message))  # all ASCII
        if len(payload) > MOST_BYTES:
            logger.error("news of {} are too long to be sent: {}", message.call_id, message.kind)
            return False
        notify = sa.text("SELECT pg_notify(:channel, :payload)")
        try:
            async with asyncio.timeout(DATABASE_SECONDS), self._database.writer.begin() as connection:
                await connection.execute(notify, {"channel": channel, "payload": payload})
        except DATABASE_ERRORS as e:  # a TimeoutError is an OSError
            logger.warning("news of {} could not be sent: {}", message.call_id, e)
            return False
        return True

    # -- hearing --------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            try:
                await self._listen_once()
            except DATABASE_ERRORS as e:
                logger.warning("news of other processes are not heard: {}", e)
            pause = 0.1 if self._heard.is_set() else min(pause * 2, LONGEST_PAUSE_SECONDS)
            self._heard.clear()
            await asyncio.sleep(pause)

    async def _listen_once(self) -> None:
        """Until the connection is lost."""
        connection = await asyncpg.connect(self._dsn, timeout=DATABASE_SECONDS, command_timeout=DATABASE_SECONDS)
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            for channel in (self._base, f"{self._base}_{self.process}"):
                await connection.add_listener(channel, self._hear)
            self._heard.set()
            while not lost.is_set():
                try:
                    await asyncio.wait_for(lost.wait(), PROBE_SECONDS)
                except TimeoutError:
                    await connection.execute("SELECT 1")
            logger.warning("the connection that hears other processes was lost")
        finally:
            connection.terminate()

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        try:
            message = Message(**json.loads(payload))
        except (ValueError, TypeError) as e:
            logger.warning("news that nobody here can read: {}", e)
            return
        if message.sender == self.process:
            return
        if message.answers is not None:
            waiting = self._waiting.get(message.answers)
            if waiting is not None and not waiting.done():
                waiting.set_result(message.data)
        elif (handler := self._handlers.get(message.kind)) is not None:
            task = asyncio.create_task(self._handle(handler, message), name=f"news {message.kind}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _handle(self, handler: Handler, message: Message) -> None:
        with logger.contextualize(call_id=message.call_id):
            try:
                answer = await handler(message.call_id, message.data)
            except Exception as e:
                logger.opt(exception=e).error("news of kind {} failed", message.kind)
                return
        if answer is not None and message.reply_to is not None:
            reply = self._message(message.call_id, message.kind, answer, answers=message.id)
            await self._send(f"{self._base}_{message.reply_to}", reply)


def open_news(database: Database) -> News:
    """The news of a database: PostgreSQL's, or none where no other process can be. To be opened after it."""
    return PostgresNews(database) if database.shared else News()
