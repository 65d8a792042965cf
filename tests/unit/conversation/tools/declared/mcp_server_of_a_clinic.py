"""A real MCP server on the SDK's own server side; run as a program it speaks over stdin and stdout."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel


class Patient(BaseModel):
    name: str
    born: int | None = None


def clinic() -> MCPServer:
    handlers = logging.root.handlers[:]
    server = MCPServer("clinic")
    logging.root.handlers[:] = handlers  # it sets up the logging of the whole process

    @server.tool()
    async def free_slots(day: str) -> list[str]:
        """Free appointments of a day."""
        return [f"{day} 9:00", f"{day} 11:30"]

    @server.tool(description="")
    async def book(patient: Patient, slot: str) -> dict[str, str]:
        return {"booked": slot, "for": patient.name}

    @server.tool()
    async def fail() -> str:
        """Always fails."""
        raise ValueError("the calendar is locked")

    both = asyncio.Barrier(2)

    @server.tool()
    async def meet() -> str:
        """Answers once two have asked."""
        await both.wait()
        return "done"

    @server.tool()
    async def whoami() -> str:
        """Who runs it."""
        return os.environ.get("CLINIC_USER", "nobody")

    @server.tool(name="dotted.name")
    async def dotted() -> None:
        """A name that Claude refuses, and no answer."""

    return server


@asynccontextmanager
async def serving_clinic(port: int = 0) -> AsyncIterator[str]:
    """Its URL, streamable HTTP on a loopback port."""
    app = clinic().streamable_http_app()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        await task


if __name__ == "__main__":
    clinic().run()
