"""The list as the product uses it: asked, added to in a call, and made up for after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.calls.dialling.do_not_call import DoNotCall
from bot.errors import NotFoundError, RequestError
from bot.records import CallRecord, CallSpec, Direction, Outcome, Status
from bot.store import Database
from bot.store.address import SqliteAddress
from bot.store.do_not_call import ListedBy, SqlDoNotCallStore

NUMBER = "+12025550123"
ASKED = Outcome(False, "Asked not to be called again.", {"do_not_call": True})
CALL = CallRecord(
    "call-1",
    CallSpec(phone_number=NUMBER, scenario="survey"),
    Direction.OUTBOUND,
    Status.COMPLETED,
    datetime(2026, 3, 2, tzinfo=UTC),
    outcome=ASKED,
)


@pytest.fixture
async def numbers(tmp_path: Path) -> AsyncIterator[DoNotCall]:
    database = Database(SqliteAddress(tmp_path / "calls.db"))
    await database.open()
    yield DoNotCall(SqlDoNotCallStore(database))
    await database.close()


async def test_a_listed_number_is_refused(numbers: DoNotCall) -> None:
    await numbers.check(NUMBER)
    await numbers.asked_for(NUMBER, "call-1", "Stop calling me.")
    with pytest.raises(RequestError) as refused:
        await numbers.check(NUMBER)
    assert (refused.value.code, refused.value.field) == ("do_not_call", "phone_number")
    assert NUMBER not in refused.value.message
    await numbers.remove(NUMBER)
    await numbers.check(NUMBER)
    with pytest.raises(NotFoundError):
        await numbers.find(NUMBER)


async def test_a_promise_is_kept_after_the_call(numbers: DoNotCall) -> None:
    await numbers.keep_promise(CALL)
    found = await numbers.find(NUMBER)
    assert (found.source, found.call_id) == (ListedBy.CALL, "call-1")


async def test_what_was_written_in_the_call_stands(numbers: DoNotCall) -> None:
    await numbers.asked_for(NUMBER, "call-1", "Stop calling me.")
    await numbers.keep_promise(CALL)
    assert (await numbers.find(NUMBER)).reason == "Stop calling me."


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": None},
        {"outcome": Outcome(True, "")},
        {"outcome": Outcome(True, "", {"do_not_call": False})},
        {"outcome": Outcome(True, "", {"do_not_call": "no idea"})},
        {"spec": replace(CALL.spec, phone_number="+266696687")},  # anonymous: nobody to call back
    ],
)
async def test_where_nothing_was_promised_nothing_is_listed(numbers: DoNotCall, changes: dict[str, Any]) -> None:
    record = replace(CALL, **changes)
    await numbers.keep_promise(record)
    assert not await numbers.is_listed(record.spec.phone_number)
