"""bot/public_http.py: what counts as public, and that the check holds where the connection is made."""

from __future__ import annotations

import ipaddress
import ssl

import httpx2
import pytest

from bot.errors import AddressError
from bot.public_http import Outgoing, check_public, is_public
from tests.unit.loopback import serving

PUBLIC = ["1.1.1.1", "203.0.114.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
NOT_PUBLIC = {
    "this machine": "127.0.0.1",
    "this machine, another of its addresses": "127.8.9.1",
    "this machine, version 6": "::1",
    "this machine, mapped": "::ffff:127.0.0.1",
    "this machine, compatible": "::127.0.0.1",
    "this machine, 6to4": "2002:7f00:1::",
    "this machine, NAT64": "64:ff9b::7f00:1",
    "unspecified": "0.0.0.0",
    "unspecified, version 6": "::",
    "private, 10": "10.1.2.3",
    "private, 172": "172.16.0.1",
    "private, 192": "192.168.1.1",
    "private, version 6": "fd00::1",
    "metadata": "169.254.169.254",
    "metadata, mapped": "::ffff:169.254.169.254",
    "metadata, version 6": "fd00:ec2::254",
    "metadata, Alibaba": "100.100.100.200",
    "metadata, Azure": "168.63.129.16",
    "link-local, version 6": "fe80::1",
    "site-local": "fec0::1",
    "carrier's NAT": "100.64.0.1",
    "documentation": "192.0.2.1",
    "benchmarks": "198.18.0.1",
    "multicast": "224.0.0.1",
    "multicast, version 6": "ff02::1",
    "broadcast": "255.255.255.255",
    "reserved": "240.0.0.1",
    "Teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
def test_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "0"])
async def test_a_name_that_leads_here_is_refused(host: str) -> None:
    with pytest.raises(AddressError, match="not a public address"):
        await check_public(host, 80)


async def test_one_private_address_among_public_ones_is_enough() -> None:
    async def resolver(_host: str, _port: int) -> list[str]:
        return ["1.1.1.1", "10.0.0.1"]

    with pytest.raises(AddressError):
        await check_public("two.example", 443, resolver)


async def test_the_check_is_made_for_each_connection() -> None:
    """DNS rebinding: public when somebody looked, this machine when the socket opens."""
    answers = [["1.1.1.1"], ["127.0.0.1"]]

    async def resolver(_host: str, _port: int) -> list[str]:
        return answers.pop(0)

    outgoing = Outgoing(ssl.create_default_context(), resolver=resolver)
    async with serving() as server:
        url = f"http://rebinding.example:{server.port}/"
        await check_public("rebinding.example", server.port, resolver)
        with pytest.raises(AddressError):
            await outgoing.client(allow_private=False).get(url)
        assert server.requests == []
    await outgoing.close()


async def test_a_connection_to_a_private_address_serves_nobody_else() -> None:
    outgoing = Outgoing(ssl.create_default_context())
    async with serving() as server:
        answer = await outgoing.client(allow_private=True).get(server.url)
        assert answer.status_code == 200
        with pytest.raises(AddressError):
            await outgoing.client(allow_private=False).get(server.url)
        assert len(server.requests) == 1
    await outgoing.close()


async def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    outgoing = Outgoing(ssl.create_default_context())
    async with serving() as server:
        server.headers = {"Location": "/elsewhere", "Set-Cookie": "who=me; Path=/"}
        server.status = 302
        client = outgoing.client(allow_private=True)
        assert (await client.get(server.url)).status_code == 302
        await client.get(server.url)
        assert [request.path for request in server.requests] == ["/", "/"]
        assert "cookie" not in server.requests[1].headers
    await outgoing.close()


async def test_a_name_nobody_knows_is_a_connection_error() -> None:
    async def resolver(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    outgoing = Outgoing(ssl.create_default_context(), resolver=resolver)
    with pytest.raises(httpx2.ConnectError, match="no such name"):
        await outgoing.client(allow_private=False).get("http://nowhere.example/")
    await outgoing.close()
