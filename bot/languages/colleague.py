"""What a colleague is asked who may take over a call, and how they say yes or no. Pure.

They hear it by the carrier's own voice, before the call is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.languages.language import Wording, plain

_FEW_WORDS = 8
"""A longer answer is a mailbox's greeting rather than a yes."""


@dataclass(frozen=True)
class Asking:
    """One language's words. `ask` is filled with {summary} and {key}."""

    tag: str
    """Of the carrier's voice and ear, as BCP 47."""
    ask: str
    ask_again: str
    caller_gone: str
    yes: Wording
    no: Wording
    hints: str
    """Words the carrier's ear should expect."""

    def asked(self, summary: str, key: str) -> str:
        return " ".join(self.ask.format(summary=summary.strip(), key=key).split())

    def asked_again(self, key: str) -> str:
        return self.ask_again.format(key=key)

    def said_yes(self, text: str) -> bool | None:
        """True for a yes, False for a no, None for anything else."""
        words = plain(text)
        if self.no.found_in(words):
            return False
        return True if len(words.split()) <= _FEW_WORDS and self.yes.found_in(words) else None


_ENGLISH = Asking(
    tag="en-US",
    ask=(
        "Hello. I have a call for you. {summary} To take the call, press {key}, or say yes. "
        "To refuse it, press any other key, or say no."
    ),
    ask_again="Do you want to take the call? Press {key} for yes, or any other key for no.",
    caller_gone="I'm sorry, the caller has hung up. Goodbye.",
    yes=Wording(
        "yes",
        "yeah",
        "yep",
        "sure",
        "okay",
        "ok",
        "of course",
        "go ahead",
        "accept",
        "put (?:them|him|her) through",
        "connect (?:me|us|them)",
        "i(?: wi)?ll take it",
    ),
    no=Wording("no", "nope", "not", "dont", "cant", "cannot", "busy", "refuse", "decline", "reject", "later"),
    hints="yes, no, accept, refuse, put them through, not now",
)
_SPANISH = Asking(
    tag="es-ES",
    ask=(
        "Hola. Tengo una llamada para usted. {summary} Para atenderla, pulse {key} o diga sí. "
        "Para rechazarla, pulse cualquier otra tecla o diga no."
    ),
    ask_again="¿Quiere atender la llamada? Pulse {key} para sí, o cualquier otra tecla para no.",
    caller_gone="Lo siento, la persona que llamaba ha colgado. Adiós.",
    yes=Wording(
        "si", "claro", "vale", "de acuerdo", "por supuesto", "adelante", "acepto", "pasemela", "pasamela"
    ),
    no=Wording("no", "ahora no", "ocupad[oa]", "rechazo", "rechazar", "luego", "mas tarde"),
    hints="sí, no, acepto, adelante, ahora no",
)
_KNOWN = {"en": _ENGLISH, "es": _SPANISH}


def asking(code: str) -> Asking:
    """The words for a language code like "es" or "es-MX"; English where there are none."""
    base = code.split("-", maxsplit=1)[0].lower()
    words = _KNOWN.get(base, _ENGLISH)
    if "-" in code and base in _KNOWN:
        return Asking(**{**vars(words), "tag": code})
    return words
