"""How a database got its tables: alembic's versions, run by bot.store.migrate."""
