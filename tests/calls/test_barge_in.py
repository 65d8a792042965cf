"""The callee speaks into a reply: the line falls silent, and the context keeps what was played."""

from __future__ import annotations

from pathlib import Path

from tests.calls.server import CHARACTER_MS, hear, interrupt, running_server, say, steps, vendors, wait
from tests.simulators.llm_replies import Reply, RuleReplies, ToolUse

LONG = (
    "The office is in Suite 200 on the second floor of the building beside the post office on Main Street "
    "and you can park behind it or take the tram to the stop in front of the old town hall."
)
CALLEE = steps(hear(), say("Where is it?"), interrupt("Stop please, thanks, goodbye.", 2000), wait())


async def test_what_was_played_is_what_is_remembered(tmp_path: Path) -> None:
    replies = RuleReplies(
        [("goodbye", Reply("All right, goodbye.", (ToolUse("end_call"),))), ("where", LONG)], otherwise="Pardon?"
    )
    async with vendors(CALLEE, replies) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call(scenario="quick"))
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
        heard = LONG.replace("200", "two hundred")[: int(reply_ms / CHARACTER_MS)]
        spoken = len(heard.replace("two hundred", "200").split())
        assert abs(spoken - len(words)) <= 1, (spoken, len(words))
        assert call["interruptions"] == 1
        assert call["ended_reason"] == "agent_hangup"


async def test_an_mhm_pauses_the_agent_and_loses_nothing(tmp_path: Path) -> None:
    callee = steps(
        hear(), say("Where is it?"), interrupt("Uh-huh.", 2000), hear(), say("Great, thank you, goodbye."), wait()
    )
    replies = RuleReplies(
        [("goodbye", Reply("Goodbye.", (ToolUse("end_call"),))), ("where", LONG)], otherwise="Pardon?"
    )
    async with vendors(callee, replies) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call(scenario="quick"))
        said = [turn["text"] for turn in call["transcript"] if turn["speaker"] == "agent"]
        assert LONG in said, said
        assert call["interruptions"] == 0
        assert [
            turn["text"].lower().rstrip(".") for turn in call["transcript"] if turn["speaker"] == "callee"
        ] == [
            "where is it?",
            "uh-huh",
            "great, thank you, goodbye",
        ]
        questions = [exchange.request.messages[-1]["content"] for exchange in sims.anthropic.exchanges]
        assert not any("uh-huh" in str(question).lower() for question in questions), "nobody answers an mhm"
        stream = sims.stream
        (clear,) = stream.received_of("clear")
        assert stream.received_of("media")[-1].at > clear.at, "it went on"
        # What the far end had not played by the clear was sent again, from the beginning of the word it cut.
        spoken_ms = sum(CHARACTER_MS * len(text) for text in said)
        assert -100 < len(stream.played()) / 8 - spoken_ms < 700


async def test_the_reply_is_begun_before_the_turn_is_over(tmp_path: Path) -> None:
    callee = steps(hear(), say("Where is the office?"), hear(), say("Thank you, goodbye."), wait())
    replies = RuleReplies(
        [("goodbye", Reply("Goodbye.", (ToolUse("end_call"),))), ("where", "In Suite 200.")], otherwise="Pardon?"
    )
    async with vendors(callee, replies) as sims, running_server(tmp_path, **sims.keys()) as server:
        call = await server.ended(await server.call(scenario="quick"))
        assert [turn["text"] for turn in call["transcript"] if turn["speaker"] == "agent"][1:] == [
            "In Suite 200.",
            "Goodbye.",
        ]
        assert call["speculations_kept"] >= 1
