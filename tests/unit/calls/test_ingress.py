"""Where the carrier reaches us, and whether strangers could."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.calls.ingress import check_exposure, find_public_url, is_loopback
from bot.errors import SettingsError
from bot.settings import Settings


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **({"public_host": None, "host": "127.0.0.1", "api_keys": ()} | changes))


@asynccontextmanager
async def agent(answer: Callable[[], web.Response]) -> AsyncIterator[str]:
    """A local ngrok agent that answers so; yields its URL."""

    async def handle(_request: web.Request) -> web.Response:
        return answer()

    app = web.Application()
    app.router.add_get("/api/tunnels", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def tunnel(url: str, address: str) -> dict[str, Any]:
    return {"public_url": url, "proto": "https", "config": {"addr": address}}


async def found(tunnels: object, port: int = 8000) -> str | None:
    async with agent(lambda: web.json_response(tunnels)) as url:
        return await find_public_url(settings(ngrok_api_url=f"{url}/", port=port))


async def test_the_setting_wins_and_nobody_is_asked() -> None:
    assert await find_public_url(settings(public_host="bot.example.com", ngrok_api_url="http://[bad")) == (
        "https://bot.example.com"
    )


async def test_the_tunnel_to_our_port_is_found() -> None:
    tunnels = {
        "tunnels": [
            tunnel("https://other.example", "http://localhost:9000"),
            tunnel("http://ours.example", "http://localhost:8000"),
            tunnel("https://ours.example/", "http://localhost:8000/"),
        ]
    }
    assert await found(tunnels) == "https://ours.example"
    assert await found(tunnels, port=9000) == "https://other.example"
    assert await found(tunnels, port=1) is None
    assert await found(tunnels, port=800) is None, "8000 is not 800, nor the other way round"


async def test_an_http_tunnel_is_better_than_none() -> None:
    assert await found({"tunnels": [tunnel("http://ours.example", "localhost:8000")]}) == "http://ours.example"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        None,
        {"tunnels": None},
        {"tunnels": [None, 1, {}, {"public_url": 3}, {"public_url": "https://x", "config": None}]},
        {"tunnels": [{"public_url": "https://x", "config": "addr"}]},
        {"tunnels": "x"},
    ],
)
async def test_an_answer_that_is_none_means_no_tunnel(answer: object) -> None:
    assert await found(answer) is None


async def test_a_page_that_is_no_json_or_an_error_means_no_tunnel() -> None:
    async with agent(lambda: web.Response(text="<html>")) as url:
        assert await find_public_url(settings(ngrok_api_url=url)) is None
    async with agent(lambda: web.Response(status=502, text="")) as url:
        assert await find_public_url(settings(ngrok_api_url=url)) is None


async def test_no_agent_means_no_tunnel() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert await find_public_url(settings(ngrok_api_url=f"http://127.0.0.1:{port}")) is None


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "bot.example.com", "localhost.example.com", "", "127.0.0.1.example.com"]
)
def test_names_that_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_private_server_needs_no_key() -> None:
    check_exposure(settings(), None)
    check_exposure(settings(host="::1"), "http://localhost:8000")
    check_exposure(settings(host="localhost"), "http://[::1]:8000")


@pytest.mark.parametrize(
    ("host", "url", "named"),
    [
        ("127.0.0.1", "https://bot.example.com", "PUBLIC_HOST"),
        ("127.0.0.1", "http://10.0.0.1:8000", "PUBLIC_HOST"),
        ("0.0.0.0", None, "HOST"),
        ("::", None, "HOST"),
        ("192.168.1.5", "http://127.0.0.1", "HOST"),
        ("myhost", None, "HOST"),
    ],
)
def test_an_open_door_without_keys_is_refused(host: str, url: str | None, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_exposure(settings(host=host), url)
    assert caught.value.message.startswith(f"{named} ")
    assert "API_KEYS" in caught.value.message
    assert caught.value.field == "API_KEYS"
    check_exposure(settings(host=host, api_keys=(SecretStr("k"),)), url)
