"""Which addresses a scenario file or a request may have this server reach: public ones, unless it allows others.

A URL from outside can name this machine, its network or its cloud's metadata service. A check of the name
before the request proves nothing: DNS may answer otherwise a moment later. So the check sits where the
connection is made: the name is resolved once, every address it has must be public, and the socket goes to one
of those addresses. TLS still verifies the name. Redirects are not followed.

httpx2 has no place for that in its own transport; its pool comes from httpcore2, which has. A rejected
alternative is to write the address into the URL: httpx2 would then share one connection among the names
behind an address, whichever name its certificate was checked for.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore2
import httpx2

from bot.errors import AddressError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Host and port to addresses, the best first. OSError where there are none."""

CONNECTIONS = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0)
STALLED_SECONDS = 30.0
SILENT_STREAM_SECONDS = 300.0
"""The MCP SDK's own: a server may hold a stream open for its events."""
_NOT_FOR_STRANGERS = (
    ipaddress.ip_network("168.63.129.16/32"),  # Azure's own services, on a public address
    ipaddress.ip_network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    ipaddress.ip_network("100.64.0.0/10"),  # shared address space, RFC 6598; Alibaba's metadata among it
    ipaddress.ip_network("fec0::/10"),  # site-local, RFC 3879
    ipaddress.ip_network("::/96"),  # IPv4-compatible, RFC 4291
    ipaddress.ip_network("64:ff9b:1::/48"),  # local-use NAT64, RFC 8215
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address."""


def is_public(address: Address) -> bool:
    """Whether the address is of the open internet, whatever it is wrapped in."""
    if any(address.version == network.version and address in network for network in _NOT_FOR_STRANGERS):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        inside = address.ipv4_mapped or address.sixtofour
        if inside is not None:
            return is_public(inside)
    return address.is_global and not address.is_multicast and not address.is_reserved


async def resolve(host: str, port: int) -> list[str]:
    """The system's answer. OSError where the name is unknown."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


async def check_public(host: str, port: int, resolver: Resolver = resolve) -> list[str]:
    """The addresses of `host`. AddressError where one of them is not public, OSError where there are none."""
    addresses = await resolver(host, port)
    for address in addresses:
        if not is_public(ipaddress.ip_address(address.split("%", 1)[0])):
            raise AddressError(f"{host} is at {address}, which is not a public address")
    if not addresses:
        raise OSError(f"{host} has no address")
    return addresses


class PublicOnly(httpcore2.AsyncNetworkBackend):
    """Opens connections to public addresses only."""

    def __init__(self, resolver: Resolver = resolve) -> None:
        self._resolver = resolver
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # the signature is httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await check_public(host, port, self._resolver)
        except TimeoutError as e:
            raise httpcore2.ConnectTimeout(f"{host} was not resolved in time") from e
        except OSError as e:
            raise httpcore2.ConnectError(str(e)) from e
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as e:
                failure = e
        raise failure

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        raise AddressError(f"{path} is no address of the internet")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _PublicTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport over a pool that connects to public addresses only."""

    def __init__(self, tls: ssl.SSLContext, resolver: Resolver) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=CONNECTIONS.max_connections,
            max_keepalive_connections=CONNECTIONS.max_keepalive_connections,
            keepalive_expiry=CONNECTIONS.keepalive_expiry,
            network_backend=PublicOnly(resolver),
        )


class Outgoing:
    """The HTTP clients of one process. Proxies of the environment are not used: they would see past the check.

    There are two, for a connection that was opened where private addresses are allowed must not serve a
    request for which they are not.
    """

    def __init__(self, tls: ssl.SSLContext, *, resolver: Resolver = resolve) -> None:
        self._tls, self._resolver = tls, resolver
        self._public = _client(_PublicTransport(tls, resolver))
        self._any = _client(_open_transport(tls))

    def client(self, *, allow_private: bool) -> httpx2.AsyncClient:
        """A client that gives up a silent connection; a deadline for the whole request is its user's to set."""
        return self._any if allow_private else self._public

    def session(self, *, allow_private: bool, headers: Mapping[str, str]) -> httpx2.AsyncClient:
        """A client for one session of a protocol, with the same checks; its user closes it."""
        transport = _open_transport(self._tls) if allow_private else _PublicTransport(self._tls, self._resolver)
        client = _client(transport)
        client.headers.update(headers)
        client.timeout = httpx2.Timeout(STALLED_SECONDS, read=SILENT_STREAM_SECONDS)
        return client

    async def close(self) -> None:
        await self._public.aclose()
        await self._any.aclose()


def _open_transport(tls: ssl.SSLContext) -> httpx2.AsyncHTTPTransport:
    return httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=CONNECTIONS)


def _client(transport: httpx2.AsyncHTTPTransport) -> httpx2.AsyncClient:
    # No cookie goes from one request to the next: each is another call's.
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    return httpx2.AsyncClient(
        transport=transport, timeout=STALLED_SECONDS, follow_redirects=False, trust_env=False, cookies=no_cookies
    )
