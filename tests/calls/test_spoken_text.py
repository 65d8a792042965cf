"""What ElevenLabs is given of a model's reply, and what transcript and context keep of it."""

from __future__ import annotations

from pathlib import Path

from tests.calls.server import Vendors, hear, running_server, say, steps, texts_of, vendors, wait
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

ANSWER = (
    "<thinking>Not the balance of 310.</thinking>*smiles* **Opening hours:** 9am-5pm.\n\n"
    "We are in [Suite 200](https://maps.example.com/s?id=200), call 202-555-0147. It costs $1,000.50."
)
KEPT = "Opening hours: 9am-5pm. We are in Suite 200, call 202-555-0147. It costs $1,000.50."
SPOKEN = (
    "Opening hours: nine a.m. to five p.m. We are in Suite two hundred, call two zero two, five five five, "
    "zero one four seven. It costs one thousand dollars and fifty cents."
)
GOODBYE = "You are welcome, John. Goodbye."
CALLEE = steps(
    hear(), say("Yes. Where is it?"), hear(30_000) | {"pause_ms": 1500}, say("Thank you, goodbye."), wait()
)


def given(sims: Vendors) -> str:
    return " ".join(" ".join(context.text for context in sims.elevenlabs.contexts).split())


async def test_the_voice_is_given_words_and_the_transcript_keeps_figures(tmp_path: Path) -> None:
    goodbye = Reply(
        GOODBYE,
        (
            ToolUse("record_outcome", {"reached_goal": True, "summary": "Done.", "confirmed": True}),
            ToolUse("end_call", {"reason": "done"}),
        ),
    )
    replies = RuleReplies([("goodbye", goodbye), ("where", ANSWER)], otherwise="Pardon?")
    async with vendors(CALLEE, replies) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call(scenario="quick"), within=80.0)
        assert SPOKEN in given(sims)
        assert " ".join(texts_of(call, "agent")[1].split()) == KEPT
        told = [
            str(m["content"]) for m in sims.anthropic.exchanges[-1].request.messages if m["role"] == "assistant"
        ]
        assert any(KEPT in " ".join(text.split()) for text in told), told
