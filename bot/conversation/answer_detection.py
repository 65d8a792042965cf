"""Who picked up, and when the opening may begin. Pure: events and `now` in, a decision out.

Uncertain means person. A short greeting is one at once; so is a long one without a machine's words, as a
receptionist's is. A machine is what words itself as one, in as many pieces as it likes, also after the opening
has begun; or a tone behind a long greeting; or what Twilio's detection takes for one where the words left it
open. Twilio's word alone overrules no person who has answered. Every wait has a deadline, so a line that never
falls silent is spoken to as well.

Hold is what makes the agent wait, at any time of the call: a queue's words, music, or a person who asks to. It
is over when somebody comes on: at once for who answers a phone or greets, and for anything said after a wait
without music or announcements. After music only short words behind which it is quiet are believed besides:
announcements are long.
"""

import re
from dataclasses import dataclass, field

from bot import languages
from bot.conversation.answer_reason import reason
from bot.conversation.machine_words import machine_of
from bot.languages import Language
from bot.records import AnsweredBy, Speaker
from bot.telephony.carrier import Detection

SHORT_GREETING_SECONDS = 2.5
"""Who greets no longer than that and says nothing machine-like is a person."""
LONG_PAUSE_SECONDS = 0.4
"""Silence behind a longer greeting, beyond the VAD's own: machines pause between sentences."""
UNHEARD_PAUSE_SECONDS = 1.0
"""The same where no word of a long greeting is known yet."""
RECORDED_PAUSE_SECONDS = 1.5
"""The same where it sounds like a recording that has more to say."""
LONGEST_GREETING_SECONDS = 12.0
"""A line that still talks by then is spoken to."""
MACHINE_WINDOW_SECONDS = 25.0
"""A greeting is over by then; what is said later is conversation."""
DEAF_SECONDS = 6.0
"""How much longer a hello is waited for while the call cannot listen yet."""
PERSON_PAUSE_SECONDS = 0.4
"""Silence, beyond the VAD's own, behind "Hello?" that makes it a person's who came on after a machine."""
UNCERTAIN_PAUSE_SECONDS = 1.2
"""The same behind words that might be a menu's as well, once the menu was answered."""
STRETCH_SECONDS = 1.0
"""Silence, beyond the VAD's own, that parts what two say; menus pause for less between their sentences."""
BEEP_SECONDS = 0.3
"""Between a beep and the VAD's word that all is silent, where it took the beep for speech."""
SHORT_WAIT_SECONDS = 60.0
"""A person who said "one moment" and is still away by then is asked whether they are there."""
SHORT_WORDS = 8
"""Of who comes on after music without a greeting."""
NEW_VOICE_WORDS = 4
"""So few words after music, as "Cardiology." or "Hello?", are another person's, who is told who calls."""
WORDLESS_SECONDS = 3.0
"""Music over which nothing was said for so long is nobody's background."""
_KEPT_CHARACTERS = 600
"""Of what was heard: a sentence of a machine, and its neighbours."""


@dataclass(frozen=True)
class Decision:
    who: AnsweredBy | None
    """None: not known yet."""
    open: bool = False
    """Say the opening now; True once for each person."""


_MACHINE = frozenset({Detection.MACHINE, Detection.GREETING_OVER, Detection.BEEP})


@dataclass
class AnswerDetection:
    """One call's first seconds. Times are seconds of one clock."""

    first_speaker: Speaker
    answered_at: float
    wait_seconds: float
    pause_seconds: float
    language: Language = field(default_factory=lambda: languages.of("en"), repr=False)
    may_be_machine: bool = True
    """False for those who call us."""
    put_through: bool = False
    """An extension was dialled: it rings, and somebody has still to answer."""
    opened: bool = False
    who: AnsweredBy | None = None
    greeting_over: bool = False
    """A machine's greeting is known to be at its end."""
    beeps: int = 0
    """Tones heard since it was answered."""
    spoke_words: bool = False
    """The agent's last answer to a menu was words, not keys."""
    line_quiet: bool = True
    """Nothing sounds on the line, music neither."""
    new_person: bool = False
    """Who came on after a hold may not know who calls: say it, also where the opening was said before."""
    _beep_at: float | None = None
    _finals: list[str] = field(default_factory=list)
    _interim: str = ""
    _piece: str = ""
    _stretch: list[str] = field(default_factory=list)
    """The finals since the last longer silence: one sentence of a menu comes in several."""
    """The transcript that came last."""
    _speaking_since: float | None = None
    _silent_since: float | None = None
    """Since the callee's speech ended; None while there was none."""
    _talked: float = 0.0
    """Seconds of the callee's speech before the present one."""
    _turns: int = 0
    """The callee's turns since the opening that are not a machine's."""
    _by_words: bool = False
    """`who` follows from what was said."""
    _human: bool = False
    """The carrier takes them for a person."""
    _machine_spoken_to_at: float | None = None
    _answered: bool = False
    """Somebody has answered in words that are a person's: no sound makes them a machine any more."""
    _music: bool = False
    """It sounds."""
    _words_at: float = -1e9
    _over_agent: bool = False
    """The present stretch began while the agent spoke: "hold on" then means "let me speak"."""
    _held_at: float = 0.0
    _recorded: bool = False
    """In this hold music or a recording was heard."""
    _soft: bool = False
    """A person asked to wait for a moment only."""
    _same_stretch: bool = False
    """The words that began the hold are still going on: more of them may take it back."""

    def __post_init__(self) -> None:
        if self.put_through:
            self._become(AnsweredBy.HOLD, by_words=True)
            self._held_at, self._soft = self.answered_at, True

    # -- events ---------------------------------------------------------------------------------------

    def deaf(self) -> None:
        """The call cannot listen yet: a hello may have been said that is heard later."""
        self.answered_at += DEAF_SECONDS

    def listening(self, now: float) -> None:
        """What the callee has said so far is heard from now on; the wait for their hello begins here."""
        self.answered_at = now
        if self.put_through:
            self._held_at = now

    def speech_started(self, now: float, *, over_agent: bool = False) -> None:
        if self._speaking_since is None:
            self._speaking_since = now
            if self._silent_since is None or now - self._silent_since >= STRETCH_SECONDS:
                self._stretch.clear()
                self._same_stretch, self._over_agent = False, over_agent

    def speech_stopped(self, now: float) -> None:
        if self._speaking_since is not None:
            self._talked += now - self._speaking_since
        self._speaking_since = None
        self._silent_since = now

    def words(self, piece: str, now: float, *, final: bool) -> None:
        """A transcript: an interim one is replaced by the next, a final one stays."""
        self._piece, self._words_at = piece, now
        if final:
            self._stretch.append(piece)
        if final:
            self._finals.append(piece)
            self._interim = ""
        else:
            self._interim = piece
        self._judge_words(now)

    def turn_over(self, text: str) -> None:
        """The callee's turn after the opening: an answer to it is a person's, whatever they say next."""
        recording = self.language.answering.recording.found_in(text)
        if self.who in (None, AnsweredBy.PERSON) and not recording and machine_of(text, self.language) is None:
            self._turns += 1
            self._answered = True

    def music(self, sounding: bool, now: float) -> None:
        """Hold music began to sound, or ended."""
        self._music = sounding
        if not sounding:
            return
        if self.who is AnsweredBy.HOLD:
            self._recorded, self._soft = True, False
        elif now - self._words_at >= WORDLESS_SECONDS and self._may_hold:
            self._hold(now, recorded=True)

    def beep(self, now: float) -> None:
        """A tone was heard, and the silence behind it."""
        self.beeps += 1
        self._beep_at = now
        if self._open_to_doubt(now) and self._talked_by(now) > SHORT_GREETING_SECONDS:
            self._become(AnsweredBy.VOICEMAIL, by_words=False)

    def detected(self, detection: Detection, now: float) -> None:
        """The carrier's verdict. Late and repeated ones are harmless."""
        self._human = detection is Detection.PERSON
        self.greeting_over = self.greeting_over or detection in _MACHINE - {Detection.MACHINE}
        # A short greeting in known words is a person's; a beep is a fact all the same.
        greeted = bool(self._text) and self._talked_by(now) <= SHORT_GREETING_SECONDS
        if not self._open_to_doubt(now) or (greeted and detection is not Detection.BEEP):
            return
        if detection in _MACHINE:
            self._become(AnsweredBy.VOICEMAIL, by_words=False)
        elif detection is Detection.FAX:
            self._become(AnsweredBy.NOBODY, by_words=False)

    def machine_spoken_to(self, now: float) -> None:
        """The agent has answered the machine's question; what it said before counts no more."""
        self._machine_spoken_to_at = now
        self.spoke_words = False
        self._forget_words()

    # -- decisions ------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The end of what was heard since the agent last spoke to a machine, or since the call was answered."""
        return self._text

    def silence(self, now: float) -> float:
        """Seconds since the callee's last sound; 0 while they speak."""
        if self._speaking_since is not None:
            return 0.0
        return now - (self.answered_at if self._silent_since is None else self._silent_since)

    def beep_stands(self) -> bool:
        """Whether a beep was the last that was heard."""
        if self._beep_at is None or self._speaking_since is not None:
            return False
        return self._silent_since is None or self._silent_since <= self._beep_at + BEEP_SECONDS

    @property
    def answered_by(self) -> AnsweredBy:
        """For the record. What was heard and not taken for a machine is a person."""
        if self.who is not None:
            return self.who
        heard = self._speaking_since is not None or self._silent_since is not None or bool(self._text)
        return AnsweredBy.PERSON if heard or self._human else AnsweredBy.NOBODY

    @property
    def why(self) -> str:
        """What `answered_by` rests on, for people."""
        words, human = self._by_words, self._human
        if self.put_through and not self.opened and self.who is AnsweredBy.HOLD and not self._text:
            return "an extension was dialled"
        return reason(self.answered_by, self._text, words, self.beeps > 0, self._music, carrier_says_person=human)

    def alert(self, now: float) -> bool:
        """Whether a tone would mean something."""
        if not self.may_be_machine:
            return False
        return self.machine or (not self._answered and now - self.answered_at <= MACHINE_WINDOW_SECONDS)

    @property
    def machine(self) -> bool:
        """Whether somebody other than a person is believed to be there."""
        return self.who not in (None, AnsweredBy.PERSON)

    def decide(self, now: float) -> Decision:
        """A machine may be recognised after the opening has begun, and a person after a machine."""
        if self.machine:
            if not self._person_came_on(now):
                return Decision(self.who)
            self._return_to_person(now)
        if self.opened or not self._may_open(now):
            return Decision(self.who)
        self.opened = True
        if self._silent_since is not None:
            self.who = AnsweredBy.PERSON
        return Decision(self.who, open=True)

    def wake_in(self, now: float) -> float | None:
        """Seconds until time alone changes the decision; None when only events do."""
        if self.machine:
            if self._speaking_since is not None or self._silent_since is None:
                return None
            waits = (self._silent_since + s - now for s in (PERSON_PAUSE_SECONDS, UNCERTAIN_PAUSE_SECONDS))
            return next((wait for wait in waits if wait > 0), None)
        if self.opened:
            return None
        at = self.answered_at + LONGEST_GREETING_SECONDS
        if self._speaking_since is None:
            if self._silent_since is not None:
                at = min(at, self._silent_since + self._pause())
            else:
                at = self.answered_at + self.wait_seconds
        return max(0.0, at - now)

    def _may_open(self, now: float) -> bool:
        if self.first_speaker is Speaker.AGENT:
            return True
        wake_in = self.wake_in(now)
        return wake_in is not None and wake_in <= 0.001

    def _pause(self) -> float:
        """Silence behind the greeting, beyond the VAD's own, before the opening begins."""
        answering = self.language.answering
        if answering.recording.found_in(self._text) and not self._text.rstrip().endswith("?"):
            return max(self.pause_seconds, RECORDED_PAUSE_SECONDS)
        if self._human or self._talked <= SHORT_GREETING_SECONDS:
            return self.pause_seconds
        return max(self.pause_seconds, LONG_PAUSE_SECONDS if self._text else UNHEARD_PAUSE_SECONDS)

    # -- which machine --------------------------------------------------------------------------------

    @property
    def _text(self) -> str:
        return " ".join([*self._finals, self._interim])[-_KEPT_CHARACTERS:].strip()

    def _talked_by(self, now: float) -> float:
        return self._talked + (0.0 if self._speaking_since is None else now - self._speaking_since)

    def _open_to_doubt(self, now: float) -> bool:
        """Whether what is no word of the callee's may still make them a machine."""
        return self.may_be_machine and not self.machine and not self._answered

    def _judge_words(self, now: float) -> None:
        found = machine_of(self._text, self.language, spoken_to=self.opened) if self.may_be_machine else None
        if found in (None, AnsweredBy.HOLD) or not (found is self.who or self._may_turn_out(found, now)):
            self._judge_hold(now)
        elif found is self.who:
            self._by_words = True
        else:
            self._become(found, by_words=True)

    def _may_turn_out(self, found: AnsweredBy, now: float) -> bool:
        """Whether words of `found` are believed of what is there."""
        if not self.machine:
            if now - self.answered_at > MACHINE_WINDOW_SECONDS:
                return False
            # One turn may be a piece of a greeting with pauses; only a tone tells then.
            return self._turns == 0 or (self._turns == 1 and self.language.answering.tone.found_in(self._text))
        if not self._by_words:
            return True
        match self.who:
            case AnsweredBy.VOICEMAIL:
                return found is AnsweredBy.UNAVAILABLE and self.language.answering.mailbox_full.found_in(
                    self._text
                )
            case AnsweredBy.SCREENING:
                return (
                    found in (AnsweredBy.VOICEMAIL, AnsweredBy.UNAVAILABLE)
                    and self._machine_spoken_to_at is not None
                )
            case AnsweredBy.MENU:
                return found is not AnsweredBy.MENU
            case AnsweredBy.HOLD:
                if found is not AnsweredBy.MENU or not self._recorded:
                    return True
                # A queue that offers one key ("or press 1 to be called back") goes on being one.
                parts = re.split(r"[.,;?!]", ". ".join([*self._stretch, self._interim]))
                return sum(map(self.language.answering.menu.found_in, parts)) > 1
            case _:
                return found in (AnsweredBy.VOICEMAIL, AnsweredBy.SCREENING)

    def _become(self, who: AnsweredBy, *, by_words: bool) -> None:
        self.who, self._by_words = who, by_words
        self._machine_spoken_to_at = None
        self._piece = ""

    # -- hold -----------------------------------------------------------------------------------------

    @property
    def _stretch_text(self) -> str:
        return " ".join([*self._stretch, self._interim]).strip()

    @property
    def _may_hold(self) -> bool:
        """Whether what is there may let the agent wait. A menu is to be answered first."""
        if self.who is AnsweredBy.MENU:
            return self._machine_spoken_to_at is not None
        return self.who in (None, AnsweredBy.PERSON, AnsweredBy.UNAVAILABLE)

    def _judge_hold(self, now: float) -> None:
        answering, words = self.language.answering, self._stretch_text
        recorded = self.may_be_machine and machine_of(words, self.language, spoken_to=True) is AnsweredBy.HOLD
        put = answering.putting_on_hold.found_in(words)
        soft = (
            not put and not self._over_agent and not words.endswith("?") and answering.short_wait.found_in(words)
        )
        if self.who is AnsweredBy.HOLD:
            if recorded:
                self._recorded, self._soft = True, False
            elif self._same_stretch and not self._recorded and not (put or soft):
                self._return_to_person(now)  # "hold on" went on as something else
        elif (recorded or put or soft) and self._may_hold:
            self._hold(now, recorded=recorded, soft=soft)

    def _hold(self, now: float, *, recorded: bool, soft: bool = False) -> None:
        self._become(AnsweredBy.HOLD, by_words=True)
        self._held_at, self._recorded, self._soft = now, recorded, soft
        self._same_stretch = not recorded or bool(self._stretch_text)
        self._finals[:] = self._stretch  # what was said before is no machine's

    def is_recording(self, text: str) -> bool:
        """Whether a turn that is over was said by a recording to one who waits."""
        answering = self.language.answering
        asks = answering.putting_on_hold.found_in(text) or answering.short_wait.found_in(text)
        if self.who is not AnsweredBy.HOLD:
            return False
        return self._recorded and (not asks or machine_of(text, self.language) is AnsweredBy.HOLD)

    def _hold_is_over(self, now: float, silent: float) -> bool:
        """Whether somebody has come on."""
        answering, words = self.language.answering, self._stretch_text
        asked = words if self._same_stretch else self._piece
        comes_on = self._greets(self._piece) or answering.taking_over.found_in(words)
        # The music detector looks back for seconds; behind the words of who comes on it is quiet at once.
        if self._music and not (comes_on and self.line_quiet):
            return False
        if machine_of(words, self.language, spoken_to=True) is not None:
            return False
        if answering.putting_on_hold.found_in(asked) or answering.short_wait.found_in(asked):
            return False
        if self.put_through and not self.opened and answering.holding.found_in(asked):
            return False
        if comes_on or not self._recorded:
            return True
        short = len(words.split()) <= SHORT_WORDS and now - silent >= UNCERTAIN_PAUSE_SECONDS - 0.001
        return short and self.line_quiet

    # -- a person after a machine ---------------------------------------------------------------------

    def _person_came_on(self, now: float) -> bool:
        """Whether what was said last, and is over, is a person's."""
        if self._soft and self.who is AnsweredBy.HOLD and now - self._held_at >= SHORT_WAIT_SECONDS:
            return True  # they may have gone: they are asked
        silent = self._silent_since
        if self._speaking_since is not None or silent is None or now - silent < PERSON_PAUSE_SECONDS - 0.001:
            return False
        piece, answering = self._piece, self.language.answering
        if self.who is AnsweredBy.HOLD:
            return bool(piece) and self._hold_is_over(now, silent)
        if not piece or answering.holding.found_in(piece):
            return False
        if machine_of(piece, self.language, spoken_to=True) is not None:
            return False
        if self._greets(piece):
            return True
        # Once it was answered, a voice that is no machine is the person.
        at = self._machine_spoken_to_at
        if at is None or silent <= at or answering.refusing.found_in(piece):
            return False
        if self.who is AnsweredBy.MENU:
            stretch = " ".join(self._stretch)
            menu = answering.recording.found_in(stretch) or machine_of(stretch, self.language, spoken_to=True)
            return now - silent >= UNCERTAIN_PAUSE_SECONDS - 0.001 and not menu
        return self.who is AnsweredBy.SCREENING

    def _greets(self, piece: str) -> bool:
        return self.language.is_greeting(piece) or self.language.answering.person.found_in(piece)

    def _return_to_person(self, now: float) -> None:
        # Who goes on talking with the agent has no use for the opening.
        if self.who is AnsweredBy.HOLD:
            words = self._stretch_text
            few = self._recorded and 0 < len(words.split()) <= NEW_VOICE_WORDS
            self.new_person = self.opened and (few or self.language.answering.taking_over.found_in(words))
        else:
            self.opened = self.who is AnsweredBy.MENU and self.spoke_words and not self._greets(self._piece)
        self.who, self._by_words = AnsweredBy.PERSON, False
        self.greeting_over = False
        self.answered_at = now
        self._turns, self._talked = 0, 0.0
        self._forget_words()

    def _forget_words(self) -> None:
        self._finals.clear()
        self._stretch.clear()
        self._interim = self._piece = ""
