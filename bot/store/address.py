"""Where the store is: DATABASE_URL read into one of two addresses.

asyncpg gets a PostgreSQL URL as its owner wrote it and reads libpq's parameters itself (sslmode,
host=/socket/folder, target_session_attrs). SQLAlchemy's own URL would hand each query parameter to
`asyncpg.connect` as an argument, where the `sslmode=require` of every hosted database is a TypeError.
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from bot.errors import SettingsError

FORMS = "sqlite:///calls.db (relative), sqlite:////var/lib/calls.db or postgresql://user:password@host/database"
_SQLITE = frozenset({"sqlite", "sqlite+aiosqlite"})
_POSTGRESQL = frozenset({"postgresql", "postgres", "postgresql+asyncpg"})
_UNKNOWN_TO_ASYNCPG = frozenset({"channel_binding"})
"""Parameters of libpq that asyncpg would send to the server as settings, which refuses them."""


@dataclass(frozen=True)
class SqliteAddress:
    path: Path
    setting: str = field(default="DATABASE_URL", compare=False)
    """What named the place, for errors."""

    @property
    def label(self) -> str:
        return f"SQLite at {self.path}"


@dataclass(frozen=True)
class PostgresAddress:
    dsn: str = field(repr=False)
    """Holds the password."""
    label: str
    """Host and database, for logs and errors."""
    setting = "DATABASE_URL"


def parse_database_url(url: str | None, default_path: Path) -> SqliteAddress | PostgresAddress:
    """The address `url` names; SQLite at `default_path` when there is none. SettingsError otherwise.

    No error repeats the URL: it may hold a password.
    """
    if url is None or not url.strip():
        return SqliteAddress(default_path, setting="DATA_DIR")
    try:
        parts = urlsplit(url.strip())
        scheme, port = parts.scheme.lower(), parts.port
    except ValueError as error:
        raise _bad(f"cannot be read ({error})") from None
    if scheme in _SQLITE:
        return SqliteAddress(_sqlite_path(parts.netloc, parts.path))
    if scheme not in _POSTGRESQL:
        known = f"{scheme}:// is not a database this server knows" if scheme else "has no scheme"
        raise _bad(known)
    query = [pair for pair in parse_qsl(parts.query) if pair[0] not in _UNKNOWN_TO_ASYNCPG]
    host = parts.hostname or dict(query).get("host")
    if not host:
        raise _bad("names no host")
    database = parts.path.strip("/")
    if not database:
        raise _bad("names no database")
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query), ""))
    where = f"{host}:{port}" if port else host
    return PostgresAddress(dsn=dsn, label=f"PostgreSQL at {where}/{unquote(database)}")


def _sqlite_path(netloc: str, path: str) -> Path:
    if netloc:
        raise _bad("needs three slashes before a relative path and four before an absolute one")
    name = unquote(path.removeprefix("/"))
    if not name or name == ":memory:":
        raise _bad("names no file; calls in memory would be gone with the process")
    if name.endswith("/"):
        raise _bad("names a folder, not a file")
    return Path(name)


def _bad(what: str) -> SettingsError:
    return SettingsError(f"DATABASE_URL {what}. Give {FORMS}.", field="DATABASE_URL")
