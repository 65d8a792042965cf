"""What is kept: calls, their turns and their media tokens, in SQLite or PostgreSQL by one URL."""

from bot.store.call_store import CallChange, CallStore, Page
from bot.store.database import Database, open_database
from bot.store.sql import SqlCallStore, open_store

__all__ = ["CallChange", "CallStore", "Database", "Page", "SqlCallStore", "open_database", "open_store"]
