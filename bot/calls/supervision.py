"""Supervisors' acts in calls that go on, by whatever process has the line: say, inject, transfer.

An act with a key is done once: repeated, it gives the same answer. The keys live as long as the call.
"""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from bot.calls.active_calls import ActiveCalls, CallSlot
from bot.errors import ConflictError, PhoneAgentError, RequestError
from bot.store import SqlCallStore
from bot.store.notify import News

ASK_SECONDS = 3.0
"""For another process to do it."""


@dataclass(frozen=True)
class Say:
    """Words for the agent to say: in the midst of what it says, or behind it."""

    text: str
    now: bool = False
    act: Literal["say"] = "say"


@dataclass(frozen=True)
class Inject:
    """A fact for the model."""

    fact: str
    reply: bool = False
    """The agent speaks of it in the next gap."""
    act: Literal["inject"] = "inject"


@dataclass(frozen=True)
class PutThrough:
    """The callee to a transfer target of the scenario."""

    target: str
    summary: str = ""
    act: Literal["transfer"] = "transfer"


Act = Say | Inject | PutThrough
_ACT: TypeAdapter[Act] = TypeAdapter(Act)
_ERRORS: dict[str, type[PhoneAgentError]] = {"request": RequestError, "conflict": ConflictError}


class Supervision:
    """One process's."""

    def __init__(self, store: SqlCallStore, active_calls: ActiveCalls, news: News) -> None:
        self._store, self._active_calls, self._news = store, active_calls, news
        news.on("act", self._asked)

    async def act(self, call_id: str, act: Act, key: str | None) -> str:
        """Do it; what became of it, in words. NotFoundError; RequestError; ConflictError where it cannot be."""
        record = await self._store.find(call_id)
        if record.status.final:
            raise ConflictError(f"Call {call_id!r} is over: {record.status}.", field="call_id", code="call_over")
        slot = self._active_calls.slot_of(call_id)
        if slot is not None and slot.call is not None:
            return await _once(slot, act, key)
        if record.held_by is not None and slot is None:
            asked = {"act": asdict(act), "key": key}
            answer = await self._news.ask(call_id, "act", asked, timeout_seconds=ASK_SECONDS)
            if answer is not None and "error" in answer:
                raise _ERRORS[answer["kind"]](answer["error"], field=answer["field"], code=answer["code"])
            if answer is not None:
                return str(answer["done"])
        raise ConflictError(
            f"Call {call_id!r} is not on the line now: {record.status}.", field="call_id", code="not_on_line"
        )

    async def _asked(self, call_id: str, data: dict[str, Any]) -> dict[str, Any] | None:
        slot = self._active_calls.slot_of(call_id)
        if slot is None or slot.call is None:
            return None
        try:
            return {"done": await _once(slot, _ACT.validate_python(data["act"]), data["key"])}
        except (RequestError, ConflictError) as e:
            kind = "request" if isinstance(e, RequestError) else "conflict"
            return {"error": e.message, "kind": kind, "field": e.field, "code": e.code}


async def _once(slot: CallSlot, act: Act, key: str | None) -> str:
    if key is None:
        return await _do(slot, act)
    known = slot.acts.get(key)
    if known is None:
        known = slot.acts[key] = act, asyncio.create_task(_do(slot, act), name=f"{act.act} {slot.plan.call_id}")
    elif known[0] != act:
        raise ConflictError("This key was used for something else.", code="idempotency_conflict")
    return str(await asyncio.shield(known[1]))


async def _do(slot: CallSlot, act: Act) -> str:
    assert slot.call is not None
    supervised = slot.call.supervised
    match act:
        case Say():
            return await supervised.say(act.text, now=act.now)
        case Inject():
            return await supervised.inject(act.fact, reply=act.reply)
        case PutThrough():
            return await supervised.transfer(act.target, act.summary)
