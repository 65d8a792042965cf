"""The durable engine: DBOS in the database of the calls."""
