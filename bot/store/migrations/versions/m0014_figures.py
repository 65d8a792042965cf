"""What figures add up: the latency of each reply, and what each part of a call cost."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_PARTS = ("voice_to_voice_ms", "vad_ms", "stt_ms", "turn_ms", "llm_ms", "sentence_ms", "tts_ms", "line_ms")
_COSTS = ("opening", "call", "carrier", "analysis")


def upgrade() -> None:
    op.create_table(
        "replies",
        sa.Column("call_id", sa.Text, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("index", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_seconds", sa.BigInteger, nullable=False),
        sa.Column("scenario", sa.Text, nullable=False),
        *(sa.Column(part, sa.Double) for part in _PARTS),
    )
    op.create_index("replies_by_time", "replies", ["at_seconds"])
    for cost in _COSTS:
        op.add_column("calls", sa.Column(f"usd_{cost}", sa.Double))
    postgresql = op.get_bind().dialect.name == "postgresql"
    fill(postgresql)


def fill(postgresql: bool) -> None:
    """From what was kept before."""

    def number(column: str, key: str) -> str:
        if postgresql:
            return f"CAST({column}->>'{key}' AS DOUBLE PRECISION)"
        return f"json_extract({column}, '$.{key}')"

    epoch = "CAST({} AS BIGINT)".format(
        "EXTRACT(epoch FROM t.started_at)" if postgresql else "strftime('%s', t.started_at)"
    )
    values = ", ".join(number("t.latency", part) for part in _PARTS)
    op.execute(
        f'INSERT INTO replies (call_id, "index", at_seconds, scenario, {", ".join(_PARTS)}) '  # noqa: S608
        f'SELECT t.call_id, t."index", {epoch}, c.scenario, {values} '
        "FROM turns t JOIN calls c ON c.call_id = t.call_id "
        f"WHERE t.latency IS NOT NULL AND t.complete AND {number('t.latency', 'voice_to_voice_ms')} IS NOT NULL"
    )
    for cost in _COSTS:
        items = (
            f"json_array_elements(cost_{cost}->'items')" if postgresql else f"json_each(cost_{cost}, '$.items')"
        )
        total = "CASE WHEN COUNT(*) = COUNT(u) THEN COALESCE(SUM(u), 0) END"
        op.execute(
            f"UPDATE calls SET usd_{cost} = (SELECT {total} FROM "  # noqa: S608
            f"(SELECT {number('value', 'usd')} AS u FROM {items} AS item) AS prices) "
            f"WHERE cost_{cost} IS NOT NULL"
        )
