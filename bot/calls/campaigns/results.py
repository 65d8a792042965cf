"""The results of a campaign as CSV: one row a contact, its variables and what the call found out as columns.

Spreadsheets take text that begins with =, +, -, @ for a formula, and what a callee said or a list held could
be one (https://owasp.org/www-community/attacks/CSV_Injection): such text gets a ' in front. Numbers that were
checked, telephone numbers too, keep their sign: they compute nothing.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.store.campaign_records import Campaign, Result

FIRST = ("line", "phone_number")
LAST = (
    "state",
    "attempts",
    "call_id",
    "status",
    "ended_reason",
    "answered_by",
    "started_at",
    "answered_at",
    "ended_at",
    "duration_seconds",
    "reached_goal",
    "summary",
    "claimed",
    "unbacked_claims",
    "recording_url",
)
NOTED = ("messages", "callback", "do_not_call")
"""What tools note in `outcome.fields` beside the scenario's own."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are their full-width forms, which some spreadsheets take for them."""
_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?")


def header(campaign: Campaign, outcome_fields: Sequence[str]) -> list[str]:
    """`line` and `phone_number`, the variables, our own columns, the outcome's. A name that is taken gets
    `variable_` or `outcome_` in front."""
    noted = _noted(outcome_fields)
    taken = {*FIRST, *LAST, *noted}
    variables = [name if name not in taken else f"variable_{name}" for name in campaign.columns]
    taken |= set(variables)
    outcome = [name if name not in taken else f"outcome_{name}" for name in outcome_fields]
    return [*FIRST, *map(safe, variables), *LAST, *noted, *map(safe, outcome)]


def _noted(outcome_fields: Sequence[str]) -> list[str]:
    """NOTED, but for what the scenario or the request asks for by that name."""
    return [name for name in NOTED if name not in outcome_fields]


def row(
    result: Result, campaign: Campaign, outcome_fields: Sequence[str], recording_url: str | None = None
) -> list[str]:
    """The cells below `header`. What is not known is empty. `recording_url`: of the contact's call, if any."""
    contact, call = result.contact, result.call
    outcome = None if call is None else call.outcome
    status = contact.status if call is None or contact.status is not None else call.status
    own: tuple[Any, ...] = (
        contact.state,
        contact.attempts,
        contact.call_id,
        status,
        contact.ended_reason,
        None if call is None else call.answered_by,
        None if call is None else call.started_at,
        None if call is None else call.answered_at,
        None if call is None else call.ended_at,
        None if call is None else call.duration_seconds,
        None if outcome is None else outcome.reached_goal,
        None if outcome is None else outcome.summary,
        None if outcome is None else outcome.claimed or None,
        None if outcome is None else outcome.unbacked_claims or None,
        recording_url,
    )
    fields = {} if outcome is None else outcome.fields
    return [
        str(contact.line),
        contact.phone_number,
        *(safe(contact.variables.get(name)) for name in campaign.columns),
        *map(safe, own),
        *(safe(fields.get(name)) for name in (*_noted(outcome_fields), *outcome_fields)),
    ]


MARK = "\ufeff"
"""In front of the table: without it Excel takes UTF-8 for the code page of its country."""


def written(rows: Iterable[Sequence[str]], separator: str = ",") -> str:
    """CSV as RFC 4180 has it, with CRLF."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue()


def safe(value: Any) -> str:
    """A cell: empty for None, JSON for what is no text, and no text that a spreadsheet would compute."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    text = str(value).replace("\0", "")
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
