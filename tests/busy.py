"""Tests share their machine: how busy it is decides nothing that they do not ask for."""

ANY_LAG_MS = 60_000
"""A server that takes calls however late its event loop is, for MAX_LOOP_LAG_MS."""
