"""One call from answer to hang-up: lines up the stages, runs them, returns how it ended.

    line in → vad → stt → what the callee said → llm → tts → line out → what the callee heard

A call ends in this order: goodbye, its mark comes back, the carrier hangs up, the pipeline is torn down, the
record is complete. Whatever ends it, and whenever, the carrier hangs up and nothing is left running.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from loguru import logger
from pipecat.frames.frames import ErrorFrame, MetricsFrame
from pipecat.processors.aggregators.llm_context import LLMContext

from bot import languages
from bot.conversation import prompt
from bot.conversation.answer_detection import AnswerDetection
from bot.conversation.call_flow import CallFlow
from bot.conversation.call_plan import Plan, Services
from bot.conversation.disclosure import DisclosureWatch
from bot.conversation.fillers import Bridge, Fillers
from bot.conversation.hang_up import Goodbye
from bot.conversation.keys import Keys
from bot.conversation.machines.answering import MachineHandling
from bot.conversation.notes import Notes
from bot.conversation.opt_out import keys_of
from bot.conversation.recorder import Recorder
from bot.conversation.replies import Replies
from bot.conversation.stages import Stages
from bot.conversation.supervised import Supervised
from bot.conversation.toolbox import Toolbox, declared_tools
from bot.conversation.tools import Tool
from bot.conversation.tools.declared.mcp_server import McpServers
from bot.conversation.transfers.handover import Handover
from bot.conversation.transfers.transfers import Transfers
from bot.phone_numbers import can_be_called_back, country_of, read_number
from bot.pipeline.line.line import Line
from bot.pipeline.line.line_ends import LineInput, LineOutput
from bot.pipeline.line.live_sound import LiveSound
from bot.pipeline.offline.rules.claims import backed, claims_in
from bot.pipeline.resources import Resources
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.turns import turn, vad
from bot.pipeline.turns.barge_in import AgentOnLine, BargeIn
from bot.pipeline.turns.context import AssistantContext, UserContext
from bot.pipeline.turns.interjection import Interjection
from bot.pipeline.turns.speculation import Speculating
from bot.pipeline.turns.vad import VoiceActivity
from bot.records import AnsweredBy, Direction, EndedReason, Outcome, RecordingConsent, Speaker
from bot.telephony.carrier import EndsCalls
from bot.telephony.media import MediaStream


class NeverAgain(Protocol):
    """The do-not-call list."""

    async def asked_for(self, phone_number: str, call_id: str, reason: str | None = None) -> None: ...


@dataclass(frozen=True)
class CallBackend:
    """What the calls of one process share."""

    resources: Resources
    mcp: McpServers
    carrier: EndsCalls
    transfers: Transfers | None = None
    do_not_call: NeverAgain | None = None
    simulated: bool = False
    """The callee is ours, and answers by what it hears."""
    declared: Callable[[Plan], Iterable[Tool]] | None = None
    """In the place of the scenario's HTTP tools and MCP servers: a suite's."""


@dataclass
class CallEnd:
    """How a call ended."""

    reason: EndedReason
    error: str | None = None
    outcome: Outcome | None = None
    """What tools recorded; None where none did."""
    answer_to_first_audio_ms: float | None = None
    answered_by: AnsweredBy | None = None
    llm: str | None = None
    """The vendor that gave the replies, the first of the scenario's to give one; None without a reply."""
    stood_in: Mapping[str, str] = field(default_factory=dict)
    """Slot → the vendor or engine that went on where the one before it was lost."""
    disclosed_at: datetime | None = None
    """When the callee had heard that an AI assistant speaks."""
    consent: RecordingConsent | None = None


class Call:
    """One call on one line; `hold` is its whole life.

    It is the one listener of its stages (MediaListener, ConversationListener), which gives what they report to
    the recorder and to the clock, and the CallControl of its tools.
    """

    def __init__(
        self, plan: Plan, *, line: Line, services: Services, recorder: Recorder, backend: CallBackend
    ) -> None:
        self.plan = plan
        self._line, self._services, self._recorder, self._backend = line, services, recorder, backend
        self._tts_errors = 0
        scenario, resources = plan.scenario, backend.resources
        self._output = LineOutput(line, self, lambda: self._flow.must_be_heard)
        self._fillers = Fillers(
            line,
            self._output,
            scenario.phrases.fillers,
            spoken=plan.spoken,
            may_speak=lambda: self._flow.may_fill,
        )
        self._toolbox = Toolbox(
            scenario,
            self,
            used=recorder.tool_used,
            ending=lambda: self._goodbye.begun,
            bridge=Bridge(
                scenario.phrases.bridges,
                after_seconds=scenario.limits.bridge_seconds,
                say=self._fillers.say,
                working=self._note_tools,
            ),
            declared=self._declared_tools(),
            frame=plan.frame_of(()),
        )
        language = languages.of(scenario.language)
        self._disclosure = DisclosureWatch(
            language, scenario.phrases.disclosure, wanted=scenario.compliance.disclosure
        )
        self._stages = stages = self._build_stages()
        for llm in services.llms:
            self._toolbox.register(llm)
        self._goodbye = Goodbye(
            plan,
            stages,
            carrier=backend.carrier,
            voice=resources.voice,
            will_call_back=lambda: self.notes.has_callback,
        )
        detection = AnswerDetection(
            plan.first_speaker,
            line.opened_at,
            scenario.opening.wait_seconds,
            scenario.opening.pause_seconds,
            language=language,
            may_be_machine=plan.direction is Direction.OUTBOUND,
            put_through=plan.extension is not None,
        )
        detection.deaf()
        self._keys = Keys(
            scenario.keys,
            stages.user,
            actions=keys_of(scenario.compliance, self._opt_out_by_key),
            secrets=recorder.secrets,
            interrupts=lambda: scenario.interruption.allowed and not self._output.saying.protected,
            entered=self._callee_entered,
        )
        self._flow = CallFlow(
            plan,
            stages=stages,
            goodbye=self._goodbye,
            machine=MachineHandling(
                plan, detection=detection, stages=stages, goodbye=self._goodbye, resources=resources
            ),
            replies=Replies(scenario.patience, stages, fillers=self._fillers, apologise=self._goodbye.apologise),
            keys=self._keys,
            disclosure=self._disclosure,
            recording=line.recording,
            report_who=recorder.answer_detected,
            never_again=self.never_call_again,
            waiting=lambda: self._handover.waiting,
        )
        self._handover = Handover(
            plan,
            backend.transfers,
            stages=stages,
            goodbye=self._goodbye,
            disclosure=self._disclosure,
            callee_speaks=lambda: self._flow.callee_speaks,
            no_reply_owed=self._flow.no_reply_owed,
        )

    def _declared_tools(self) -> Iterable[Tool]:
        if self._backend.declared is not None:
            return self._backend.declared(self.plan)
        if not self.plan.calls_declared_tools:
            return ()
        return declared_tools(self.plan.scenario, self._backend.resources, self._backend.mcp)

    def _build_stages(self) -> Stages:
        services, scenario = self._services, self.plan.scenario
        context = LLMContext(
            messages=[{"role": "user", "content": prompt.CALL_OPENED}], tools=self._toolbox.schemas()
        )
        voice_activity = services.vad or vad.build(scenario.vad)
        user = self._user_context(context, voice_activity.voice)
        pipeline = RunningPipeline(
            [
                LineInput(self._line, self),
                voice_activity,
                *services.stts,
                self._barge_in(user, voice_activity.voice),
                user,
                *services.llms,
                *services.ttss,
                self._output,
                AssistantContext(context, self),
            ],
            on_error=self._on_error,
            # Secret keys stand in what pipecat's spans hold of the conversation.
            # A service's span has the words as they were said.
            tracing=None if scenario.keys.secret or self.plan.redact else self._recorder.trace.services,
        )
        return Stages(self._line, user, self._output, pipeline, context, services.llms)

    def _user_context(self, context: LLMContext, voice: VoiceActivity) -> UserContext:
        scenario = self.plan.scenario
        strategies = turn.build(
            scenario.turn,
            scenario.interruption,
            vendor_turns=self.plan.slots.stt.detects_turns,
            voice=voice,
            language=languages.of(scenario.language),
            speculating=Speculating(voice, self._recorder, allowed=lambda: user.will_answer),
            asked=lambda: user.asked,
        )
        user = UserContext(
            context,
            strategies,
            self,
            stop_timeout=scenario.turn.stop_timeout_seconds,
            is_recording=lambda text: self._flow.is_recording(text),  # noqa: PLW0108 - built later
        )
        return user

    def _barge_in(self, user: UserContext, voice: VoiceActivity) -> BargeIn:
        scenario = self.plan.scenario
        return BargeIn(
            Interjection(scenario.interruption, languages.of(scenario.language)),
            voice,
            AgentOnLine(
                self._line, self._output, lambda: self._flow.reply_owed, lambda: self._flow.must_be_heard
            ),
            listening=lambda: scenario.interruption.allowed and not user.muted,
            on_backchannel=self.callee_backchannel,
            longest_turn_seconds=scenario.turn.longest_seconds,
        )

    # -- life -----------------------------------------------------------------------------------------

    async def hold(self) -> CallEnd:
        """From the open line to the closed one."""
        call_id, goodbye, pipeline = self.plan.call_id, self._goodbye, self._stages.pipeline
        line = asyncio.create_task(self._line.run(self._output), name=f"line {call_id}")
        flow = asyncio.create_task(self._flow.run(), name=f"flow {call_id}")
        running = asyncio.create_task(pipeline.run(), name=f"pipeline {call_id}")
        over = asyncio.create_task(goodbye.over.wait(), name=f"over {call_id}")
        late_tools = asyncio.create_task(self._join_late_tools(), name=f"late tools {call_id}")
        try:
            await asyncio.wait({line, flow, running, over}, return_when=asyncio.FIRST_COMPLETED)
            if line.done():
                goodbye.line_ended(line.result())
            elif not over.done():
                goodbye.end_now(EndedReason.ERROR_LINE, "the pipeline stopped by itself")
        finally:
            reason = goodbye.reason or EndedReason.SERVER_SHUTDOWN
            for task in (flow, over, late_tools):
                task.cancel()
            await asyncio.gather(flow, over, late_tools, return_exceptions=True)
            await self._keys.close()
            closing = goodbye.close_line(line, handed_over=self._handover.handed_over)
            await asyncio.gather(self._handover.close(), closing)
            await pipeline.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self._toolbox.finish()
        for task in (flow, running):
            if not task.cancelled() and (failure := task.exception()) is not None:
                raise failure
        outcome = self._recorder.secrets.masked_outcome(self.notes.outcome())
        answered_by = self._flow.answered_by
        return CallEnd(
            reason,
            goodbye.error,
            outcome,
            self._first_audio_ms(),
            answered_by,
            next(iter(self._services.replied(self.plan.slots)), None),
            self._services.stood_in(self.plan.slots),
            disclosed_at=self._disclosure.heard_at,
            consent=self._flow.consent,
        )

    async def _join_late_tools(self) -> None:
        if self.plan.calls_declared_tools and self._backend.declared is None:
            await self._toolbox.join_late(self._backend.mcp, self._stages.context, self._services.llms)

    def _note_tools(self, working: bool) -> None:
        self._flow.note_tools(working)

    def _first_audio_ms(self) -> float | None:
        sent = self._line.first_audio_at
        return None if sent is None else round((sent - self._line.opened_at) * 1000, 1)

    async def _on_error(self, frame: ErrorFrame) -> None:
        """A vendor failed beyond its fallback."""
        processor, services = frame.processor, self._services
        if processor in services.llms:
            await self._goodbye.apologise(EndedReason.ERROR_LLM, frame.error)
        elif processor in services.stts and not processor.is_usable:
            await self._goodbye.apologise(EndedReason.ERROR_STT, frame.error)
        elif processor in services.ttss:
            self._tts_errors += 1
            if not processor.is_usable or self._tts_errors > 1:
                await self._goodbye.apologise(EndedReason.ERROR_TTS, frame.error)

    # -- asked by the process that holds it -----------------------------------------------------------

    @property
    def supervised(self) -> Supervised:
        """What a supervisor may do in it."""
        return Supervised(self._stages, self._flow, self._goodbye, self._recorder, self.transfer)

    @property
    def sound(self) -> LiveSound:
        """What is heard on its line."""
        return self._line.sound

    async def hang_up(self, reason: EndedReason) -> None:
        """End the call now, whatever is being said."""
        if reason is EndedReason.API_HANGUP and not self._goodbye.over.is_set():
            self._recorder.supervised("hangup", "The call was ended.", {}, {"status": "ended"})
        self._goodbye.end_now(reason)

    async def take_leave(self, reason: EndedReason) -> None:
        """End with the scenario's apology, over when it was heard; at once where no person would hear it."""
        if self._line.away or self._flow.at_machine or self._handover.handed_over:
            self._goodbye.end_now(reason)
        else:
            await self._goodbye.leave(reason)

    def carrier_ended(self) -> None:
        """The carrier says the call is over."""
        self._goodbye.carrier_ended()

    async def attach(self, stream: MediaStream) -> bool:
        """Go on on a new media stream, until that is over. False where none is expected."""
        return await self._line.attach(stream)

    async def _opt_out_by_key(self) -> None:
        await self._flow.opt_out.leave(f"key {self.plan.scenario.compliance.opt_out_key}")

    # -- what tools may do to their call --------------------------------------------------------------

    @property
    def notes(self) -> Notes:
        return self._toolbox.notes

    async def end_after_goodbye(self) -> None:
        if self._flow.at_menu:
            self._goodbye.end_now(EndedReason.MENU_REACHED)  # there is no person to say goodbye to
            return
        await self._goodbye.after_reply()

    async def never_call_again(self, reason: str | None, phone_number: str | None = None) -> dict[str, Any]:
        number = self.plan.spec.phone_number
        if not can_be_called_back(number):
            # The line shows no number: only the caller can say which one is meant.
            number = "".join((phone_number or "").split())
            try:
                number = read_number(number, country_of(self.plan.spec.from_number)).e164
            except ValueError as e:
                return {"error": prompt.number_needed(str(e) if number else None)}
        # First the note: where the list cannot be written to now, it is after the call, by the outcome.
        self.notes.note_do_not_call()
        if self._backend.do_not_call is None:
            return {"error": prompt.NO_DO_NOT_CALL_LIST}
        silent = reason is None or self.plan.scenario.storage.silent
        kept = None if silent else self._recorder.secrets.said(reason or "")
        await self._backend.do_not_call.asked_for(number, self.plan.call_id, kept)
        return {"status": prompt.NEVER_CALLED_AGAIN}

    async def send_digits(self, digits: str) -> dict[str, Any]:
        return await self._handover.send_digits(digits)

    async def transfer(self, target: str, summary: str) -> dict[str, Any]:
        return await self._handover.transfer(target, summary)

    # -- reported by the line -------------------------------------------------------------------------

    def listening_began(self) -> None:
        self._flow.note_listening()

    def callee_window(self, pcm: bytes) -> None:
        self._flow.listen_for_sounds(pcm)

    def agent_audio_begins(self, now: float) -> None:
        if self._fillers.begins_to_sound():
            self._recorder.filler_sent()
        else:
            self._recorder.audio_sent(now)

    def agent_speaks(self, speaking: bool) -> None:
        if speaking:
            self._tts_errors = 0
        self._flow.note_agent_speech(speaking)
        if speaking:
            self._recorder.reports.turn_passed(Speaker.AGENT, speaking=True)
        else:
            self._recorder.reports.turn_passed(
                Speaker.CALLEE if self._flow.callee_speaks else None, speaking=self._flow.callee_speaks
            )

    async def key_pressed(self, key: str) -> None:
        await self._keys.press(key)
        self._flow.note_callee_presence()

    def _callee_entered(self, keys: str) -> None:
        self._recorder.callee_keys(keys)
        self._flow.note_callee_keys()

    def metrics_came(self, frame: MetricsFrame) -> None:
        services = self._services
        self._recorder.metrics(
            frame, llm={llm.name for llm in services.llms}, tts={tts.name for tts in services.ttss}
        )

    # -- reported by the turns ------------------------------------------------------------------------

    def callee_speech_started(self, late_seconds: float = 0.0) -> None:
        self._recorder.callee_speech_started(late_seconds)
        self._flow.note_callee_speech(True)
        self._recorder.reports.turn_passed(Speaker.CALLEE, speaking=True)

    def callee_speech_stopped(self, silence_seconds: float, late_seconds: float = 0.0) -> None:
        self._recorder.callee_speech_stopped(silence_seconds, late_seconds)
        self._flow.note_callee_speech(False)
        self._recorder.reports.turn_passed(Speaker.CALLEE, speaking=False)

    def callee_words(self, text: str, *, final: bool) -> None:
        if text.strip():
            self._recorder.callee_words(text, final=final)
            self._flow.note_callee_words(text.strip(), final=final)

    def callee_backchannel(self, text: str, ended_seconds_ago: float) -> None:
        self._recorder.callee_backchannel(text, ended_seconds_ago)
        self._flow.note_callee_presence()

    def callee_turn_over(self, text: str) -> None:
        self._recorder.callee_turn_over(text, recording=self._flow.is_recording(text))
        self._flow.note_callee_turn_over(text)
        self._recorder.reports.turn_passed(Speaker.AGENT if self._flow.reply_owed else None, speaking=False)

    def recording_was_callee(self) -> None:
        self._recorder.recording_was_callee()

    def agent_words(self, text: str) -> None:
        self._disclosure.note_words(text)
        self._recorder.agent_words(text)
        if self._backend.simulated:
            self._backend.resources.scripts.agent_said(self._line.call_sid, text)

    def agent_words_cut(self, text: str) -> None:
        self._recorder.agent_words_cut(text)

    def agent_turn_over(self, text: str, *, interrupted: bool) -> None:
        self._disclosure.note_turn_over(interrupted=interrupted)
        self._flow.note_agent_turn(text)
        self._recorder.agent_turn_over(text, interrupted=interrupted)
        self._correct_claims(text)

    def _correct_claims(self, text: str) -> None:
        """Let the model know what it said it had done, and has not."""
        if self._toolbox.at_work:
            return
        plan, described = self.plan, self._toolbox.descriptions
        uses = [use for turn in self._recorder.turns for use in turn.tools]
        for sentence, done in claims_in(text, plan.scenario.language, prompt.known_words(plan.spec)):
            if not backed(sentence, done, uses, described):
                logger.info("the agent claims what no tool has done")
                self._stages.note(prompt.unbacked(sentence))
