"""The API's description as a file, docs/openapi.json, for generators of clients: `python -m tests.openapi`."""

from __future__ import annotations

import json
from pathlib import Path

from bot.api.app import create_app
from bot.settings import Settings

FILE = Path(__file__).parents[1] / "docs" / "openapi.json"


def described() -> str:
    """JSON of what the server itself answers with, indented, with a line's end."""
    document = create_app(Settings(_env_file=None, api_keys=())).openapi()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(described(), encoding="utf-8")
