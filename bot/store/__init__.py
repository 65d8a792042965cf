"""What is kept, in SQLite or PostgreSQL by one URL: calls and their turns, campaigns, deliveries, lists."""

# Their tables belong to the one schema, whoever uses them.
from bot.store import campaign_rows, deliveries, do_not_call, openings, retention  # noqa: F401
from bot.store.call_store import CallChange
from bot.store.calls import SqlCallStore
from bot.store.database import Database, open_database
from bot.store.pages import Page

__all__ = ["CallChange", "Database", "Page", "SqlCallStore", "open_database"]
