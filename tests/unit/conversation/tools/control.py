"""A CallControl that notes what a tool asked of its call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class NotedControl:
    def __init__(self, *, refused: list[str] | None = None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._refused = refused or []

    @property
    def notes(self) -> NotedControl:
        return self

    async def end_after_goodbye(self) -> None:
        self.asked.append(("end",))

    def note_outcome(self, fields: Mapping[str, Any]) -> list[str]:
        self.asked.append(("outcome", dict(fields)))
        return self._refused

    def note_message(self, message: str, name: str | None, phone_number: str | None) -> None:
        self.asked.append(("message", message, name, phone_number))

    def note_callback(self, when: str) -> None:
        self.asked.append(("callback", when))

    async def never_call_again(self, reason: str | None, phone_number: str | None = None) -> dict[str, Any]:
        self.asked.append(("never again", reason, phone_number))
        return {"status": "listed"}

    async def send_digits(self, digits: str) -> dict[str, Any]:
        self.asked.append(("digits", digits))
        return {"status": "pressing"}

    async def transfer(self, target: str, summary: str) -> dict[str, Any]:
        self.asked.append(("transfer", target, summary))
        return {"status": "calling"}
