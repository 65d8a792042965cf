"""Retention and erasure over a real store, a real engine and files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.calls import retention as retention_module
from bot.calls.recordings import Recordings
from bot.calls.retention import Erasure, Look, Retention, cutoffs
from bot.errors import SettingsError
from bot.records import CallRecord, CallSpec, Outcome, Status
from bot.settings import Settings, load_settings
from bot.store import CallChange, Database, SqlCallStore
from bot.store.address import SqliteAddress
from bot.store.campaign_records import Campaign, CampaignStatus, Contact
from bot.store.campaigns import SqlCampaignStore
from bot.store.durable.engine import DurableEngine
from bot.store.retention import Erased, Kept, SqlRetentionStore, Standing
from tests.unit.store.examples import NOON, a_call, a_turn

NUMBER = "+12025550123"


@dataclass
class RetentionHarness:
    store: SqlCallStore
    retention: Retention
    recordings: Path
    engine: DurableEngine
    canceled: list[str] = field(default_factory=list)
    now: datetime = NOON

    async def keep(self, call_id: str, status: Status = Status.COMPLETED, *, days: float = 0) -> None:
        """A call that ended `days` after NOON, if it did, with a recording."""
        ended = NOON + timedelta(days=days) if status.final else None
        record = a_call(call_id, status=status, ended_at=ended, recording=f"{call_id}.wav", turns=(a_turn(),))
        await self.store.add(record)
        (self.recordings / f"{call_id}.wav").write_bytes(b"RIFF")

    async def get(self, call_id: str) -> CallRecord:
        record = await self.store.get(call_id)
        assert record is not None
        return record

    def files(self) -> list[str]:
        return sorted(path.stem for path in self.recordings.iterdir())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_module, "POLL_SECONDS", 0.02)


@dataclass
class Looks:
    """The looks of erasures: none goes on before it may."""

    begun: int = 0
    may: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def let(self, number: int = 1000) -> None:
        for _ in range(number):
            self.may.release()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Without their waits in between."""
    monkeypatch.setattr(retention_module, "LOOK_AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(retention_module, "REPEAT_SECONDS", 0.02)
    looks, of_contacts = Looks(), SqlRetentionStore.of_contacts

    async def held(self: SqlRetentionStore, contact_ids: Collection[str]) -> Sequence[Standing]:
        looks.begun += 1
        await looks.may.acquire()
        return await of_contacts(self, contact_ids)

    monkeypatch.setattr(SqlRetentionStore, "of_contacts", held)
    return looks


@asynccontextmanager
async def retention_harness(
    tmp_path: Path, *, working: bool = False, **settings: Any
) -> AsyncIterator[RetentionHarness]:
    """`working`: the durable engine runs."""
    recordings = tmp_path / "recordings"
    recordings.mkdir(exist_ok=True)
    address = SqliteAddress(tmp_path / "calls.db")
    store, engine = SqlCallStore(Database(address)), DurableEngine(address, poll_seconds=0.02)
    await store.open()

    async def cancel(call_id: str) -> bool:
        if (await harness.get(call_id)).call_sid is not None:
            return False  # it begins just now
        harness.canceled.append(call_id)
        return await store.advance(call_id, Status.CANCELED, at=harness.now)

    retention = Retention(
        engine,
        SqlRetentionStore(store.database),
        Settings(_env_file=None, **settings),
        recordings=Recordings(recordings),
        cancel=cancel,
        now=lambda: harness.now,
    )
    harness = RetentionHarness(store, retention, recordings, engine)
    retention.register()
    if working:
        await engine.open()
    try:
        yield harness
    finally:
        await engine.close()
        await store.close()


def test_what_is_not_set_is_kept() -> None:
    assert cutoffs(Settings(_env_file=None), NOON) == {}
    settings = Settings(_env_file=None, retention_recordings_days=30, retention_numbers_days=365)
    assert cutoffs(settings, NOON) == {
        Kept.RECORDING: NOON - timedelta(days=30),
        Kept.NUMBER: NOON - timedelta(days=365),
    }


def test_no_days_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETENTION_RECORDINGS_DAYS", "0")
    with pytest.raises(SettingsError, match="RETENTION_RECORDINGS_DAYS"):
        load_settings()


async def test_the_daily_run_erases_each_when_its_days_are_over(tmp_path: Path) -> None:
    days: dict[str, Any] = {
        "retention_recordings_days": 10,
        "retention_transcripts_days": 20,
        "retention_numbers_days": 30,
    }
    async with retention_harness(tmp_path, **days) as harness:
        for day in range(0, 40, 5):
            await harness.keep(f"call-{day:02}", days=day)
        harness.now = NOON + timedelta(days=36)
        for _ in range(2):  # the second finds nothing, and changes nothing
            await harness.retention.run()
            assert harness.files() == ["call-30", "call-35"]
            records = [await harness.get(f"call-{day:02}") for day in range(0, 40, 5)]
            assert [r.recording is None for r in records] == [True] * 6 + [False] * 2
            assert [r.turns[0].text == "" for r in records] == [True] * 4 + [False] * 4
            assert [r.spec.phone_number == "+1" for r in records] == [True] * 2 + [False] * 6


async def test_the_daily_run_works_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retention_harness(tmp_path, retention_transcripts_days=1) as harness:
        for number in range(450):
            await harness.store.add(a_call(f"call-{number}", status=Status.COMPLETED, ended_at=NOON))
        sizes: list[int] = []
        erase = SqlRetentionStore.erase

        async def counted(self: SqlRetentionStore, ids: list[str], *args: object) -> Erased:
            sizes.append(len(ids))
            return await erase(self, ids, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(SqlRetentionStore, "erase", counted)
        harness.now = NOON + timedelta(days=2)
        await harness.retention.run()
        assert sizes == [200, 200, 50]
        assert (await harness.get("call-449")).spec.action == ""


async def test_without_days_the_daily_run_does_nothing(tmp_path: Path) -> None:
    async with retention_harness(tmp_path) as harness:
        await harness.keep("call-1")
        harness.now = NOON + timedelta(days=4000)
        before = await harness.get("call-1")
        await harness.retention.run()
        assert await harness.get("call-1") == before
        assert harness.files() == ["call-1"]


async def test_each_server_deletes_its_own_recordings(tmp_path: Path) -> None:
    """One database, two machines: the run fires on one, the other finds out what was erased."""
    async with retention_harness(tmp_path, retention_recordings_days=1) as harness:
        await harness.keep("call-1")
        await harness.keep("call-2", days=9)
        elsewhere = tmp_path / "elsewhere"
        (harness.recordings).rename(elsewhere)
        harness.recordings.mkdir()
        harness.now = NOON + timedelta(days=5)
        await harness.retention.run()
        assert sorted(path.stem for path in elsewhere.iterdir()) == ["call-1", "call-2"]
        (elsewhere / "call-of-nobody.wav").write_bytes(b"RIFF")
        other = Retention(
            harness.engine,
            SqlRetentionStore(harness.store.database),
            Settings(_env_file=None),
            recordings=Recordings(elsewhere),
            cancel=harness.retention._cancel,
        )
        sweeping = asyncio.create_task(other.sweep_hourly())
        await until(lambda: not (elsewhere / "call-1.wav").exists())
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        assert sorted(path.stem for path in elsewhere.iterdir()) == ["call-2", "call-of-nobody"]


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if true():
                return
            await asyncio.sleep(0.01)


async def test_an_erasure_takes_what_is_over_cancels_what_waits_and_follows_the_rest(
    tmp_path: Path, looks: Looks
) -> None:
    async with retention_harness(tmp_path, working=True) as harness:
        await harness.keep("call-over")
        await harness.keep("call-waits", Status.QUEUED)
        await harness.keep("call-talks", Status.IN_PROGRESS)
        other = a_call("call-other", status=Status.COMPLETED, ended_at=NOON)
        await harness.store.add(replace(other, spec=replace(other.spec, phone_number="+442071838750")))
        before = await harness.get("call-other")

        erasure = await harness.retention.erase(NUMBER)
        assert erasure == Erasure(Erased(calls=2, turns=2, recordings=2), calls_canceled=1, calls_under_way=1)
        assert harness.files() == ["call-talks"]
        assert (await harness.get("call-talks")).turns[0].text == "Hello?"
        looks.let()

        # It ends, as a call that is tried again: the retry is called off, and its record emptied.
        await harness.store.add(a_call("call-retry"))
        await harness.store.advance(
            "call-talks", Status.COMPLETED, at=NOON, change=CallChange(retried_as="call-retry")
        )
        await until(lambda: "call-retry" in harness.canceled)
        assert harness.canceled == ["call-waits", "call-retry"]
        await until(lambda: not harness.files())
        for call_id in ("call-over", "call-waits", "call-talks", "call-retry"):
            await becomes(harness, call_id, lambda record: record.spec.phone_number == "+1")
        assert await harness.get("call-other") == before


async def becomes(harness: RetentionHarness, call_id: str, true: Callable[[CallRecord], bool]) -> CallRecord:
    """The record once that is so."""
    async with asyncio.timeout(10):
        while True:
            record = await harness.get(call_id)
            if true(record):
                return record
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("look", [1, 2, 3])
async def test_what_is_written_after_an_erasure_goes_too(tmp_path: Path, looks: Looks, look: int) -> None:
    async with retention_harness(tmp_path, working=True) as harness:
        await harness.keep("call-1")
        await harness.retention.erase(NUMBER)
        looks.let(look - 1)
        await until(lambda: looks.begun == look)
        late = Outcome(True, "John comes on Thursday.", {"day": "Thursday"})
        await harness.store.update("call-1", CallChange(outcome=late, recording="call-1.wav"))
        looks.let()
        record = await becomes(harness, "call-1", lambda record: record.outcome == Outcome(True, ""))
        assert record.recording is None


async def test_no_erasure_waits_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that wait for their last look, an hour later, hold no place."""
    monkeypatch.setattr(retention_module, "LOOK_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(retention_module, "LOOKS_AT_ONCE", 2)
    async with retention_harness(tmp_path, working=True) as harness:
        for number in range(6):
            spec = replace(a_call().spec, phone_number=f"+1202555010{number}")
            await harness.store.add(a_call(f"call-{number}", spec=spec, status=Status.IN_PROGRESS))
            await harness.retention.erase(spec.phone_number)
        for number in range(6):
            await harness.store.advance(f"call-{number}", Status.COMPLETED, at=NOON)
            await becomes(harness, f"call-{number}", lambda record: record.spec.phone_number == "+1")


async def test_an_attempt_that_is_named_before_it_is_there_is_waited_for(tmp_path: Path, looks: Looks) -> None:
    async with retention_harness(tmp_path, working=True) as harness:
        await harness.keep("call-1")
        await harness.store.update("call-1", CallChange(retried_as="call-2"))
        await harness.retention.erase(NUMBER)
        looks.let(2)
        await until(lambda: looks.begun == 3)
        await harness.store.add(a_call("call-2"))
        looks.let()
        await becomes(harness, "call-2", lambda record: record.spec.phone_number == "+1")
        assert harness.canceled == ["call-2"]


async def test_a_call_that_a_round_places_just_after_is_erased(tmp_path: Path, looks: Looks) -> None:
    async with retention_harness(tmp_path, working=True) as harness:
        campaigns = SqlCampaignStore(harness.store.database)
        await campaigns.add(Campaign("camp", CallSpec("", "survey"), CampaignStatus.LOADING, NOON))
        await campaigns.add_rows("camp", [Contact("camp", 0, 2, NUMBER)], [], NOON)
        await campaigns.loaded("camp", accepted=1, rejected=0, columns=(), zones=())
        (chosen,) = await campaigns.queued("camp", 1)
        assert await harness.retention.erase(NUMBER) == Erasure(Erased(contacts=1))
        await harness.store.add(a_call("call-1", campaign_id="camp", contact_id=chosen.contact_id))
        assert not await campaigns.begin(chosen, "call-1", 1)
        looks.let()
        await becomes(harness, "call-1", lambda record: record.spec.phone_number == "+1")
        assert harness.canceled == ["call-1"]


def test_looks_go_on_until_three_found_nothing_new() -> None:
    talks, over = Standing("call-1", Status.IN_PROGRESS), Standing("call-1", Status.COMPLETED, "call-2")
    again = Standing("call-2", Status.CANCELED)
    look: Look | None = Look("erase", ("call-1",))
    looks = []
    for found in ([talks], [over], [over, again], [over, again], [over, again], [over, again]):
        assert look is not None
        looks.append((look.id, look.delay_seconds))
        look = look.next(found)
    assert look is None
    assert looks == [(f"erase:{number}", 3600 if number == 6 else 60) for number in range(1, 7)]


async def test_the_engine_is_told_no_number(tmp_path: Path) -> None:
    async with retention_harness(tmp_path, working=True) as harness:
        told: list[tuple[Any, ...]] = []
        enqueue = harness.engine.enqueue

        async def noted(workflow: str, *args: Any, **options: Any) -> bool:
            told.append((*args, options["id"]))
            return await enqueue(workflow, *args, **options)

        harness.engine.enqueue = noted  # type: ignore[method-assign]
        await harness.keep("call-1")
        await harness.retention.erase(NUMBER)
        ((name, *rest, look),) = told
        assert rest == [["call-1"], [], 1, 0]
        assert (await harness.engine.arguments(look) or ()) == (name, *rest)
        assert NUMBER[1:] not in str(told)


async def test_the_engine_forgets_what_is_done(tmp_path: Path) -> None:
    async with retention_harness(tmp_path) as harness:
        done: list[str] = []

        async def note(word: str) -> None:
            done.append(word)

        harness.engine.workflow("note", note)
        harness.engine.queue("notes")
        await harness.engine.open()
        await harness.engine.enqueue("note", "a", id="done", queue="notes")
        await harness.engine.enqueue("note", "b", id="waits", queue="notes", delay_seconds=3600)
        await until(lambda: done == ["a"])
        harness.now = datetime.now(UTC) + timedelta(hours=23)
        await harness.retention.forget_workflows()
        assert await harness.engine.arguments("done") == ("a",)
        harness.now += timedelta(hours=2)
        while await harness.engine.arguments("done") is not None:  # its end is written a moment after it ran
            await harness.retention.forget_workflows()
        assert await harness.engine.arguments("waits") == ("b",), "what is not done stays"


async def test_a_call_that_begins_just_now_is_erased_at_its_end(tmp_path: Path) -> None:
    async with retention_harness(tmp_path, working=True) as harness:
        await harness.store.add(a_call("call-1", call_sid="CA1"))
        erasure = await harness.retention.erase(NUMBER)
        assert (erasure.calls_canceled, erasure.calls_under_way) == (0, 1)
        nobody = await harness.retention.erase("+442071838750")
        assert nobody == Erasure(Erased())
