"""What a supervisor may do in a call that goes on: have words said, tell the model a fact, transfer the callee.

Each stands in the transcript as a turn of the business, with what was asked and what became of it, and is not
mistaken for words of the callee: neither by the model, which gets a fact as a note, nor by the rules.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bot.conversation import prompt
from bot.conversation.call_flow import CallFlow
from bot.conversation.hang_up import Goodbye
from bot.conversation.recorder import Recorder
from bot.conversation.stages import Stages
from bot.errors import ConflictError, RequestError


@dataclass(frozen=True)
class Supervised:
    """One call's."""

    stages: Stages
    flow: CallFlow
    goodbye: Goodbye
    recorder: Recorder
    put_through: Callable[[str, str], Awaitable[dict[str, Any]]]

    async def say(self, text: str, *, now: bool) -> str:
        """Have the agent say `text`: behind what it says, or with `now` in its midst. What became of it.

        What the callee has to hear to its end, as that an AI assistant speaks, is not cut. ConflictError.
        """
        self._check()
        cuts = now and not self.flow.must_be_heard
        if cuts:
            await self.stages.hush()
            self.flow.no_reply_owed()
        self.recorder.supervised(
            "say", text, {"when": "now" if now else "after"}, {"status": "given to the voice"}
        )
        await self.stages.say(text)
        return "said now" if cuts else "said after what the agent is saying"

    async def inject(self, fact: str, *, reply: bool) -> str:
        """Let the model know `fact`; with `reply` the agent speaks of it in the next gap. ConflictError."""
        self._check()
        self.stages.note(prompt.from_business(fact, speak=reply))
        self.recorder.supervised("inject", fact, {"reply": reply}, {"status": "given to the model"})
        if reply:
            self.flow.speak_up()
            return "told to the model, which speaks of it in the next gap"
        return "told to the model, for its next reply"

    async def transfer(self, target: str, summary: str) -> str:
        """Put the callee through to a target of the scenario. RequestError for another; ConflictError."""
        self._check()
        result = await self.put_through(target, summary)
        self.recorder.supervised("transfer", summary or target, {"target": target}, result)
        if "error" in result:
            known = {each.name for each in self.flow.plan.scenario.transfer}
            if target not in known:
                raise RequestError(f"{result['error']}.", field="target")
            raise ConflictError(f"The callee cannot be put through now: {result['error']}.")
        return str(result["status"])

    def _check(self) -> None:
        if self.goodbye.begun or self.goodbye.over.is_set():
            raise ConflictError("The call is ending.", code="call_ending")
        if self.stages.line.away:
            raise ConflictError("The callee is being put through, and hears nothing of us.", code="not_on_line")
