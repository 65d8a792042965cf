"""Where the carrier reaches this server: PUBLIC_HOST, or the tunnel of a running local ngrok agent."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import httpx

from bot.errors import SettingsError
from bot.settings import Settings

NGROK_SECONDS = 1.0
"""A local agent answers at once; one that does not is not there."""


async def find(settings: Settings) -> str | None:
    """The https origin (or http, where PUBLIC_HOST says so); None where there is neither."""
    if settings.public_host is not None:
        return settings.public_host
    return await _ngrok_tunnel(settings)


async def _ngrok_tunnel(settings: Settings) -> str | None:
    """The agent's tunnel to our port. https://ngrok.com/docs/agent/api#list-tunnels"""
    try:
        async with httpx.AsyncClient(timeout=NGROK_SECONDS, trust_env=False) as client:
            answer = await client.get(f"{settings.ngrok_api_url.rstrip('/')}/api/tunnels")
            tunnels = answer.json()["tunnels"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    ours: list[str] = []
    for tunnel in tunnels if isinstance(tunnels, list) else []:
        url = tunnel.get("public_url") if isinstance(tunnel, dict) else None
        config = tunnel.get("config") if isinstance(tunnel, dict) else None
        address = str(config.get("addr", "")) if isinstance(config, dict) else ""
        if isinstance(url, str) and address.rstrip("/").endswith(f":{settings.port}"):
            ours.append(url.rstrip("/"))
    https = [url for url in ours if url.startswith("https://")]
    return next(iter(https + ours), None)


def check_doors(settings: Settings, public_url: str | None) -> None:
    """SettingsError when strangers could reach the API without a key."""
    if settings.api_keys:
        return
    public_host = None if public_url is None else urlsplit(public_url).hostname or ""
    for name, host, shown in (("PUBLIC_HOST", public_host, public_url), ("HOST", settings.host, settings.host)):
        if host is not None and not is_loopback(host):
            raise SettingsError(
                f"{name} makes this server reachable from outside ({shown}) and API_KEYS is not set: anybody "
                "could place calls. Set API_KEYS to one or more secrets, comma-separated, and send one as "
                "'Authorization: Bearer …'.",
                field="API_KEYS",
            )


def is_loopback(host: str) -> bool:
    """localhost, 127.0.0.0/8, ::1."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
