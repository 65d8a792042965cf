"""The callee speaks into a reply: the line falls silent, and the context keeps what was played."""

from __future__ import annotations

from pathlib import Path

from tests.calls.house import CHARACTER_MS, hear, house, interrupt, say, steps, vendors, wait
from tests.simulators.brain import Reply, RuleBrain, ToolUse

LONG = (
    "The office is in Suite 200 on the second floor of the building beside the post office on Main Street "
    "and you can park behind it or take the tram to the stop in front of the old town hall."
)
CALLEE = steps(hear(), say("Where is it?"), interrupt("Stop please, thanks, goodbye.", 2000), wait())


async def test_what_was_played_is_what_is_remembered(tmp_path: Path) -> None:
    brain = RuleBrain(
        [("goodbye", Reply("All right, goodbye.", (ToolUse("end_call"),))), ("where", LONG)], otherwise="Pardon?"
    )
    async with vendors(CALLEE, brain) as sims, house(tmp_path, **sims.keys()) as home:
        call = await home.ended(await home.call(scenario="quick"))
        stream = sims.stream
        (clear,) = stream.received_of("clear")
        after = [event for event in stream.received_of("media") if event.at > clear.at]
        goodbye_ms = CHARACTER_MS * len("All right, goodbye.")
        assert sum(len(event.audio) for event in after) / 8 <= goodbye_ms + 100, "audio of the reply after clear"
        cut = next(turn for turn in call["transcript"] if turn["interrupted"])
        remembered = next(
            message
            for message in sims.anthropic.exchanges[-1].request.messages
            if message["role"] == "assistant" and "office is" in str(message["content"])
        )
        content = remembered["content"]
        text = content if isinstance(content, str) else content[0]["text"]
        assert text.endswith("—")
        assert text == cut["text"]
        words = text.removesuffix("—").split()
        assert LONG.split()[: len(words)] == words
        opening_sent = CHARACTER_MS * len("Hi John. Does Thursday work?")
        reply_ms = len(stream.played(until=clear.at)) / 8 - opening_sent
        spoken = len(LONG[: int(reply_ms / CHARACTER_MS)].split())
        assert abs(spoken - len(words)) <= 1, (spoken, len(words))
        assert call["interruptions"] == 1
        assert call["ended_reason"] == "agent_hangup"
