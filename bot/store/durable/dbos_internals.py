"""Every touch of DBOS beyond its public interface; made for the version that pyproject pins.

DBOS makes its own threads the default executor of the loop that its workflows run on, and waits in them for as
long as its database is away. Here it keeps them for itself: what its modules call `asyncio.to_thread` runs on
them, and the loop's executor stays as it was, for whatever needs no database. Workflows on a loop of their own
were rejected: they share the connections and the calls of this one.

The functions over its tables block.
"""

import asyncio
import contextvars
import functools
import sys
import threading
import types
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import sqlalchemy as sa
from dbos import DBOS
from dbos._error import DBOSNonExistentWorkflowError as UnknownWorkflowError
from dbos._error import DBOSWorkflowIDInUseError as WorkflowIdTakenError
from dbos._sys_db import workflow_is_active

from bot.store.address import PostgresAddress, SqliteAddress

__all__ = ["DbosInternals", "UnknownWorkflowError", "WorkflowIdTakenError", "system_url"]

_FIRST = -1
"""DBOS itself gives 0, its highest, to what comes without a priority."""
_T = TypeVar("_T")


def system_url(address: SqliteAddress | PostgresAddress) -> tuple[str, str]:
    """Where DBOS keeps its tables, and their schema.

    On SQLite in a file of their own: its writes come from threads and would wait for the calls' writer. On
    PostgreSQL psycopg takes libpq's parameters, where asyncpg also takes settings: `search_path` becomes a
    schema beside it.
    """
    if isinstance(address, SqliteAddress):
        path = address.path.with_name(f"{address.path.stem}.durable.db")
        return f"sqlite:///{path}", "dbos"
    parts = urlsplit(address.dsn)
    query = dict(parse_qsl(parts.query))
    schema = query.pop("search_path", None)
    url = urlunsplit(("postgresql+psycopg", parts.netloc, parts.path, urlencode(query), ""))
    return url, f"{unquote(schema)}_dbos" if schema else "dbos"


class DbosInternals:
    """What the durable engine changes and reads inside one DBOS, from before its launch until its end."""

    def __init__(self, dbos: DBOS) -> None:
        self._dbos = dbos
        self._asyncio = types.ModuleType("asyncio")
        """As DBOS's modules see it."""
        self._asyncio.__dict__.update(vars(asyncio), to_thread=self._in_thread_of_dbos)

    # -- threads and loops ----------------------------------------------------------------------------

    def keep_threads_apart(self) -> None:
        """Run what DBOS does in threads on its own, and leave the loop's executor alone."""
        for module in _modules(asyncio):
            module.asyncio = self._asyncio
        DBOS._configure_asyncio_thread_pool = classmethod(_nothing)  # type: ignore[method-assign, assignment]

    def give_back(self) -> None:
        """Leave DBOS's modules as they were imported."""
        for module in _modules(self._asyncio):
            module.asyncio = asyncio
        DBOS._configure_asyncio_thread_pool = _CONFIGURE  # type: ignore[method-assign]

    async def _in_thread_of_dbos(self, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> _T:
        call = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._dbos._executor, call)

    def run_workflows_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """DBOS takes a loop of its own whenever it does not find this one running, where none can be ended."""
        self._dbos._background_event_loop.target_loop = lambda: loop  # type: ignore[method-assign]

    # -- workflows ------------------------------------------------------------------------------------

    def count_running(self, count: Callable[[str, int], int]) -> None:
        """Ask `count(queue, DBOS's own count)` before anything is taken for a queue with a limit per process."""
        running = self._dbos._active_workflows_set.count_for_queue

        def counted(queue_name: str) -> int:
            return count(queue_name, running(queue_name))

        self._dbos._active_workflows_set.count_for_queue = counted  # type: ignore[method-assign]

    def registered(self, workflow: str) -> Callable[..., Any]:
        return self._dbos._registry.workflow_info_map[workflow]

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Of the workflows that run here."""
        return list(self._dbos._workflow_tasks)

    @property
    def queue_threads(self) -> list[threading.Thread]:
        """Each may be about to begin a workflow."""
        return [
            thread
            for thread in self._dbos._background_threads
            if getattr(getattr(thread, "_target", None), "__name__", "") == "queue_thread"
        ]

    # -- tables: these block --------------------------------------------------------------------------

    @property
    def tables(self) -> Any:
        """DBOS's system database."""
        return self._dbos._sys_db

    def count_workflows(self, by: str, *statuses: str) -> dict[tuple[str | None, str], int]:
        """Workflows of these statuses by a column of theirs and status."""
        rows = self.tables.tables.workflow_status
        mine = self.tables._name_filter(rows.c.application_name, self.tables.app_name)
        query = (
            sa.select(rows.c[by], rows.c.status, sa.func.count())
            .where(rows.c.status.in_(statuses), mine)
            .group_by(rows.c[by], rows.c.status)
        )
        with self.tables.engine.begin() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def active_workflows(self, ids: Collection[str]) -> dict[str, bool]:
        """Of those workflows that there are, whether each still has something to do."""
        rows = self.tables.tables.workflow_status
        query = sa.select(rows.c.workflow_uuid, rows.c.status).where(rows.c.workflow_uuid.in_(list(ids)))
        with self.tables.engine.begin() as connection:
            return {row[0]: workflow_is_active(row[1]) for row in connection.execute(query)}

    def hand_back(self, processes: Collection[str]) -> None:
        """Put what these processes ran back into its queues, before all that waits there.

        It was begun already: behind a campaign, or a thousand calls, its call would not be followed that long.
        """
        rows = self.tables.tables.workflow_status
        theirs = sa.and_(rows.c.status == "PENDING", rows.c.executor_id.in_(processes))
        with self.tables.engine.begin() as connection:
            connection.execute(rows.update().where(theirs).values(priority=_FIRST))
        DBOS._recover_pending_workflows(sorted(processes))

    def forget_workflows(self, before: datetime, limit: int) -> int:
        """Delete workflows that ended before then, at most `limit`; returns how many."""
        found = self.tables.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            completed_before=before.isoformat(),
            limit=limit,
            load_input=False,
            load_output=False,
        )
        if found:
            self.tables.delete_workflows([status.workflow_id for status in found])
        return len(found)


_CONFIGURE = DBOS._configure_asyncio_thread_pool


async def _nothing(_dbos: type[DBOS]) -> None:
    return


def _modules(seen: types.ModuleType) -> list[Any]:
    """DBOS's modules whose `asyncio` is that one."""
    names = [name for name in sys.modules if name.startswith("dbos.")]
    return [sys.modules[name] for name in names if getattr(sys.modules[name], "asyncio", None) is seen]
