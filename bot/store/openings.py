"""Openings that were spoken while the phone rang, kept for whichever process answers the call.

Only where other processes can be the ones who answer: on a database of one process the audio never leaves
that process's memory, and nothing is written.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from bot.audio import Speech, TimedWord
from bot.records import FINAL_STATUSES
from bot.store.database import Database, upsert
from bot.store.schema import calls, metadata

openings = sa.Table(
    "openings",
    metadata,
    sa.Column("call_id", sa.Text, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("pcm", sa.LargeBinary, nullable=False),
    sa.Column("words", sa.JSON, nullable=False),
)


class SqlOpeningStore:
    """Of the calls of a database that somebody else opens. A method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, call_id: str, speech: Speech) -> None:
        """Keeps a complete opening; of a call that is gone, nothing."""
        if not self._database.shared:
            return
        words = [[word.text, word.start_ms, word.end_ms] for word in speech.words]
        row = {"call_id": call_id, "text": speech.text, "pcm": speech.pcm, "words": words}
        try:
            async with self._database.writer.begin() as connection:
                statement = upsert(connection, openings).values(row)
                new = statement.excluded
                changed: dict[str, Any] = {column: new[column] for column in ("text", "pcm", "words")}
                await connection.execute(
                    statement.on_conflict_do_update(index_elements=[openings.c.call_id], set_=changed)
                )
        except IntegrityError:
            return  # erased while the voice spoke

    async def get(self, call_id: str) -> Speech | None:
        """The call's opening; None where it is not, or not yet, complete."""
        if not self._database.shared:
            return None
        async with self._database.reader.connect() as connection:
            found = await connection.execute(sa.select(openings).where(openings.c.call_id == call_id))
            row = found.mappings().one_or_none()
        if row is None:
            return None
        words = tuple(TimedWord(text, start, end) for text, start, end in row["words"])
        return Speech(row["text"], bytes(row["pcm"]), words)

    async def sweep(self) -> int:
        """Forgets those of calls that are over; the number of them."""
        over = sa.and_(calls.c.call_id == openings.c.call_id, calls.c.status.in_(FINAL_STATUSES))
        async with self._database.writer.begin() as connection:
            return (await connection.execute(openings.delete().where(sa.exists().where(over)))).rowcount
