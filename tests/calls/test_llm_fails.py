"""Claude fails in mid-call: what the callee hears, what was asked of which model, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.calls.server import Vendors, hear, running_server, say, steps, texts_of, vendors, wait
from tests.simulators.anthropic import AnthropicFault, Garbage, Hang, Refuse, Slow, Stall
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import MessagesRequest, Replies, Reply, ScriptedReplies, ToolUse, text_of

FIRST, SECOND = "claude-haiku-5-5", "claude-haiku-4-5"
APOLOGY = "I'm sorry, trouble. Goodbye."
REPLY = "Wonderful, I have noted it. Goodbye."
END_CALL = (ToolUse("end_call", {}),)
FILLERS = ("One moment.", "Let me see.", "Just a second.")


def replies(request: MessagesRequest) -> Reply:
    """By what was said last: the reply to a repeated request is the same."""
    return Reply("Wonderful. Anything else?") if "else" in request.last_user_text else Reply(REPLY, END_CALL)


def listen() -> dict[str, Any]:
    """A patient callee: a filler is no reply to them."""
    return hear(within_ms=20_000) | {"pause_ms": 2000}


async def talk(
    tmp_path: Path,
    *faults: AnthropicFault | None,
    replies: Replies = replies,
    then: AnthropicFault | None = None,
    more: str = "",
    acts: Sequence[dict[str, Any]] = (say("Yes, it does."), wait()),
) -> tuple[dict[str, Any], Vendors]:
    """A callee who answers the opening; Claude's reply to that meets the faults. The call and the simulators.

    The opening is in the scenario: the first request is the first reply.
    """
    async with vendors(steps(hear(), *acts), replies) as sims:
        sims.anthropic.faults = Plan(faults, then)
        async with running_server(tmp_path, more_scenarios=[scenario(tmp_path, more)], **sims.keys()) as server:
            call = await server.ended(await server.call(scenario="failing"), within=60)
            await server.all_over()
        assert sims.anthropic.rejected == [], "a request that Claude refuses"
        return call, sims


TWO_TURNS = (say("And something else."), listen(), say("Fine."), wait())


def scenario(tmp_path: Path, more: str) -> Path:
    """The quick one, with a callee who may listen for long, and no requests on a guess: they are counted."""
    quick = (Path(__file__).parent / "pipelines" / "quick.toml").read_text(encoding="utf-8")
    quick = quick.replace("[turn]\n", "[turn]\nearly_replies = false\n")
    path = tmp_path / "failing.toml"
    path.write_text(f"{quick.replace('silence_seconds = 4', 'silence_seconds = 10')}\n{more}\n", encoding="utf-8")
    return path


def models(sims: Vendors) -> list[str]:
    return [exchange.request.model for exchange in sims.anthropic.exchanges]


def whole(call: dict[str, Any]) -> bool:
    return (call["status"], call["ended_reason"]) == ("completed", "agent_hangup")


async def test_a_slow_first_token_is_covered_by_a_filler_that_begins_the_reply(tmp_path: Path) -> None:
    call, sims = await talk(tmp_path, Slow(3.4), Slow(3.4), acts=TWO_TURNS)
    assert whole(call)
    opening, reply, goodbye = texts_of(call, "agent")
    assert reply in {f"{filler} Wonderful. Anything else?" for filler in FILLERS}
    assert goodbye == REPLY
    assert models(sims) == [FIRST, FIRST, FIRST]
    assert call["transcript"][2]["latency"]["voice_to_voice_ms"] > 3400, "the reply's latency, not the filler's"
    told = [
        message for message in sims.anthropic.exchanges[-1].request.messages if message["role"] == "assistant"
    ]
    assert [opening, reply] == [" ".join(text_of(message["content"])) for message in told]


async def test_a_moment_of_overload_is_a_pause_and_nothing_else(tmp_path: Path) -> None:
    call, sims = await talk(tmp_path, Refuse(529))
    assert whole(call)
    assert texts_of(call, "agent")[1:] == [REPLY]
    assert models(sims) == [FIRST, FIRST]


async def test_the_second_model_answers_while_the_first_is_down(tmp_path: Path) -> None:
    call, sims = await talk(tmp_path, Refuse(529), Refuse(429, retry_after=60), acts=TWO_TURNS)
    assert whole(call)
    assert texts_of(call, "agent")[1:] == ["Wonderful. Anything else?", REPLY]
    assert models(sims) == [FIRST, FIRST, SECOND, SECOND], "who failed is not asked first again at once"


async def test_when_everything_fails_the_agent_apologises_and_hangs_up(tmp_path: Path) -> None:
    call, sims = await talk(tmp_path, then=Refuse(500))
    assert (call["status"], call["ended_reason"]) == ("completed", "error_llm")
    assert "500" in call["error"]
    assert texts_of(call, "agent")[1:] == [APOLOGY]
    assert models(sims) == [FIRST, FIRST, SECOND, SECOND]


async def test_silence_of_all_models_is_filled_and_then_apologised_for(tmp_path: Path) -> None:
    patience = "[patience]\nfiller_seconds = 1\nask_again_seconds = 3\napology_seconds = 5\n"
    llm = '[llm]\nvendor = "anthropic"\nfirst_token_seconds = 1\n'
    call, sims = await talk(tmp_path, then=Hang(), more=patience + llm)
    assert (call["status"], call["ended_reason"]) == ("completed", "error_llm")
    (said,) = texts_of(call, "agent")[1:]
    assert said.startswith(FILLERS)
    assert said.endswith(APOLOGY)
    assert models(sims) == [FIRST, FIRST, SECOND, SECOND]


async def test_a_reply_that_breaks_off_is_finished(tmp_path: Path) -> None:
    llm = '[llm]\nvendor = "anthropic"\nstall_seconds = 1\n'
    call, sims = await talk(tmp_path, Stall(3), more=llm)
    assert whole(call)
    assert texts_of(call, "agent")[1:] == [REPLY]
    mended = sims.anthropic.exchanges[1].request
    assert mended.model == SECOND
    assert mended.messages[-2]["role"] == "assistant"


async def test_events_that_make_no_sense_change_nothing(tmp_path: Path) -> None:
    call, sims = await talk(tmp_path, then=Garbage())
    assert whole(call)
    assert texts_of(call, "agent")[1:] == [REPLY]
    assert models(sims) == [FIRST]


async def test_a_model_that_says_nothing_is_asked_again(tmp_path: Path) -> None:
    patience = "[patience]\nfiller_seconds = 1\nask_again_seconds = 3\n"
    call, sims = await talk(tmp_path, replies=ScriptedReplies(["", Reply(REPLY, END_CALL)]), more=patience)
    assert whole(call)
    (said,) = texts_of(call, "agent")[1:]
    assert said.startswith(FILLERS)
    assert said.endswith(REPLY)
    asked = [exchange.request.messages for exchange in sims.anthropic.exchanges]
    assert asked[0] == asked[1], "the same question: the filler is not in it yet"


async def test_the_rules_answer_where_the_scenario_names_them(tmp_path: Path) -> None:
    acts = (say("Yes, it does."), listen(), say("No, that is all. Goodbye."), wait())
    call, sims = await talk(tmp_path, then=Refuse(529), more='[llm_fallback]\nvendor = "rules"', acts=acts)
    assert whole(call), call
    assert call["outcome"]["reached_goal"] is True
    assert models(sims) == [FIRST, FIRST]
