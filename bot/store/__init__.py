"""What is kept, in SQLite or PostgreSQL by one URL: calls and their turns, campaigns, deliveries, lists."""

# Their tables belong to the one schema, whoever uses them.
from bot.store import campaign_rows, deliveries, do_not_call, openings, retention  # noqa: F401
from bot.store.call_store import CallChange, CallStore
from bot.store.calls import SqlCallStore, open_store
from bot.store.database import Database, open_database
from bot.store.pages import Page

__all__ = ["CallChange", "CallStore", "Database", "Page", "SqlCallStore", "open_database", "open_store"]
