"""The app: settings, lifespan, routers put together. `uv run server.py`."""

from __future__ import annotations

import os

from bot.logs import set_up

# Before numpy is imported: OpenBLAS's threads spin on the cores that calls need.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Before pipecat is imported: it greets in the log.
set_up("INFO")

from bot.api.app import main  # noqa: E402

if __name__ == "__main__":
    main()
