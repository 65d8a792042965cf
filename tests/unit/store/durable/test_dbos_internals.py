"""What dbos_internals expects of the installed DBOS."""

from __future__ import annotations

import asyncio
import inspect
import sys
from importlib.metadata import requires, version

from dbos import DBOS, DBOSConfig, _dbos, _queue, _workflow_commands
from dbos._sys_db import SystemDatabase, workflow_is_active

from bot.store.durable.dbos_internals import DbosInternals


def test_dbos_is_pinned_exactly() -> None:
    assert f"dbos=={version('dbos')}" in (requires("phone-agent") or [])


def test_the_names_are_there() -> None:
    """Before its launch, without a database."""
    dbos = DBOS(config=DBOSConfig(name="contract", system_database_url="sqlite:///:memory:"))
    try:
        assert callable(dbos._background_event_loop.target_loop)
        assert list(inspect.signature(dbos._active_workflows_set.count_for_queue).parameters) == ["queue_name"]
        assert isinstance(dbos._registry.workflow_info_map, dict)
        assert dbos._workflow_tasks == set()
        assert dbos._background_threads == []
        assert list(inspect.signature(DBOS._recover_pending_workflows).parameters) == ["executor_ids"]
        assert inspect.iscoroutinefunction(DBOS._configure_asyncio_thread_pool)
        assert isinstance(inspect.getattr_static(DBOS, "_executor"), property)
        assert inspect.getattr_static(_dbos, "queue_thread") is _queue.queue_thread
        for thread, parameters in (
            (_queue.queue_thread, ["stop_event", "dbos"]),
            (_queue.queue_worker_thread, ["stop_event", "dbos", "queue"]),
        ):
            assert list(inspect.signature(thread).parameters) == parameters
        assert _workflow_commands._BACKGROUND_JOBS_INTERVAL_SEC > 0
        for name in (
            "init_workflow",
            "start_queued_workflows",
            "start_queued_partitioned_workflows",
            "get_queue_partitions",
            "get_queue",
            "cancel_timed_out_workflows",
            "_signal_notification",
        ):
            assert callable(getattr(SystemDatabase, name))
        assert list(inspect.signature(dbos._active_workflows_set._remove).parameters) == ["key", "bucket"]
        assert workflow_is_active("PENDING")
        assert not workflow_is_active("SUCCESS")
    finally:
        DBOS.destroy(destroy_registry=True)


def test_its_modules_get_asyncio_back() -> None:
    def seen() -> set[str]:
        modules = [name for name in sys.modules if name.startswith("dbos.")]
        return {name for name in modules if getattr(sys.modules[name], "asyncio", None) is asyncio}

    before, configure = seen(), DBOS._configure_asyncio_thread_pool
    dbos = DBOS(config=DBOSConfig(name="contract", system_database_url="sqlite:///:memory:"))
    internals = DbosInternals(dbos, shared=False)
    try:
        internals.keep_threads_apart()
        assert {"dbos._core", "dbos._dbos"} <= before
        assert seen() == set()
        internals.give_back()
        assert seen() == before
        assert configure == DBOS._configure_asyncio_thread_pool
    finally:
        internals.give_back()
        DBOS.destroy(destroy_registry=True)
