"""Where the other processes of one database reach this one: for a media stream that came to the wrong process."""

import socket
from urllib.parse import parse_qs, urlsplit

from bot.settings import Settings
from bot.store.address import PostgresAddress, SqliteAddress

_ANY = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # addresses that are compared, not listened on
_LOOPBACK = "127.0.0.1"


def find(settings: Settings, database: PostgresAddress | SqliteAddress, port: int) -> str | None:
    """`http://host:port`; None on a database of one process.

    The host is INTERNAL_HOST, or HOST where that is one address, or the address of this machine on its way to
    the database, which the other processes can reach too.
    """
    if isinstance(database, SqliteAddress):
        return None
    host = settings.internal_host or settings.host
    if host in _ANY:
        host = _towards(*_server(database.dsn))
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(dsn: str) -> tuple[str, int]:
    """The (first) host and port of a PostgreSQL URL; a host that begins with / is a Unix socket's folder."""
    parts = urlsplit(dsn)
    host = parse_qs(parts.query).get("host", [""])[0].split(",")[0]
    return parts.hostname or host, parts.port or 5432


def _towards(host: str, port: int) -> str:
    """This machine's address on the way to `host`; nothing is sent. Loopback where there is no way."""
    if not host or host.startswith("/"):
        return _LOOPBACK
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return _LOOPBACK
