"""The tools of one call: their schemas for the model, the handlers that run them.

A tool that fails, times out or returns what is no answer is reported to the model in a sentence, and the call
goes on. The callee's voice stops a tool of this call half-way, as it stops the reply that called it; one that
acts outside is never stopped, not even by the end of the call: its result reaches the model, or the record.

A tool that is not repeatable runs once with the same arguments: who asks again, or at the same time, gets the
same result. One that failed may be tried again; one that did not answer in time may have acted, so it may not.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import FunctionCallResultProperties
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams, LLMService

from bot.conversation import prompt
from bot.conversation.fillers import Bridge
from bot.conversation.notes import Notes
from bot.conversation.scenario.scenario import Scenario
from bot.conversation.tools import TOOLS, CallControl, Tool
from bot.conversation.tools.declared.mcp_server import McpServer, McpServers
from bot.conversation.tools.tool import NOT_RUN
from bot.conversation.tools.transfer_call import target_schema
from bot.errors import SettingsError
from bot.json_schema import mistake_in, of_field
from bot.pipeline.offline.rules.values import Frame
from bot.pipeline.resources import Resources

BACKSTOP_SECONDS = 5.0
"""Beyond a tool's own deadline, pipecat's: it would end a call of a tool that lost its way here."""
FINISH_SECONDS = 5.0
"""How long a tool that acts outside may go on after the call is over."""


def declared_tools(scenario: Scenario, resources: Resources, mcp: McpServers) -> list[Tool]:
    """Those of the scenario's file that can be had now: HTTP tools, and those of MCP servers that are there."""
    tools: list[Tool] = []
    for http_tool in scenario.http_tools:
        try:
            tools.append(http_tool.build(resources.outgoing, resources.environment))
        except SettingsError as e:
            logger.warning("http tool {} is not offered: {}", http_tool.name, e.message)
    for server in scenario.mcp_servers:
        tools += mcp.ready(server) or ()
    return tools


class _Result(NamedTuple):
    """A tool's answer for the model."""

    said: dict[str, Any]
    final: bool = True
    """The same request would not change it."""


class Toolbox:
    """`control` is what tools may do to the call; `used` gets every use; `ending`: no more is said."""

    def __init__(
        self,
        scenario: Scenario,
        control: CallControl,
        *,
        used: Callable[[str, dict[str, Any], Any], None],
        ending: Callable[[], bool],
        bridge: Bridge,
        declared: Iterable[Tool] = (),
        frame: Frame | None = None,
    ) -> None:
        self._scenario = scenario
        self._control = control
        self._used = used
        self._ending = ending
        self._bridge = bridge
        self.notes = Notes(scenario, frame)
        """What they have recorded."""
        self._tools = {name: TOOLS[name] for name in scenario.tools}
        self._running: set[asyncio.Task[_Result]] = set()
        self._first: dict[tuple[str, str], asyncio.Task[_Result]] = {}
        """By tool and arguments, of those that are not repeatable."""
        self._add(declared)

    def _add(self, tools: Iterable[Tool]) -> list[Tool]:
        """Those whose names were free."""
        added = []
        for tool in tools:
            if tool.name in self._tools or tool.name in TOOLS:
                logger.warning("tool {} is left out: there is another of this name", tool.name)
                continue
            self._tools[tool.name] = tool
            added.append(tool)
        return added

    @property
    def at_work(self) -> bool:
        """A tool runs that acts outside the call."""
        return bool(self._running)

    @property
    def descriptions(self) -> dict[str, str]:
        """Of the tools that the scenario declares."""
        return {name: tool.description for name, tool in self._tools.items() if name not in TOOLS}

    def schemas(self) -> ToolsSchema:
        """For the context."""
        return ToolsSchema(standard_tools=[self._schema(tool) for tool in self._tools.values()])

    def register(self, llm: LLMService[Any]) -> None:
        """Let `llm` run the tools; each fallback needs them."""
        for tool in self._tools.values():
            self._register(tool, llm)

    def _register(self, tool: Tool, llm: LLMService[Any]) -> None:
        llm.register_function(
            tool.name,
            self._handler(tool),
            cancel_on_interruption=tool.waited_for or not tool.outside,
            timeout_secs=tool.timeout_seconds + BACKSTOP_SECONDS,
        )

    async def join_late(self, mcp: McpServers, context: LLMContext, llms: Sequence[LLMService[Any]]) -> None:
        """Add the tools of MCP servers that were not there when the line opened, as soon as they are."""

        async def join(server: McpServer) -> None:
            added = self._add(await mcp.joined(server))
            for tool in added:
                for llm in llms:
                    self._register(tool, llm)
            if added:
                context.set_tools(self.schemas())

        async with asyncio.TaskGroup() as joining:
            for server in self._scenario.mcp_servers:
                if mcp.ready(server) is None:
                    joining.create_task(join(server), name=f"tools of {server.name}")

    async def finish(self) -> None:
        """After the call: let tools that act outside come to their end, for a moment."""
        running = set(self._running)
        if running:
            logger.info("waiting for {} tool(s) that act outside the call", len(running))
            _, late = await asyncio.wait(running, timeout=FINISH_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _schema(self, tool: Tool) -> FunctionSchema:
        properties: dict[str, Any] = dict(tool.parameters)
        if tool.name == "transfer_call":
            properties["target"] = target_schema(self._scenario.transfer)
        if tool.name == "record_outcome":
            for outcome in self._scenario.outcome:
                properties[outcome.name] = of_field(outcome)
        return FunctionSchema(tool.name, tool.description, properties, list(tool.required))

    def _handler(self, tool: Tool) -> Any:
        async def handle(params: FunctionCallParams) -> None:
            # The reply that called: read now, for the model may be on its next one when the tool is done.
            called: frozenset[str] = getattr(params.llm, "reply_tools", None) or frozenset({tool.name})
            announced = bool(getattr(params.llm, "reply_has_text", False))
            siblings = [self._tools[name] for name in called if name in self._tools]
            arguments = dict(params.arguments or {})
            async with self._bridge.over(tool.meanwhile, announced=announced):
                result = await self._outcome_of(tool, arguments, params.context)
            ends = "end_call" in called or self._ending()
            news = any(one.outside for one in siblings)
            # A tool that was to be followed by listening, and was refused, is spoken about.
            refused = not tool.speaks_after and "error" in result
            speaks = news or refused or (not announced and all(one.speaks_after for one in siblings))
            # None: pipecat runs the model once, when the last call of the reply has its result.
            silent = None if speaks and not ends else FunctionCallResultProperties(run_llm=False)
            await params.result_callback(result, properties=silent)

        return handle

    async def _outcome_of(self, tool: Tool, arguments: dict[str, Any], context: LLMContext) -> dict[str, Any]:
        schema = self._schema(tool)
        wrong = None if tool.checks_itself else mistake_in(arguments, schema.properties, schema.required)
        if wrong is not None:
            # What is wrong with them quotes them.
            logger.warning("the arguments of {} do not fit its schema; it is not run", tool.name)
            result = {"error": f"{tool.name} {NOT_RUN}{wrong} Call it again with arguments that fit its schema."}
            self._used(tool.name, arguments, result)
            return result
        if tool.repeatable and not tool.outside:
            return (await self._run(tool, arguments)).said
        # A task of the toolbox: who waits for it may be cancelled, the tool is not.
        task = self._begun(tool, arguments)
        try:
            return (await asyncio.shield(task)).said
        except asyncio.CancelledError:
            if tool.waited_for and not self._ending():
                task.add_done_callback(lambda done: _tell_later(tool, done, context))
            raise

    def _begun(self, tool: Tool, arguments: dict[str, Any]) -> asyncio.Task[_Result]:
        """The run of this tool with these arguments: the first one's, where that answers for all."""
        request = (tool.name, json.dumps(arguments, sort_keys=True, default=str))
        first = self._first.get(request)
        if first is not None and not (first.done() and (first.cancelled() or not first.result().final)):
            logger.info("tool {} is asked for again with the same arguments: it does not run twice", tool.name)
            return first
        task = asyncio.create_task(self._run(tool, arguments), name=f"tool {tool.name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if not tool.repeatable:
            self._first[request] = task
        return task

    async def _run(self, tool: Tool, arguments: dict[str, Any]) -> _Result:
        """The result for the model; whatever the tool does, it is one."""
        final = True
        try:
            async with asyncio.timeout(tool.timeout_seconds):
                result = presentable(tool.name, await tool.run(arguments, self._control))
            final = "error" not in result
        except asyncio.CancelledError:
            if tool.outside:
                lost = {"error": "cut off at the end of the call; it may have taken effect"}
                self._used(tool.name, arguments, lost)
            raise
        except TimeoutError:
            logger.warning("tool {} did not answer within {:g} s", tool.name, tool.timeout_seconds)
            result = {"error": f"{tool.name} did not answer within {tool.timeout_seconds:g} seconds"}
            final = not tool.reads
        except Exception as e:
            logger.opt(exception=e).error("tool {} failed", tool.name)
            result, final = {"error": f"{tool.name} failed: {type(e).__name__}"}, False
        self._used(tool.name, arguments, result)
        return _Result(result, final)


def _tell_later(tool: Tool, done: asyncio.Task[_Result], context: LLMContext) -> None:
    """The callee interrupted the reply that waited for a tool, and the model took it for cancelled."""
    if not done.cancelled():
        content = prompt.tool_answered(tool.name, done.result().said)
        context.add_message({"role": "user", "content": content})


def presentable(name: str, result: object) -> dict[str, Any]:
    """`result` as JSON that every reader takes: of a model's request, of the record."""
    if not isinstance(result, dict) or not result:
        return {"error": f"{name} returned nothing that can be read"}
    try:
        text = json.dumps(result, ensure_ascii=False).encode("utf-8", errors="replace")
        read: dict[str, Any] = json.loads(text, parse_constant=str)
    except (TypeError, ValueError, RecursionError):
        return {"error": f"{name} returned nothing that can be read"}
    return read
