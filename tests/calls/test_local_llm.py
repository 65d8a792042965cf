"""A call whose LLM is an OpenAI-compatible server: it talks, uses tools, and its failures stay ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.calls.server import hear, running_server, say, steps, texts_of, vendors, wait
from tests.simulators.anthropic import Drop, Refuse, Stall
from tests.simulators.faults import Plan
from tests.simulators.llm_replies import MessagesRequest, Replies, Reply, ToolUse
from tests.simulators.openai import OpenAIFault, OpenAILatency, OpenAISimulator

REPLY = "Wonderful, I have noted it. Goodbye."
NOTED = (ToolUse("record_outcome", {"confirmed": True}), ToolUse("end_call"))
CONFIRMED = "They confirmed."


def brain(request: MessagesRequest) -> Reply:
    return Reply(REPLY, NOTED)


async def talk(
    tmp_path: Path,
    *faults: OpenAIFault | None,
    brain: Replies = brain,
    more: str = "",
    then: OpenAIFault | None = None,
    acts: Sequence[dict[str, Any]] = (say("Yes, it does."), wait()),
) -> tuple[dict[str, Any], OpenAISimulator, list[str]]:
    """A callee who answers the opening; the reply to that meets the faults. The call, and Claude's requests."""
    latency = OpenAILatency(first_token_ms=150, tokens_per_second=120)
    async with (
        OpenAISimulator(brain, latency=latency, faults=Plan(faults, then)) as sim,
        vendors(steps(hear(), *acts), lambda _: Reply("Claude here, goodbye.", (ToolUse("end_call"),))) as others,
    ):
        llm = f'[llm]\nvendor = "openai_compatible"\nbase_url = "{sim.base_url}"\nmodel = "qwen3:4b"\n'
        more_scenarios = [scenario(tmp_path, llm + more)]
        async with running_server(tmp_path, more_scenarios=more_scenarios, **others.keys()) as server:
            call = await server.ended(await server.call(scenario="local"), within=60)
            await server.all_over()
        assert sim.rejected == []
        return call, sim, [exchange.request.model for exchange in others.anthropic.exchanges]


def scenario(tmp_path: Path, more: str) -> Path:
    """The quick one, without requests on a guess: they are counted."""
    quick = (Path(__file__).parent / "pipelines" / "quick.toml").read_text(encoding="utf-8")
    path = tmp_path / "local.toml"
    path.write_text(quick.replace("[turn]\n", "[turn]\nearly_replies = false\n") + f"\n{more}", encoding="utf-8")
    return path


def whole(call: dict[str, Any]) -> bool:
    return (call["status"], call["ended_reason"]) == ("completed", "agent_hangup")


async def test_a_call_by_a_local_model(tmp_path: Path) -> None:
    call, sim, claudes = await talk(tmp_path)
    assert whole(call)
    assert texts_of(call, "agent")[1:] == [REPLY]
    assert call["vendors"]["llm"] == "openai_compatible"
    assert call["outcome"]["fields"]["confirmed"] is True
    assert {"end_call", "record_outcome"} <= set(sim.exchanges[0].request.tool_names)
    assert (len(sim.exchanges), claudes) == (1, [])
    (used,) = [item for item in call["costs"]["items"] if item["unit"] == "output_tokens"]
    assert (used["vendor"], used["what"]) == ("openai_compatible", "qwen3:4b")


async def test_a_stream_that_breaks_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for fault in (Drop(3), Stall(3)):
        call, sim, _ = await talk(tmp_path, fault, more="stall_seconds = 1\n")
        assert whole(call)
        assert texts_of(call, "agent")[1:] == [REPLY]
        assert len(sim.exchanges) == 2


async def test_broken_arguments_run_nothing(tmp_path: Path) -> None:
    def brain(request: MessagesRequest) -> Reply:
        if not request.tool_results:
            return Reply("Let me note that.", (ToolUse("record_outcome", raw='{"confirmed": tr'),))
        assert "not a JSON object" in str(request.tool_results)
        return Reply(REPLY, NOTED)

    call, sim, _ = await talk(tmp_path, brain=brain)
    assert whole(call)
    assert call["outcome"]["fields"]["confirmed"] is True
    assert len(sim.exchanges) == 2


async def test_claude_stands_in(tmp_path: Path) -> None:
    call, sim, claudes = await talk(tmp_path, then=Refuse(500), more='[llm_fallback]\nvendor = "anthropic"\n')
    assert whole(call)
    assert texts_of(call, "agent")[1:] == ["Claude here, goodbye."]
    assert (len(sim.exchanges), len(claudes)) == (2, 1)
    assert call["vendors"]["llm"] == "anthropic"


async def test_without_another_model_the_rules_go_on(tmp_path: Path) -> None:
    call, _, claudes = await talk(tmp_path, then=Refuse(429, retry_after=60))
    assert call["ended_reason"] != "error_llm"
    assert len(texts_of(call, "agent")) > 1
    assert claudes == []
    assert call["vendors"]["llm"] == "rules"
