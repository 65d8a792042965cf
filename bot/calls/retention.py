"""What is kept of callees, and how long: erasure when its days are over, and on request.

The database is one and is emptied by one daily run, whichever process it fires in. A recording is a file of the
machine that held the call, which no other machine reaches: the run takes it out of the record, so it is served
no more, and every server looks through its own folder each hour and deletes what was erased.

An erasure on request takes all that is over at once. A call that waits to be dialled is canceled. A call on the
line goes on, and is erased at its end: refusing the request (409) was the other way, and would make its sender
come back until no call with the number is under way. What is written of a call after its end (its
outcome, its last event) may come after an erasure, and so may its next attempt: calls are looked at until nothing
new was found of them, once more a minute later and at last an hour later. Each look is a short workflow that
begins the next one with a delay: one that slept in between would hold a place of its queue.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from loguru import logger

from bot.calls.recordings import Recordings
from bot.records import Status
from bot.settings import Settings
from bot.store.connections import DATABASE_ERRORS, retry_database
from bot.store.durable.engine import DurableEngine
from bot.store.retention import AT_ONCE, Erased, Kept, SqlRetentionStore, Standing

QUEUE = "erasures"
WORKFLOW = "erase_calls"
DAILY = "0 17 3 * * *"
HOURLY = "0 41 * * * *"
FINISHED_HOURS = 24
"""How long the engine keeps what is done. It has ids only, and a carrier's refusal, which may name the number."""
LOOKS_AT_ONCE = 16
"""In one process."""
POLL_SECONDS = 5.0
"""No caller waits for it, and each look at a queue is three statements in every process."""
SWEEP_SECONDS = 3600.0
LOOK_AGAIN_SECONDS = 60.0
"""At calls on the line, and at those that were found to be over."""
REPEAT_SECONDS = 3600.0
"""After a call's end nothing is written of it any more: its analysis has failed or succeeded long before."""
QUIET_LOOKS = 2
"""A minute apart, before the last one."""
ALL = tuple(Kept)
Cancel = Callable[[str], Awaitable[bool]]
"""Ends a call that waits to be dialled; False where it is over, or begins just now."""


@dataclass(frozen=True)
class Erasure:
    """The result of a request."""

    erased: Erased
    calls_canceled: int = 0
    """They were waiting to be dialled."""
    calls_under_way: int = 0
    """To be erased at their end."""


@dataclass(frozen=True)
class Look:
    """One look of a request's at its calls. It has ids only: the engine keeps the arguments of a workflow."""

    name: str
    """Of all its looks."""
    call_ids: tuple[str, ...] = ()
    contact_ids: tuple[str, ...] = ()
    """Of campaigns: a round that chose one just before may place its call just after."""
    number: int = 1
    quiet: int = 0
    """Looks in a row that found nothing new."""

    @property
    def id(self) -> str:
        return f"{self.name}:{self.number}"

    @property
    def delay_seconds(self) -> float:
        """From the look before."""
        return REPEAT_SECONDS if self.quiet == QUIET_LOOKS else LOOK_AGAIN_SECONDS

    def next(self, found: Sequence[Standing]) -> Look | None:
        """The one after it, by how the calls stood before it. None: all is erased."""
        call_ids = tuple(each.call_id for each in found)
        news = any(not each.status.final for each in found) or not set(call_ids) <= set(self.call_ids)
        quiet = 0 if news else self.quiet + 1
        if quiet > QUIET_LOOKS:
            return None
        return replace(self, call_ids=call_ids, number=self.number + 1, quiet=quiet)


def cutoffs(settings: Settings, now: datetime) -> dict[Kept, datetime]:
    """Calls that ended before then lose it; what is not named is kept."""
    days = {
        Kept.RECORDING: settings.retention_recordings_days,
        Kept.TRANSCRIPT: settings.retention_transcripts_days,
        Kept.NUMBER: settings.retention_numbers_days,
    }
    return {kept: now - timedelta(days=limit) for kept, limit in days.items() if limit is not None}


class Retention:
    """`register` before the engine opens."""

    def __init__(
        self,
        engine: DurableEngine,
        store: SqlRetentionStore,
        settings: Settings,
        *,
        recordings: Recordings,
        cancel: Cancel,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine, self._store, self._settings = engine, store, settings
        self._recordings = recordings
        self._cancel = cancel
        self._now = now

    def register(self) -> None:
        self._engine.queue(QUEUE, per_process=LOOKS_AT_ONCE, poll_seconds=POLL_SECONDS)
        self._engine.workflow(WORKFLOW, self._follow)
        self._engine.schedule("retention", DAILY, self.run)
        self._engine.schedule("forget_workflows", HOURLY, self.forget_workflows)

    # -- by age ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Erase what is due, in batches; one that is cut short is gone on with by the next."""
        now = self._now()
        limits = cutoffs(self._settings, now)
        for kept, before in limits.items():
            erased = Erased()
            while due := await self._store.due(kept, before):
                erased += await self._store.erase(due, (kept,), now)
                await self._recordings.delete(due if kept is Kept.RECORDING else ())
            if erased.calls:
                logger.info("retention: {} of {} call(s) erased", kept.value, erased.calls)
        if Kept.NUMBER in limits:
            while campaigns := await self._store.campaigns_due(limits[Kept.NUMBER]):
                for campaign_id in campaigns:
                    await self._store.erase_campaign(campaign_id, now)
        await self._store.forget_consents(now)
        if limits:
            await self._store.overwrite()

    async def forget_workflows(self) -> None:
        """The engine's own rows of what is done, which it never deletes."""
        before = self._now() - timedelta(hours=FINISHED_HOURS)
        while await self._engine.forget(before):
            pass

    # -- on request -----------------------------------------------------------------------------------

    async def erase(self, phone_number: str) -> Erasure:
        """All there is of an E.164 number, but for its place on the do-not-call list."""
        name = f"erase-{secrets.token_hex(8)}"
        # Begun before anything is erased: a call that has lost its number cannot be found by it.
        await self._begin(
            Look(f"{name}-contacts", contact_ids=tuple(await self._store.open_contacts(phone_number)))
        )
        contacts = await self._store.leave(phone_number)
        await self._store.erase_mentions(phone_number)
        standing = await self._store.of_number(phone_number)
        # Apart: those under way are looked at often, and there may be years of the others.
        await self._begin(Look(f"{name}-over", tuple(each.call_id for each in standing if each.status.final)))
        await self._begin(Look(f"{name}-open", tuple(each.call_id for each in standing if not each.status.final)))
        canceled = sum([await self._cancel(each.call_id) for each in standing if each.status is Status.QUEUED])
        erased, open_ones = await self._erase([each.call_id for each in standing])
        await self._store.overwrite()
        logger.info("on request {} call(s) were erased, {} are to follow", erased.calls, len(open_ones))
        return Erasure(erased + Erased(contacts=contacts), canceled, len(open_ones))

    async def _erase(self, call_ids: Sequence[str]) -> tuple[Erased, list[str]]:
        """Erases those that are over; which are not."""
        erased, open_ones = Erased(), []
        for begin in range(0, len(call_ids), AT_ONCE):
            some = call_ids[begin : begin + AT_ONCE]
            erased += await self._store.erase(some, ALL, self._now())
            standing = await self._store.standing(some)
            open_ones += [each.call_id for each in standing if not each.status.final]
            await self._recordings.delete(each.call_id for each in standing if each.status.final)
        return erased, open_ones

    async def _begin(self, look: Look) -> None:
        """Once, however often it is asked for; nothing where there is nothing to look at."""
        if not look.call_ids and not look.contact_ids:
            return
        await self._engine.enqueue(
            WORKFLOW,
            *(look.name, list(look.call_ids), list(look.contact_ids), look.number, look.quiet),
            id=look.id,
            queue=QUEUE,
            delay_seconds=look.delay_seconds,
        )

    async def _follow(
        self, name: str, call_ids: list[str], contact_ids: list[str], number: int, quiet: int
    ) -> None:
        """A workflow: one look, and the next is begun. What a crash cut short is done again from its start."""
        look = Look(name, tuple(call_ids), tuple(contact_ids), number, quiet)
        await retry_database(lambda: self._look(look))

    async def _look(self, look: Look) -> None:
        found = await self._with_attempts(
            [*await self._standing(look.call_ids), *await self._store.of_contacts(look.contact_ids)]
        )
        for each in found:
            if each.status is Status.QUEUED:
                await self._cancel(each.call_id)
        await self._erase([each.call_id for each in found])
        await self._store.overwrite()
        following = look.next(found)
        if following is not None:
            await self._begin(following)

    async def _with_attempts(self, calls: Sequence[Standing]) -> list[Standing]:
        """These, and the attempts that follow them."""
        found = {each.call_id: each for each in calls}
        asked = set(found)
        while named := {each.retried_as for each in found.values() if each.retried_as is not None} - asked:
            asked |= named
            found |= {each.call_id: each for each in await self._standing(sorted(named))}
        return list(found.values())

    async def _standing(self, call_ids: Sequence[str]) -> list[Standing]:
        found: list[Standing] = []
        for begin in range(0, len(call_ids), AT_ONCE):
            found += await self._store.standing(call_ids[begin : begin + AT_ONCE])
        return found

    # -- the files of this machine --------------------------------------------------------------------

    async def sweep_hourly(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.sweep()
            except DATABASE_ERRORS as e:
                logger.warning("erased recordings could not be looked for: {}", e)
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Deletes this machine's recordings that were erased, here or elsewhere, or are no call's; how many."""
        here = await self._recordings.call_ids()
        deleted = 0
        for begin in range(0, len(here), AT_ONCE):
            before = self._now() - timedelta(seconds=SWEEP_SECONDS)
            erased = await self._store.recordings_gone(here[begin : begin + AT_ONCE], before)
            deleted += await self._recordings.delete(erased)
        return deleted
