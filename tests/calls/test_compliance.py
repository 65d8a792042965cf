"""The law in whole calls: what is said first is heard, whatever the callee does."""

from __future__ import annotations

from pathlib import Path

from tests.calls.server import hear, interrupt, running_server, say, steps, texts_of, vendors, wait
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse


async def test_the_disclosure_is_heard_by_a_callee_who_interrupts(tmp_path: Path) -> None:
    callee = steps(
        say("Hello?"), interrupt("Stop, stop, what do you want?", 300), hear(), say("Goodbye."), wait()
    )
    replies = RuleReplies(
        [("goodbye", Reply("Goodbye.", (ToolUse("end_call"),)))], otherwise="I call for Thursday."
    )
    async with (
        vendors(callee, replies) as sims,
        running_server(tmp_path, profile="us_service", **sims.keys()) as server,
    ):
        call = await server.ended(await server.call(scenario="quick", hours={"start": "00:00", "end": "24:00"}))
        first = texts_of(call, "agent")[0]
        assert first.startswith("This is an AI assistant."), first
        assert "This call is recorded." in " ".join(texts_of(call, "agent")), "said again where it was cut"
        assert call["disclosed_at"] is not None
        assert call["consent"] is not None, [(t["speaker"], t["text"]) for t in call["transcript"]]
        assert call["consent"]["said"] == "This call is recorded."
        assert call["compliance"] == {"profile": "us_service", "changed": {}, "switched_off": []}
