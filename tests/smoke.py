"""Does it run on this Python: every module of bot/ is imported, and one whole call is held."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import warnings

import bot

CALL = "tests/calls/test_happy_offline.py"
RUN_BY_ALEMBIC = "bot.store.migrations."
"""They are programs, and the call's server runs them."""


def main() -> None:
    with warnings.catch_warnings():
        # Vendors' SDKs deprecate their own classes at import.
        warnings.simplefilter("ignore", DeprecationWarning)
        names = [module.name for module in pkgutil.walk_packages(bot.__path__, "bot.")]
        names = [name for name in names if not name.startswith(RUN_BY_ALEMBIC)]
        for name in names:
            importlib.import_module(name)
    print(f"{len(names)} modules imported on Python {sys.version.split()[0]}")  # noqa: T201  # its product
    sys.exit(subprocess.call([sys.executable, "-m", "pytest", "-q", "-n", "0", CALL]))


if __name__ == "__main__":
    main()
