"""Leads one call through its time: who picked up, the opening, silence, the longest duration, the goodbye's cap.

The decisions are pure (`detection`, `silence`); this file hears of events, asks them, and does what they say.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from bot.conversation import prompt
from bot.conversation.call_plan import Plan
from bot.conversation.disclosure import DisclosureWatch
from bot.conversation.hang_up import Goodbye
from bot.conversation.identity import IdentityTalk
from bot.conversation.keys import Keys
from bot.conversation.machines.answering import TREAT_EVERY_SECONDS, MachineHandling
from bot.conversation.opt_out import OptOut
from bot.conversation.recording_consent import CallRecording, RecordingTalk
from bot.conversation.replies import Replies
from bot.conversation.silence import Silence, SilenceWatch
from bot.conversation.stages import Stages
from bot.pipeline.turns.beep import BeepDetector
from bot.pipeline.turns.music import MusicDetector
from bot.records import AnsweredBy, EndedReason, RecordingConsent
from bot.telephony.carrier import Detection

CUT_IN_SECONDS = 0.5
"""Who begins to speak so soon after the agent has stopped began while it spoke."""
WARNING_SECONDS = 30.0
"""How long before the longest duration the model learns of it."""


class CallFlow:
    """`run` is the call's clock; the `note_…` methods report what happens."""

    def __init__(
        self,
        plan: Plan,
        *,
        stages: Stages,
        goodbye: Goodbye,
        machine: MachineHandling,
        replies: Replies,
        keys: Keys,
        disclosure: DisclosureWatch,
        recording: CallRecording | None,
        report_who: Callable[[AnsweredBy, str], None],
        never_again: Callable[[str], Awaitable[object]],
        waiting: Callable[[], bool],
    ) -> None:
        """`waiting`: the callee waits for somebody to take the call. `never_again`: lists their number."""
        self.plan = plan
        self._stages, self._goodbye = stages, goodbye
        self._line, self._user, self._changed = stages.line, stages.user, stages.changed
        self._machine, self._detection = machine, machine.detection
        self._replies, self._keys = replies, keys
        self._disclosure = disclosure
        self.opt_out = OptOut(plan, goodbye, at_person=lambda: self._at_person, never_again=never_again)
        self._recording = RecordingTalk(
            plan,
            stages,
            recording,
            at_person=lambda: self._at_person,
            in_gap=lambda: self._in_gap,
        )
        self._identity = IdentityTalk(
            plan,
            stages,
            goodbye,
            at_person=lambda: self._at_person,
            otherwise_asked=lambda: self._recording.awaiting,
        )
        self._waiting, self._report_who = waiting, report_who
        self._reported: AnsweredBy | None = None
        self._opening_lost = self._opening_said_again = False
        self._callee_speaks = self._turn_open = self._tools_work = self._speaks_up = False
        limits = plan.scenario.limits
        self._warned = limits.max_duration_seconds <= WARNING_SECONDS
        self._beeps, self._music = BeepDetector(), MusicDetector()
        self._agent_speaks, self._agent_spoke_at = False, 0.0
        self._silence = SilenceWatch(limits.silence_seconds, limits.silence_prompts, self._line.opened_at)
        plan.detections.listen(self._note_detection)

    async def run(self) -> None:
        """Until the call is over."""
        try:
            await self._lead()
        finally:
            await self._machine.close()

    async def _lead(self) -> None:
        limits = self.plan.scenario.limits
        must_end_at = self._line.opened_at + limits.max_duration_seconds
        while not self._goodbye.over.is_set():
            self._changed.clear()
            now = time.monotonic()
            await self._keys.attend(now)
            if self._goodbye.begun:
                if self._goodbye.overdue(now):
                    self._goodbye.end_now(EndedReason.AGENT_HANGUP)
                    return
                wait = 0.25
            elif now >= must_end_at and not self._line.away:
                await self._goodbye.say(self.plan.scenario.phrases.time_is_up, EndedReason.MAX_DURATION)
                continue
            else:
                await self.opt_out.attend()
                await self._open_or_answer_machine(now)
                await self._attend_disclosure()
                await self._recording.attend()
                await self._identity.attend()
                await self._attend_speaking_up()
                await self._attend_replies(now)
                await self._attend_silence(now)
                self._warn_of_end(must_end_at - now)
                wait = self._wake_in(time.monotonic(), must_end_at)
            try:
                await asyncio.wait_for(self._changed.wait(), max(wait, 0.001))
            except TimeoutError:
                continue

    def _wake_in(self, now: float, must_end_at: float) -> float:
        waits = [must_end_at - now if must_end_at > now else 0.25, *self._keys.wake_in(now)]
        if not self._warned:
            waits.append(must_end_at - WARNING_SECONDS - now)
        if self._detection.machine:
            waits.append(TREAT_EVERY_SECONDS)
        elif self._detection.opened:
            waits += [self._silence.wake_in(now), self._replies.wake_in(now)]
        detection = self._detection.wake_in(now)
        if detection is not None:
            waits.append(detection)
        return min(waits)

    def _warn_of_end(self, seconds_left: float) -> None:
        """The model brings the call to its close by itself, if it knows in time."""
        if not self._warned and seconds_left <= WARNING_SECONDS:
            self._warned = True
            self._stages.note(prompt.END_IS_NEAR)

    # -- the opening ----------------------------------------------------------------------------------

    async def _open_or_answer_machine(self, now: float) -> None:
        self._detection.line_quiet = self._music.quiet
        decision = self._detection.decide(now)
        self._note_who()
        if self._detection.machine:
            await self._machine.treat(now)
            return
        if self._machine.engaged:
            await self._machine.release()
            self._silence.begin_again(time.monotonic())
            if not decision.open and self._detection.new_person:
                self._user.answering = True
                self._identity.opening_said()
                await self._machine.introduce()
            elif not decision.open and self._identity.withheld:
                await self._identity.came_back()
            elif not decision.open:
                await self._machine.let_model_answer()
        if decision.open:
            self._user.answering = True
            await self._say_opening()
        elif self._opening_lost and not self._opening_said_again:
            self._opening_said_again = True
            await self._say_opening()

    def _note_who(self) -> None:
        who = self._detection.answered_by
        known = self._detection.who is not None or (self._detection.opened and who is AnsweredBy.PERSON)
        if known and who is not self._reported:
            self._reported = who
            self._report_who(who, self._detection.why)

    async def _say_opening(self) -> None:
        self._disclosure.begin()
        self._recording.opening_said()
        self._identity.opening_said()
        opening = self.plan.opening
        if opening is not None and not opening.silent and not self._opening_lost:
            playback = self._stages.output.begin(
                "opening",
                opening.text or "",
                opening=True,
                protected=not self.plan.scenario.opening.interruptible,
            )
            opening.play_to(playback, self._opening_given)
        elif self.plan.opening_text:
            await self._stages.say(self.plan.opening_text)
        else:
            self._user.answer_now()
            await self._stages.run_model()

    def _opening_given(self) -> None:
        if self.plan.opening is not None and self.plan.opening.silent:
            self._opening_lost = True
            self._changed.set()

    async def _attend_disclosure(self) -> None:
        """Where it was cut in spite of all, or a model left it out: in the next gap."""
        if self._in_gap and self._disclosure.due():
            await self._stages.say(self.plan.scenario.phrases.disclosure)

    # -- silence --------------------------------------------------------------------------------------

    async def _attend_replies(self, now: float) -> None:
        if not self._detection.opened or self._detection.machine or self._goodbye.begun:
            self._replies.settle()
        elif not self._line.away:
            await self._replies.attend(now)

    async def _attend_silence(self, now: float) -> None:
        if not self._detection.opened or self._detection.machine or self._goodbye.begun:
            return
        phrases = self.plan.scenario.phrases
        if self._line.away or self._tools_work or self._replies.owed or self._keys.open:
            self._silence.excuse(now)
            return
        if self._waiting():
            if self._silence.decide(now) is not Silence.NOTHING:
                self._silence.excuse(now)
                await self._stages.say(phrases.fillers[0])
            return
        match self._silence.decide(now):
            case Silence.PROMPT:
                text = phrases.silence[(self._silence.asked - 1) % len(phrases.silence)]
                await self._stages.say(self._recording.ask_again() or self._identity.ask_again() or text)
            case Silence.GOODBYE:
                await self._goodbye.say(phrases.silence_goodbye, EndedReason.SILENCE)
            case Silence.NOTHING:
                pass

    @property
    def answered_by(self) -> AnsweredBy:
        """Who is at the other end, as far as is known by now."""
        return self._detection.answered_by

    @property
    def at_machine(self) -> bool:
        """What picked up is no person, as far as is known by now."""
        return self._detection.machine

    @property
    def at_menu(self) -> bool:
        return self._detection.who is AnsweredBy.MENU

    @property
    def reply_owed(self) -> bool:
        return self._replies.owed

    def speak_up(self) -> None:
        """The model knows something that it is to speak of: in the next gap, unless a reply comes first."""
        self._speaks_up = True
        self._changed.set()

    async def _attend_speaking_up(self) -> None:
        if self._speaks_up and self._in_gap and self._line.idle and not self._replies.owed:
            self._speaks_up = False
            self._owe_reply()
            await self._stages.run_model()

    def _owe_reply(self) -> None:
        self._silence.owe_reply(time.monotonic())
        self._replies.owe()

    def no_reply_owed(self) -> None:
        """What the callee said was answered otherwise: by a key."""
        self._replies.settle()

    @property
    def callee_speaks(self) -> bool:
        return self._callee_speaks

    @property
    def must_be_heard(self) -> bool:
        """Whether the agent says what the callee does not interrupt: that an AI assistant speaks."""
        return self._speaks_with_person and self._disclosure.pending

    @property
    def _in_gap(self) -> bool:
        """The agent talks with a person who has finished what they say."""
        return self._speaks_with_person and not (self._callee_speaks or self._turn_open)

    @property
    def _at_person(self) -> bool:
        return not (self._detection.machine or self._goodbye.begun)

    @property
    def _speaks_with_person(self) -> bool:
        return self._detection.opened and not (self._detection.machine or self._line.away or self._goodbye.begun)

    @property
    def may_fill(self) -> bool:
        """Whether a short phrase may be said now: the callee is silent, and the call goes on."""
        return self._speaks_with_person and not (self._user.muted or self._callee_speaks or self._keys.open)

    # -- news -----------------------------------------------------------------------------------------

    def note_listening(self) -> None:
        self._detection.listening(time.monotonic())
        self._changed.set()

    def note_agent_speech(self, speaking: bool) -> None:
        now = time.monotonic()
        self._agent_speaks, self._agent_spoke_at = speaking, now
        self._silence.agent_speaks(speaking, now)
        self._changed.set()

    def note_agent_turn(self, text: str) -> None:
        """What was heard of the agent."""
        self._recording.note_agent_turn(text)
        self._changed.set()

    @property
    def consent(self) -> RecordingConsent | None:
        """To the recording."""
        return self._recording.consent

    def note_callee_speech(self, speaking: bool) -> None:
        now = time.monotonic()
        self._callee_speaks = speaking
        self._silence.callee_speaks(speaking, now)
        self._replies.note_callee_speech(speaking)
        if speaking:
            self._turn_open = True
            self._recording.note_speech()
            over_agent = self._agent_speaks or now - self._agent_spoke_at < CUT_IN_SECONDS
            self._detection.speech_started(now, over_agent=over_agent)
        else:
            self._detection.speech_stopped(now)
        self._changed.set()

    def note_tools(self, working: bool) -> None:
        """While tools work, the silence is ours; it counts from their end."""
        self._tools_work = working
        self._replies.note_tools(working)
        self._silence.excuse(time.monotonic())
        self._changed.set()

    def note_callee_presence(self) -> None:
        """They are there: they say something, or no more than "mhm"."""
        self._silence.callee_said_something()
        self._changed.set()

    def note_callee_keys(self) -> None:
        """An entry of keys: a turn that is answered as a spoken one is."""
        if self._detection.opened and not (self._detection.machine or self._user.muted):
            self._owe_reply()
        self.note_callee_presence()

    def note_callee_words(self, piece: str, *, final: bool) -> None:
        """A transcript; they are there."""
        self._machine.note_piece()
        self.opt_out.note_words(piece, final=final)
        self._recording.note_words(piece)
        self._detection.words(piece, time.monotonic(), final=final)
        self.note_callee_presence()

    def note_callee_turn_over(self, text: str) -> None:
        self._machine.note_turn_over()
        self._turn_open = False
        self.opt_out.note_turn_over(text)
        self._recording.note_turn_over(text)
        self._identity.note_turn_over(text)
        if text and self._identity.awaiting:
            self._detection.turn_over(text)
        if text and self._user.owes_reply:
            self._owe_reply()
            self._speaks_up = False
            self._detection.turn_over(text)
        self._changed.set()

    def _note_detection(self, detection: Detection) -> None:
        """The carrier's word for who answered."""
        self._detection.detected(detection, time.monotonic())
        self._changed.set()

    def is_recording(self, text: str) -> bool:
        """Whether the words of a turn are nobody's."""
        return self._detection.is_recording(text)

    def listen_for_sounds(self, pcm: bytes) -> None:
        now = time.monotonic()
        if self._music.hear(pcm):
            self._detection.music(self._music.sounding, now)
            self._changed.set()
        if self._detection.alert(now) and self._beeps.hear(pcm):
            self._detection.beep(now)
            self._changed.set()
