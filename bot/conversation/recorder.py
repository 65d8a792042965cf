"""Watches one call: its turns, latencies, interruptions, tool uses; keeps them in the store as they grow.

The open turn is written at most every KEEP_SECONDS, so a killed server loses less than two seconds of
what was said.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from loguru import logger
from pipecat.frames.frames import MetricsFrame
from pipecat.metrics.metrics import TextAggregationMetricsData, TTFBMetricsData

from bot.conversation.masking import Redact, Secrets
from bot.conversation.reports import NO_REPORTS, CallReports
from bot.pipeline.line.line_ends import WORD_HEARD_MS
from bot.records import AnsweredBy, Counts, Speaker, ToolUse, Turn, TurnLatency
from bot.telemetry import metrics
from bot.telemetry.tracing import CallTrace

KEEP_SECONDS = 1.0
BACKCHANNEL_MS = 300
"""How long an "mhm" is taken to be; it is not measured."""
ABANDONED_MS = 2000
CLOSING_TRIES = 3
"""How often the last turns are offered to a store that fails."""


class TurnStore(Protocol):
    """Where turns are kept; the call store is one."""

    async def put_turn(self, call_id: str, turn: Turn) -> None:
        """Insert or replace the turn of this index."""
        ...


@dataclass(frozen=True)
class Greeted:
    """How a callee who said hello was met. Both None where nobody did."""

    hello_to_first_word_ms: float | None = None
    """0 where the agent spoke first; None where it never spoke."""
    abandoned: bool | None = None


NOT_GREETED = Greeted()


def greeted(hello_ended_ms: int | None, first_word_ms: int | None, now_ms: int) -> Greeted:
    """By the media clock. Abandoned as 16 CFR 310.4(b)(4) has it: no word within two seconds of the greeting."""
    if hello_ended_ms is None:
        return NOT_GREETED
    waited = max(0, (now_ms if first_word_ms is None else first_word_ms) - hello_ended_ms)
    return Greeted(None if first_word_ms is None else float(waited), waited > ABANDONED_MS)


@dataclass
class _Timing:
    """One reply on its way, seconds of time.monotonic()."""

    speech_end: float | None = None
    vad_at: float | None = None
    final_at: float | None = None
    turn_at: float | None = None
    llm_s: float | None = None
    sentence_s: float | None = None
    tts_s: float | None = None
    owed: bool = False
    """The callee's turn is over and no audio has answered it yet."""


class Recorder:
    """`media_ms` gives the line's media clock; `reports` hears of all that is kept, as it comes."""

    def __init__(
        self,
        call_id: str,
        store: TurnStore,
        media_ms: Callable[[], int],
        *,
        vad_start_ms: int,
        reports: CallReports = NO_REPORTS,
        redact: Redact | None = None,
    ) -> None:
        """`redact`: what is done to every text before it is kept."""
        self._call_id = call_id
        self._store = store
        self._media_ms = media_ms
        self._vad_start_ms = vad_start_ms
        self.trace = CallTrace(call_id)
        self.turns: list[Turn] = []
        self.counts = Counts()
        self.reports = reports
        self.secrets = Secrets(redact)
        """Kept of nothing that is recorded here."""
        self._cut: set[int] = set()
        """Turns that something was cut out of."""
        self._open: dict[Speaker, int] = {}
        self._final_words: list[str] = []
        self._interim = ""
        self._dirty: set[int] = set()
        self._changed = asyncio.Event()
        self._closing = False
        self._agent_began_ms: int | None = None
        """Media clock when the agent's voice began; its first words are known to be heard a mark later."""
        self._timing = _Timing()
        self._hello_ended_ms: int | None = None
        self._first_word_ms: int | None = None
        """Media clock: the end of the callee's first speech, and the agent's first audio."""
        self._next_latency: TurnLatency | None = None
        self._tools: list[ToolUse] = []

    # -- reported by the stages ---------------------------------------------------------------------------

    def callee_speech_started(self, late_seconds: float = 0.0) -> None:
        self.trace.speech_began()
        if Speaker.CALLEE not in self._open:
            self._begin(Speaker.CALLEE, "", self._media_ms() - self._vad_start_ms - round(late_seconds * 1000))

    def callee_speech_stopped(self, silence_seconds: float, late_seconds: float = 0.0) -> None:
        at = time.monotonic() - late_seconds
        self._timing.vad_at, self._timing.speech_end = at, at - silence_seconds
        ended_ms = self._media_ms() - round((silence_seconds + late_seconds) * 1000)
        if self._hello_ended_ms is None:
            self._hello_ended_ms = ended_ms
        index = self._open.get(Speaker.CALLEE)
        if index is not None:
            self._change(index, end_ms=ended_ms)

    def callee_words(self, text: str, *, final: bool) -> None:
        if not text.strip():
            return
        self.trace.words_came()
        if final:
            self._final_words.append(text.strip())
            self._interim = ""
            self._timing.final_at = time.monotonic()
        else:
            self._interim = text.strip()
        if Speaker.CALLEE not in self._open:
            self._begin(Speaker.CALLEE, "", self._media_ms())
        words = " ".join([*self._final_words, self._interim]).strip()
        self._change(self._open[Speaker.CALLEE], text=words)

    def callee_backchannel(self, text: str, ended_seconds_ago: float) -> None:
        """An "mhm" while the agent spoke: kept as a turn that nothing answers."""
        self.trace.backchannel()
        end_ms = self._media_ms() - round(ended_seconds_ago * 1000)
        self._keep_whole(Speaker.CALLEE, text, end_ms - BACKCHANNEL_MS, end_ms)

    def callee_keys(self, keys: str) -> None:
        """An entry of keys, as it is kept: a turn of its own."""
        self.trace.turn_over()
        self._timing.turn_at = time.monotonic()
        self._timing.owed = True
        now_ms = self._media_ms()
        self._keep_whole(Speaker.CALLEE, keys, now_ms, now_ms, keys=True)

    def speculated(self, *, kept: bool) -> None:
        """A reply that was begun before the turn was over was used, or dropped unheard."""
        counts = self.counts
        self.counts = replace(
            counts,
            speculations_kept=counts.speculations_kept + kept,
            speculations_dropped=counts.speculations_dropped + (not kept),
        )
        self.reports.reply_guessed(kept=kept)

    def callee_turn_over(self, text: str, *, recording: bool = False) -> None:
        """`recording`: nobody's words."""
        self.trace.turn_over()
        self._timing.turn_at = time.monotonic()
        self._timing.owed = bool(text) and not recording
        # What a longer reply measured after its first audio belongs to that reply, not to the next.
        self._timing.llm_s = self._timing.sentence_s = self._timing.tts_s = None
        index = self._open.pop(Speaker.CALLEE, None)
        said = text or " ".join([*self._final_words, self._interim]).strip()
        self._final_words, self._interim = [], ""
        if index is None:
            return
        if said:
            speaker = Speaker.RECORDING if recording else Speaker.CALLEE
            end_ms = self.turns[index].end_ms or self._media_ms()
            self._change(index, text=said, end_ms=end_ms, speaker=speaker)
            self._complete(index)
        else:
            self._drop(index)

    def recording_was_callee(self) -> None:
        """The last turn of a recording was said by somebody after all."""
        last = next((turn for turn in reversed(self.turns) if turn.text), None)
        if last is not None and last.speaker is Speaker.RECORDING:
            self._change(last.index, speaker=Speaker.CALLEE)

    def agent_words(self, text: str) -> None:
        index = self._open.get(Speaker.AGENT)
        if index is None:
            began, self._agent_began_ms = self._agent_began_ms, None
            self._begin(Speaker.AGENT, text, self._media_ms() if began is None else began)
            first = self.turns[self._open[Speaker.AGENT]]
            times = self._word_times(text, first.start_ms)
            self._change(first.index, latency=self._next_latency, word_ms=times)
            self._next_latency = None
        else:
            turn = self.turns[index]
            times = (*turn.word_ms, *self._word_times(text, self._media_ms() - WORD_HEARD_MS))
            self._change(index, text=f"{turn.text} {text}", word_ms=times)

    @staticmethod
    def _word_times(text: str, at_ms: int) -> tuple[int, ...]:
        """Of a piece, which is nearly always one word."""
        return (max(0, at_ms),) * len(text.split())

    def agent_words_cut(self, text: str) -> None:
        """`text` is not kept: it was never heard."""
        index = self._open.get(Speaker.AGENT)
        if index is not None and text:
            self.reports.words_cut(self.turns[index], self.secrets.said(text))

    def agent_turn_over(self, text: str, *, interrupted: bool) -> None:
        index = self._open.pop(Speaker.AGENT, None)
        if index is None:
            return
        self.trace.voice_ended(interrupted=interrupted)
        self._timing.owed = False  # a reply that came under a filler began no sound of its own
        if interrupted:
            self.counts = replace(self.counts, interruptions=self.counts.interruptions + 1)
        tools, self._tools = (*self._tools, *self.turns[index].tools), []
        self._change(
            index,
            text=text or self.turns[index].text,
            end_ms=self._media_ms(),
            interrupted=interrupted,
            tools=tools,
        )
        self._complete(index)

    def answer_detected(self, answered_by: AnsweredBy, why: str) -> None:
        """`why` may quote the callee."""
        self.reports.answer_detected(answered_by, self.secrets.masked(why))

    def supervised(self, act: str, text: str, arguments: dict[str, Any], result: Any) -> None:
        """A supervisor's act: a turn of its own, at once complete."""
        masked, now_ms = self.secrets.masked, self._media_ms()
        use = ToolUse(act, masked(arguments), masked(result), now_ms)
        self._keep_whole(Speaker.BUSINESS, text, now_ms, now_ms, tools=(use,))

    def tool_used(self, name: str, arguments: dict[str, Any], result: Any) -> None:
        """Belongs to the reply being spoken, or to the next one."""
        self.trace.tool_used(name)
        masked = self.secrets.masked
        use = ToolUse(name, masked(arguments), masked(result), self._media_ms())
        index = self._open.get(Speaker.AGENT)
        last = index if index is not None else self._last_agent_turn()
        self.reports.tool_used(use)
        if last is not None:
            self._change(last, tools=(*self.turns[last].tools, use))
        else:
            self._tools.append(use)

    # -- reported by the line and the metrics --------------------------------------------------------

    def audio_sent(self, now: float) -> None:
        """The first audio after silence left for the callee."""
        self._note_agent_began()
        timing = self._timing
        if not timing.owed:
            # A prompt or a goodbye: what it took is no part of the next reply.
            timing.llm_s = timing.sentence_s = timing.tts_s = None
            self.trace.voice_began({})
            return
        voice = _ms(timing.speech_end, now)
        decided = max((t for t in (timing.final_at, timing.vad_at) if t is not None), default=None)
        parts = [timing.llm_s, timing.sentence_s, timing.tts_s]
        spent = sum(part for part in parts if part is not None)
        line = None if timing.turn_at is None else max(0.0, (now - timing.turn_at - spent) * 1000)
        latency = TurnLatency(
            voice_to_voice_ms=voice,
            vad_ms=_ms(timing.speech_end, timing.vad_at),
            stt_ms=_ms(timing.vad_at, timing.final_at),
            turn_ms=_ms(decided, timing.turn_at),
            llm_ms=_scaled(timing.llm_s),
            sentence_ms=_scaled(timing.sentence_s),
            tts_ms=_scaled(timing.tts_s),
            line_ms=None if line is None else round(line, 1),
        )
        named = {name.removesuffix("_ms"): ms for name, ms in asdict(latency).items()}
        metrics.turn_taken(named)
        self.trace.voice_began(named)
        self.reports.reply_timed(latency)
        self._timing = _Timing()
        index = self._open.get(Speaker.AGENT)
        if index is not None and self.turns[index].latency is None:
            self._change(index, latency=latency)  # a filler has begun the turn
        else:
            self._next_latency = latency

    def filler_sent(self) -> None:
        """A filler leaves for the callee: a turn may begin with it, and its reply is still to come."""
        self.trace.voice_began({})
        self._note_agent_began()

    def metrics(self, frame: MetricsFrame, *, llm: set[str], tts: set[str]) -> None:
        """Times to first token and first audio, by the names of the services."""
        for item in frame.data:
            if isinstance(item, TTFBMetricsData) and item.value:
                if item.processor in llm and self._timing.llm_s is None:
                    self._timing.llm_s = item.value
                elif item.processor in tts and self._timing.tts_s is None:
                    self._timing.tts_s = item.value
            elif isinstance(item, TextAggregationMetricsData) and self._timing.sentence_s is None:
                self._timing.sentence_s = item.value

    # -- keeping --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what changed until `close`. A store that fails is reported and tried again."""
        tries = CLOSING_TRIES
        while not self._closing or (self._dirty and tries):
            await self._changed.wait()
            self._changed.clear()
            tries -= self._closing
            await self._keep()
            if not self._closing or (self._dirty and tries):
                await asyncio.sleep(KEEP_SECONDS)

    async def close(self) -> None:
        """Complete what is open; `run` returns when all is kept."""
        for index in list(self._open.values()):
            if self.turns[index].text:
                self._change(index, end_ms=self._media_ms())
                self._complete(index)
            else:
                self._drop(index)
        self._open.clear()
        spoken = [turn.index for turn in self.turns if turn.speaker is Speaker.AGENT and turn.text]
        if self._tools and spoken:
            # Used after the agent's last words, by a reply that was never heard.
            self._change(spoken[-1], tools=(*self.turns[spoken[-1]].tools, *self._tools))
            self._tools = []
        self._closing = True
        self._changed.set()

    def kept_turns(self) -> tuple[Turn, ...]:
        """The turns that hold words, in order of their beginning."""
        return tuple(turn for turn in self.turns if turn.text)

    def cut_spans(self) -> tuple[tuple[int, int | None], ...]:
        """Beginning and end, on the media clock, of the turns that something was cut out of; None: not over."""
        return tuple((self.turns[index].start_ms, self.turns[index].end_ms) for index in sorted(self._cut))

    async def _keep(self) -> None:
        for index in sorted(self._dirty):
            turn = self.turns[index]
            self._dirty.discard(index)
            if not turn.text:
                continue
            try:
                await self._store.put_turn(self._call_id, turn)
            except Exception as e:
                logger.error("turn {} could not be kept: {}", index, e)
                self._touch(index)

    def _note_agent_began(self) -> None:
        self._agent_began_ms = self._media_ms()
        if self._first_word_ms is None:
            self._first_word_ms = self._agent_began_ms

    def greeted(self) -> Greeted:
        """How soon the callee's first words were answered, as far as the call has gone."""
        words = any(turn.speaker is Speaker.CALLEE and turn.text for turn in self.turns)
        return greeted(self._hello_ended_ms if words else None, self._first_word_ms, self._media_ms())

    def _begin(self, speaker: Speaker, text: str, start_ms: int) -> None:
        self._open[speaker] = self._begin_turn(speaker, text, start_ms)

    def _begin_turn(self, speaker: Speaker, text: str, start_ms: int) -> int:
        now = datetime.now(UTC)
        late = timedelta(milliseconds=self._media_ms() - start_ms)
        turn = Turn(len(self.turns), speaker, "", now - late, max(0, start_ms), complete=False)
        self.turns.append(turn)
        if text:
            self._change(turn.index, text=text)
        self._touch(turn.index)
        return turn.index

    def _keep_whole(self, speaker: Speaker, text: str, start_ms: int, end_ms: int, **changes: Any) -> None:
        """A turn that is at once complete, beside those that are open."""
        self._change(self._begin_turn(speaker, text, start_ms), end_ms=end_ms, complete=True, **changes)

    def _change(self, index: int, **changes: Any) -> None:
        if "text" in changes:
            said, changes["text"] = changes["text"], self.secrets.said(changes["text"])
            if changes["text"] != said:
                self._cut.add(index)
        before = self.turns[index]
        turn = replace(before, **changes)
        if turn.end_ms is not None and turn.end_ms < turn.start_ms:
            # Its beginning was placed by words that came late, its end by the VAD, which knows.
            turn = replace(turn, start_ms=max(0, turn.end_ms), end_ms=max(0, turn.end_ms))
        self.turns[index] = turn
        self._touch(index)
        if not turn.complete and turn.text != before.text:
            self.reports.words_came(turn)
        elif turn.complete and {"speaker", "complete"} & changes.keys():
            self.reports.turn_completed(turn)

    def _complete(self, index: int) -> None:
        self._change(index, complete=True)

    def _drop(self, index: int) -> None:
        """A noise, not a turn: its index stays, empty, so that no kept turn is renumbered."""
        self.turns[index] = replace(self.turns[index], text="", complete=True)

    def _touch(self, index: int) -> None:
        self._dirty.add(index)
        self._changed.set()

    def _last_agent_turn(self) -> int | None:
        if not self.turns or self.turns[-1].speaker is not Speaker.AGENT:
            return None
        return self.turns[-1].index


def _ms(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(max(0.0, (end - start) * 1000), 1)


def _scaled(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
