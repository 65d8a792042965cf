"""Supervisors' acts: once a key, by the process that has the line, with its errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.calls.active_calls import ActiveCalls
from bot.calls.supervision import Act, Inject, PutThrough, Say, Supervision
from bot.errors import ConflictError, NotFoundError, RequestError
from bot.records import Status
from bot.store import CallChange, Database, SqlCallStore
from bot.store.address import SqliteAddress
from bot.store.notify import Handler, News
from tests.unit.store.examples import a_call


@dataclass
class Acts:
    """A call on the line that notes what is done to it."""

    done: list[Any] = field(default_factory=list)

    async def say(self, text: str, *, now: bool) -> str:
        self.done.append(("say", text, now))
        return f"said {len(self.done)}"

    async def inject(self, fact: str, *, reply: bool) -> str:
        self.done.append(("inject", fact, reply))
        return "told"

    async def transfer(self, target: str, summary: str) -> str:
        if target == "nobody":
            raise RequestError("there is no 'nobody'", field="target")
        raise ConflictError("The call is ending.", code="call_ending")


class PairedNews(News):
    """The question of one process goes to the other's handler."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.other: PairedNews | None = None

    def on(self, kind: str, handler: Handler) -> None:
        assert kind == "act"
        self.handler = handler

    async def ask(self, call_id: str, kind: str, data: Any = None, *, timeout_seconds: float) -> Any:
        assert self.other is not None
        assert self.other.handler is not None
        return await self.other.handler(call_id, data)


@dataclass
class Pair:
    here: Supervision
    there: Supervision
    acts: Acts
    store: SqlCallStore


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    store = SqlCallStore(Database(SqliteAddress(tmp_path / "calls.db")))
    await store.open()
    await store.add(a_call())
    await store.advance("call-1", Status.IN_PROGRESS, at=datetime.now(UTC), change=CallChange(held_by="there"))
    acts, news = Acts(), (PairedNews(), PairedNews())
    news[0].other, news[1].other = news[1], news[0]
    slot = SimpleNamespace(call=SimpleNamespace(supervised=acts), acts={}, plan=SimpleNamespace(call_id="call-1"))
    boards = [SimpleNamespace(slot_of=lambda _: None), SimpleNamespace(slot_of={"call-1": slot}.get)]
    here, there = (
        Supervision(store, cast(ActiveCalls, board), one) for board, one in zip(boards, news, strict=True)
    )
    yield Pair(here, there, acts, store)
    await store.close()


async def test_an_act_with_a_key_is_done_once_wherever_it_is_asked_for(pair: Pair) -> None:
    say = Say("One moment.")
    assert await pair.there.act("call-1", say, "k") == await pair.here.act("call-1", say, "k") == "said 1"
    assert pair.acts.done == [("say", "One moment.", False)]
    for process in (pair.here, pair.there):
        with pytest.raises(ConflictError) as error:
            await process.act("call-1", Say("Else."), "k")
        assert error.value.code == "idempotency_conflict"
    assert await pair.here.act("call-1", say, None) == "said 2"
    assert await pair.here.act("call-1", Inject("it is paid", reply=True), "l") == "told"


@pytest.mark.parametrize(
    ("act", "error", "field", "code"),
    [
        (PutThrough("nobody"), RequestError, "target", "bad_request"),
        (PutThrough("desk"), ConflictError, None, "call_ending"),
    ],
)
async def test_refusals_come_back_from_the_other_process(
    pair: Pair, act: Act, error: type[Exception], field: str | None, code: str
) -> None:
    for process in (pair.here, pair.there):
        with pytest.raises(error) as refused:
            await process.act("call-1", act, None)
        assert (refused.value.field, refused.value.code) == (field, code)  # type: ignore[attr-defined]


async def test_calls_that_are_not_on_a_line_say_so(pair: Pair) -> None:
    with pytest.raises(NotFoundError):
        await pair.here.act("nobody", Say("x"), None)
    await pair.store.add(a_call("call-2"))
    with pytest.raises(ConflictError) as refused:
        await pair.here.act("call-2", Say("x"), None)
    assert refused.value.code == "not_on_line"
    await pair.store.advance("call-2", Status.CANCELED, at=datetime.now(UTC))
    with pytest.raises(ConflictError) as refused:
        await pair.here.act("call-2", Say("x"), None)
    assert refused.value.code == "call_over"
