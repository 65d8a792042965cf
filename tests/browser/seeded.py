"""Calls as a store has them after some weeks: of every ending, with all that a page can show."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from bot.policy import Terms
from bot.records import (
    AnsweredBy,
    CallRecord,
    CallSpec,
    CostItem,
    CostPart,
    Counts,
    Direction,
    EndedReason,
    Outcome,
    PricedItems,
    Sentiment,
    Speaker,
    Status,
    ToolUse,
    Turn,
    TurnLatency,
)
from bot.store import Database
from bot.store.campaign_records import BadRow, Campaign, CampaignStatus, Contact, ContactState
from bot.store.campaign_rows import contacts
from bot.store.campaigns import SqlCampaignStore
from bot.store.rows import call_row, reply_row, turn_row
from bot.store.schema import calls as calls_table
from bot.store.schema import replies, turns

SCRIPT = "<script>document.title = 'owned'</script>"
"""What a callee may say, and a page must show as words."""
_TALK = (
    (Speaker.CALLEE, "Hello?"),
    (
        Speaker.AGENT,
        "Hi John, this is Alex, an AI assistant with Downtown Dental. Does Thursday at 2pm suit?",
    ),
    (Speaker.CALLEE, f"Yes, that works. Where do I park? {SCRIPT}"),
    (Speaker.AGENT, "There is a garage behind the house, free for"),
    (Speaker.CALLEE, "Great, thanks."),
    (Speaker.AGENT, "See you on Thursday. Goodbye!"),
)
_ENDINGS = (
    (Status.COMPLETED, EndedReason.AGENT_HANGUP, AnsweredBy.PERSON),
    (Status.COMPLETED, EndedReason.CALLEE_HANGUP, AnsweredBy.PERSON),
    (Status.COMPLETED, EndedReason.VOICEMAIL_REACHED, AnsweredBy.VOICEMAIL),
    (Status.NO_ANSWER, EndedReason.DIAL_NO_ANSWER, None),
    (Status.BUSY, EndedReason.DIAL_BUSY, None),
    (Status.FAILED, EndedReason.ERROR_LLM, AnsweredBy.PERSON),
)


def talk(answered: datetime, slow: float = 1.0) -> tuple[Turn, ...]:
    """`slow`: how much longer than 720 ms replies took."""
    turns, at = [], 400
    for index, (speaker, text) in enumerate(_TALK):
        length = 300 + 60 * len(text)
        agent = speaker is Speaker.AGENT
        parts = (720.0, 210.0, 90.0, 60.0, 180.0, 60.0, 110.0, 10.0)
        latency = TurnLatency(*(slow * part for part in parts)) if agent and index > 1 else None
        tools = (ToolUse("record_outcome", {"confirmed": True}, {"ok": True}, at + 200),) if index == 3 else ()
        turns.append(
            Turn(
                index,
                speaker,
                text,
                answered + timedelta(milliseconds=at),
                at,
                at + length,
                interrupted=index == 3,
                latency=latency,
                tools=tools,
            )
        )
        at += length + 700
    return tuple(turns)


def calls(count: int, now: datetime | None = None, *, turns: bool = True) -> Iterator[CallRecord]:
    """The newest first, some minutes apart."""
    chance, now = random.Random(7), now or datetime.now(UTC)
    for number in range(count):
        status, reason, who = _ENDINGS[0] if number == 0 else chance.choice(_ENDINGS)
        placed = now - timedelta(minutes=5 + 17 * number)
        answered = placed + timedelta(seconds=8) if who is not None else None
        reached = who is AnsweredBy.PERSON and reason is EndedReason.AGENT_HANGUP
        yield CallRecord(
            call_id=f"call_{number:05}",
            call_sid=f"CA{number:032x}",
            spec=CallSpec(
                phone_number=f"+1202555{number % 10_000:04}",
                scenario=chance.choice(("appointment_confirmation", "survey", "lead_callback")),
                action="Confirm your dentist appointment Thursday at 2pm",
                context="Dr. Smith, Suite 200. Rescheduling available Mon-Fri.",
                callee_name=chance.choice(("John Miller", "Ana Gómez", "Zoë O'Neil", None)),
                agent_name="Alex",
                organization="Downtown Dental",
                from_number=chance.choice((None, "+12025550190", "+12025550191")),
            ),
            direction=Direction.OUTBOUND,
            status=status,
            created_at=placed,
            started_at=placed,
            answered_at=answered,
            ended_at=placed + timedelta(seconds=41),
            ended_reason=reason,
            duration_seconds=None if answered is None else 33.0,
            answer_to_first_audio_ms=None if answered is None else 180.0,
            error="Overloaded" if reason is EndedReason.ERROR_LLM else None,
            recording=f"call_{number:05}.wav" if number == 0 else None,
            vendors={"carrier": "twilio", "stt": "deepgram", "llm": "anthropic", "tts": "elevenlabs"},
            turns=talk(answered, chance.lognormvariate(0, 0.35)) if answered is not None and turns else (),
            counts=Counts(1, 3, 1),
            answered_by=who,
            outcome=Outcome(
                reached_goal=reached,
                summary="John confirmed Thursday at 2pm. He asked where to park and was told."
                if reached
                else "Nothing was agreed.",
                fields={"confirmed": reached, "requested_change": None},
                evidence={"confirmed": ["Yes, that works."]} if reached else {},
                recorded=["confirmed"] if reached else [],
                callee_sentiment=Sentiment.POSITIVE,
            ),
            costs={
                CostPart.CARRIER: PricedItems(
                    (CostItem("twilio", "outbound US", 1.0, "minutes", 0.014),), date(2026, 11, 22)
                )
            },
            terms=Terms(),
        )


async def keep_calls(database: Database, kept: Sequence[CallRecord]) -> None:
    """As the store keeps them one by one, in one transaction."""
    spoken = [turn_row(call.call_id, turn) for call in kept for turn in call.turns]
    timed = [
        row | {"scenario": call.spec.scenario}
        for call in kept
        for turn in call.turns
        if (row := reply_row(call.call_id, turn)) is not None
    ]
    async with database.writer.begin() as connection:
        for table, rows in ((calls_table, [call_row(call) for call in kept]), (turns, spoken), (replies, timed)):
            if rows:
                await connection.execute(table.insert(), rows)


CAMPAIGN = "campaign_seeded"


async def keep_campaign(database: Database, kept: Sequence[CallRecord], waiting: int = 12) -> None:
    """A paused campaign whose contacts `kept` are, and some more that were not called yet."""
    store, now = SqlCampaignStore(database), datetime.now(UTC)
    spec = replace(kept[0].spec, phone_number="", action="Confirm your appointment on {{date}}", callee_name=None)
    await store.add(
        Campaign(CAMPAIGN, spec, CampaignStatus.LOADING, now, name="Reminders of November", touched_at=now)
    )
    people = [
        Contact(
            CAMPAIGN,
            position,
            position + 2,
            f"+1202555{position:04}",
            {"callee_name": ("John Miller", "Ana Gómez", "Zoë O'Neil")[position % 3], "date": "Thursday at 2pm"},
        )
        for position in range(len(kept) + waiting)
    ]
    bad = [BadRow(9, "invalid_number", "'12' is no phone number", "phone_number", "12,Bob,Friday at 10am")]
    await store.add_rows(CAMPAIGN, people, bad, now)
    await store.loaded(
        CAMPAIGN, accepted=len(people), rejected=1, columns=("callee_name", "date"), zones=("America/New_York",)
    )
    async with database.writer.begin() as connection:
        for position, call in enumerate(kept):
            ended = {"status": call.status, "ended_reason": call.ended_reason, "call_id": call.call_id}
            goal = None if call.outcome is None else call.outcome.reached_goal
            mine = contacts.c.position == position, contacts.c.campaign_id == CAMPAIGN
            values = {**ended, "state": ContactState.DONE, "attempts": 1, "reached_goal": goal}
            await connection.execute(contacts.update().where(*mine).values(values))
    await store.change_status(
        CAMPAIGN, [CampaignStatus.RUNNING], CampaignStatus.PAUSED, why="paused by request", at=now
    )
