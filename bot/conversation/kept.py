"""What stays of the record of a call that is over; nothing else redacts a record. Pure.

Until then a call needs its number to be dialled and its action and context to be held, and a retry needs them
again. What webhooks carry meanwhile, and the API and pages show afterwards, is already what stays.
"""

from __future__ import annotations

from dataclasses import replace

from bot.conversation.masking import Secrets
from bot.conversation.scenario.compliance import Storage
from bot.languages import Language
from bot.phone_numbers import masked_number, parts
from bot.policy import Terms
from bot.records import CallRecord, CallSpec, Outcome, RecordingConsent, Turn


def kept(record: CallRecord, storage: Storage, language: Language) -> CallRecord:
    """`record` as `storage` lets it stay; the same one where all of it does. Done twice it does nothing more."""
    if storage.transcript == "full" and storage.numbers == "full":
        return record
    secrets, number = Secrets(storage.redact(language)), record.spec.phone_number
    if storage.numbers != "full" and (digits := parts(number)) is not None:
        secrets.add(number)
        secrets.add(digits[1])
    silent = storage.silent
    return replace(
        record,
        spec=_spec(record.spec, storage, secrets),
        turns=tuple(_turn(turn, secrets, silent=silent) for turn in record.turns),
        outcome=_outcome(secrets.masked_outcome(record.outcome), silent=silent),
        consent=_consent(record.consent, secrets, silent=silent),
        terms=_terms(record.terms, storage, secrets),
        error=None if record.error is None else secrets.masked(record.error),
    )


def _spec(spec: CallSpec, storage: Storage, secrets: Secrets) -> CallSpec:
    clean, number = secrets.masked, spec.phone_number
    if storage.numbers != "full":
        number = masked_number(number, digits=2 if storage.numbers == "redacted" else 0)
    silent = storage.silent
    return replace(
        spec,
        phone_number=number,
        action="" if silent else clean(spec.action),
        context="" if silent else clean(spec.context),
        callee_name=None if storage.numbers == "none" else clean(spec.callee_name),
        agent_name=clean(spec.agent_name),
        organization=clean(spec.organization),
        metadata=clean(spec.metadata),
    )


def _turn(turn: Turn, secrets: Secrets, *, silent: bool) -> Turn:
    if silent:
        return replace(turn, text="", tools=())
    tools = tuple(
        replace(use, arguments=secrets.masked(use.arguments), result=secrets.masked(use.result))
        for use in turn.tools
    )
    return replace(turn, text=secrets.said(turn.text), tools=tools)


def _outcome(outcome: Outcome | None, *, silent: bool) -> Outcome | None:
    """Without the words it rests on, where none of them stay."""
    if outcome is None or not silent:
        return outcome
    return replace(outcome, evidence={}, unbacked_claims=[])


def _consent(consent: RecordingConsent | None, secrets: Secrets, *, silent: bool) -> RecordingConsent | None:
    if consent is None or consent.words is None:
        return consent
    return replace(consent, words=None if silent else secrets.said(consent.words))


def _terms(terms: Terms, storage: Storage, secrets: Secrets) -> Terms:
    """The consent to be called is proved by a table of its own: see bot/store/consents.py."""
    if terms.consent is None:
        return terms
    if storage.numbers == "none":
        return replace(terms, consent=None)
    return replace(terms, consent=replace(terms.consent, source=secrets.masked(terms.consent.source)))
