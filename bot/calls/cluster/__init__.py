"""Calls whose line is in another process of the same database: events, requests, sockets passed on."""
