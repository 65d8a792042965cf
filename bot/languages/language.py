"""What a language is here: phrases to say, and words to recognise. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from bot.languages.dictation import DictationWords
from bot.languages.identity import IdentityWords
from bot.languages.speech_forms import SpeechForms
from bot.languages.wording import Wording, plain

FEW_WORDS = 6
"""A word that stops counts in so short an utterance; in a longer one it is a word like the others, and so much
speech interrupts by itself."""

PARTS_OF_NUMBERS = frozenset({3, 6, 8, 9})
"""So many digits read out are seldom a whole number: telephone numbers have 7, 10 or more and come in groups of
three; codes have 4 or 5."""

_YES_WORDS = 8
"""A longer answer than that is a mailbox's greeting rather than a yes."""


@dataclass(frozen=True)
class Answering:
    """How machines word what they say when they pick up."""

    tone: Wording
    """A mailbox asks to speak after its tone: no person does."""
    voicemail: Wording
    """A mailbox is named."""
    speaks_of_messages: Wording
    """A person tells of a message, or asks about leaving one: no mailbox says so."""
    asks_for_message: Wording
    """A message is asked for; a person who takes messages may say so too."""
    mailbox_full: Wording
    """A mailbox that takes no message."""
    screening: Wording
    """A phone or a service asks who calls and why, before it rings a person."""
    menu: Wording
    """Keys or words are offered to choose from."""
    unavailable: Wording
    """The carrier says that the call cannot be put through. Nobody hears a message left there."""
    lasting: Wording
    """Of those: another try would find the same."""
    busy: Wording
    """Of those: somebody is talking there, or all lines are taken."""
    recording: Wording
    """Recordings say so, and have more to say; persons do too, now and then."""
    holding: Wording
    """The callee is being fetched, or the caller queued: nobody is there yet."""
    queue: Wording
    """A recording keeps the caller waiting."""
    patience: Wording
    """Said while one waits, by a recording or by who comes on; by itself a recording's."""
    putting_on_hold: Wording
    """A person lets the caller wait, or puts them through to another one."""
    short_wait: Wording
    """A person will be back in a moment: whole sentences."""
    taking_over: Wording
    """Somebody else comes on, who does not know yet who calls."""
    person: Wording
    """Who comes on after a machine."""
    refusing: Wording
    """A screener that does not put the caller through."""


@dataclass(frozen=True)
class ColleagueWords:
    """How a colleague is asked to take over a call, by the carrier's own voice. `ask` has {summary} and {key}."""

    tag: str
    """Of the carrier's TTS and STT, as BCP 47."""
    ask: str
    ask_again: str
    caller_gone: str
    yes: Wording
    no: Wording
    hints: str
    """Words the carrier's STT should expect."""

    def asked(self, summary: str, key: str) -> str:
        return " ".join(self.ask.format(summary=summary.strip(), key=key).split())

    def asked_again(self, key: str) -> str:
        return self.ask_again.format(key=key)

    def said_yes(self, text: str) -> bool | None:
        """True for a yes, False for a no, None for anything else."""
        words = plain(text)
        if self.no.found_in(words):
            return False
        return True if len(words.split()) <= _YES_WORDS and self.yes.found_in(words) else None


@dataclass(frozen=True)
class Notices:
    """What the law wants said, and heard, without a model."""

    assistant: str
    """What the agent is, as it follows its name after a comma."""
    introductions: tuple[str, ...]
    """How the agent says who it is, with {name}."""
    disclosed: Wording
    """Ways to say that the speaker is an AI assistant."""
    disclosure: str
    disclosure_again: str
    recording: str
    recording_question: str
    recording_allowed: str
    recording_declined: str
    recording_stopped: str
    recording_deleted: str
    opt_out: str
    """How not to be called again; with {key}."""
    opted_out: str
    call_back_number: str
    """With {number}, ours."""
    asks_not_to_be_called: Wording
    """Says that this number is not to be called any more, whatever it is about."""
    tens: tuple[str, ...]
    """Numbers of two digits, in which a long one may be dictated."""
    between_digits: tuple[str, ...]
    """What may be said between two digits of one number."""
    before_secrets: tuple[str, ...]
    """What says of the digits behind it that they are nobody else's: a PIN's, a card's."""
    refuses_recording: Wording
    """An objection to being recorded, at any time."""
    allows_recording: Wording
    """A yes to being recorded that looks like something else: "no problem"."""


@dataclass(frozen=True)
class Language:
    """One language. Phrases are spoken as they are; those with {{variables}} are filled as an opening is."""

    code: str
    """Two letters, as in ISO 639-1."""
    name: str
    """In English, as the prompt names it."""

    backchannels: tuple[str, ...]
    """With which a listener only says "go on"."""
    stop_phrases: tuple[str, ...]
    """With which a listener wants silence at once."""
    not_stop_phrases: tuple[str, ...]
    """In which such a word means something else: "I can't wait"."""
    greetings: tuple[str, ...]
    """With which a phone is picked up; said over an opening, they want nothing else."""

    unfinished: tuple[str, ...]
    """Last words after which more is coming: "and", "um", "my number is"."""
    digits: tuple[str, ...]
    """From zero on, as they are read out."""
    complete: tuple[str, ...]
    """Whole utterances that need no more, however they sound: "yes", "thank you, bye"."""

    fillers: tuple[str, ...]
    """Said where a reply is late."""
    bridges: tuple[str, ...]
    """Said while a tool works."""
    silence: tuple[str, ...]
    """Asked of a callee who says nothing, in turn."""
    silence_goodbye: str
    time_is_up: str
    trouble: str
    """Before hanging up on a fault; promises nothing."""
    trouble_call_back: str
    """The same, with the promise of a call back, where one was noted."""
    cannot_answer: str
    """In place of a reply that no model gives; the call goes on."""
    goodbye: str
    opening: str
    """Where the model should have written the opening and could not; with variables."""
    voicemail_message: str
    """With variables."""
    screening_reply: str
    """Who calls and why, in one sentence to a machine that asks; with variables."""
    after_hold: str
    """Who calls and why, to the person who comes on after hold music; with variables."""
    hold_goodbye: str
    """Where nobody comes back."""
    transferring: str
    transfer_failed: str
    """After a transfer that nobody took: the agent is back."""

    answering: Answering
    asking: ColleagueWords
    dictation: DictationWords
    notices: Notices
    identity: IdentityWords
    speech: SpeechForms | None = None
    """How figures and signs are said; None: as the TTS reads them."""

    _backchannel: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _stop: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _no_stop: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _greeting: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _unfinished: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _complete: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        backchannel, greeting = _any(self.backchannels), _any(self.greetings)
        object.__setattr__(self, "_backchannel", re.compile(rf"{backchannel}(?: {backchannel})*"))
        object.__setattr__(self, "_greeting", re.compile(rf"{greeting}(?: {greeting})*"))
        complete = _any(self.complete)
        object.__setattr__(self, "_unfinished", re.compile(rf"(?:^|.* ){_any(self.unfinished)}"))
        object.__setattr__(self, "_complete", re.compile(rf"{complete}(?: {complete})*"))
        object.__setattr__(self, "_stop", re.compile(rf"\b{_any(self.stop_phrases)}\b"))
        object.__setattr__(self, "_no_stop", re.compile(rf"\b{_any(self.not_stop_phrases)}\b"))

    def phrase(self, name: str) -> Any:
        """What it says under this name of a scenario's [phrases]."""
        return getattr(self, name) if hasattr(self, name) else getattr(self.notices, name)

    def with_words(self, *, backchannels: tuple[str, ...], stop_phrases: tuple[str, ...]) -> Language:
        """This language, and these words besides."""
        return replace(
            self,
            backchannels=self.backchannels + backchannels,
            stop_phrases=self.stop_phrases + stop_phrases,
        )

    def is_backchannel(self, text: str) -> bool:
        """Whether the words are only backchannels, one or several. False for no words at all.

        "Yes" is one while the agent talks, and an answer after it has asked: that is the caller's to know.
        """
        return bool(self._backchannel.fullmatch(plain(text)))

    def asks_to_stop(self, text: str) -> bool:
        """Whether the agent should be silent at once: a stop phrase, alone or among a few other words."""
        words = plain(text)
        return len(words.split()) <= FEW_WORDS and bool(self._stop.search(self._no_stop.sub(" ", words)))

    def is_unfinished(self, text: str) -> bool:
        """Whether the last words promise more: "and…", "um", a number of which few digits were said."""
        words = plain(text)
        if text.rstrip().endswith("?") or self.is_complete(text):
            return False
        if self._unfinished.fullmatch(words):
            return True
        return self._last_digits(words) in PARTS_OF_NUMBERS

    def is_dictating(self, text: str, asked: str) -> bool:
        """Whether they are in the middle of digits, a spelling or an address. `asked`: the agent's last words."""
        words = plain(text)
        if not words or text.rstrip().endswith("?") or self.is_complete(text):
            return False
        return self.dictation.goes_on(text, words, plain(asked), frozenset(map(plain, self.digits)))

    def is_complete(self, text: str) -> bool:
        """Whether it needs no more, whatever its melody says: "Yes.", "No, thank you. Bye." """
        return bool(self._complete.fullmatch(plain(text)))

    def _last_digits(self, words: str) -> int:
        """How many digits were said one by one at the end."""
        count = 0
        for word in reversed(words.split()):
            if word not in self.digits and not (len(word) == 1 and word.isdigit()):
                break
            count += 1
        return count

    def is_greeting(self, text: str) -> bool:
        """Whether the words only pick up: "Hello? Hello?"."""
        return bool(self._greeting.fullmatch(plain(text)))


def _any(phrases: tuple[str, ...]) -> str:
    """A group that matches each phrase in its plain form, the longest first."""
    forms = sorted({plain(phrase) for phrase in phrases}, key=lambda form: (-len(form), form))
    return f"(?:{'|'.join(map(re.escape, forms))})"
