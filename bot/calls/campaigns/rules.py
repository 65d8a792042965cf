"""What is decided about campaigns, pure: which row can be called and with what words, and when to stop.

A number that comes twice in a campaign is called once, by its first row; the second is a bad row that names the
first. To call it twice is never what a list means, and to drop it silently would lose a row.

A number without its country code is not guessed: 2025550123 is Washington to an American and a number of
Egypt (+20) to a parser. It is a bad row, unless the campaign names the `country` its numbers are written in.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot.calls.campaigns.contacts import RawRow, variable_name
from bot.calls.dialling.policy import next_allowed, unlimited
from bot.conversation import templates
from bot.errors import RequestError
from bot.phone_numbers import PhoneNumber, check_dialled, read_extension, read_number
from bot.policy import CallConsent, HoursTerms, zone
from bot.records import CallSpec, EndedReason, Status
from bot.store.campaign_records import BadRow, Campaign, Contact

OWN_WORDS = ("action", "context", "callee_name", "agent_name", "organization")
"""Variables that are fields of the call: a contact's own goes before the campaign's."""
TIME_ZONE, EXTENSION = "time_zone", "extension"
TURN_SECONDS = 5.0
"""A place that is free is asked for about once in so long, for each place of its campaign."""
LEAST_TURN_SECONDS, LONGEST_TURN_SECONDS = 2.0, 600.0
BREAKER_SECONDS = 120.0
BREAKER_CALLS = 20
ABANDONED_CALLS = 50
"""So many callees have to have said hello before the share of abandoned ones means anything."""
ABANDONED_DAYS = 30
"""Over which 16 CFR 310.4(b)(4)(i) takes it, or a campaign that is shorter."""
MAX_VARIABLES_BYTES = 16 * 1024
_LONGEST = {"action": 4000, "context": 64 * 1024, "callee_name": 200, "agent_name": 200, "organization": 200}
"""Characters, as for POST /call."""
_FAILED = frozenset(
    {
        EndedReason.DIAL_FAILED,
        EndedReason.ERROR_STT,
        EndedReason.ERROR_LLM,
        EndedReason.ERROR_TTS,
        EndedReason.ERROR_LINE,
    }
)
_NEVER_DIALLED = frozenset({EndedReason.CANCELED, EndedReason.DO_NOT_CALL})


# -- words ------------------------------------------------------------------------------------------------


def filled(template: str, variables: Mapping[str, Any]) -> tuple[str, list[str]]:
    """`template` with its placeholders replaced; with it, the names that have no value and no fallback."""
    missing: list[str] = []

    def one(given: str, fallback: str | None) -> str:
        name = variable_name(given)
        value = said(variables.get(name)) or (fallback or "").strip()
        if not value and fallback is None:
            missing.append(name)
        return value

    return templates.fill(template, one), missing


def said(value: Any) -> str:
    """A variable in words: text as it is, anything else as JSON writes it; null and blank are nothing."""
    if value is None or isinstance(value, str):
        return (value or "").strip()
    return json.dumps(value, ensure_ascii=False)


def named(spec: CallSpec) -> set[str]:
    """The variables that the campaign's texts cannot do without."""
    texts = [spec.action, spec.callee_name, spec.agent_name, spec.organization, *_texts(spec.context)]
    found = (placeholder for text in texts if text for placeholder in templates.placeholders(text))
    return {variable_name(name) for name, fallback in found if fallback is None}


def check_texts(spec: CallSpec) -> None:
    """RequestError for braces around a name that would be spoken."""
    for name in OWN_WORDS:
        for text in _texts(getattr(spec, name)):
            try:
                templates.check_braces(text)
            except ValueError as e:
                raise RequestError(f"{name}: {e}.", code="broken_placeholder", field=name) from None


def check_columns(spec: CallSpec, columns: Collection[str]) -> None:
    """RequestError when every contact would miss the same variable."""
    for name in sorted(named(spec) - set(columns)):
        raise RequestError(
            f"The texts name {{{{{name}}}}}, and no column has that name; "
            f"write {{{{{name}|...}}}} to do without.",
            code="missing_column",
            field=name,
        )
    if not spec.action and "action" not in columns:
        raise RequestError(
            "action: is required: what the calls are to achieve; or a column action.",
            code="missing_field",
            field="action",
        )


def spec_for(campaign: CallSpec, phone_number: str, variables: Mapping[str, Any]) -> tuple[CallSpec, list[str]]:
    """What the call to a contact is about; with it, the variables that are missing for it.

    The contact's variables reach the agent only where a text of the campaign names them, or as one of
    OWN_WORDS; all of them are in the call's metadata, which is its owner's.
    """
    missing: list[str] = []

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            text, without = filled(value, variables)
            missing.extend(without)
            return text
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        return [fill(item) for item in value] if isinstance(value, list) else value

    own: dict[str, Any] = {}
    for name in OWN_WORDS:
        given = variables.get(name)
        if name == "context" and isinstance(given, dict) and given:
            own[name] = given
        else:
            own[name] = said(given) or fill(getattr(campaign, name))
    metadata = dict(campaign.metadata)
    if variables:
        metadata["variables"] = dict(variables)
    for name in ("callee_name", "agent_name", "organization"):
        own[name] = own[name] or None
    return replace(campaign, phone_number=phone_number, metadata=metadata, **own), missing


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


# -- rows -------------------------------------------------------------------------------------------------


CONSENT_COLUMNS = ("consent_kind", "consent_at", "consent_source")
"""Variables of a contact: his consent to be called."""


def consent_of(variables: Mapping[str, Any]) -> CallConsent | None:
    """A contact's own; None without a whole one. ValueError for a time that is none."""
    kind, at, source = (said(variables.get(name)) for name in CONSENT_COLUMNS)
    if not (kind and at and source):
        return None
    try:
        datetime.fromisoformat(at)
    except ValueError:
        raise ValueError(f"{at!r} is no date or time like 2026-03-02 or 2026-03-02T12:00:00Z") from None
    return CallConsent(kind, at, source)


def extension_of(variables: Mapping[str, Any]) -> str | None:
    """A contact's. ValueError for one that is none."""
    text = said(variables.get(EXTENSION))
    return read_extension(text) if text else None


class Judge:
    """Turns the rows of one campaign into contacts or bad rows, in order; knows the numbers it has seen."""

    def __init__(
        self, campaign: Campaign, *, country: str | None, hours: HoursTerms, needs_consent: bool = False
    ) -> None:
        """`needs_consent`: a contact without one of their own, or of the campaign's, is not called."""
        self._campaign = campaign
        self._needs_consent = needs_consent and campaign.terms.consent is None
        self._country = country
        self._hours = None if unlimited(hours) else hours
        self._has_hours: dict[str, bool] = {}
        """Zones → whether any hour of the week is allowed in all of them."""
        self._lines: dict[int, int] = {}
        """Number without its + → the line it was on: 20 MB for a hundred thousand."""
        self.accepted = 0
        self.columns: dict[str, None] = {}
        """The variables seen, in order."""
        self.zones: set[str] = set()

    def judge(self, raw: RawRow) -> Contact | BadRow:
        if raw.problem is not None:
            return BadRow(raw.line, raw.problem[0], raw.problem[1], None, raw.text)
        try:
            number = read_number(raw.phone_number, self._country)
            check_dialled(number.e164)
        except ValueError as e:
            return self._bad(raw, "bad_phone_number", str(e), "phone_number")
        digits = int(number.e164[1:])
        if (before := self._lines.get(digits)) is not None:
            return self._bad(raw, "duplicate", f"the number stands on line {before} already", "phone_number")
        spec, missing = spec_for(self._campaign.spec, number.e164, raw.variables)
        if not missing and not spec.action:
            missing = ["action"]
        if missing:
            return self._bad(raw, "missing_variable", "is empty or missing", missing[0])
        if problem := _too_long(spec, raw.variables):
            return self._bad(raw, "too_long", problem[1], problem[0])
        try:
            zones = self._zones(number, raw.variables)
        except ValueError as e:
            return self._bad(raw, "bad_time_zone", str(e), TIME_ZONE)
        if self._hours is not None:
            if not zones:
                return self._bad(
                    raw, "unknown_time_zone", "there are calling hours: give this number's time_zone", TIME_ZONE
                )
            if zones not in self._has_hours:
                opens = next_allowed(self._campaign.created_at, self._hours, zones_of_key(zones))
                self._has_hours[zones] = opens is not None
            if not self._has_hours[zones]:
                return self._bad(
                    raw,
                    "no_calling_hours",
                    "no calling hour is one in all the time zones this number may be in: give its time_zone",
                    TIME_ZONE,
                )
        if (bad := self._bad_columns(raw)) is not None:
            return bad
        self._lines[digits] = raw.line
        self.columns.update(dict.fromkeys(raw.variables))
        self.zones.add(zones)
        contact = Contact(self._campaign.campaign_id, self.accepted, raw.line, number.e164, raw.variables, zones)
        self.accepted += 1
        return contact

    def _bad_columns(self, raw: RawRow) -> BadRow | None:
        """An extension that is none, or a consent that is missing or wrong."""
        try:
            extension_of(raw.variables)
        except ValueError as e:
            return self._bad(raw, "bad_extension", str(e), EXTENSION)
        try:
            consent = consent_of(raw.variables)
        except ValueError as e:
            return self._bad(raw, "bad_consent", str(e), CONSENT_COLUMNS[1])
        if not self._needs_consent or consent is not None:
            return None
        words = "a marketing call needs the callee's consent: give consent_kind, consent_at and consent_source"
        return self._bad(raw, "consent_missing", words, CONSENT_COLUMNS[0])

    def _zones(self, number: PhoneNumber, variables: Mapping[str, Any]) -> str:
        name = said(variables.get(TIME_ZONE)) or self._campaign.terms.time_zone
        return zone(name).key if name else ",".join(number.zones)

    def _bad(self, raw: RawRow, code: str, words: str, field: str) -> BadRow:
        return BadRow(raw.line, code, f"{field}: {words}", field, raw.text)


def _too_long(spec: CallSpec, variables: Mapping[str, Any]) -> tuple[str, str] | None:
    for name, longest in _LONGEST.items():
        if len(said(getattr(spec, name))) > longest:
            return name, f"is longer than {longest} characters"
    if sum(len(name) + len(said(value)) for name, value in variables.items()) > MAX_VARIABLES_BYTES:
        return "variables", f"are longer than {MAX_VARIABLES_BYTES // 1024} KiB"
    return None


# -- dialling ---------------------------------------------------------------------------------------------


def zones_of_key(key: str) -> tuple[ZoneInfo, ...]:
    """The zones of a `Contact.zone`."""
    return tuple(zone(name) for name in key.split(",") if name)


@dataclass(frozen=True)
class OpenHours:
    """Which contacts may be called now, by their zones; and when the first of the others may."""

    open: tuple[str, ...]
    next_open: datetime | None


def open_zones(now: datetime, hours: HoursTerms, keys: Iterable[str]) -> OpenHours:
    """`keys` are `Contact.zone`s."""
    opens = {key: next_allowed(now, hours, zones_of_key(key)) for key in keys}
    later = [at for at in opens.values() if at is not None and at > now]
    return OpenHours(tuple(key for key, at in opens.items() if at == now), min(later, default=None))


def turn_seconds(waiting: int, concurrency: int, spread: float) -> float:
    """Until a call that found its campaign's places taken asks again. The more wait, the longer: how often
    all of them ask depends on the places alone. `spread`, from 0 to 1, parts those that come due together."""
    mean = min(max(TURN_SECONDS * waiting / concurrency, LEAST_TURN_SECONDS), LONGEST_TURN_SECONDS)
    return mean * (0.5 + spread)


Endings = Sequence[tuple[Status, EndedReason | None, int]]


def breaker_since(now: datetime, resumed_at: datetime | None) -> datetime:
    """From when on calls count: two minutes back, but nothing from before somebody resumed the campaign."""
    since = now - timedelta(seconds=BREAKER_SECONDS)
    return since if resumed_at is None else max(since, resumed_at)


def breaker(endings: Endings) -> str | None:
    """Why to pause, from how the calls of the last two minutes ended; None: go on.

    A call fails when its dialling or a vendor did: `dial_failed` and `error_*`. Busy, no answer, a mailbox and
    a call that this server was stopped under are no failures. Calls that were never dialled do not count.
    """
    dialled = [(status, reason, n) for status, reason, n in endings if not _kept_back(status, reason)]
    ended = sum(n for *_, n in dialled)
    failed: dict[str, int] = {}
    for status, reason, n in dialled:
        if reason in _FAILED or (reason is None and status is Status.FAILED):
            word = reason.value if reason is not None else EndedReason.DIAL_FAILED.value
            failed[word] = failed.get(word, 0) + n
    if ended < BREAKER_CALLS or 2 * sum(failed.values()) < ended:
        return None
    most = ", ".join(f"{n} {word}" for word, n in sorted(failed.items(), key=lambda item: -item[1]))
    return (
        f"circuit breaker: {sum(failed.values())} of the {ended} calls that ended in the last "
        f"{BREAKER_SECONDS / 60:.0f} minutes failed ({most}). Resume it when the cause is mended."
    )


def abandonment(greeted: int, abandoned: int, most_percent: float) -> str | None:
    """Why to pause, from how many callees said hello and how many of them heard nothing in time; None: go on."""
    if greeted < ABANDONED_CALLS or 100 * abandoned <= most_percent * greeted:
        return None
    return (
        f"circuit breaker: {abandoned} of the {greeted} callees who said hello heard no word within two seconds, "
        f"which is more than {most_percent:g} %. Resume it when the cause is mended."
    )


def abandonment_since(now: datetime, resumed_at: datetime | None) -> datetime:
    """From when on calls count."""
    since = now - timedelta(days=ABANDONED_DAYS)
    return since if resumed_at is None else max(since, resumed_at)


def _kept_back(status: Status, reason: EndedReason | None) -> bool:
    return reason in _NEVER_DIALLED or (reason is None and status is Status.CANCELED)
