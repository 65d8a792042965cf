"""Who holds the phone in a benchmark: asks, listens, interrupts, and keeps what was heard.

Times are read off the media clock. The callee's speech ends when the frame with its last sound leaves the
far end, which is up to 20 ms before that sound would have been spoken: no delay is counted shorter than it
is.
"""

from __future__ import annotations

import random
import time
from base64 import b64decode
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from bot.audio import MULAW_SILENCE
from bot.pipeline.offline.voice import CALLEE_PITCH, LocalVoice
from bot.telephony.simulated.callee import is_loud, line_of, noise_payloads
from bot.telephony.simulated.stream import FRAME_MS, FRAME_SAMPLES, Tick
from tests.benchmarks.figures import Reply, reply_in, silent_after_ms

QUESTIONS = (
    "What time is my appointment on Thursday?",
    "Is there a place to park the car near your office?",
    "Is it all right if I bring my daughter along?",
    "Do I have to bring anything with me?",
)
"""Spoken without a pause that a VAD takes for an end: a turn cut in two has no single latency."""
INTERRUPTION = "How much will that be in the end?"
QUIET_MS = 800
"""Silence of the agent that ends its reply."""
PATIENCE_MS = 6000
"""A reply that has not begun by then never comes."""
DUE_MS = 3000
"""A call that ends while a reply is waited for this long counts it as missing."""
LONGEST_REPLY_MS = 15_000
BARGE_IN_AFTER_MS = 1500
_SILENCE = bytes([MULAW_SILENCE]) * FRAME_SAMPLES


@dataclass(frozen=True)
class Utterance:
    """One payload per 20 ms, and the frames of the first and the last sound."""

    payloads: tuple[str, ...]
    first: int
    last: int


def utterances(texts: Sequence[str]) -> tuple[Utterance, ...]:
    """Real speech over the line's noise. Loads the local voice: some two seconds."""
    voice = LocalVoice()
    try:
        voice.load()
        spoken: list[Utterance] = []
        for text in texts:
            payloads = line_of(voice.say(text, pitch=CALLEE_PITCH)).payloads
            loud = [index for index, payload in enumerate(payloads) if is_loud(b64decode(payload))]
            spoken.append(Utterance(payloads, loud[0], loud[-1]))
        return tuple(spoken)
    finally:
        voice.close()


class Callee:
    """A FarEnd. Asks question after question until `turns` are over or `leave` is called.

    Every `barge_in_every`th reply is interrupted (0: none). `expected_ms`: how long a whole reply is.
    """

    def __init__(
        self,
        questions: Sequence[Utterance],
        interruption: Utterance,
        *,
        turns: int,
        barge_in_every: int = 0,
        expected_ms: float | None = None,
        seed: int = 0,
    ) -> None:
        self._questions = questions
        self._interruption = interruption
        self._turns = turns
        self._barge_in_every = barge_in_every
        self._expected_ms = expected_ms
        self._random = random.Random(seed)
        self._noise = noise_payloads()
        self._frame = 0
        self._heard: list[bytes] = []
        """What was played, 20 ms each, of the whole call."""
        self._quiet_frames = 0
        self._leaving = False
        self.hang_up_after_ms: int | None = None
        self._waiting_since: int | None = None
        """The frame from which on a reply is listened for."""
        self._script = self._act()
        self._first_tick_at = 0.0
        self.lateness_ms: list[float] = []
        """How late each tick was: the load generator's own lag."""
        self.opening: Reply | None = None
        """Its delay runs from the far end's `start`."""
        self.replies: list[Reply] = []
        self.barge_ins_ms: list[float] = []
        """From the onset of the interruption to the agent's silence."""
        self.speaking_frames = 0
        self.hung_up = False
        """By itself; otherwise the call was lost."""

    @property
    def talk_share(self) -> float:
        return self.speaking_frames / max(1, self._frame)

    def leave(self) -> None:
        """Hang up with the next frame."""
        self._leaving = True

    def stream_begins(self) -> None:
        """The media clock starts now."""

    def off_stream(self) -> None:
        """The call ends with its stream here."""

    def press_heard(self, digits: str) -> None:
        """Nobody presses keys here."""

    def tick(self, heard: bytes | None) -> Tick:
        now = time.perf_counter()
        if not self._frame:
            self._first_tick_at = now
        self.lateness_ms.append((now - self._first_tick_at) * 1000 - self._frame * FRAME_MS)
        if self._frame:
            self._heard.append(_SILENCE if heard is None else heard)
        self._quiet_frames = self._quiet_frames + 1 if heard is None else 0
        if self.hang_up_after_ms is not None and self._frame * FRAME_MS >= self.hang_up_after_ms:
            self._leaving = True
        payload = None if self._leaving else next(self._script, None)
        if payload is None:
            self._judge_unfinished()
            self.hung_up = True
            return Tick(self._quiet(), hang_up=True)
        self._frame += 1
        return Tick(payload)

    def _judge_unfinished(self) -> None:
        """A reply that was being heard counts as far as it went, one that was due counts as missing."""
        since, self._waiting_since = self._waiting_since, None
        if since is None:
            return
        reply = reply_in(b"".join(self._heard[since:]))
        if reply.delay_ms is None and (self._frame - since) * FRAME_MS < DUE_MS:
            return
        if self.opening is None:
            self.opening = reply
        else:
            self.replies.append(reply)

    def _quiet(self) -> str:
        return self._noise[self._frame % len(self._noise)]

    def _act(self) -> Generator[str, None, None]:
        self.opening = yield from self._hear_reply(0, expected_ms=None)
        for turn in range(1, self._turns + 1):
            yield from self._wait(self._random.randint(0, 500))
            asked = yield from self._say(self._questions[turn % len(self._questions)])
            if self._barge_in_every and turn % self._barge_in_every == 0:
                began = yield from self._hear_beginning(asked)
                if began:
                    yield from self._wait(BARGE_IN_AFTER_MS)
                    asked = yield from self._barge_in()
                else:
                    self.replies.append(Reply(None))
            reply = yield from self._hear_reply(asked, expected_ms=self._expected_ms)
            self.replies.append(reply)

    def _say(self, utterance: Utterance) -> Generator[str, None, int]:
        """The frame that ended the speech."""
        end = self._frame + utterance.last
        self.speaking_frames += utterance.last - utterance.first
        for index, payload in enumerate(utterance.payloads):
            if index > utterance.last:
                break
            yield payload
        return end

    def _barge_in(self) -> Generator[str, None, int]:
        """Speak over the agent; the frame that ended the speech, or the agent's sound if that was later."""
        onset = self._frame + self._interruption.first
        end = yield from self._say(self._interruption)
        yield from self._wait(60)
        self.barge_ins_ms.append(silent_after_ms(b"".join(self._heard[onset:])))
        return end

    def _hear_beginning(self, since: int) -> Generator[str, None, bool]:
        while (self._frame - since) * FRAME_MS < PATIENCE_MS:
            if not self._quiet_frames:
                return True
            yield self._quiet()
        return False

    def _hear_reply(self, since: int, *, expected_ms: float | None) -> Generator[str, None, Reply]:
        """Until the reply was heard and the agent is quiet, or did not come."""
        self._waiting_since = since
        yield self._quiet()
        if (yield from self._hear_beginning(since)):
            began = self._frame
            while (
                self._quiet_frames * FRAME_MS < QUIET_MS and (self._frame - began) * FRAME_MS < LONGEST_REPLY_MS
            ):
                yield self._quiet()
        self._waiting_since = None
        return reply_in(b"".join(self._heard[since:]), expected_ms=expected_ms)

    def _wait(self, for_ms: int) -> Generator[str, None, None]:
        for _ in range(for_ms // FRAME_MS):
            yield self._quiet()
