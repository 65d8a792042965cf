"""The callee's end of a call in text: to say, to hear, to press keys; and a scripted callee that does so."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from typing import Protocol

from bot.audio import MULAW_SILENCE, SAMPLE_RATE
from bot.records import Speaker, Turn
from bot.suites.text_phone import TextPhone
from bot.suites.typed import TypedSpeech
from bot.telephony.simulated.callee import beep_payloads, music_payloads
from bot.telephony.simulated.script import (
    BACKCHANNEL_MS,
    BeepStep,
    Conversation,
    ConverseStep,
    HangUpStep,
    HearStep,
    InterruptStep,
    MenuStep,
    MusicStep,
    PressStep,
    SayStep,
    SilenceStep,
    Step,
    Text,
    WaitForHangUpStep,
    spoken,
)

TICK_SECONDS = 0.02
QUIET_SECONDS = 1.5
"""Behind music, so that it is heard to be over."""


class TypedLine:
    """One call's. `agent_words`: all that was heard of the agent so far."""

    def __init__(self, far: TextPhone, speech: TypedSpeech, agent_words: Callable[[], str]) -> None:
        self.far, self._speech, self._agent_words = far, speech, agent_words
        self._known = 0
        self.pressed = ""
        """Keys of the agent's."""

    @property
    def over(self) -> bool:
        return self.far.over.is_set()

    async def say(self, text: str, *, word_seconds: float = 0.3) -> None:
        self.far.sounded.clear()
        if not self.over:
            await self._speech.say(text, word_seconds=word_seconds)

    def new_words(self) -> str:
        """What was heard of the agent since the last time."""
        words = self._agent_words()
        new, self._known = words[self._known :].strip(), len(words)
        return new

    async def hear(self, *, within_seconds: float = 15.0, pause_seconds: float = 0.7) -> bool:
        """Until the agent has spoken and is quiet; False where it says nothing, or the call is over."""
        if not await self._until_sound(within_seconds):
            return False
        while self.far.quiet_seconds < pause_seconds and not self.over:
            left = self.far.plays_until + pause_seconds - self.far.now
            await self._sleep(max(left, TICK_SECONDS))
        return not self.over

    async def hear_for(self, seconds: float, *, within_seconds: float) -> None:
        """Until the agent has spoken for so long, or nothing is said."""
        if await self._until_sound(within_seconds):
            left = seconds - self.far.speaking_seconds
            await self._sleep(max(left, TICK_SECONDS))

    async def _until_sound(self, within_seconds: float) -> bool:
        if self.far.speaking_seconds > 0:
            return True
        over = asyncio.ensure_future(self.far.over.wait())
        sounded = asyncio.ensure_future(self.far.sounded.wait())
        try:
            await asyncio.wait({over, sounded}, timeout=within_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            sounded.cancel()
        return self.far.sounded.is_set() and not self.over

    async def _sleep(self, seconds: float) -> None:
        """No longer than the call."""
        try:
            await asyncio.wait_for(self.far.over.wait(), seconds)
        except TimeoutError:
            return

    async def wait(self, seconds: float) -> None:
        await self._sleep(seconds)


class TypedCallee(Protocol):
    """The other end of a text call."""

    async def talk(self, line: TypedLine) -> None:
        """Until they hang up, by returning, or the call is over."""
        ...


class ScriptedCallee:
    """A simulated callee of the shipped kind; what it says is typed."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._keys_taken = 0
        """Of the agent's, by a menu before this one."""

    async def talk(self, line: TypedLine) -> None:
        try:
            async with asyncio.timeout(self._conversation.longest_ms / 1000):
                for step in self._conversation.steps:
                    if line.over or not await self._take(step, line):
                        return
        except TimeoutError:
            return

    async def _take(self, step: Step, line: TypedLine) -> bool:
        """One step; False to hang up after it."""
        match step:
            case SayStep():
                await self._say(line, step.text)
            case HearStep():
                heard = await line.hear(within_seconds=step.within_ms / 1000, pause_seconds=step.pause_ms / 1000)
                return heard or step.or_else == "go_on"
            case InterruptStep():
                await line.hear_for(step.after_ms / 1000, within_seconds=step.within_ms / 1000)
                await self._say(line, step.text)
            case PressStep():
                line.far.press(step.digits)
            case SilenceStep():
                await line.wait(step.for_ms / 1000)
            case BeepStep():
                await line.far.play(_mulaw(beep_payloads(step.for_ms, step.hertz)))
            case MusicStep():
                await self._music(line, step.for_ms / 1000)
            case WaitForHangUpStep():
                await line.wait(step.within_ms / 1000)
                return False
            case MenuStep():
                return await self._offer(line, step)
            case ConverseStep():
                await self._converse(line, step)
            case HangUpStep():
                return False
        return True

    async def _say(self, line: TypedLine, text: Text) -> None:
        said = spoken(text, self._conversation.language)
        await line.say(said, word_seconds=0.3 / self._conversation.speed)

    async def _converse(self, line: TypedLine, step: ConverseStep) -> None:
        answers = self._conversation.answers(step)
        for _ in range(step.turns):
            if step.backchannel is not None:
                await line.hear_for(BACKCHANNEL_MS / 1000, within_seconds=15.0)
                if line.far.speaking_seconds > 0:
                    await self._say(line, step.backchannel)
            heard = await line.hear(pause_seconds=step.pause_ms / 1000)
            if line.over or not heard:
                return
            reply = answers.reply(line.new_words())
            if reply is None:
                return
            if reply:
                await line.wait(step.think_ms / 1000)
                await self._say(line, reply)
            else:
                line.far.sounded.clear()

    @staticmethod
    async def _music(line: TypedLine, seconds: float) -> None:
        loop = _mulaw(music_payloads())
        samples = round(seconds * SAMPLE_RATE)
        await line.far.play((loop * (1 + samples // len(loop)))[:samples])
        await line.far.play(bytes([MULAW_SILENCE]) * round(QUIET_SECONDS * SAMPLE_RATE))

    async def _offer(self, line: TypedLine, step: MenuStep) -> bool:
        for _ in range(step.times):
            await self._say(line, step.text)
            for _ in range(round(step.pause_ms / 1000 / 0.1)):
                if set(line.pressed[self._keys_taken :]) & set(step.keys):
                    self._keys_taken = len(line.pressed)
                    return True
                if line.over:
                    return False
                await line.wait(0.1)
        return False


def replayed(turns: Sequence[Turn]) -> Conversation:
    """A callee who says what the one of an earlier call said, each turn when the agent has finished."""
    steps: list[Step] = []
    spoke = False
    for turn in turns:
        if turn.speaker is Speaker.AGENT:
            spoke = True
        elif turn.text and turn.speaker is Speaker.CALLEE:
            steps += [HearStep(do="hear")] if spoke else []
            steps.append(SayStep(do="say", text=turn.text))
            spoke = False
    steps.append(WaitForHangUpStep(do="wait_for_hang_up"))
    return Conversation(name="replay", description="The callee of an earlier call.", steps=steps)


def _mulaw(payloads: tuple[str, ...]) -> bytes:
    return b"".join(base64.b64decode(payload) for payload in payloads)
