"""Campaigns in SQL: their contacts as rows, written in small transactions and read a page at a time.

A campaign is loaded in many transactions, not in one: on SQLite one connection writes for all, and running
calls would wait for a hundred thousand rows. Its status `loading` is what makes it whole: nobody dials it
before `loaded` has said so in the transaction that also says how many contacts there are.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import ConflictError, NotFoundError, RequestError
from bot.records import FINAL_STATUSES, OPEN_STATUSES, CallRecord, EndedReason, Status
from bot.store.campaign_records import (
    BadRow,
    Campaign,
    CampaignStatus,
    Contact,
    ContactState,
    Ending,
    Progress,
    Result,
    contact_place,
)
from bot.store.campaign_rows import (
    NEW_BAD_ROW,
    NEW_CONTACT,
    bad_row_record,
    bad_rows,
    campaign_record,
    campaign_row,
    campaigns,
    contact_record,
    contacts,
    new_bad_row,
    new_contact,
    read_results,
)
from bot.store.database import Database, upsert
from bot.store.pages import Page, read_page
from bot.store.rows import Row, call_record, word
from bot.store.schema import calls, is_open

_AT_ONCE = 1000
"""Contacts changed in one transaction."""
_OPEN = (ContactState.QUEUED.value, ContactState.RETRY.value, ContactState.CALLING.value)


class SqlCampaignStore:
    """Every method is one transaction, but for `drop` and `leave`, which may be asked for again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- loading --------------------------------------------------------------------------------------

    async def add(self, campaign: Campaign) -> bool:
        """Keeps a new campaign; False when its id is kept already."""
        async with self._database.writer.begin() as connection:
            statement = upsert(connection, campaigns).values(campaign_row(campaign)).on_conflict_do_nothing()
            return (await connection.execute(statement)).rowcount == 1

    async def add_rows(
        self, campaign_id: str, accepted: Sequence[Contact], rejected: Sequence[BadRow], at: datetime
    ) -> None:
        """Rows of a campaign that is loading. ConflictError when it is not any more."""
        async with self._database.writer.begin() as connection:
            loading = _is(campaign_id, CampaignStatus.LOADING)
            touched = await connection.execute(campaigns.update().where(loading).values(touched_at=at))
            if touched.rowcount != 1:
                raise ConflictError("The campaign was deleted while it was loaded.")
            await _insert(connection, contacts, NEW_CONTACT, [new_contact(contact) for contact in accepted])
            await _insert(connection, bad_rows, NEW_BAD_ROW, [new_bad_row(campaign_id, bad) for bad in rejected])

    async def loaded(
        self, campaign_id: str, *, accepted: int, rejected: int, columns: Sequence[str], zones: Collection[str]
    ) -> bool:
        """All rows are kept: from now on it is dialled. False when it is not loading."""
        values: Row = {
            "status": CampaignStatus.RUNNING.value,
            "accepted": accepted,
            "rejected": rejected,
            "columns": list(columns),
            "zones": sorted(zones),
            "touched_at": None,
        }
        return await self._change(_is(campaign_id, CampaignStatus.LOADING), values)

    async def abandoned(self, before: datetime) -> Sequence[str]:
        """Campaigns whose loading was last heard of before then, and did not end."""
        query = sa.select(campaigns.c.campaign_id).where(campaigns.c.touched_at < before)
        return await self._database.column(query)

    async def drop(self, campaign_id: str) -> None:
        """Deletes a campaign that was never loaded to its end, its rows first; any other is left alone."""
        # Its loader, wherever that runs, finds it canceled and stops.
        never = sa.and_(campaigns.c.campaign_id == campaign_id, campaigns.c.touched_at.is_not(None))
        canceled: Row = {"status": CampaignStatus.CANCELED.value, "why": "its upload was cut off"}
        if not await self._change(never, canceled):
            return
        for table, key in ((contacts, contacts.c.position), (bad_rows, bad_rows.c.line)):
            mine = table.c.campaign_id == campaign_id
            some = sa.select(key).where(mine).order_by(key).limit(_AT_ONCE)
            while True:
                async with self._database.writer.begin() as connection:
                    deleted = await connection.execute(table.delete().where(mine, key.in_(some)))
                if deleted.rowcount < _AT_ONCE:
                    break
        async with self._database.writer.begin() as connection:
            await connection.execute(campaigns.delete().where(never))

    # -- reading --------------------------------------------------------------------------------------

    async def get(self, campaign_id: str) -> Campaign | None:
        async with self._database.reader.connect() as connection:
            query = sa.select(campaigns).where(campaigns.c.campaign_id == campaign_id)
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else campaign_record(row)

    async def page(
        self, *, status: CampaignStatus | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Campaign]:
        """By `created_at`, newest first. RequestError on a cursor that is not ours."""
        query = sa.select(campaigns)
        if status is not None:
            query = query.where(campaigns.c.status == status.value)
        order = (campaigns.c.created_at, campaigns.c.campaign_id)
        return await read_page(self._database.reader, query, order, campaign_record, limit=limit, cursor=cursor)

    async def active(self, canceled_since: datetime) -> Sequence[str]:
        """Campaigns that run, and those that were canceled lately."""
        canceled = sa.and_(
            campaigns.c.status == CampaignStatus.CANCELED.value, campaigns.c.ended_at > canceled_since
        )
        query = sa.select(campaigns.c.campaign_id).where(
            sa.or_(campaigns.c.status == CampaignStatus.RUNNING.value, canceled)
        )
        return await self._database.column(query)

    async def bad_rows(self, campaign_id: str, *, after: int = -1, limit: int = 100) -> Sequence[BadRow]:
        """By line, those beyond line `after`."""
        query = (
            sa.select(bad_rows)
            .where(bad_rows.c.campaign_id == campaign_id, bad_rows.c.line > after)
            .order_by(bad_rows.c.line)
            .limit(limit)
        )
        return [bad_row_record(row) for row in await self._database.rows(query)]

    async def results(self, campaign_id: str, *, after: int = -1, limit: int = 100) -> Sequence[Result]:
        """By position, those beyond position `after`, each with its last call."""
        mine = (
            sa.select(contacts)
            .where(contacts.c.campaign_id == campaign_id, contacts.c.position > after)
            .order_by(contacts.c.position)
            .limit(limit)
        )
        async with self._database.reader.connect() as connection:
            return await read_results(connection, mine)

    async def progress(self, campaign_id: str, now: datetime) -> Progress:
        table = contacts.c
        ends = (table.state, table.status, table.ended_reason, table.reached_goal)
        query = sa.select(*ends, sa.func.count()).where(table.campaign_id == campaign_id).group_by(*ends)
        async with self._database.reader.connect() as connection:
            rows = (await connection.execute(query)).all()
            calling = await self._calling(connection, campaign_id, now)
        said_hello, abandoned = await self.greeted(campaign_id)
        counts: dict[str, int] = dict.fromkeys(ContactState, 0)
        for state, *_, number in rows:
            counts[word(ContactState, state) or ContactState.DONE] += number
        endings = [
            Ending(word(Status, status), word(EndedReason, reason), goal, number)
            for state, status, reason, goal, number in rows
            if state == ContactState.DONE.value
        ]
        return Progress(
            queued=counts[ContactState.QUEUED],
            waiting=counts[ContactState.RETRY] + calling["put_off"] + calling["due"],
            dialling=calling["dialling"],
            on_the_line=calling["on_the_line"],
            done=counts[ContactState.DONE],
            left=counts[ContactState.LEFT],
            endings=tuple(sorted(endings, key=lambda ending: -ending.contacts)),
            said_hello=said_hello,
            abandoned=abandoned,
        )

    async def calling(self, campaign_id: str, now: datetime) -> tuple[int, int]:
        """Contacts with a call that is not over: (under way, or to be by now; put off to a later time)."""
        async with self._database.reader.connect() as connection:
            counts = await self._calling(connection, campaign_id, now)
        return counts["due"] + counts["dialling"] + counts["on_the_line"], counts["put_off"]

    async def _calling(self, connection: AsyncConnection, campaign_id: str, now: datetime) -> dict[str, int]:
        queued = calls.c.status == Status.QUEUED.value
        where = sa.case(
            (sa.and_(queued, calls.c.scheduled_at > now), "put_off"),
            # A call is scheduled for its own beginning, until something puts it off.
            (sa.and_(queued, calls.c.scheduled_at > calls.c.created_at), "due"),
            (calls.c.status == Status.IN_PROGRESS.value, "on_the_line"),
            else_="dialling",
        )
        query = (
            sa.select(where, sa.func.count())
            .select_from(contacts.outerjoin(calls, calls.c.call_id == contacts.c.call_id))
            .where(contacts.c.campaign_id == campaign_id, contacts.c.state == ContactState.CALLING.value)
            .group_by(where)
        )
        found = (await connection.execute(query)).all()
        return dict.fromkeys(("put_off", "due", "dialling", "on_the_line"), 0) | {row[0]: row[1] for row in found}

    async def overlaps(self, campaign_id: str, numbers: Sequence[str]) -> dict[str | None, int]:
        """How many of these numbers others are still to call, or are calling: by campaign, and under None those
        of calls that were asked for one by one."""
        going = (CampaignStatus.RUNNING.value, CampaignStatus.PAUSED.value)
        theirs = (
            sa.select(contacts.c.campaign_id, sa.func.count())
            .join(campaigns, campaigns.c.campaign_id == contacts.c.campaign_id)
            .where(
                contacts.c.phone_number.in_(numbers),
                contacts.c.campaign_id != campaign_id,
                contacts.c.state.in_(_OPEN),
                campaigns.c.status.in_(going),
            )
            .group_by(contacts.c.campaign_id)
        )
        single = sa.select(sa.func.count(calls.c.phone_number.distinct())).where(
            calls.c.phone_number.in_(numbers), is_open, calls.c.campaign_id.is_(None)
        )
        async with self._database.reader.connect() as connection:
            found: dict[str | None, int] = {row[0]: row[1] for row in (await connection.execute(theirs)).all()}
            if alone := (await connection.execute(single)).scalar_one():
                found[None] = alone
        return found

    # -- dialling -------------------------------------------------------------------------------------

    async def due(
        self, campaign_id: str, now: datetime, limit: int, zones: Collection[str] | None = None
    ) -> Sequence[Contact]:
        """Contacts to be called again by `now`, the one that waits longest first; `zones` as for `queued`."""
        where = sa.and_(_in(campaign_id, ContactState.RETRY), contacts.c.due_at <= now, _of(zones))
        return await self._contacts(where, (contacts.c.due_at, contacts.c.position), limit)

    async def queued(
        self, campaign_id: str, limit: int, zones: Collection[str] | None = None
    ) -> Sequence[Contact]:
        """Contacts that were not called yet, in the order of the upload; `zones`: only those of these zones."""
        where = sa.and_(_in(campaign_id, ContactState.QUEUED), _of(zones))
        return await self._contacts(where, (contacts.c.position,), limit)

    async def next_due(self, campaign_id: str, after: datetime) -> datetime | None:
        """When the first contact comes due after that time."""
        query = sa.select(sa.func.min(contacts.c.due_at)).where(
            _in(campaign_id, ContactState.RETRY), contacts.c.due_at > after
        )
        async with self._database.reader.connect() as connection:
            due: datetime | None = (await connection.execute(query)).scalar_one()
        return due

    async def open_contacts(self, campaign_id: str) -> bool:
        """Whether any contact is still to be called, or has a call that is not over."""
        query = (
            sa.select(contacts.c.position)
            .where(contacts.c.campaign_id == campaign_id, contacts.c.state.in_(_OPEN))
            .limit(1)
        )
        async with self._database.reader.connect() as connection:
            return (await connection.execute(query)).first() is not None

    async def begin(self, contact: Contact, call_id: str, attempt: int) -> bool:
        """Notes that the contact's call is placed. False when it was not waiting for that attempt."""
        where = sa.and_(
            _contact(contact.contact_id),
            contacts.c.state.in_((ContactState.QUEUED.value, ContactState.RETRY.value)),
            contacts.c.attempts == attempt - 1,
        )
        values: Row = {
            "state": ContactState.CALLING.value,
            "attempts": attempt,
            "call_id": call_id,
            "next_call_id": None,
            "due_at": None,
        }
        return await self._change_contacts(where, values)

    async def take_place(self, call: CallRecord, concurrency: int, now: datetime) -> int:
        """A place for a call that waits, among its campaign's calls under way: 0 once it has one; else how many
        are due without one.

        Who has a place has no `scheduled_at`: whatever puts the call off takes it away, and its end frees it.
        """
        state, at = calls.c.status, calls.c.scheduled_at
        mine, queued = calls.c.campaign_id == call.campaign_id, state == Status.QUEUED.value
        placeless = sa.and_(calls.c.call_id == call.call_id, queued, at.is_not(None))
        taken = sa.select(sa.func.count()).where(mine, state.in_(OPEN_STATUSES), at.is_(None))
        async with self._database.writer.begin() as connection:
            # One at a time, in all processes: each transaction would count the other's call out.
            campaign = sa.select(campaigns.c.campaign_id).where(campaigns.c.campaign_id == call.campaign_id)
            await connection.execute(campaign.with_for_update())
            if (await connection.execute(sa.select(calls.c.call_id).where(placeless))).first() is None:
                return 0
            if (await connection.execute(taken)).scalar_one() < concurrency:
                await connection.execute(calls.update().where(placeless).values(scheduled_at=None))
                return 0
            due = sa.select(sa.func.count()).where(mine, queued, at <= now)
            return max(1, (await connection.execute(due)).scalar_one())

    async def note_end(self, call: CallRecord) -> bool:
        """Notes how the contact's call ended, and that no other follows."""
        values = _end_of(call) | {"state": ContactState.DONE.value}
        return await self._change_contacts(_has_call(call), values)

    async def put_back(
        self, call: CallRecord, next_call_id: str, due_at: datetime, *, attempts: int | None = None
    ) -> bool:
        """Notes how the contact's call ended, and that it is to be called again. `attempts`: how many count; this
        call's, if left out. False for one that was erased meanwhile: it is done."""
        values = _end_of(call) | {
            "attempts": call.attempt if attempts is None else attempts,
            "state": ContactState.RETRY.value,
            "next_call_id": next_call_id,
            "due_at": due_at,
        }
        if await self._change_contacts(sa.and_(_has_call(call), contacts.c.phone_number != ""), values):
            return True
        await self.note_end(call)
        return False

    async def endings(
        self, campaign_id: str, since: datetime
    ) -> Sequence[tuple[Status, EndedReason | None, int]]:
        """How many of the campaign's calls ended how, after `since`."""
        query = (
            sa.select(calls.c.status, calls.c.ended_reason, sa.func.count())
            .where(calls.c.campaign_id == campaign_id, calls.c.ended_at > since)
            .group_by(calls.c.status, calls.c.ended_reason)
        )
        async with self._database.reader.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            (word(Status, status) or Status.FAILED, word(EndedReason, reason), n) for status, reason, n in rows
        ]

    async def greeted(self, campaign_id: str, since: datetime | None = None) -> tuple[int, int]:
        """How many callees of calls that ended after `since` said hello, and how many of them were abandoned."""
        gone = sa.func.sum(sa.case((calls.c.abandoned.is_(True), 1), else_=0))
        query = sa.select(sa.func.count(), sa.func.coalesce(gone, 0)).where(
            calls.c.campaign_id == campaign_id, calls.c.abandoned.is_not(None)
        )
        if since is not None:
            query = query.where(calls.c.ended_at > since)
        async with self._database.reader.connect() as connection:
            said, abandoned = (await connection.execute(query)).one()
        return int(said), int(abandoned)

    async def over(self, campaign_id: str, before: datetime, limit: int = 100) -> Sequence[CallRecord]:
        """Calls that ended before then, and whose contacts do not know."""
        query = (
            sa.select(calls)
            .join(contacts, contacts.c.call_id == calls.c.call_id)
            .where(
                _in(campaign_id, ContactState.CALLING),
                calls.c.status.in_(FINAL_STATUSES),
                calls.c.ended_at < before,
            )
            .limit(limit)
        )
        return [call_record(row) for row in await self._database.rows(query)]

    async def not_yet_dialled(self, campaign_id: str) -> Sequence[CallRecord]:
        """Calls of the campaign that still wait to be dialled."""
        query = sa.select(calls).where(calls.c.campaign_id == campaign_id, calls.c.status == Status.QUEUED.value)
        return [call_record(row) for row in await self._database.rows(query)]

    # -- status ---------------------------------------------------------------------------------------

    async def change_status(
        self,
        campaign_id: str,
        allowed: Collection[CampaignStatus],
        status: CampaignStatus,
        *,
        why: str | None,
        at: datetime,
    ) -> bool:
        """Moves a campaign that stands in one of `allowed`; returns whether it did."""
        values: Row = {"status": status.value, "why": why}
        if status is CampaignStatus.RUNNING:
            values["resumed_at"] = at
        if status.over:
            values["ended_at"] = at
        return await self._change(_is(campaign_id, *allowed), values)

    async def note_why(self, campaign_id: str, why: str | None) -> None:
        """Says why a running campaign does not dial at the moment."""
        news = campaigns.c.why.is_distinct_from(why)
        await self._change(sa.and_(_is(campaign_id, CampaignStatus.RUNNING), news), {"why": why})

    async def leave(self, campaign: Campaign) -> None:
        """Nobody else is called: who was not stays `left`, who was to be called again is `done`."""
        for state, left in ((ContactState.QUEUED, ContactState.LEFT), (ContactState.RETRY, ContactState.DONE)):
            for begin in range(0, campaign.accepted, _AT_ONCE):
                some = contacts.c.position.between(begin, begin + _AT_ONCE - 1)
                values: Row = {"state": left.value, "due_at": None, "next_call_id": None}
                await self._change_contacts(sa.and_(_in(campaign.campaign_id, state), some), values)

    async def _contacts(self, where: Any, order: Sequence[Any], limit: int) -> Sequence[Contact]:
        query = sa.select(contacts).where(where).order_by(*order).limit(limit)
        return [contact_record(row) for row in await self._database.rows(query)]

    async def _change(self, where: sa.ColumnElement[bool], values: Row) -> bool:
        async with self._database.writer.begin() as connection:
            return (await connection.execute(campaigns.update().where(where).values(values))).rowcount > 0

    async def _change_contacts(self, where: sa.ColumnElement[bool], values: Row) -> bool:
        async with self._database.writer.begin() as connection:
            return (await connection.execute(contacts.update().where(where).values(values))).rowcount > 0


async def _insert(
    connection: AsyncConnection, table: sa.Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Many rows, given to the driver as they are: SQLAlchemy's way costs each 20 µs of the event loop."""
    if not rows:
        return
    statement = table.insert().compile(dialect=connection.dialect, column_keys=list(columns))
    assert statement.positiontup == list(columns)
    await connection.exec_driver_sql(str(statement), list(rows))


def _is(campaign_id: str, *statuses: CampaignStatus) -> sa.ColumnElement[bool]:
    words = [status.value for status in statuses]
    return sa.and_(campaigns.c.campaign_id == campaign_id, campaigns.c.status.in_(words))


def _in(campaign_id: str, state: ContactState) -> sa.ColumnElement[bool]:
    return sa.and_(contacts.c.campaign_id == campaign_id, contacts.c.state == state.value)


def _of(zones: Collection[str] | None) -> sa.ColumnElement[bool]:
    return sa.true() if zones is None else contacts.c.zone.in_(list(zones))


def _contact(contact_id: str) -> sa.ColumnElement[bool]:
    try:
        campaign_id, position = contact_place(contact_id)
    except ValueError as e:
        raise RequestError(str(e)) from e
    return sa.and_(contacts.c.campaign_id == campaign_id, contacts.c.position == position)


def _has_call(call: CallRecord) -> sa.ColumnElement[bool]:
    """The contact whose call this is, once: a repeat changes nothing. A call may be over before
    `begin` has noted that it was placed."""
    if call.contact_id is None:
        raise NotFoundError(f"Call {call.call_id} is no campaign's.")
    state, attempts = contacts.c.state, contacts.c.attempts
    calling = sa.and_(state == ContactState.CALLING.value, contacts.c.call_id == call.call_id)
    waiting = state.in_((ContactState.QUEUED.value, ContactState.RETRY.value))
    return sa.and_(_contact(call.contact_id), sa.or_(calling, sa.and_(waiting, attempts == call.attempt - 1)))


def _end_of(call: CallRecord) -> Row:
    return {
        "status": call.status.value,
        "ended_reason": None if call.ended_reason is None else call.ended_reason.value,
        "reached_goal": None if call.outcome is None else call.outcome.reached_goal,
        "call_id": call.call_id,
        "attempts": call.attempt,
        "next_call_id": None,
        "due_at": None,
    }
