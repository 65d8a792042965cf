"""/mcp, at the root of the app: the product as a server of the Model Context Protocol, for agents that call.

Streamable HTTP by the official SDK, without sessions: any process answers any request. It stands behind the same
keys as the API, and each of its tools asks what a route of the API would ask.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, wraps
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter
from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from bot.api.answers import CallAnswer, CallSummary
from bot.api.auth import check, given_keys, key_id_of
from bot.api.lifespan import agent_of
from bot.api.problems import ProblemRoute
from bot.api.requests import CallRequest, ListQuery, request_hash
from bot.api.supervision import LONGEST_TEXT
from bot.calls.agent import PhoneAgent
from bot.calls.idempotency import Asked
from bot.calls.supervision import Say
from bot.conversation.scenario.scenario import DEFAULT_OUTBOUND
from bot.errors import BusyError, PhoneAgentError, RequestError, described
from bot.phone_numbers import country_of, read_e164
from bot.policy import CallPurpose
from bot.records import Status

WAIT_SECONDS = 50.0
"""Clients give up on a tool after 60 seconds (the default of the TypeScript SDK)."""
LOOK_SECONDS = 0.5
_KEPT = {
    *("call_id", "status", "ended_reason", "error", "answered_by", "phone_number", "scenario", "action"),
    *("created_at", "answered_at", "duration_seconds", "waiting_for", "scheduled_at", "retried_as", "outcome"),
}
INSTRUCTIONS = (
    "Places phone calls that an AI agent holds by itself. place_call returns at once; then ask wait_for_call "
    "until it says finished. Say what a call reached by its outcome and evidence, not by your own request."
)
_SIMULATE = "import os; os.nice(10); from bot.cli.main import main; main()"
_simulations = asyncio.Semaphore(1)
"""One at a time: it takes half a core."""
router = APIRouter(route_class=ProblemRoute)
PhoneNumber = Annotated[str, Field(description="E.164, as in +12025550123.")]
CallId = Annotated[str, Field(description="As place_call returned it.")]

ToolFunction = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@dataclass(frozen=True)
class Asking:
    """Who asks, and of which agent."""

    agent: PhoneAgent
    key_id: str | None


_caller: ContextVar[Asking] = ContextVar("caller")


class McpEndpoint:
    """The ASGI app behind /mcp. The SDK is imported with the first request: most servers never see one."""

    @cached_property
    def _server(self) -> Any:
        server = importlib.import_module("mcp.server.mcpserver").MCPServer(
            "phone-agent", instructions=INSTRUCTIONS
        )
        annotations = importlib.import_module("mcp.types").ToolAnnotations
        acting: tuple[ToolFunction, ...] = (place_call, simulate_call, say_in_call, hang_up)
        reading: tuple[ToolFunction, ...] = (get_call, wait_for_call, list_calls, check_do_not_call)
        for tool in (*acting, *reading):
            server.add_tool(_told(tool), annotations=annotations(read_only_hint=tool in reading))
        return server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        check(request, *given_keys(request))
        _caller.set(Asking(agent_of(request), key_id_of(request)))
        manager = importlib.import_module("mcp.server.streamable_http_manager").StreamableHTTPSessionManager(
            self._server._lowlevel_server, stateless=True, json_response=True
        )
        async with manager.run():
            await manager.handle_request(scope, receive, send)


router.add_route("/mcp", cast(Any, McpEndpoint()), methods=["GET", "POST", "DELETE"], include_in_schema=False)


def _told(tool: ToolFunction) -> ToolFunction:
    """What is refused, as the SDK wants it: the model reads it and can mend its request."""
    refused = importlib.import_module("mcp.server.mcpserver.exceptions").ToolError

    @wraps(tool)
    async def told(*arguments: Any, **named: Any) -> dict[str, Any]:
        try:
            return await tool(*arguments, **named)
        except ValidationError as e:
            raise refused("; ".join(f"{error['loc'][0]}: {described(error)}" for error in e.errors())) from e
        except PhoneAgentError as e:
            raise refused(f"{e.message} ({e.code})") from e

    return told


async def place_call(
    *,
    phone_number: PhoneNumber,
    action: Annotated[str, Field(description="One sentence that can follow 'I am calling to'.")],
    context: Annotated[str, Field(description="All that the agent may know and tell.")] = "",
    confirm_number: Annotated[
        str, Field(description="The number once more, read again from its source. Needed where the call is real.")
    ] = "",
    purpose: Annotated[
        Literal["service", "marketing"] | None, Field(description="Needed where the call is real.")
    ] = None,
    callee_name: str | None = None,
    agent_name: str | None = None,
    organization: Annotated[str | None, Field(description="On whose behalf it calls.")] = None,
    scenario: str = DEFAULT_OUTBOUND,
    request_id: Annotated[
        str | None,
        Field(description="The same call asked for again has the same; by default it is the same within a day."),
    ] = None,
) -> dict[str, Any]:
    """Dial a number and let the agent hold the call. Returns at once, with the words it will open with."""
    caller = _caller.get()
    agent = caller.agent
    body = CallRequest(
        phone_number=phone_number,
        action=action,
        context=context,
        callee_name=callee_name,
        agent_name=agent_name,
        organization=organization,
        scenario=scenario,
        purpose=None if purpose is None else CallPurpose(purpose),
    )
    now = datetime.now(UTC)
    said = request_id or f"{now:%Y-%m-%d}"
    idempotency_key = hashlib.sha256(f"mcp|{said}|{request_hash(body)}".encode()).hexdigest()
    asked = Asked(caller.key_id, idempotency_key, request_hash(body), agent.store.database.secret)
    if await agent.store.get(asked.id_of("call")) is None:
        await _check_real(caller, body, confirm_number, now)
    record = await agent.placing.place(body.spec(), body.terms(), asked)
    return {"opening_preview": agent.planner.opening_preview(record), **await _seen(record.call_id)}


async def _check_real(caller: Asking, body: CallRequest, confirm_number: str, now: datetime) -> None:
    """What an agent's mistake could cost. RequestError, BusyError."""
    settings = caller.agent.settings
    if not caller.agent.carrier.simulated:
        if not confirm_number or _number(confirm_number) != body.phone_number:
            raise RequestError(
                "Give the number a second time in confirm_number, from its source: this call is real, "
                "and the two have to be the same.",
                field="confirm_number",
            )
        if body.purpose is None:
            raise RequestError('Say what the call is for: purpose "service" or "marketing".', field="purpose")
        countries = settings.mcp_countries or tuple(filter(None, [country_of(settings.twilio_phone_number)]))
        country = country_of(body.phone_number)
        if country not in countries:
            raise RequestError(
                f"{country or 'This country'} is not among the countries that may be called by MCP_COUNTRIES: "
                f"{', '.join(countries) or 'none'}.",
                field="phone_number",
            )
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    placed = await caller.agent.store.placed_since(caller.key_id, midnight)
    if placed >= settings.mcp_calls_per_day:
        seconds = 86_400 - int((now - midnight).total_seconds())
        raise BusyError(
            f"This key has placed {placed} calls today, and MCP_CALLS_PER_DAY is {settings.mcp_calls_per_day}.",
            retry_after_seconds=seconds,
            code="daily_limit",
        )


async def simulate_call(
    scenario: str = DEFAULT_OUTBOUND,
    action: Annotated[str | None, Field(description="The scenario's example, if left out.")] = None,
    context: Annotated[str | None, Field(description="The scenario's example, if left out.")] = None,
    callee: Annotated[str | None, Field(description="A simulated callee, as in voicemail, silent, busy.")] = None,
) -> dict[str, Any]:
    """Hold a call with a simulated callee: free, offline, nobody's phone rings. Takes up to 50 seconds."""
    settings = _caller.get().agent.settings
    given = {"--action": action, "--context": context, "--callee": callee}
    options = [word for name, value in given.items() if value is not None for word in (f"{name}={value}",)]
    # In a process of its own, without our keys: its sound must not make the calls of this one late.
    environment = {"PATH": os.environ.get("PATH", ""), "PIPELINES_DIR": str(settings.pipelines_dir.resolve())}
    with tempfile.TemporaryDirectory(prefix="simulate-") as folder:
        async with _simulations:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _SIMULATE, "simulate", "--json", *options, "--", scenario),
                cwd=folder,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    said, failed = await process.communicate()
            except TimeoutError:
                raise BusyError("The simulated call did not end in time.", retry_after_seconds=60) from None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
    if not said:
        raise RequestError(failed.decode(errors="replace").strip().removeprefix("error: "))
    record = json.loads(said)
    lines = [f"{turn['speaker']}: {turn['text']}" for turn in record["transcript"]]
    return {**{name: value for name, value in record.items() if name in _KEPT}, "transcript": lines}


async def get_call(call_id: CallId) -> dict[str, Any]:
    """A call as it stands now: status, outcome with evidence, and what was said."""
    return await _seen(call_id)


async def wait_for_call(call_id: CallId) -> dict[str, Any]:
    """Wait until the call is over, for at most 50 seconds; then says what is known, and when to ask again."""
    store = _caller.get().agent.store
    deadline = time.monotonic() + WAIT_SECONDS
    while await store.goes_on(call_id) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(LOOK_SECONDS)  # any process may hold it: the database is what knows
    return await _seen(call_id)


async def list_calls(
    status: Annotated[Status | None, Field(description="Only calls that stand there.")] = None,
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
) -> dict[str, Any]:
    """The newest calls, without what was said in them."""
    query = ListQuery(status=status, limit=limit)
    agent = _caller.get().agent
    page = await agent.store.page(status=query.status, limit=query.limit)
    return {"calls": [_short(CallSummary.of(call, "")) for call in map(agent.planner.shown, page.items)]}


async def say_in_call(
    call_id: CallId,
    text: Annotated[
        str, Field(min_length=1, max_length=LONGEST_TEXT, description="The words, as they are said.")
    ],
) -> dict[str, Any]:
    """Have the agent say something in a call that goes on, behind what it is saying."""
    return {"result": await _caller.get().agent.supervision.act(call_id, Say(text, now=False), None)}


async def hang_up(call_id: CallId) -> dict[str, Any]:
    """End a call that is ringing or on the line, at once."""
    await _caller.get().agent.hang_ups.hang_up(call_id)
    return await _seen(call_id)


async def check_do_not_call(phone_number: PhoneNumber) -> dict[str, Any]:
    """Whether a number is on the list of those that must not be called."""
    number = _number(phone_number)
    return {"phone_number": number, "listed": await _caller.get().agent.do_not_call.is_listed(number)}


def _number(given: str) -> str:
    try:
        return read_e164(given)
    except ValueError as e:
        raise RequestError(f"The number {e}.", field="phone_number") from e


async def _seen(call_id: str) -> dict[str, Any]:
    agent = _caller.get().agent
    record = agent.planner.shown(await agent.store.find(call_id))
    answer = CallAnswer.of(record, "")
    finished = record.ended_at is not None
    return {
        "finished": finished,
        "ask_again_in_seconds": None if finished else 1 if record.answered_at else 15,
        **_short(answer),
        "transcript": [f"{turn.speaker}: {turn.text}" for turn in answer.transcript],
    }


def _short(call: CallSummary) -> dict[str, Any]:
    return call.model_dump(mode="json", include=_KEPT)
