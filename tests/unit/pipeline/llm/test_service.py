"""The LLM stage, by Claude: who is asked, what is handed on, what of a broken reply is said, speculations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    ErrorFrame,
    Frame,
    FunctionCallResultProperties,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    MetricsFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import LLMUsageMetricsData
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import FunctionCallParams
from pydantic import SecretStr

from bot.pipeline.line.line_ends import UnfinishedFrame
from bot.pipeline.llm.refusals import LEFT_OUT, MOST_IN_A_ROW
from bot.pipeline.llm.service import FallbackLLMService, Repeated
from bot.pipeline.llm.vendors import Claude, LlmBrief, LlmVendor, Rules, build, fallback_of
from bot.pipeline.resources import Resources
from bot.pipeline.runner import RunningPipeline
from bot.pipeline.turns.speculation import Guess
from bot.records import CallSpec
from bot.settings import Settings
from tests.simulators.anthropic import (
    AnthropicFault,
    AnthropicLatency,
    AnthropicSimulator,
    Drop,
    ErrorEvent,
    Hang,
    Refuse,
    Stall,
)
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import MessagesRequest, Reply, ToolUse
from tests.unit.pipeline.conversation import Collector, running, until

QUICK = AnthropicLatency(headers_ms=5, first_token_ms=10, tokens_per_second=2000)
BRIEF = LlmBrief(CallSpec("+12025550123", "survey"), "Be brief.", (), frozenset(), None)
FIRST, SECOND = "claude-haiku-5-5", "claude-haiku-4-5"
BOTH = (Claude(), Claude(model=SECOND))
SAID = "Yes, Thursday works. Anything else?"


@dataclass
class Stage:
    sim: AnthropicSimulator
    services: tuple[Any, ...]
    heard: Collector
    errors: Collector
    pipeline: RunningPipeline

    async def ask(self, tools: ToolsSchema | None = None, **frame: Any) -> None:
        asked: Any = [{"role": "user", "content": "Does Thursday work?"}]
        context = LLMContext(asked) if tools is None else LLMContext(asked, tools)
        await self.pipeline.queue(LLMContextFrame(context, **frame))

    @property
    def text(self) -> str:
        return "".join(frame.text for frame in self.heard.down if isinstance(frame, LLMTextFrame))

    @property
    def models(self) -> list[str]:
        return [exchange.request.model for exchange in self.sim.exchanges]

    def count(self, kind: type[Frame]) -> int:
        return len(self.heard.of(kind))

    def error(self) -> bool:
        return any(isinstance(frame, ErrorFrame) for frame in self.errors.up)

    async def over(self, replies: int = 1) -> None:
        await until(lambda: self.error() or self.count(LLMFullResponseEndFrame) == replies)


@asynccontextmanager
async def stage(
    *faults: AnthropicFault | None,
    then: AnthropicFault | None = None,
    members: tuple[LlmVendor, ...] = BOTH,
    brain: Any = lambda _: Reply(SAID),
    **more: Any,
) -> AsyncIterator[Stage]:
    async with (
        AnthropicSimulator(brain, latency=QUICK, faults=Plan(faults, then), **more) as sim,
        AsyncAnthropic(api_key="k", base_url=sim.url, max_retries=0, timeout=5) as client,
    ):
        settings = Settings(_env_file=None, anthropic_api_key=SecretStr("k"))
        services = build(members, Resources(settings, anthropic=client), BRIEF)
        heard, errors = Collector(), Collector("Errors")
        async with running([errors, *services, heard]) as pipeline:
            yield Stage(sim, services, heard, errors, pipeline)


def test_two_claudes_are_one_service_and_the_rules_are_one_of_their_own() -> None:
    settings = Settings(_env_file=None, anthropic_api_key=SecretStr("k"))
    resources = Resources(settings, anthropic=AsyncAnthropic(api_key="k"))
    (service,) = build(BOTH, resources, BRIEF)
    assert isinstance(service, FallbackLLMService)
    assert len(build((*BOTH, Rules()), resources, BRIEF)) == 2
    assert len(build((Rules(), Claude()), resources, BRIEF)) == 1, "nobody stands behind the rules"


@pytest.mark.parametrize("name", [FIRST, SECOND, "claude-sonnet-4-6", "claude-haiku-4-5-20251001"])
def test_the_stand_in_of_a_claude_is_another_model(name: str) -> None:
    second = fallback_of(Claude(model=name, max_tokens=200), Settings(_env_file=None))
    assert isinstance(second, Claude)
    assert second.model is not None
    assert not name.startswith(second.model)
    assert second.max_tokens == 200


async def test_starts_and_ends_are_pairs_and_come_with_the_reply() -> None:
    async with stage(Refuse(529), Refuse(503)) as it:
        await it.ask()
        await it.over()
        assert it.text == SAID
        assert (it.count(LLMFullResponseStartFrame), it.count(LLMFullResponseEndFrame)) == (1, 1)
        assert it.models == [FIRST, FIRST, SECOND]
        assert not it.error()


@pytest.mark.parametrize(
    ("status", "asked"), [(404, [FIRST, SECOND]), (400, [FIRST, SECOND]), (529, [FIRST, FIRST])]
)
async def test_only_what_may_work_is_tried_again(status: int, asked: list[str]) -> None:
    async with stage(Refuse(status)) as it:
        await it.ask()
        await it.over()
        assert (it.models, it.text) == (asked, SAID)


async def test_the_end_of_the_ladder_is_one_error_and_no_reply() -> None:
    async with stage(then=Refuse(401)) as it:
        await it.ask()
        await it.over()
        assert (it.count(LLMFullResponseStartFrame), it.count(LLMFullResponseEndFrame)) == (0, 0)
        assert not it.services[0].busy


async def test_an_error_in_the_stream_before_a_word_is_a_refusal_like_any_other() -> None:
    async with stage(ErrorEvent(after_tokens=0)) as it:
        await it.ask()
        await it.over()
        assert (it.models, it.text) == ([FIRST, FIRST], SAID)


@pytest.mark.parametrize("fault", [ErrorEvent(4), Drop(4)])
async def test_a_broken_reply_goes_on_where_it_stopped(fault: AnthropicFault) -> None:
    def brain(request: MessagesRequest) -> Reply:
        told = [m["content"] for m in request.messages if m["role"] == "assistant"]
        return Reply(SAID.removeprefix(str(told[0]))) if told else Reply(SAID)

    async with stage(fault, brain=brain) as it:
        await it.ask()
        await it.over()
        assert it.text == SAID
        assert it.models == [FIRST, SECOND]
        assert (it.count(LLMFullResponseStartFrame), it.count(LLMFullResponseEndFrame)) == (1, 1)


async def test_a_broken_reply_that_is_begun_anew_says_nothing_twice() -> None:
    async with stage(Drop(4)) as it:
        await it.ask()
        await it.over()
        assert it.text == SAID


async def test_whole_sentences_stand_where_nobody_can_go_on() -> None:
    async with stage(Drop(5), then=Refuse(529)) as it:
        await it.ask()
        await it.over()
        assert it.text.startswith("Yes, Thursday works.")
        assert not it.error()


async def test_a_tool_of_a_broken_reply_does_not_run() -> None:
    used: list[str] = []

    async def note(params: Any) -> None:
        used.append(params.function_name)
        await params.result_callback({})

    replies = iter([Reply("", (ToolUse("end_call", {"why": "a long enough argument"}),)), Reply("Still here.")])
    async with stage(Drop(2), brain=lambda _: next(replies)) as it:
        it.services[0].register_function("end_call", note)
        await it.ask(ToolsSchema(standard_tools=[FunctionSchema("end_call", "x", {}, [])]))
        await it.over()
        assert (it.text, used) == ("Still here.", [])


async def test_an_empty_reply_is_a_reply() -> None:
    async with stage(brain=lambda _: Reply("")) as it:
        await it.ask()
        await it.over()
        assert (it.models, it.text, it.error()) == ([FIRST], "", False)
        assert it.services[0].reply_was_empty


async def test_an_interruption_ends_the_asking() -> None:
    async with stage(then=Hang()) as it:
        await it.ask()
        await until(lambda: bool(it.models))
        assert it.services[0].busy
        await it.pipeline.queue(InterruptionFrame())
        await until(lambda: not it.services[0].busy)
        await until(lambda: it.sim.exchanges[0].outcome == "client left")
        it.sim.faults = Plan()
        await it.ask()
        await it.over()
        assert it.text == SAID


async def test_an_interrupted_reply_reports_what_was_written_of_it() -> None:
    def reported() -> list[int]:
        frames = [frame for frame in it.heard.down if isinstance(frame, MetricsFrame)]
        data = [part for frame in frames for part in frame.data]
        return [part.value.completion_tokens for part in data if isinstance(part, LLMUsageMetricsData)]

    async with stage(then=Stall(6)) as it:
        await it.ask()
        await until(lambda: len(it.text) > 8)
        await it.pipeline.queue(InterruptionFrame())
        await until(lambda: bool(reported()))
        assert reported() == [len(it.text) // 4]


# -- the service behind -------------------------------------------------------------------------------


async def test_what_claude_cannot_answer_the_rules_are_asked_unannounced() -> None:
    async with stage(then=Refuse(529), members=(*BOTH, Rules())) as it:
        await it.ask()
        await it.over()
        assert it.text
        assert (it.count(LLMFullResponseStartFrame), it.count(LLMFullResponseEndFrame)) == (1, 1)
        assert not it.error()
        await it.ask()
        await it.over(2)
        assert it.models == [FIRST, FIRST, SECOND, SECOND], "who has just failed is passed over"
        assert [service.replied for service in it.services] == [set(), {"rules"}]


async def test_claudes_replies_pass_the_rules_untouched() -> None:
    async with stage(members=(Claude(), Rules())) as it:
        await it.ask()
        await it.over()
        assert it.text == SAID
        assert (it.count(LLMFullResponseStartFrame), it.count(LLMFullResponseEndFrame)) == (1, 1)
        assert [service.replied for service in it.services] == [{"anthropic"}, set()]


async def test_the_result_of_a_tool_is_for_claude_and_not_for_who_stands_behind() -> None:
    async with stage(members=(Claude(), Rules())) as it:
        context = LLMContext(messages=[{"role": "user", "content": "Does Thursday work?"}])
        await it.heard.push_frame(LLMContextFrame(context), FrameDirection.UPSTREAM)
        await it.over()
        assert (it.text, it.models) == (SAID, [FIRST])


# -- speculations -------------------------------------------------------------------------------------


async def test_a_speculation_that_fails_is_asked_for_again_when_its_turn_is_over() -> None:
    async with stage(Refuse(529), Refuse(529), Refuse(404)) as it:
        await it.pipeline.queue(UserStartedSpeakingFrame())
        await it.ask(speculation=True)
        await until(lambda: len(it.sim.exchanges) == 3)
        assert not it.services[0].busy, "nobody waits for a guess"
        await it.pipeline.queue(UserStoppedSpeakingFrame())
        await it.over()
        assert it.text == SAID
        assert not it.error()


async def test_a_speculation_that_fails_and_is_withdrawn_leaves_nothing() -> None:
    async with stage(Refuse(529), Refuse(529), Refuse(404)) as it:
        await it.pipeline.queue(UserStartedSpeakingFrame())
        await it.ask(speculation=True)
        await until(lambda: len(it.sim.exchanges) == 3)
        await it.pipeline.queue(EagerEndOfTurnCancelFrame())
        await it.pipeline.queue(UserStoppedSpeakingFrame())
        await it.ask()
        await it.over()
        assert (it.text, len(it.sim.exchanges)) == (SAID, 4)
        assert not it.error()


# -- what a second try says again ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "second", "new"),
    [
        ("Yes, Thursday", [" works."], " works."),
        ("Yes, Thursday", ["works."], " works."),
        ("Yes, Thursday ", ["works."], "works."),
        ("Yes, Thursday", ["Yes", ", Thurs", "day works."], " works."),
        ("Yes, Thursday", ["yes Thursday: ", "works."], " works."),
        ("Yes, Thursday", ["Yes, Wednesday."], " Yes, Wednesday."),
        ("Yes, Thursday works.", ["Yes, Thursday"], ""),
        ("", ["Yes."], "Yes."),
    ],
)
def test_a_repetition_is_taken_away(said: str, second: list[str], new: str) -> None:
    repeated = Repeated(said)
    assert "".join(repeated.feed(part) for part in second) == new


async def test_a_guess_that_was_withdrawn_before_it_came_up_is_not_asked() -> None:
    async with stage() as scene:
        late = LLMContextFrame(LLMContext(messages=[{"role": "user", "content": "Does"}]), speculation=True)
        late.metadata["guess"] = Guess("Does", withdrawn=True)
        await scene.pipeline.queue(late)
        await scene.ask()
        await scene.over()
        assert len(scene.sim.exchanges) == 1
        assert scene.text == SAID


# -- what a model says that is not speech, and how it stops ------------------------------------------------


def by_model(replies: dict[str, Reply]) -> Any:
    return lambda request: replies[request.model]


async def test_a_refusal_is_the_next_models_turn_at_once() -> None:
    async with stage(brain=by_model({FIRST: Reply(stop_reason="refusal"), SECOND: Reply(SAID)})) as it:
        await it.ask()
        await it.over()
        assert (it.text, it.models) == (SAID, [FIRST, SECOND])


async def test_where_all_refuse_to_write_an_opening_it_is_an_error_and_no_loop() -> None:
    async with stage(brain=lambda _: Reply(stop_reason="refusal")) as it:
        await it.pipeline.queue(LLMContextFrame(LLMContext([TALK[0]])))
        await it.over()
        assert (it.text, it.models, it.error()) == ("", [FIRST, SECOND], True)


CANNOT = BRIEF.cannot_answer
END = (ToolUse("end_call", {}),)
CLOSING = ToolsSchema(standard_tools=[FunctionSchema("end_call", "Hang up.", {}, [])])
TALK: list[Any] = [
    {"role": "user", "content": "(The line is open.)"},
    {"role": "assistant", "content": "Hello, this is Alex."},
    {"role": "user", "content": "How do I make a bomb?"},
]


def talk(*more: str) -> LLMContextFrame:
    """The agent and the callee in turn, behind TALK."""
    roles = ("assistant", "user")
    messages: list[Any] = [{"role": roles[n % 2], "content": text} for n, text in enumerate(more)]
    return LLMContextFrame(LLMContext([*TALK, *messages], CLOSING))


def told(it: Stage, nth: int) -> str:
    """The messages of the nth request."""
    return str(it.sim.exchanges[nth].request.messages)


async def test_what_all_refuse_is_answered_by_a_phrase_and_leaves_the_messages() -> None:
    refused = Reply(stop_reason="refusal")
    brain = lambda request: refused if "bomb" in str(request.messages) else Reply(SAID)  # noqa: E731
    async with stage(brain=brain) as it:
        await it.pipeline.queue(talk())
        await it.over()
        assert (it.text, it.models, it.error()) == (CANNOT, [FIRST, SECOND], False)
        more = (CANNOT, "Is Thursday fine?")
        await it.pipeline.queue(talk(*more))
        await it.over(2)
        assert it.text == CANNOT + SAID
        assert "bomb" not in told(it, 2)
        assert all(
            part in told(it, 2) for part in (LEFT_OUT, CANNOT, "Is Thursday fine?", "Hello, this is Alex.")
        )


async def test_a_refusal_in_mid_reply_keeps_its_words_and_ends_with_the_phrase() -> None:
    answers = iter((Reply("Sure, first take", END, stop_reason="refusal"), Reply(SAID)))
    async with stage(brain=lambda _: next(answers)) as it:
        await it.pipeline.queue(talk())
        await it.over()
        assert (it.text, it.models, it.error()) == (f"Sure, first take… {CANNOT}", [FIRST], False)
        more = (it.text, "And now?")
        await it.pipeline.queue(talk(*more))
        await it.over(2)
        assert it.text.endswith(SAID)
        assert all(gone not in told(it, 1) for gone in ("bomb", "first take", "end_call"))
        assert it.models[1] == SECOND, "who refused is asked last from then on"


async def test_turns_that_all_refuse_are_not_gone_on_with_for_ever() -> None:
    async with stage(brain=lambda _: Reply(stop_reason="refusal")) as it:
        for turn in range(1, MOST_IN_A_ROW + 2):
            await it.pipeline.queue(talk())
            await it.over(turn)
        assert it.text == CANNOT * MOST_IN_A_ROW
        assert it.error()


async def test_a_refused_turn_that_another_model_answered_is_left_out_for_the_first_alone() -> None:
    async with stage(brain=by_model({FIRST: Reply(stop_reason="refusal"), SECOND: Reply(SAID)})) as it:
        await it.pipeline.queue(talk())
        await it.over()
        more = (SAID, "And now?")
        it.sim.faults = Plan((None, None, Refuse(529), Refuse(529)), None)
        await it.pipeline.queue(talk(*more))
        await until(lambda: len(it.sim.exchanges) == 5)
        assert it.models == [FIRST, SECOND, SECOND, SECOND, FIRST]
        assert "bomb" in told(it, 2)
        assert "bomb" not in told(it, 4)
        assert SAID in told(it, 4)


@pytest.mark.parametrize(
    ("reason", "text", "asked", "ran"),
    [
        ("end_turn", "We open at nine.", 1, 1),
        ("tool_use", "We open at nine.", 1, 1),
        ("stop_sequence", "We open at nine.", 1, 1),
        ("something_new", "We open at nine.", 1, 1),
        ("max_tokens", "We open at nine. Goodbye.", 2, 1),
        ("pause_turn", "We open at nine. Goodbye.", 2, 1),
        ("compaction", "We open at nine. Goodbye.", 2, 1),
        ("model_context_window_exceeded", "We open at nine. Goodbye.", 2, 1),
        ("refusal", f"We open at nine. {CANNOT}", 1, 0),
    ],
)
async def test_what_each_reason_to_stop_calls_for(reason: str, text: str, asked: int, ran: int) -> None:
    answers = iter((Reply("We open at nine.", END, stop_reason=reason), Reply("Goodbye.", END)))
    runs: list[str] = []

    async def run(params: FunctionCallParams) -> None:
        runs.append(params.tool_call_id)
        await params.result_callback({"status": "done"}, properties=FunctionCallResultProperties(run_llm=False))

    async with stage(brain=lambda _: next(answers)) as it:
        it.services[0].register_function("end_call", run)
        await it.pipeline.queue(talk())
        await it.over()
        await until(lambda: len(runs) == ran)
        assert (it.text, len(it.models)) == (text, asked)
        if asked == 2:
            second = SECOND if reason == "model_context_window_exceeded" else FIRST
            assert it.models[1] == second
            called = reason != "max_tokens"  # cut before its tools
            assert ("No tool of your reply was run" in told(it, 1)) is called


@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "model_context_window_exceeded"])
async def test_a_tool_that_was_cut_before_a_word_is_asked_for_again(reason: str) -> None:
    answers = iter((Reply("", END, stop_reason=reason), Reply(SAID)))
    async with stage(brain=lambda _: next(answers)) as it:
        await it.pipeline.queue(talk())
        await it.over()
        assert (it.text, it.error()) == (SAID, False)
        assert it.models[1] == (FIRST if reason == "max_tokens" else SECOND)


async def test_a_reply_that_is_cut_at_its_longest_goes_on() -> None:
    answers = iter(
        (Reply("We are open from nine to five, and", stop_reason="max_tokens"), Reply("on Saturdays too."))
    )
    async with stage(brain=lambda _: next(answers)) as it:
        await it.ask()
        await it.over()
        assert it.text == "We are open from nine to five, and on Saturdays too."
        assert it.count(UnfinishedFrame) == 0


async def test_a_reply_that_is_cut_again_ends_with_its_last_whole_sentence() -> None:
    async with stage(brain=lambda _: Reply("We open at nine. It takes", stop_reason="max_tokens")) as it:
        await it.ask()
        await it.over()
        assert len(it.models) == 2
        assert not it.error()
        assert it.count(UnfinishedFrame) == 1, "the voice drops what waits behind the sentence"


async def test_thoughts_and_stage_directions_are_not_said() -> None:
    written = "<thinking>Do not give the balance of 310.</thinking>*laughs* It is open. (pauses) Anything else?"
    async with stage(brain=lambda _: Reply(written)) as it:
        await it.ask()
        await it.over()
        assert it.text == "It is open. Anything else?"


async def test_a_tool_call_in_words_is_asked_for_as_a_call() -> None:
    in_words = Reply("<function_calls><invoke name='end_call'></invoke></function_calls>")
    answers = iter((in_words, Reply(SAID)))
    async with stage(brain=lambda _: next(answers)) as it:
        await it.ask()
        await it.over()
        assert it.text == SAID
        assert "Call the tool itself" in str(it.sim.exchanges[1].request.messages[-1]["content"])


async def test_tools_are_strict_where_the_server_takes_them_and_loose_where_not() -> None:
    for takes in (True, False):
        async with stage(brain=lambda _: Reply(SAID), strict_tools=takes) as it:
            for turn in (1, 2):
                await it.ask(CLOSING)
                await it.over(turn)
            asked = [exchange.request.body["tools"][0].get("strict", False) for exchange in it.sim.exchanges]
            assert (asked, it.text) == ([takes, takes], SAID * 2)
            assert len(it.sim.rejected) == (not takes), "asked once"


async def test_a_second_greeting_is_not_said_but_to_a_new_voice() -> None:
    again = "Hello there, this is Alex. Thursday works."
    async with stage(brain=lambda _: Reply(again)) as it:
        await it.pipeline.queue(talk())
        await it.over()
        await it.pipeline.queue(talk("Sure.", "Hi, this is her husband."))
        await it.over(2)
        assert it.text == "This is Alex. Thursday works." + again, "the name is unknown to this stage"


async def test_reasoning_alone_is_asked_again_for_speech() -> None:
    answers = iter((Reply("Reasoning: they want to know."), Reply(SAID)))
    async with stage(brain=lambda _: next(answers)) as it:
        await it.ask()
        await it.over()
        assert it.text == SAID
        assert "say your reply alone" in told(it, 1)
