"""A far end made by hand: signed webhooks and media sockets, right or wrong, a message at a time."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bot.telephony.twilio import signatures
from tests.calls.server import RunningServer
from tests.simulators.twilio import TwilioSimulator

_TOKEN = re.compile(r'name="token" value="([^"]+)"')


async def post(
    server: RunningServer,
    twilio: TwilioSimulator,
    path: str,
    fields: Mapping[str, str],
    *,
    signature: str | None = "",
) -> httpx.Response:
    """A webhook; `signature` "" signs it as Twilio does, None leaves the header out."""
    if signature == "":
        signature = signatures.sign(twilio.auth_token, f"{server.url}{path}", fields)
    headers = {} if signature is None else {signatures.HEADER: signature}
    return await server.http.post(path, data=dict(fields), headers=headers)


async def token_for(server: RunningServer, twilio: TwilioSimulator, call_sid: str) -> str:
    """The token of a call that was registered and answered under `call_sid`."""
    registered = await server.http.post(
        "/api/phone/register-call",
        json={"phone_number": "+12025550123", "action": "Confirm", "scenario": "quick"},
    )
    assert registered.status_code == 201, registered.text
    target = urlsplit(registered.json()["voice_url"])
    answer = await post(server, twilio, f"{target.path}?{target.query}", {"CallSid": call_sid})
    assert answer.status_code == 200
    found = _TOKEN.search(answer.text)
    assert found is not None, answer.text
    return found.group(1)


def media_socket(server: RunningServer, twilio: TwilioSimulator, **options: Any) -> connect:
    """A signed handshake; use as an async context manager."""
    signature = signatures.sign(twilio.auth_token, server.media_url)
    return connect(server.media_url, additional_headers={signatures.HEADER: signature}, proxy=None, **options)


def start(call_sid: str, token: str | None) -> str:
    parameters = {} if token is None else {"token": token}
    stream = {"streamSid": "MZ1", "callSid": call_sid, "accountSid": "AC1", "customParameters": parameters}
    return json.dumps({"event": "start", "streamSid": "MZ1", "start": stream})


async def close_code(socket: ClientConnection, within: float = 5.0) -> int:
    """How the server closes the socket; TimeoutError if it does not."""
    async with asyncio.timeout(within):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "no close frame"
            return closed.rcvd.code
