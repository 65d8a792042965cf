"""The whole API against its own OpenAPI document: `python -m tests.contract [seconds] [postgresql]`, ten minutes.

schemathesis sends requests of every kind to a server with the simulated carrier, all phases, and looks at each
answer: no 5xx, no status, header, type or shape that the document does not name. One check is left out, that a
request which fits its schema is accepted: whether a number exists, no schema says.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.calls.process import server_process
from tests.postgres import PostgresServer

SECONDS = 600
KEY = "key-of-the-contract"
_CONFIG = Path(__file__).with_name("schemathesis.toml")


async def check(folder: Path, seconds: int, database: str | None = None) -> tuple[int, str]:
    """schemathesis' exit code, with what it said and what the server logged."""
    environment = {"API_KEYS": KEY, "LOG_LEVEL": "WARNING", "MAX_CALLS": "1"}
    if database is not None:
        environment["DATABASE_URL"] = database
    async with server_process(folder, environment) as server:
        command = (
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIG)),
            *("run", f"{server.http.base_url}/openapi.json", "--checks", "all", "--max-time", str(seconds)),
            *("--exclude-checks", "positive_data_acceptance"),
            *("--exclude-path-regex", "/events$"),  # streams, of which the answer does not end
            *("--seed", "1", "--request-timeout", "60", "--warnings", "off", "-H", f"X-API-Key: {KEY}"),
        )
        run = await asyncio.create_subprocess_exec(
            *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await run.communicate()
        assert run.returncode is not None
        return run.returncode, said.decode() + server.log.read_text(encoding="utf-8")


def main() -> None:
    """The exit code is schemathesis'."""
    seconds = next((int(given) for given in sys.argv[1:] if given.isdecimal()), SECONDS)
    postgres = PostgresServer() if "postgresql" in sys.argv[1:] else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            url = None if postgres is None else postgres.new_url()
            code, said = asyncio.run(check(Path(folder), seconds, url))
    finally:
        if postgres is not None:
            postgres.stop()
    sys.stdout.write(said)
    sys.exit(code)


if __name__ == "__main__":
    main()
