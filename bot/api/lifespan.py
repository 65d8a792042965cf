"""Which agent answers the routes: opened with the app the router is included in, closed with it.

The agent is found in `app.state`, not in a global: two apps in one process have two agents, and a test puts
its own there.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from bot.api.answers import as_event
from bot.calls.agent import PhoneAgent, open_phone_agent
from bot.settings import load_settings
from bot.telemetry.logs import set_up_if_unset

AgentFactory = Callable[[], AbstractAsyncContextManager[PhoneAgent]]


class _Choice:
    """The factory that `use` named; read when an app starts, so the order of imports does not matter."""

    factory: AgentFactory | None = None


def use(factory: AgentFactory) -> None:
    """Names what opens the agent of every app that includes the router and starts from now on."""
    _Choice.factory = factory


def _from_environment() -> AbstractAsyncContextManager[PhoneAgent]:
    """What an app gets that names nothing: the agent of the environment and .env; its log, if it has none."""
    settings = load_settings()
    set_up_if_unset(settings.log_level, settings.log_format, secrets=settings.secrets)
    return open_phone_agent(settings, present=as_event)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """FastAPI joins it to that of the app: the app's own begins before it and ends after it."""
    if getattr(app.state, "phone_agent", None) is not None:
        yield
        return
    async with (_Choice.factory or _from_environment)() as agent:
        app.state.phone_agent = agent
        try:
            yield
        finally:
            app.state.phone_agent = None


def agent_of(connection: HTTPConnection) -> PhoneAgent:
    """The agent of the app that serves `connection`. A 503 while there is none."""
    agent = getattr(connection.app.state, "phone_agent", None)
    if agent is None:
        raise HTTPException(503, "The phone agent is not running; ask again soon.")
    return cast(PhoneAgent, agent)
