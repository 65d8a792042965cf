"""One call from answer to hang-up: lines up the stages, runs them, returns how it ended.

    line in → vad → stt → what the callee said → llm → tts → line out → what the callee heard

A call ends in this order: goodbye, its mark comes back, the carrier hangs up, the pipeline is torn down,
the record is complete. Whoever ends it, and whenever, the carrier is told and nothing is left running.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from loguru import logger
from pipecat.frames.frames import ErrorFrame, MetricsFrame, TTSSpeakFrame
from pipecat.processors.aggregators.llm_context import LLMContext

from bot import languages
from bot.conversation.bridge import Bridge
from bot.conversation.call_flow import CallFlow
from bot.conversation.call_plan import Plan, Services
from bot.conversation.fillers import Fillers
from bot.conversation.hang_up import Goodbye
from bot.conversation.machines.answering import HUSH_SECONDS
from bot.conversation.recorder import Recorder
from bot.conversation.replies import Replies
from bot.conversation.tools.declared.mcp_server import McpServers
from bot.conversation.tools.toolbox import Toolbox, declared_tools
from bot.conversation.transfers.handover import Handover
from bot.conversation.transfers.transfers import Transfers
from bot.pipeline.line.line import Line, LineEnd
from bot.pipeline.line.line_ends import AllHeardFrame, HushFrame, LineInput, LineOutput
from bot.pipeline.resources import Resources
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.turns import turn, vad
from bot.pipeline.turns.barge_in import AgentOnLine, BargeIn, Interjection
from bot.pipeline.turns.context import AssistantContext, UserContext
from bot.pipeline.turns.speculation import Speculating
from bot.pipeline.turns.vad import VoiceActivity
from bot.records import AnsweredBy, EndedReason, Outcome
from bot.supervisor import watched
from bot.telephony.carrier import EndsCalls, try_hang_up
from bot.telephony.socket import Socket
from bot.telephony.twilio.media_streams import Started

HANG_UP_SECONDS = 3.0
"""How long the line's end, or the carrier's callback, is waited for once the carrier was told to hang up."""
HANG_UP_TRIES = 2
"""A hang-up that neither of them confirms is asked for again."""
CARRIER_SECONDS = 6.0
"""How long the carrier may take to be told: its callee waits on an open line."""
_CALL_OPENED = "(The line is open. What you hear from now on is said by the other person.)"


class NeverAgain(Protocol):
    """The do-not-call list."""

    async def asked_for(self, phone_number: str, call_id: str, reason: str | None = None) -> None: ...


@dataclass
class CallEnd:
    """How a call ended."""

    reason: EndedReason
    error: str | None = None
    outcome: Outcome | None = None
    """What tools recorded; None where none did."""
    answer_to_first_audio_ms: float | None = None
    answered_by: AnsweredBy | None = None


class Call:
    """One call on one line. `hold` is its whole life; it is also the CallControl of its tools."""

    def __init__(
        self,
        plan: Plan,
        *,
        line: Line,
        services: Services,
        recorder: Recorder,
        carrier: EndsCalls,
        resources: Resources,
        mcp: McpServers | None = None,
        transfers: Transfers | None = None,
        do_not_call: NeverAgain | None = None,
    ) -> None:
        self.plan = plan
        self._do_not_call = do_not_call
        self._resources = resources
        self._mcp = mcp or McpServers(resources.environment, lambda: resources.outgoing)
        self._line = line
        self._services = services
        self._recorder = recorder
        self._carrier = carrier
        self._tts_errors = 0
        self._changed = asyncio.Event()
        self._carrier_over = asyncio.Event()
        """The carrier's status callback says that the call is over."""
        scenario = plan.scenario
        self._toolbox = Toolbox(
            scenario,
            self,
            used=recorder.tool_used,
            ending=lambda: self._goodbye.begun,
            bridge=Bridge(
                scenario.phrases.bridges,
                after_seconds=scenario.limits.bridge_seconds,
                say=self._say_bridge,
                working=self._note_tools,
            ),
            declared=declared_tools(scenario, resources, self._mcp) if plan.calls_declared_tools else (),
        )
        context = LLMContext(messages=[{"role": "user", "content": _CALL_OPENED}], tools=self._toolbox.schemas())
        self._context = context
        for llm in services.llms:
            self._toolbox.register(llm)
        self._output = LineOutput(line, on_metrics=self._note_metrics, on_speaking=self._note_agent_speech)
        self._fillers = Fillers(
            line,
            self._output,
            scenario.phrases.fillers,
            spoken=plan.spoken,
            may_speak=lambda: self._flow.may_fill,
        )
        ears = vad.build(scenario.vad)
        user = self._user_context(context, ears.voice)
        self._pipeline = RunningPipeline(
            [
                LineInput(line),
                ears,
                *services.stts,
                self._barge_in(user, ears.voice),
                user,
                *services.llms,
                *services.ttss,
                self._output,
                AssistantContext(context, recorder),
            ],
            on_error=self._on_error,
            tracing=recorder.trace.services,
        )
        self._goodbye = Goodbye(
            scenario.phrases,
            line=line,
            user=user,
            output=self._output,
            pipeline=self._pipeline,
            last_callee_turn_at=lambda: recorder.last_callee_turn_at,
            changed=self._changed.set,
        )
        self._flow = CallFlow(
            plan,
            line=line,
            user=user,
            output=self._output,
            pipeline=self._pipeline,
            goodbye=self._goodbye,
            resources=resources,
            replies=Replies(
                scenario.patience,
                line=line,
                output=self._output,
                llms=services.llms,
                pipeline=self._pipeline,
                fillers=self._fillers,
                apologise=self._apologise,
            ),
            waiting=lambda: self._handover.waiting,
            changed=self._changed,
        )
        self._handover = Handover(
            plan,
            transfers,
            line=line,
            output=self._output,
            pipeline=self._pipeline,
            context=context,
            goodbye=self._goodbye,
            last_callee_turn_at=lambda: recorder.last_callee_turn_at,
            callee_speaks=lambda: self._flow.callee_speaks,
            no_reply_owed=self._flow.no_reply_owed,
        )
        recorder.on_speech = self._flow.note_callee_speech
        recorder.on_callee_piece = self._flow.note_callee_piece
        recorder.on_callee_words = lambda _words: self._flow.note_callee_presence()
        recorder.on_backchannel = self._flow.note_callee_presence
        recorder.on_callee_turn_over = self._flow.note_callee_turn_over
        line.on_burst = self._note_burst
        line.on_listening = self._flow.note_listening

    def _user_context(self, context: LLMContext, voice: VoiceActivity) -> UserContext:
        scenario, recorder = self.plan.scenario, self._recorder
        strategies = turn.build(
            scenario.turn,
            scenario.interruption,
            vendor_turns=self.plan.slots.stt.detects_turns,
            voice=voice,
            language=languages.of(scenario.language),
            speculating=Speculating(voice, recorder, allowed=lambda: user.will_answer),
        )
        user = UserContext(context, strategies, recorder, stop_timeout=scenario.turn.stop_timeout_seconds)
        return user

    def _barge_in(self, user: UserContext, voice: VoiceActivity) -> BargeIn:
        scenario, recorder = self.plan.scenario, self._recorder
        allowed = scenario.interruption.allowed
        return BargeIn(
            Interjection(scenario.interruption, languages.of(scenario.language)),
            voice,
            AgentOnLine(self._line, self._output, lambda: self._flow.reply_owed),
            listening=lambda: allowed and not user.muted,
            on_backchannel=recorder.callee_backchannel,
            longest_turn_seconds=scenario.turn.longest_seconds,
        )

    # -- life -----------------------------------------------------------------------------------------

    async def hold(self) -> CallEnd:
        """From the open line to the closed one."""
        line_task = asyncio.create_task(self._line.run(), name=f"line {self.plan.call_id}")
        flow = asyncio.create_task(self._flow.run(), name=f"flow {self.plan.call_id}")
        pipeline = asyncio.create_task(self._pipeline.run(), name=f"pipeline {self.plan.call_id}")
        over = asyncio.create_task(self._goodbye.over.wait(), name=f"over {self.plan.call_id}")
        late_tools = watched(self._join_late_tools(), f"late tools {self.plan.call_id}")
        try:
            await asyncio.wait({line_task, flow, pipeline, over}, return_when=asyncio.FIRST_COMPLETED)
            if line_task.done():
                self._note_line_end(line_task.result())
            elif not over.done():
                self._goodbye.end_now(EndedReason.ERROR_LINE, "the pipeline stopped by itself")
        finally:
            reason = self._goodbye.reason or EndedReason.SERVER_SHUTDOWN
            for task in (flow, over, late_tools):
                task.cancel()
            await asyncio.gather(flow, over, late_tools, return_exceptions=True)
            await asyncio.gather(self._handover.close(), self._leave(line_task))
            await self._pipeline.cancel()
            await asyncio.gather(pipeline, return_exceptions=True)
            await self._toolbox.finish()
        self._raise_failure(flow, pipeline)
        return CallEnd(
            reason,
            self._goodbye.error,
            self._toolbox.notes.outcome(),
            self._first_audio_ms(),
            self._flow.answered_by,
        )

    async def _join_late_tools(self) -> None:
        if self.plan.calls_declared_tools:
            await self._toolbox.join_late(self._mcp, self._context, self._services.llms)

    def _say_bridge(self, phrase: str) -> bool:
        return self._fillers.say(phrase)

    def _note_tools(self, working: bool) -> None:
        self._flow.note_tools(working)

    async def hang_up(self, reason: EndedReason) -> None:
        """End the call now, whatever is being said."""
        self._goodbye.end_now(reason)

    async def take_leave(self, reason: EndedReason) -> None:
        """End with the scenario's apology, over when it was heard; at once where no person would hear it.

        A call that is ending by itself is left to that.
        """
        if self._line.away or self._flow.at_machine or self._handover.handed_over:
            self._goodbye.end_now(reason)
            return
        if not self._goodbye.begin(reason):
            return
        self._goodbye.said()
        hush = HushFrame()
        await self._pipeline.queue(hush)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hush.passed.wait(), HUSH_SECONDS)
        text = self.plan.scenario.phrases.trouble
        speech = self.plan.spoken(text)
        if speech is None:
            goodbye = TTSSpeakFrame(text, append_to_context=True)
            await self._pipeline.queue(goodbye, AllHeardFrame(self._goodbye.heard))
        else:
            self._output.speak(speech, context_id="apology")
            self._line.when_heard(self._goodbye.heard, mark=True)

    def carrier_ended(self) -> None:
        """The carrier says the call is over, which a call between two streams learns from nobody else."""
        self._carrier_over.set()
        self._line.carrier_ended()

    async def attach(self, socket: Socket, started: Started) -> bool:
        """Go on on a new media stream, until that is over. False where none is expected."""
        return await self._line.attach(socket, started)

    def note_amd(self, answered_by: str) -> None:
        """Twilio's detection has a word for who answered."""
        self._flow.note_amd(answered_by)

    async def _leave(self, line_task: asyncio.Task[LineEnd]) -> None:
        """Hang up at the carrier and close the line; the line's own end is awaited a little."""
        stopped = line_task.done() and line_task.result() is LineEnd.STOPPED
        if not stopped and not self._handover.handed_over:
            over = asyncio.create_task(self._carrier_over.wait(), name=f"carrier over {self.plan.call_id}")
            try:
                for _ in range(HANG_UP_TRIES):
                    await try_hang_up(self._carrier, self._line.call_sid, CARRIER_SECONDS)
                    done, _ = await asyncio.wait(
                        {line_task, over}, timeout=HANG_UP_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    if done:
                        break
                    logger.warning("the line is still open after the hang-up")
            finally:
                over.cancel()
                await asyncio.gather(over, return_exceptions=True)
        await self._line.close()
        await asyncio.gather(line_task, return_exceptions=True)

    def _note_line_end(self, end: LineEnd) -> None:
        # A line that ends under a goodbye ends as that goodbye meant it to.
        if end is LineEnd.LOST:
            self._goodbye.end_now(EndedReason.ERROR_LINE, "the next media stream did not come")
        elif end is LineEnd.SERVER_LEFT:
            self._goodbye.end_now(EndedReason.SERVER_SHUTDOWN)
        self._goodbye.reason = self._goodbye.reason or EndedReason.CALLEE_HANGUP
        logger.debug("the line ended: {}", end)

    @staticmethod
    def _raise_failure(*tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            if not task.cancelled() and (failure := task.exception()) is not None:
                raise failure

    # -- a vendor fails beyond its ladder -------------------------------------------------------------

    async def _on_error(self, frame: ErrorFrame) -> None:
        """Say so to the callee and end."""
        processor, services = frame.processor, self._services
        if self._goodbye.over.is_set() or processor is None:
            return
        error = frame.error
        if processor in services.llms:
            await self._apologise(EndedReason.ERROR_LLM, error)
        elif processor in services.stts and not processor.is_usable:
            await self._apologise(EndedReason.ERROR_STT, error)
        elif processor in services.ttss:
            self._tts_errors += 1
            if not processor.is_usable or self._tts_errors > 1:
                await self._apologise(EndedReason.ERROR_TTS, error)

    async def _apologise(self, reason: EndedReason, error: str) -> None:
        if self._goodbye.begin(reason, error):
            logger.error("{}: {}", reason, error)
            self._goodbye.said()
            text = self.plan.scenario.phrases.trouble
            if reason is EndedReason.ERROR_TTS:
                await self._line.interrupt()
                speech = await self._resources.voice.speak(text)
                self._output.speak(speech, context_id="apology")
                self._line.when_heard(self._goodbye.heard, mark=True)
            else:
                goodbye = TTSSpeakFrame(text, append_to_context=True)
                await self._pipeline.queue(goodbye, AllHeardFrame(self._goodbye.heard))

    # -- what tools may do to their call --------------------------------------------------------------

    async def end_after_goodbye(self) -> None:
        if self._flow.at_menu:
            self._goodbye.end_now(EndedReason.MENU_REACHED)  # nobody is there to say goodbye to
            return
        await self._goodbye.after_reply()

    def note_outcome(self, fields: Mapping[str, Any]) -> list[str]:
        return self._toolbox.notes.note_outcome(fields)

    def note_message(self, message: str, name: str | None, phone_number: str | None) -> None:
        self._toolbox.notes.note_message(message, name, phone_number)

    def note_callback(self, when: str) -> None:
        self._toolbox.notes.note_callback(when)

    async def never_call_again(self, reason: str | None) -> dict[str, Any]:
        # First the note: where the list cannot be written to now, it is after the call, by the outcome.
        self._toolbox.notes.note_do_not_call()
        if self._do_not_call is None:
            return {"error": "this server has no do-not-call list: say that you pass the request on"}
        await self._do_not_call.asked_for(self.plan.spec.phone_number, self.plan.call_id, reason)
        return {"status": "this number will not be called again; if you have not yet, say so, and goodbye"}

    async def send_digits(self, digits: str) -> dict[str, Any]:
        return await self._handover.send_digits(digits)

    async def transfer(self, target: str, summary: str) -> dict[str, Any]:
        return await self._handover.transfer(target, summary)

    # -- news -----------------------------------------------------------------------------------------

    def _note_burst(self, now: float) -> None:
        if self._fillers.begins_to_sound():
            self._recorder.filler_sent()
        else:
            self._recorder.audio_sent(now)

    def _note_agent_speech(self, speaking: bool) -> None:
        if speaking:
            self._tts_errors = 0
        self._flow.note_agent_speech(speaking)

    def _note_metrics(self, frame: MetricsFrame) -> None:
        services = self._services
        self._recorder.metrics(
            frame, llm={llm.name for llm in services.llms}, tts={tts.name for tts in services.ttss}
        )

    def _first_audio_ms(self) -> float | None:
        sent = self._line.first_audio_at
        return None if sent is None else round((sent - self._line.opened_at) * 1000, 1)
