"""The law in a whole call: what has to be heard is, and who wants no more calls is let go at once."""

from __future__ import annotations

from pathlib import Path

from tests.calls.server import interrupt, running_server, steps, texts_of, vendors, wait
from tests.simulators.llm_replies import RuleReplies


async def test_who_wants_no_more_calls_hears_who_speaks_and_is_let_go(tmp_path: Path) -> None:
    callee = steps(interrupt("Please stop calling me.", 300), wait())
    async with (
        vendors(callee, RuleReplies([], otherwise="I call for Thursday.")) as sims,
        running_server(tmp_path, profile="us_service", **sims.keys()) as server,
    ):
        call = await server.ended(await server.call(scenario="quick", hours={"start": "00:00", "end": "24:00"}))
        said = texts_of(call, "agent")
        assert said[0].startswith("This is an AI assistant."), "not cut off by the callee"
        assert call["disclosed_at"] is not None
        assert said[-1] == "You will not be called again. Goodbye."
        assert call["ended_reason"] == "opted_out"
        assert call["outcome"]["fields"]["do_not_call"] is True
        listed = await server.http.get("/api/phone/do-not-call/%2B12025550123")
        assert listed.json()["source"] == "call"
        assert call["compliance"] == {"profile": "us_service", "changed": {}, "switched_off": []}
