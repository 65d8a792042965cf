"""The app: settings, lifespan, routers put together. `uv run server.py`."""

from __future__ import annotations

from bot.telemetry.logs import set_up

# Before pipecat is imported: it greets in the log.
set_up("INFO")

from bot.cli.serve import main  # noqa: E402

if __name__ == "__main__":
    main()
