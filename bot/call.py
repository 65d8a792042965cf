"""One call from answer to hang-up: lines up the stages, runs them, returns how it ended.

    line in → vad → stt → what the callee said → llm → tts → line out → what the callee heard

A call ends in this order: goodbye, its mark comes back, the carrier hangs up, the pipeline is torn down,
the record is complete. Whoever ends it, and whenever, the carrier is told and nothing is left running.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    FunctionCallResultProperties,
    LLMRunFrame,
    MetricsFrame,
    TTSSpeakFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams, LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService

from bot import prompt
from bot.engines.brain import BrainField
from bot.opening import Recital
from bot.pickup import Pickup, Verdict
from bot.pipeline import RunningPipeline
from bot.recorder import Recorder
from bot.records import CallSpec, Direction, EndedReason, Outcome, Speaker
from bot.scenario import OutcomeField, Scenario
from bot.silence import Silence, SilenceWatch
from bot.slots import Slots
from bot.stages import turn, vad
from bot.stages.context import AssistantContext, UserContext
from bot.stages.line import FarewellFrame, Line, LineEnd, LineInput, LineOutput, Performance
from bot.stages.llm import TOOL_TIMEOUT_SECONDS, Mind
from bot.stages.resources import Resources
from bot.tools import TOOLS, Tool

GOODBYE_CAP_SECONDS = 2.0
"""How long past its own length a goodbye's mark is waited for."""
SYNTHESIS_CAP_SECONDS = 6.0
"""How long a goodbye may take to begin."""
HANG_UP_SECONDS = 3.0
"""How long the line may stay open after the carrier was told to hang up."""
CARRIER_SECONDS = 6.0
"""How long the carrier may take to be told; its own retries go on no longer."""
_CALL_OPENED = "(The line is open. What you hear from now on is said by the other person.)"


class HangUp(Protocol):
    """Ends calls at the carrier: the carrier."""

    async def hang_up(self, call_sid: str) -> None: ...


@dataclass(frozen=True)
class Plan:
    """All that is decided about a call before it is answered."""

    call_id: str
    spec: CallSpec
    direction: Direction
    scenario: Scenario
    slots: Slots
    opening: Recital | None = None
    """Being made since it rang; None or silent: the pipeline speaks `opening_text`, or the model's own."""
    opening_text: str | None = None

    @property
    def first_speaker(self) -> Speaker:
        return self.scenario.speaks_first(self.spec.first_speaker)

    @property
    def mind(self) -> Mind:
        """What the language model is told."""
        scenario = self.scenario
        fields = tuple(BrainField(f.name, f.type, f.description, f.question, f.options) for f in scenario.outcome)
        instructions = prompt.system_prompt(self.spec, scenario, self.direction)
        spec = prompt.completed(self.spec, scenario)
        return Mind(spec, instructions, fields, frozenset(scenario.tools), scenario.goal)


@dataclass(frozen=True)
class Services:
    """The vendors' and engines' processors of one call; building them may block for some 20 ms."""

    stt: STTService
    llm: LLMService[Any]
    tts: TTSService


def build_services(plan: Plan, resources: Resources, call_sid: str) -> Services:
    """To be run in a thread: vendor clients read certificates."""
    language = plan.scenario.language
    return Services(
        stt=plan.slots.stt.build(resources, call_sid=call_sid, language=language),
        llm=plan.slots.llm.build(resources, plan.mind),
        tts=plan.slots.tts.build(resources, language=language),
    )


@dataclass
class CallEnd:
    """How a call ended."""

    reason: EndedReason
    error: str | None = None
    outcome: Outcome | None = None
    """What tools recorded; None where none did."""
    answer_to_first_audio_ms: float | None = None


@dataclass
class _Noted:
    """What tools recorded during the call."""

    fields: dict[str, Any] = field(default_factory=dict)
    reached_goal: bool | None = None
    summary: str | None = None


class _OpeningListener:
    """Plays a recital, and tells when it ends without a sound: then the pipeline has to speak."""

    def __init__(self, performance: Performance, recital: Recital, lost: Callable[[], None]) -> None:
        self.play, self.place = performance.play, performance.place
        self._performance, self._recital, self._lost = performance, recital, lost

    def end(self) -> None:
        self._performance.end()
        if self._recital.silent:
            self._lost()


class Call:
    """One call on one line. `hold` is its whole life; it is also the CallControl of its tools."""

    def __init__(
        self,
        plan: Plan,
        *,
        line: Line,
        services: Services,
        recorder: Recorder,
        carrier: HangUp,
        resources: Resources,
    ) -> None:
        self.plan = plan
        self._resources = resources
        self._line = line
        self._services = services
        self._recorder = recorder
        self._carrier = carrier
        self._reason: EndedReason | None = None
        self._error: str | None = None
        self._noted = _Noted()
        self._ending_at: float | None = None
        """When a goodbye was asked for, time.monotonic()."""
        self._default_goodbye_said = False
        self._tts_errors = 0
        self._opening_lost = self._opening_said_again = False
        self._over = asyncio.Event()
        """The call is to be torn down now."""
        self._changed = asyncio.Event()
        """Something happened that the conductor's next deadline depends on."""
        self._last_playing_at = 0.0
        self._output = LineOutput(line, on_metrics=self._note_metrics, on_speaking=self._note_agent_speech)
        scenario = plan.scenario
        self._pickup = Pickup(
            plan.first_speaker,
            line.opened_at,
            scenario.opening.wait_seconds,
            scenario.opening.pause_seconds,
            may_be_machine=plan.direction is Direction.OUTBOUND,
        )
        self._pickup.deaf()
        self._machine_at: float | None = None
        self._silence = SilenceWatch(
            scenario.limits.silence_seconds, scenario.limits.silence_prompts, line.opened_at
        )
        context = self._build_context()
        strategies = turn.build(scenario.turn, scenario.interruption, vendor_turns=plan.slots.stt.detects_turns)
        self._user = UserContext(context, strategies, recorder, stop_timeout=scenario.turn.stop_timeout_seconds)
        self._pipeline = RunningPipeline(
            [
                LineInput(line),
                vad.build(scenario.vad),
                services.stt,
                self._user,
                services.llm,
                services.tts,
                self._output,
                AssistantContext(context, recorder),
            ],
            on_error=self._on_error,
        )
        recorder.on_speech = self._note_callee_speech
        recorder.on_callee_words = self._note_callee_words
        recorder.on_callee_turn_over = self._note_callee_turn_over
        line.on_burst = recorder.audio_sent
        line.on_listening = self._note_listening

    # -- life -----------------------------------------------------------------------------------------

    async def hold(self) -> CallEnd:
        """From the open line to the closed one."""
        line_task = asyncio.create_task(self._line.run(), name=f"line {self.plan.call_id}")
        conductor = asyncio.create_task(self._conduct(), name=f"conductor {self.plan.call_id}")
        pipeline = asyncio.create_task(self._pipeline.run(), name=f"pipeline {self.plan.call_id}")
        over = asyncio.create_task(self._over.wait(), name=f"over {self.plan.call_id}")
        try:
            await asyncio.wait({line_task, conductor, pipeline, over}, return_when=asyncio.FIRST_COMPLETED)
            if line_task.done():
                self._note_line_end(line_task.result())
            elif not over.done():
                self._fail(EndedReason.ERROR_LINE, "the pipeline stopped by itself")
        finally:
            reason = self._reason or EndedReason.SERVER_SHUTDOWN
            for task in (conductor, over):
                task.cancel()
            await asyncio.gather(conductor, over, return_exceptions=True)
            await self._leave(line_task)
            await self._pipeline.cancel()
            await asyncio.gather(pipeline, return_exceptions=True)
        self._raise_failure(conductor, pipeline)
        return CallEnd(reason, self._error, self._outcome(), self._first_audio_ms())

    async def hang_up(self, reason: EndedReason) -> None:
        """End the call now, whatever is being said."""
        self._reason = self._reason or reason
        self._over.set()

    async def _leave(self, line_task: asyncio.Task[LineEnd]) -> None:
        """Hang up at the carrier and close the line; the line's own end is awaited a little."""
        stopped = line_task.done() and line_task.result() is LineEnd.STOPPED
        if not stopped:
            try:
                await asyncio.wait_for(self._carrier.hang_up(self._line.call_sid), CARRIER_SECONDS)
            except Exception as e:
                logger.error("the carrier could not be told to hang up: {}", e)
            await asyncio.wait({line_task}, timeout=HANG_UP_SECONDS)
        await self._line.close()
        await asyncio.gather(line_task, return_exceptions=True)

    def _note_line_end(self, end: LineEnd) -> None:
        # A line that ends under a goodbye ends as that goodbye meant it to.
        self._reason = self._reason or EndedReason.CALLEE_HANGUP
        logger.debug("the line ended: {}", end)

    @staticmethod
    def _raise_failure(*tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            if not task.cancelled() and (failure := task.exception()) is not None:
                raise failure

    # -- the conductor: opening, silence, duration ----------------------------------------------------

    async def _conduct(self) -> None:
        limits = self.plan.scenario.limits
        must_end_at = self._line.opened_at + limits.max_duration_seconds
        while not self._over.is_set():
            self._changed.clear()
            now = time.monotonic()
            if self._ending_at is not None:
                if self._goodbye_is_overdue(now):
                    await self.hang_up(EndedReason.AGENT_HANGUP)
                    return
                wait = 0.25
            elif now >= must_end_at:
                await self._end_with(self.plan.scenario.phrases.time_is_up, EndedReason.MAX_DURATION)
                continue
            else:
                await self._open_or_answer_machine(now)
                await self._mind_silence(now)
                wait = self._wake_in(time.monotonic(), must_end_at)
            try:
                await asyncio.wait_for(self._changed.wait(), max(wait, 0.001))
            except TimeoutError:
                continue

    def _wake_in(self, now: float, must_end_at: float) -> float:
        waits = [must_end_at - now]
        if self._pickup.opened:
            waits.append(self._silence.wake_in(now))
        pickup = self._pickup.wake_in(now)
        if pickup is not None:
            waits.append(pickup)
        if self._machine_at is not None:
            waits.append(0.25)
        return min(waits)

    def _goodbye_is_overdue(self, now: float) -> bool:
        """Whether a goodbye never began, or its mark stays away."""
        assert self._ending_at is not None
        if self._line.playing_ms() > 0:
            self._last_playing_at = now
        began_by = self._ending_at + SYNTHESIS_CAP_SECONDS
        return now >= max(began_by, self._last_playing_at) + GOODBYE_CAP_SECONDS

    async def _open_or_answer_machine(self, now: float) -> None:
        verdict = self._pickup.decide(now)
        if verdict is Verdict.OPEN:
            self._user.answering = True
            await self._say_opening()
        elif self._opening_lost and not self._opening_said_again:
            self._opening_said_again = True
            await self._say_opening()
        elif verdict is Verdict.MACHINE and self._machine_at is None:
            self._machine_at = now
            self._user.muted = True
            await self._line.interrupt()
        if self._machine_at is not None:
            await self._treat_machine(now)

    async def _say_opening(self) -> None:
        opening = self.plan.opening
        if opening is not None and not opening.silent and not self._opening_lost:
            performance = self._output.begin("opening", opening.text or "")
            opening.play_to(_OpeningListener(performance, opening, self._lose_opening))
        elif self.plan.opening_text:
            await self._pipeline.queue(TTSSpeakFrame(self.plan.opening_text, append_to_context=True))
        else:
            self._user.answer_now()
            await self._pipeline.queue(LLMRunFrame())

    def _lose_opening(self) -> None:
        self._opening_lost = True
        self._changed.set()

    async def _treat_machine(self, now: float) -> None:
        """Hang up at once, or leave the message once the greeting has been silent for a second."""
        assert self._machine_at is not None
        if self.plan.scenario.voicemail.policy == "hang_up":
            await self.hang_up(EndedReason.VOICEMAIL_REACHED)
            return
        if now - max(self._machine_at, self._silence.quiet_since) < 1.0 and now - self._machine_at < 20.0:
            return
        text = prompt.voicemail_text(self.plan.spec, self.plan.scenario)
        await self._end_with(text, EndedReason.VOICEMAIL_REACHED)

    async def _mind_silence(self, now: float) -> None:
        if not self._pickup.opened or self._ending_at is not None:
            return
        phrases = self.plan.scenario.phrases
        match self._silence.decide(now):
            case Silence.PROMPT:
                text = phrases.silence[(self._silence.asked - 1) % len(phrases.silence)]
                await self._pipeline.queue(TTSSpeakFrame(text, append_to_context=True))
            case Silence.GOODBYE:
                await self._end_with(phrases.silence_goodbye, EndedReason.SILENCE)
            case Silence.NOTHING:
                pass

    # -- the end --------------------------------------------------------------------------------------

    async def end_after_goodbye(self) -> None:
        """The end_call tool: the goodbye is the reply that carries the call of the tool.

        The farewell enters at the top of the pipeline, so it waits behind the reply being generated.
        """
        if self._begin_end(EndedReason.AGENT_HANGUP):
            await self._pipeline.queue(FarewellFrame(self._goodbye_heard))

    async def _end_with(self, text: str, reason: EndedReason) -> None:
        if self._begin_end(reason):
            self._default_goodbye_said = True
            speak = TTSSpeakFrame(text, append_to_context=True)
            await self._pipeline.queue(speak, FarewellFrame(self._goodbye_heard))

    def _begin_end(self, reason: EndedReason) -> bool:
        """False where the call is ending already."""
        if self._ending_at is not None or self._over.is_set():
            return False
        self._ending_at = time.monotonic()
        self._reason = self._reason or reason
        self._user.muted = True
        self._changed.set()
        return True

    async def _goodbye_heard(self) -> None:
        spoke = self._output.last_word_at > self._recorder.last_callee_turn_at
        if not spoke and not self._default_goodbye_said:
            # The model hung up without a word: nobody ends a call like that.
            self._default_goodbye_said = True
            goodbye = TTSSpeakFrame(self.plan.scenario.phrases.goodbye, append_to_context=True)
            await self._pipeline.queue(goodbye, FarewellFrame(self._goodbye_heard))
            return
        self._over.set()

    def _fail(self, reason: EndedReason, error: str) -> None:
        if self._reason is None:
            self._reason, self._error = reason, error
        self._over.set()

    async def _on_error(self, frame: ErrorFrame) -> None:
        """A vendor failed beyond its own retries: say so to the callee and end."""
        processor, services = frame.processor, self._services
        if self._over.is_set() or processor is None:
            return
        error = frame.error
        if processor is services.llm:
            await self._apologise(EndedReason.ERROR_LLM, error)
        elif processor is services.stt and not processor.is_usable:
            await self._apologise(EndedReason.ERROR_STT, error)
        elif processor is services.tts:
            self._tts_errors += 1
            if not processor.is_usable or self._tts_errors > 1:
                await self._apologise(EndedReason.ERROR_TTS, error)

    async def _apologise(self, reason: EndedReason, error: str) -> None:
        if self._begin_end(reason):
            logger.error("{}: {}", reason, error)
            self._error = error
            self._default_goodbye_said = True
            text = self.plan.scenario.phrases.trouble
            farewell = FarewellFrame(self._goodbye_heard)
            if reason is EndedReason.ERROR_TTS:
                await self._line.interrupt()
                speech = await self._resources.voice.speak(text)
                self._output.speak(speech, context_id="apology")
                self._line.when_heard(farewell.heard, mark=True)
            else:
                await self._pipeline.queue(TTSSpeakFrame(text, append_to_context=True), farewell)

    # -- the model's tools ----------------------------------------------------------------------------

    def _build_context(self) -> LLMContext:
        scenario, llm = self.plan.scenario, self._services.llm
        tools = [TOOLS[name] for name in scenario.tools]
        for tool in tools:
            llm.register_function(tool.name, self._handler(tool), timeout_secs=TOOL_TIMEOUT_SECONDS)
        schemas = [self._schema(tool) for tool in tools]
        return LLMContext(
            messages=[{"role": "user", "content": _CALL_OPENED}],
            tools=ToolsSchema(standard_tools=list(schemas)),
        )

    def _schema(self, tool: Tool) -> FunctionSchema:
        properties: dict[str, Any] = dict(tool.parameters)
        if tool.name == "record_outcome":
            for outcome in self.plan.scenario.outcome:
                kind = {"choice": "string"}.get(outcome.type, outcome.type)
                properties[outcome.name] = {"type": kind, "description": outcome.description}
                if outcome.options:
                    properties[outcome.name]["enum"] = list(outcome.options)
        return FunctionSchema(tool.name, tool.description, properties, list(tool.required))

    def _handler(self, tool: Tool) -> Any:
        async def handle(params: FunctionCallParams) -> None:
            arguments: Mapping[str, Any] = params.arguments or {}
            try:
                result = await tool.run(arguments, self)
            except Exception as e:
                logger.opt(exception=e).error("tool {} failed", tool.name)
                result = {"error": f"{tool.name} failed: {type(e).__name__}"}
            self._recorder.tool_used(tool.name, dict(arguments), result)
            ends = "end_call" in getattr(params.llm, "reply_tools", ()) or self._ending_at is not None
            speaks = tool.speaks_after and not ends and not getattr(params.llm, "reply_has_text", False)
            # None: pipecat runs the model once, when the last call of the reply has its result.
            silent = None if speaks else FunctionCallResultProperties(run_llm=False)
            await params.result_callback(result, properties=silent)

        return handle

    def note_outcome(self, fields: Mapping[str, Any]) -> list[str]:
        known = {outcome.name: outcome for outcome in self.plan.scenario.outcome}
        refused: list[str] = []
        for name, value in fields.items():
            try:
                if name == "reached_goal":
                    self._noted.reached_goal = OutcomeField.boolean(value)
                elif name == "summary":
                    self._noted.summary = str(value)
                else:
                    self._noted.fields[name] = known[name].value_of(value)
            except (KeyError, ValueError):
                refused.append(name)
        return sorted(refused)

    def note_message(self, message: str, name: str | None, phone_number: str | None) -> None:
        note = {"message": message, "name": name, "phone_number": phone_number}
        self._noted.fields.setdefault("messages", []).append({k: v for k, v in note.items() if v})

    def note_callback(self, when: str) -> None:
        self._noted.fields["callback"] = when

    def _outcome(self) -> Outcome | None:
        noted = self._noted
        if noted.reached_goal is None and noted.summary is None and not noted.fields:
            return None
        goal = self.plan.scenario.goal
        reached = noted.reached_goal if noted.reached_goal is not None else bool(noted.fields.get(goal or ""))
        return Outcome(reached, noted.summary or "", dict(noted.fields), source="tools")

    # -- news -----------------------------------------------------------------------------------------

    def _note_listening(self) -> None:
        self._pickup.listening(time.monotonic())
        self._changed.set()

    def _note_agent_speech(self, speaking: bool) -> None:
        self._silence.agent_speaks(speaking, time.monotonic())
        if speaking:
            self._tts_errors = 0
        self._changed.set()

    def _note_callee_speech(self, speaking: bool) -> None:
        now = time.monotonic()
        self._silence.callee_speaks(speaking, now)
        if speaking:
            self._pickup.speech_started()
        else:
            self._pickup.speech_stopped(now)
        self._changed.set()

    def _note_callee_words(self, words: str) -> None:
        self._pickup.words(words)
        self._silence.callee_said_something()
        self._changed.set()

    def _note_callee_turn_over(self, text: str) -> None:
        if text and self._user.answering:
            self._silence.owe_reply(time.monotonic())
            self._pickup.conversation_began()
        self._changed.set()

    def _note_metrics(self, frame: MetricsFrame) -> None:
        self._recorder.metrics(frame, llm=self._services.llm.name, tts=self._services.tts.name)

    def _first_audio_ms(self) -> float | None:
        sent = self._line.first_audio_at
        return None if sent is None else round((sent - self._line.opened_at) * 1000, 1)
