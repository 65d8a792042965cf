"""The tools of one call: their schemas for the model, the handlers that run them, and what they noted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import FunctionCallResultProperties
from pipecat.services.llm_service import FunctionCallParams, LLMService

from bot.records import Outcome
from bot.scenario import OutcomeField, Scenario
from bot.stages.llm import TOOL_TIMEOUT_SECONDS
from bot.tools import TOOLS, CallControl, Tool


@dataclass
class Notes:
    """What tools have recorded."""

    fields: dict[str, Any] = field(default_factory=dict)
    reached_goal: bool | None = None
    summary: str | None = None


class Toolbox:
    """`control` is what tools may do to the call; `used` is told of every use; `ending`: no more is said."""

    def __init__(
        self,
        scenario: Scenario,
        control: CallControl,
        *,
        used: Callable[[str, dict[str, Any], Any], None],
        ending: Callable[[], bool],
    ) -> None:
        self._scenario = scenario
        self._control = control
        self._used = used
        self._ending = ending
        self._notes = Notes()
        self._tools = [TOOLS[name] for name in scenario.tools]

    def schemas(self) -> ToolsSchema:
        """For the context."""
        return ToolsSchema(standard_tools=[self._schema(tool) for tool in self._tools])

    def register(self, llm: LLMService[Any]) -> None:
        """Let `llm` run the tools; each rung of the ladder needs them."""
        for tool in self._tools:
            llm.register_function(tool.name, self._handler(tool), timeout_secs=TOOL_TIMEOUT_SECONDS)

    def _schema(self, tool: Tool) -> FunctionSchema:
        properties: dict[str, Any] = dict(tool.parameters)
        if tool.name == "record_outcome":
            for outcome in self._scenario.outcome:
                kind = {"choice": "string"}.get(outcome.type, outcome.type)
                properties[outcome.name] = {"type": kind, "description": outcome.description}
                if outcome.options:
                    properties[outcome.name]["enum"] = list(outcome.options)
        return FunctionSchema(tool.name, tool.description, properties, list(tool.required))

    def _handler(self, tool: Tool) -> Any:
        async def handle(params: FunctionCallParams) -> None:
            arguments: Mapping[str, Any] = params.arguments or {}
            try:
                result = await tool.run(arguments, self._control)
            except Exception as e:
                logger.opt(exception=e).error("tool {} failed", tool.name)
                result = {"error": f"{tool.name} failed: {type(e).__name__}"}
            self._used(tool.name, dict(arguments), result)
            ends = "end_call" in getattr(params.llm, "reply_tools", ()) or self._ending()
            speaks = tool.speaks_after and not ends and not getattr(params.llm, "reply_has_text", False)
            # None: pipecat runs the model once, when the last call of the reply has its result.
            silent = None if speaks else FunctionCallResultProperties(run_llm=False)
            await params.result_callback(result, properties=silent)

        return handle

    # -- notes ----------------------------------------------------------------------------------------

    def note_outcome(self, fields: Mapping[str, Any]) -> list[str]:
        """Keep outcome fields, `reached_goal` and `summary`; gives back the names it refused."""
        known = {outcome.name: outcome for outcome in self._scenario.outcome}
        refused: list[str] = []
        for name, value in fields.items():
            try:
                if name == "reached_goal":
                    self._notes.reached_goal = OutcomeField.boolean(value)
                elif name == "summary":
                    self._notes.summary = str(value)
                else:
                    self._notes.fields[name] = known[name].value_of(value)
            except (KeyError, ValueError):
                refused.append(name)
        return sorted(refused)

    def note_message(self, message: str, name: str | None, phone_number: str | None) -> None:
        note = {"message": message, "name": name, "phone_number": phone_number}
        self._notes.fields.setdefault("messages", []).append({k: v for k, v in note.items() if v})

    def note_callback(self, when: str) -> None:
        self._notes.fields["callback"] = when

    def outcome(self) -> Outcome | None:
        """What was recorded; None where nothing was."""
        notes = self._notes
        if notes.reached_goal is None and notes.summary is None and not notes.fields:
            return None
        goal = self._scenario.goal
        reached = notes.reached_goal if notes.reached_goal is not None else bool(notes.fields.get(goal or ""))
        return Outcome(reached, notes.summary or "", dict(notes.fields), source="tools")
