"""What is kept of a callee, and its erasure: recordings, transcripts, numbers, each when its time has come.

A call's row stays, for counting: when, how long, how it ended, who answered, whether it reached its goal, its
latencies and costs. What goes: the words of both sides, what tools were given and gave back, action and context,
the summary, the fields and their evidence; the number but for its country code, the name, the metadata. Deleting
whole rows was rejected: a campaign's figures and last year's statistics would change under their readers.

Calls that are not over are never touched: the process that holds them writes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.phone_numbers import CUT, parts
from bot.records import FINAL_STATUSES, CallRecord, Status
from bot.store.calls import turns_of
from bot.store.campaign_records import CampaignStatus, ContactState, contact_id_at, contact_place
from bot.store.campaign_rows import bad_rows, campaigns, contacts
from bot.store.consents import forget_old_consents
from bot.store.database import Database, upsert
from bot.store.deliveries import deliveries
from bot.store.do_not_call import do_not_call
from bot.store.kept_json import as_object
from bot.store.number_key import has_number, number_key
from bot.store.openings import openings
from bot.store.rows import Row, call_record, call_row, turn_row, word
from bot.store.schema import UtcDateTime, calls, metadata, turns

AT_ONCE = 200
"""Calls erased in one transaction: on SQLite the writers of running calls wait for its end."""
_ROWS_AT_ONCE = 1000

erased_campaigns = sa.Table(
    "erased_campaigns",
    metadata,
    sa.Column("campaign_id", sa.Text, primary_key=True),
    sa.Column("erased_at", UtcDateTime, nullable=False),
)


class Kept(StrEnum):
    RECORDING = "recording"
    TRANSCRIPT = "transcript"
    """What the call was about and what was said."""
    NUMBER = "number"
    """Who was called."""


@dataclass(frozen=True)
class Erased:
    """How much of each was erased; what had been erased before does not count."""

    calls: int = 0
    turns: int = 0
    recordings: int = 0
    deliveries: int = 0
    contacts: int = 0

    def __add__(self, other: Erased) -> Erased:
        return Erased(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Standing:
    """Where a call of a number stands."""

    call_id: str
    status: Status
    retried_as: str | None = None


class SqlRetentionStore:
    """Over the calls of an open database. Every method may be repeated."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, kept: Kept, before: datetime, limit: int = AT_ONCE) -> Sequence[str]:
        """Calls that ended before then and still have it, the oldest first."""
        mark = calls.c[f"{kept.value}_erased_at"]
        query = (
            sa.select(calls.c.call_id)
            .where(calls.c.ended_at.is_not(None), mark.is_(None), calls.c.ended_at < before, _over())
            .order_by(calls.c.ended_at)
            .limit(limit)
        )
        return await self._database.column(query)

    async def of_number(self, phone_number: str) -> Sequence[Standing]:
        """All calls to or from the number."""
        return await self._standing(has_number(phone_number, self._database.secret))

    async def standing(self, call_ids: Collection[str]) -> Sequence[Standing]:
        return await self._standing(calls.c.call_id.in_(list(call_ids)))

    async def of_contacts(self, contact_ids: Collection[str]) -> Sequence[Standing]:
        """All calls to these contacts of campaigns."""
        if not contact_ids:
            return []
        theirs = calls.c.contact_id.in_(list(contact_ids))
        # The campaign leads to them by an index.
        of = calls.c.campaign_id.in_({contact_place(contact_id)[0] for contact_id in contact_ids})
        return await self._standing(sa.and_(of, theirs))

    async def _standing(self, where: sa.ColumnElement[bool]) -> Sequence[Standing]:
        query = sa.select(calls.c.call_id, calls.c.status, calls.c.retried_as).where(where)
        async with self._database.reader.connect() as connection:
            rows = (await connection.execute(query.order_by(calls.c.created_at))).all()
        return [Standing(row.call_id, word(Status, row.status) or Status.FAILED, row.retried_as) for row in rows]

    async def erase(self, call_ids: Sequence[str], kept: Collection[Kept], at: datetime) -> Erased:
        """Of these calls, at most AT_ONCE, what is named. Those that are not over stay as they are."""
        marks = [calls.c[f"{one.value}_erased_at"] for one in kept]
        query = sa.select(*_READ, *marks).where(calls.c.call_id.in_(list(call_ids)), _over())
        async with self._database.writer.begin() as connection:
            rows = (await connection.execute(query.with_for_update())).mappings().all()
            if not rows:
                return Erased()
            own = [
                {
                    "of": row["call_id"],
                    "number": country_of(row["phone_number"]),
                    "counted": _counted(row["outcome"]),
                    "unproved": {k: v for k, v in as_object(row["terms"]).items() if k != "consent"},
                }
                for row in rows
            ]
            await connection.execute(_emptied(kept, at), own)
            return await _erase_around(connection, rows, kept) + Erased(
                calls=sum(any(row[mark.name] is None for mark in marks) for row in rows),
                recordings=sum(Kept.RECORDING in kept and row["recording"] is not None for row in rows),
            )

    async def keep_only(self, call_id: str, kept: Callable[[CallRecord], CallRecord]) -> None:
        """What `kept` leaves of a call that is over, and of its contact if that is not called again."""
        async with self._database.writer.begin() as connection:
            query = sa.select(calls).where(calls.c.call_id == call_id, _over())
            row = (await connection.execute(query.with_for_update())).mappings().one_or_none()
            if row is None:
                return
            record = call_record(row, await turns_of(connection, call_id))
            left = kept(record)
            if left == record:
                return
            changed = {name: value for name, value in call_row(left).items() if name in _REDACTED}
            if left.spec.phone_number != record.spec.phone_number:
                changed["number_key"] = number_key(record.spec.phone_number, self._database.secret)
            await connection.execute(calls.update().where(calls.c.call_id == call_id).values(changed))
            for before, after in zip(record.turns, left.turns, strict=True):
                if before != after:
                    this = sa.and_(turns.c.call_id == call_id, turns.c.index == after.index)
                    values = {name: turn_row(call_id, after)[name] for name in ("text", "tools")}
                    await connection.execute(turns.update().where(this).values(values))
            await connection.execute(openings.delete().where(openings.c.call_id == call_id))
            if record.contact_id is not None:
                await _keep_contact(connection, record, kept)

    async def open_contacts(self, phone_number: str) -> Sequence[str]:
        """Contacts of the number that are being called, or to be."""
        is_open = contacts.c.state.not_in(_CONTACT_OVER)
        query = sa.select(contacts.c.campaign_id, contacts.c.position)
        async with self._database.reader.connect() as connection:
            rows = await connection.execute(query.where(contacts.c.phone_number == phone_number, is_open))
            return [contact_id_at(row.campaign_id, row.position) for row in rows]

    async def leave(self, phone_number: str) -> int:
        """Contacts of the number lose it, and nobody calls them any more; how many.

        Who was not called yet is left. One that is being called has its call, and is not called again after it:
        `SqlCampaignStore.put_back` finds no number.
        """
        values = _NO_CONTACT | {
            "state": sa.case(
                (contacts.c.state == ContactState.QUEUED.value, ContactState.LEFT.value),
                (contacts.c.state == ContactState.RETRY.value, ContactState.DONE.value),
                else_=contacts.c.state,
            ),
            "due_at": None,
            "next_call_id": None,
        }
        mine = contacts.c.phone_number == phone_number
        async with self._database.writer.begin() as connection:
            return (await connection.execute(contacts.update().where(mine).values(values))).rowcount

    async def erase_mentions(self, phone_number: str) -> int:
        """The rows of uploads that were refused and hold the number, however it is written; how many.

        And the words beside the number on the do-not-call list.
        """
        digits = _national(phone_number)
        written: sa.ColumnElement[str] = bad_rows.c.text
        for mark in _BETWEEN_DIGITS:
            written = sa.func.replace(written, mark, "")
        async with self._database.writer.begin() as connection:
            listed = do_not_call.update().where(do_not_call.c.phone_number == phone_number)
            await connection.execute(listed.values(reason=None))
            holding = bad_rows.update().where(written.contains(digits))
            return (await connection.execute(holding.values(text=""))).rowcount

    async def forget_consents(self, now: datetime) -> None:
        """Those that were kept for as long as they have to be."""
        async with self._database.writer.begin() as connection:
            await forget_old_consents(connection, now)

    async def overwrite(self) -> None:
        """SQLite: what was erased goes out of the write-ahead log too, unless somebody reads just now."""
        if self._database.writer.dialect.name == "sqlite":
            async with self._database.writer.connect() as connection:
                raw = await connection.get_raw_connection()
                assert raw.driver_connection is not None
                async with raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)") as cursor:
                    await cursor.fetchone()

    async def campaigns_due(self, before: datetime, limit: int = AT_ONCE) -> Sequence[str]:
        """Campaigns that ended before then and whose contacts still have their numbers."""
        over = [status.value for status in CampaignStatus if status.over]
        query = (
            sa.select(campaigns.c.campaign_id)
            .outerjoin(erased_campaigns, erased_campaigns.c.campaign_id == campaigns.c.campaign_id)
            .where(
                erased_campaigns.c.campaign_id.is_(None),
                campaigns.c.status.in_(over),
                campaigns.c.ended_at < before,
            )
            .limit(limit)
        )
        return await self._database.column(query)

    async def erase_campaign(self, campaign_id: str, at: datetime) -> int:
        """The numbers and variables of its contacts, and the rows it refused; how many contacts."""
        erased = 0
        for begin in range(0, await self._contacts_of(campaign_id), _ROWS_AT_ONCE):
            some = contacts.c.position.between(begin, begin + _ROWS_AT_ONCE - 1)
            mine = sa.and_(contacts.c.campaign_id == campaign_id, some, contacts.c.phone_number != "")
            async with self._database.writer.begin() as connection:
                erased += (await connection.execute(contacts.update().where(mine).values(_NO_CONTACT))).rowcount
        async with self._database.writer.begin() as connection:
            refused = bad_rows.update().where(bad_rows.c.campaign_id == campaign_id).values(text="")
            await connection.execute(refused)
            done = upsert(connection, erased_campaigns).values(campaign_id=campaign_id, erased_at=at)
            await connection.execute(done.on_conflict_do_nothing())
        return erased

    async def _contacts_of(self, campaign_id: str) -> int:
        query = sa.select(campaigns.c.accepted).where(campaigns.c.campaign_id == campaign_id)
        async with self._database.reader.connect() as connection:
            return (await connection.execute(query)).scalar_one_or_none() or 0

    async def recordings_gone(self, call_ids: Collection[str], before: datetime) -> frozenset[str]:
        """Of these calls, those whose recording was erased, or that ended before then and have none: a process
        that died had not silenced it yet."""
        unnamed = sa.and_(
            _over(), calls.c.recording.is_(None) | (calls.c.recording == ""), calls.c.ended_at < before
        )
        query = sa.select(calls.c.call_id).where(
            calls.c.call_id.in_(list(call_ids)), sa.or_(calls.c.recording_erased_at.is_not(None), unnamed)
        )
        async with self._database.reader.connect() as connection:
            return frozenset((await connection.execute(query)).scalars())


_BETWEEN_DIGITS = (*" -./()\t\u00a0\u2009\u202f", *"\u2010\u2011\u2012\u2013\u2014\u2015")
_COUNTRY = re.compile(rf"(\+[0-9]{{1,3}})(?:{CUT}[0-9]*)?", re.ASCII)
_CONTACT_OVER = (ContactState.DONE.value, ContactState.LEFT.value)
_NO_CONTACT: Row = {"phone_number": "", "variables": {}}
_READ = (
    *(calls.c.call_id, calls.c.phone_number, calls.c.recording, calls.c.outcome, calls.c.contact_id),
    calls.c.terms,
)
_REDACTED = (
    *("phone_number", "action", "context", "callee_name", "agent_name", "organization", "metadata"),
    *("outcome", "consent", "terms", "error"),
)
"""Columns of a call that `keep_only` may change."""
_COUNTED = ("reached_goal", "callee_sentiment", "source", "analysis_error")
"""Of an outcome: what says nothing of the callee beyond how the call went."""


def is_erased(phone_number: str) -> bool:
    """Whether this is what an erasure or a mask leaves of a number: its country code, or nothing, or "+1…23"."""
    return not phone_number or _COUNTRY.fullmatch(phone_number) is not None


def country_of(phone_number: str) -> str:
    """What stays of a number: "+1"; nothing where it is none."""
    if (masked := _COUNTRY.fullmatch(phone_number)) is not None:
        return masked[1]
    found = parts(phone_number)
    return found[0] if found is not None else ""


def _national(phone_number: str) -> str:
    """The digits of an E.164 number behind its country code, which people leave out."""
    found = parts(phone_number)
    return found[1] if found is not None else phone_number.removeprefix("+")


def _over() -> sa.ColumnElement[bool]:
    return calls.c.status.in_(FINAL_STATUSES)


def _emptied(kept: Collection[Kept], at: datetime) -> sa.Update:
    """The update of one call, for its parameters `of`, `number` and `counted`."""
    values: Row = {
        f"{one.value}_erased_at": sa.func.coalesce(calls.c[f"{one.value}_erased_at"], at) for one in kept
    }
    if Kept.RECORDING in kept:
        values["recording"] = None
    if Kept.TRANSCRIPT in kept:
        values |= {
            "observations": None,
            "action": "",
            "context": "",
            "outcome": sa.bindparam("counted", type_=calls.c.outcome.type),
        }
    if Kept.NUMBER in kept:
        values |= {"phone_number": sa.bindparam("number"), "callee_name": None, "metadata": {}}
        values |= {"error": None, "request_hash": None, "number_key": None}
        values |= {"terms": sa.bindparam("unproved", type_=calls.c.terms.type)}
    return calls.update().where(calls.c.call_id == sa.bindparam("of")).values(values)


def _counted(outcome: object) -> Row | None:
    """An outcome without a word of the call."""
    if not isinstance(outcome, dict):
        return None
    return {"summary": ""} | {name: outcome[name] for name in _COUNTED if name in outcome}


async def _erase_around(
    connection: AsyncConnection, rows: Sequence[Mapping[Any, Any]], kept: Collection[Kept]
) -> Erased:
    """What other tables hold of the calls."""
    ids, erased = [row["call_id"] for row in rows], Erased()
    if Kept.TRANSCRIPT in kept:
        said = sa.or_(turns.c.text != "", sa.cast(turns.c.tools, sa.Text) != "[]")
        emptied = turns.update().where(turns.c.call_id.in_(ids), said).values(text="", tools=[])
        erased += Erased(turns=(await connection.execute(emptied)).rowcount)
        await connection.execute(openings.delete().where(openings.c.call_id.in_(ids)))
        # Who asked not to be called stays on the list, without the words he asked in.
        asked = do_not_call.update().where(do_not_call.c.call_id.in_(ids))
        await connection.execute(asked.values(reason=None))
    if Kept.TRANSCRIPT in kept or Kept.NUMBER in kept:
        # A body holds both, and as the bytes that were signed it can only go as a whole.
        told = deliveries.delete().where(deliveries.c.call_id.in_(ids))
        erased += Erased(deliveries=(await connection.execute(told)).rowcount)
    if Kept.NUMBER in kept:
        for row in rows:
            if row["contact_id"] is not None:
                erased += Erased(contacts=await _erase_contact(connection, row))
    return erased


async def _erase_contact(connection: AsyncConnection, call: Mapping[Any, Any]) -> int:
    mine = _last_contact(call["contact_id"], call["call_id"])
    return (await connection.execute(contacts.update().where(mine).values(_NO_CONTACT))).rowcount


def _last_contact(contact_id: str, call_id: str) -> sa.ColumnElement[bool]:
    """The contact whose last call this is, and who is not called again."""
    try:
        campaign_id, position = contact_place(contact_id)
    except ValueError:
        return sa.false()
    mine = sa.and_(contacts.c.campaign_id == campaign_id, contacts.c.position == position)
    over = contacts.c.state.in_(_CONTACT_OVER)
    return sa.and_(mine, over, contacts.c.call_id == call_id, contacts.c.phone_number != "")


async def _keep_contact(
    connection: AsyncConnection, record: CallRecord, kept: Callable[[CallRecord], CallRecord]
) -> None:
    """Number and variables of the contact whose last call this is, as number and metadata of the call."""
    mine = _last_contact(record.contact_id or "", record.call_id)
    row = (await connection.execute(sa.select(contacts).where(mine))).mappings().one_or_none()
    if row is not None:
        spec = kept(replace(record, spec=replace(record.spec, metadata=as_object(row["variables"])))).spec
        nameless = {name: value for name, value in spec.metadata.items() if name != "callee_name"}
        variables = nameless if spec.callee_name is None else spec.metadata
        values: Row = {"phone_number": spec.phone_number, "variables": variables}
        await connection.execute(contacts.update().where(mine).values(values))
