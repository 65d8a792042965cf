"""The app: settings, lifespan, routers put together. `uv run server.py`."""

from __future__ import annotations

import os

# Before numpy is imported: OpenBLAS's threads spin on the cores that calls need.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from bot.api.app import main

if __name__ == "__main__":
    main()
