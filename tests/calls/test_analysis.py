"""Whole calls and what follows them: the outcome Claude reads out of the transcript, and the bill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.calls.server import hear, running_server, say, steps, vendors, wait
from tests.simulators.llm_replies import MessagesRequest, Reply, RuleReplies, ToolUse

GOODBYE = Reply("You are welcome, John. Goodbye.", (ToolUse("end_call", {"reason": "done"}),))
CALLEE = steps(say("Hello?"), hear(), say("Yes it does."), hear(), say("Thank you, goodbye."), wait())


def analyst(request: MessagesRequest) -> Reply:
    schema = request.answer_schema
    assert schema is not None
    names = schema["properties"]["fields"]["properties"]
    return Reply(
        json.dumps(
            {
                "fields": {name: True if name in ("confirmed", "attends") else None for name in names},
                "reached_goal": True,
                "summary": "John confirmed Thursday. Nothing is open.",
                "callee_sentiment": "positive",
                "evidence": {name: ["Yes, it does!", "I promise."] for name in names},
            }
        )
    )


@pytest.mark.parametrize("own_schema", [False, True])
async def test_a_call_is_analysed_and_billed(tmp_path: Path, own_schema: bool) -> None:
    replies = RuleReplies([("goodbye", GOODBYE), ("does", "Great.")], otherwise="Pardon?")
    schema = {"type": "object", "properties": {"attends": {"type": "boolean"}, "guests": {"type": "integer"}}}
    extra: dict[str, Any] = {"outcome_schema": schema} if own_schema else {}
    async with vendors(CALLEE, replies) as sims, running_server(tmp_path, **sims.keys()) as server:
        sims.anthropic.analyst = analyst
        call_id = await server.call(scenario="quick", first_speaker="callee", **extra)
        ended = await server.ended(call_id)
        assert ended["outcome"]["source"] == "rules", "nobody waits for the model"
        call = await server.until(call_id, lambda call: call["outcome"]["source"] == "claude", within=15.0)
        assert len(sims.anthropic.analyses) == 1
    field = "attends" if own_schema else "confirmed"
    outcome = call["outcome"]
    assert outcome["fields"][field] is True
    assert (outcome["reached_goal"], outcome["callee_sentiment"]) == (True, "positive")
    assert outcome["evidence"] == {field: ["Yes, it does!"]}
    assert outcome["summary"] == "John confirmed Thursday. Nothing is open."
    _check_bill(call)


def _check_bill(call: dict[str, Any]) -> None:
    items = call["costs"]["items"]
    assert {item["vendor"] for item in items} == {"twilio", "deepgram", "anthropic", "elevenlabs"}
    assert {item["part"] for item in items} == {"opening", "call", "carrier", "analysis"}
    assert all(item["usd"] > 0 for item in items), items
    assert call["costs"]["total_usd"] == pytest.approx(sum(item["usd"] for item in items), abs=1e-6)
    heard = next(item for item in items if item["vendor"] == "deepgram")
    assert heard["quantity"] == pytest.approx(call["duration_seconds"], abs=3.0)
    minutes = next(item for item in items if item["what"] == "outbound US")
    assert (minutes["quantity"], minutes["unit"]) == (1.0, "minutes")
