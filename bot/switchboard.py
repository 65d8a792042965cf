"""Calls of this process: those that ring with what is prepared for them, and those on the line."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from loguru import logger

from bot import opening
from bot.audio import Speech
from bot.call import Call, Plan, Services, build_services
from bot.errors import BusyError, VendorError
from bot.prompt import opening_text
from bot.records import EndedReason
from bot.stages.resources import Resources

RETRY_AFTER_SECONDS = 10
"""What a caller refused for lack of lines is told to wait."""


@dataclass
class Preparation:
    """What a call has ready before its line opens. Both tasks are owned by the switchboard."""

    plan: Plan
    opening: asyncio.Task[tuple[str | None, Speech | None]]
    services: asyncio.Task[Services] | None = None


@dataclass
class Switchboard:
    """Admits, prepares and ends calls."""

    capacity: int
    resources: Resources
    on_line: dict[str, Call] = field(default_factory=dict)
    _ringing: dict[str, Preparation] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    """Call ids that hold a line, from the wish to dial to the end."""
    draining: bool = False
    _freed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def lines_taken(self) -> int:
        return len(self._taken)

    def take_line(self, call_id: str) -> None:
        """BusyError when every line is taken or the server is going down."""
        if self.draining:
            raise BusyError("This server is shutting down.", retry_after_seconds=RETRY_AFTER_SECONDS)
        if call_id not in self._taken and len(self._taken) >= self.capacity:
            raise BusyError(
                f"All {self.capacity} lines are in use; ask again.", retry_after_seconds=RETRY_AFTER_SECONDS
            )
        self._taken.add(call_id)

    async def free_line(self, call_id: str) -> None:
        """Forget a call: its line and whatever was prepared for it."""
        self._taken.discard(call_id)
        if self.on_line.pop(call_id, None) is not None:
            async with self._freed:
                self._freed.notify_all()
        preparation = self._ringing.pop(call_id, None)
        if preparation is not None:
            await _drop(preparation.opening)
            if preparation.services is not None:
                await _drop(preparation.services)

    def prepare(self, plan: Plan) -> None:
        """Write and speak the opening while the phone rings."""
        if plan.call_id not in self._ringing:
            task = asyncio.create_task(self._opening(plan), name=f"opening {plan.call_id}")
            self._ringing[plan.call_id] = Preparation(plan, task)

    def build_ahead(self, call_id: str, call_sid: str) -> None:
        """Build the services off the loop, now that the line is about to open."""
        preparation = self._ringing.get(call_id)
        if preparation is not None and preparation.services is None:
            build = asyncio.to_thread(build_services, preparation.plan, self.resources, call_sid)
            preparation.services = asyncio.create_task(build, name=f"services {call_id}")

    async def prepared(self, plan: Plan, call_sid: str) -> tuple[Plan, Services]:
        """The plan with its opening, and the services. Builds what is not there.

        Waits for an opening that is still being made: the line is open, but nothing better could be said.
        """
        self.prepare(plan)
        self.build_ahead(plan.call_id, call_sid)
        preparation = self._ringing.pop(plan.call_id)
        assert preparation.services is not None
        services = await preparation.services
        text, speech = await preparation.opening
        return _with_opening(preparation.plan, text, speech), services

    async def end_all(self, reason: EndedReason) -> None:
        """Take no more calls and end those on the line; returns when their lines are free."""
        self.draining = True
        for call in list(self.on_line.values()):
            await call.hang_up(reason)
        async with self._freed:
            await self._freed.wait_for(lambda: not self.on_line)
        for call_id in list(self._ringing):
            await self.free_line(call_id)

    async def _opening(self, plan: Plan) -> tuple[str | None, Speech | None]:
        """The text and its audio; a vendor that fails here is tried again when the line is open."""
        text = opening_text(plan.spec, plan.scenario)
        try:
            if text is None:
                text = await opening.write(self.resources, plan.slots.llm, plan.mind)
            language = plan.scenario.language
            return text, await opening.speak(self.resources, plan.slots.tts, text, language=language)
        except VendorError as e:
            logger.warning("the opening could not be prepared by {}: {}", e.provider, e.message)
            return text, None


def _with_opening(plan: Plan, text: str | None, speech: Speech | None) -> Plan:
    return replace(plan, opening=speech, opening_text=text)


async def _drop(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
