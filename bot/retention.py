"""What is kept of callees, and how long: erasure when its days are over, and on request.

The database is one and is emptied by one daily run, whichever process it fires in. A recording is a file of the
machine that held the call, which no other machine reaches: the run takes it out of the record, so nobody is given
it any more, and every server looks through its own folder each hour and deletes what was erased.

An erasure on request takes all that is over at once. A call that waits to be dialled is canceled. A call on the
line goes on, and is erased at its end: refusing the request (409) was the other way, and would make its sender
come back until he finds the moment at which nobody is talked to. What is written of a call after its end (its
outcome, its last event) may come after an erasure, so that is repeated an hour later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loguru import logger

from bot.durable import DurableEngine
from bot.records import Status
from bot.settings import Settings
from bot.store.connections import DATABASE_ERRORS
from bot.store.retention import AT_ONCE, Erased, Kept, SqlRetentionStore

QUEUE = "erasures"
WORKFLOW = "erase_calls"
DAILY = "0 17 3 * * *"
HOURLY = "0 41 * * * *"
FINISHED_HOURS = 24
"""How long the engine keeps what is done. It has ids only, and a carrier's refusal, which may name the number."""
POLL_SECONDS = 5.0
"""Nobody waits for it: each look at a queue is three statements in every process."""
SWEEP_SECONDS = 3600.0
LOOK_AGAIN_SECONDS = 60.0
"""At calls on the line."""
REPEAT_SECONDS = 3600.0
"""After a call's end nothing is written of it any more: its analysis has failed or succeeded long before."""
ALL = tuple(Kept)
Cancel = Callable[[str], Awaitable[bool]]
"""Ends a call that waits to be dialled; False where it is over, or begins just now."""


@dataclass(frozen=True)
class Erasure:
    """What came of a request."""

    erased: Erased
    calls_canceled: int = 0
    """They were waiting to be dialled."""
    calls_under_way: int = 0
    """To be erased at their end."""


def cutoffs(settings: Settings, now: datetime) -> dict[Kept, datetime]:
    """Calls that ended before then lose it; what is not named is kept."""
    days = {
        Kept.RECORDING: settings.retention_recordings_days,
        Kept.TRANSCRIPT: settings.retention_transcripts_days,
        Kept.NUMBER: settings.retention_numbers_days,
    }
    return {kept: now - timedelta(days=limit) for kept, limit in days.items() if limit is not None}


class Retention:
    """`register` before the engine opens. `recordings` is this machine's folder."""

    def __init__(
        self,
        engine: DurableEngine,
        store: SqlRetentionStore,
        settings: Settings,
        *,
        recordings: Path,
        cancel: Cancel,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine, self._store, self._settings = engine, store, settings
        self._recordings = recordings
        self._cancel = cancel
        self._now = now
        self._sweeping: asyncio.Task[None] | None = None

    def register(self) -> None:
        self._engine.queue(QUEUE, concurrency=2, poll_seconds=POLL_SECONDS)
        self._engine.workflow(WORKFLOW, self._follow)
        self._engine.schedule("retention", DAILY, self.run)
        self._engine.schedule("forget_workflows", HOURLY, self.forget_workflows)

    async def open(self) -> None:
        self._sweeping = asyncio.create_task(self._sweep_hourly(), name="recordings sweep")

    async def close(self) -> None:
        """Harmless when not open."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
            self._sweeping = None

    # -- by age ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Erase what is due, in batches; one that is cut short is gone on with by the next."""
        now = self._now()
        limits = cutoffs(self._settings, now)
        for kept, before in limits.items():
            erased = Erased()
            while due := await self._store.due(kept, before):
                erased += await self._store.erase(due, (kept,), now)
                await self._delete(due if kept is Kept.RECORDING else ())
            if erased.calls:
                logger.info("retention: {} of {} call(s) erased", kept.value, erased.calls)
        if Kept.NUMBER in limits:
            while campaigns := await self._store.campaigns_due(limits[Kept.NUMBER]):
                for campaign_id in campaigns:
                    await self._store.erase_campaign(campaign_id, now)
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
        contacts = await self._store.leave(phone_number)
        await self._store.erase_mentions(phone_number)
        standing = await self._store.of_number(phone_number)
        canceled = sum([await self._cancel(each.call_id) for each in standing if each.status is Status.QUEUED])
        call_ids = [each.call_id for each in standing]
        erased, open_ones = await self._erase(call_ids)
        await self._store.overwrite()
        if call_ids:
            # The engine keeps what a workflow is told: ids, and no number.
            moment = self._now().isoformat()
            await self._engine.enqueue(WORKFLOW, call_ids, id=f"erase-{call_ids[0]}-{moment}", queue=QUEUE)
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
            await self._delete(each.call_id for each in standing if each.status.final)
        return erased, open_ones

    async def _follow(self, call_ids: list[str]) -> None:
        """A workflow: until all are over, the retries of those that were under way too; and once more later."""
        every: list[str] = list(call_ids)
        while True:
            named = list(every)

            async def look(named: list[str] = named) -> dict[str, list[str]]:
                return await self._look(named)

            found = await self._engine.step("erase", look)
            every += found["retries"]
            if not found["open"] and not found["retries"]:
                break
            await self._engine.sleep(LOOK_AGAIN_SECONDS)
        await self._engine.sleep(REPEAT_SECONDS)

        async def repeat() -> None:
            await self._erase(every)
            await self._store.overwrite()

        await self._engine.step("erase again", repeat)

    async def _look(self, call_ids: list[str]) -> dict[str, list[str]]:
        _, open_ones = await self._erase(call_ids)
        known = set(call_ids)
        retries: list[str] = []
        for begin in range(0, len(call_ids), AT_ONCE):
            for each in await self._store.standing(call_ids[begin : begin + AT_ONCE]):
                if each.retried_as is not None and each.retried_as not in known:
                    retries.append(each.retried_as)
                    await self._cancel(each.retried_as)
        return {"open": open_ones, "retries": retries}

    # -- the files of this machine --------------------------------------------------------------------

    async def _sweep_hourly(self) -> None:
        while True:
            try:
                await self.sweep()
            except DATABASE_ERRORS as e:
                logger.warning("erased recordings could not be looked for: {}", e)
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Deletes this machine's recordings that were erased, here or elsewhere; how many."""
        here = await asyncio.to_thread(self._call_ids_here)
        deleted = 0
        for begin in range(0, len(here), AT_ONCE):
            deleted += await self._delete(await self._store.recordings_erased(here[begin : begin + AT_ONCE]))
        return deleted

    def _call_ids_here(self) -> list[str]:
        return sorted(path.stem for path in self._recordings.glob("*.wav"))

    async def _delete(self, call_ids: Iterable[str]) -> int:
        return await asyncio.to_thread(self._unlink, list(call_ids))

    def _unlink(self, call_ids: Sequence[str]) -> int:
        deleted = 0
        for call_id in call_ids:
            try:
                (self._recordings / f"{call_id}.wav").unlink()
                deleted += 1
            except FileNotFoundError:
                continue  # another machine's, or another process of this one was first
            except OSError as e:
                logger.error("the recording of call {} cannot be deleted: {}", call_id, e)
        return deleted
