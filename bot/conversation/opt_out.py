"""Not to be called again: the callee's words end the call and list the number, by rules before any model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from loguru import logger

from bot import languages
from bot.conversation.call_plan import Plan
from bot.conversation.hang_up import Goodbye
from bot.conversation.scenario.compliance import Compliance
from bot.phone_numbers import can_be_called_back
from bot.records import EndedReason


def keys_of(rules: Compliance, leave: Callable[[], Awaitable[None]]) -> dict[str, Callable[[], Awaitable[None]]]:
    """The key that opts out, and what it does; none where the scenario has none."""
    return {rules.opt_out_key: leave} if rules.opt_out and rules.opt_out_key else {}


class OptOut:
    """One call's. `never_again` puts the number on the list."""

    def __init__(
        self,
        plan: Plan,
        goodbye: Goodbye,
        *,
        at_person: Callable[[], bool],
        never_again: Callable[[str], Awaitable[object]],
    ) -> None:
        """`at_person`: what is heard is a person's."""
        self._scenario, self._goodbye = plan.scenario, goodbye
        # Who hides their number is asked for it, by the model.
        self._listable = can_be_called_back(plan.spec.phone_number)
        self._words = languages.of(plan.scenario.language).notices.asks_not_to_be_called
        self._at_person, self._never_again = at_person, never_again
        self._asked: str | None = None
        self._said = ""

    def note_words(self, text: str, *, final: bool) -> None:
        """A piece of what the callee says."""
        if final:
            self._said = f"{self._said} {text}".strip()
            self._look(self._said)

    def note_turn_over(self, text: str) -> None:
        """The callee has finished."""
        self._said = ""
        self._look(text)

    def _look(self, text: str) -> None:
        if (
            self._scenario.compliance.opt_out
            and self._listable
            and self._at_person()
            and self._words.found_in(text)
        ):
            self._asked = text

    async def attend(self) -> None:
        """End the call, once it was asked for."""
        if self._asked is not None:
            asked, self._asked = self._asked, None
            await self.leave(asked)

    async def leave(self, asked: str) -> None:
        """Confirm and end; the list is written to meanwhile. `asked`: the callee's words, or their key."""
        logger.info("the callee is not to be called again")
        await self._goodbye.leave(EndedReason.OPTED_OUT, self._scenario.phrases.opted_out)
        try:
            await self._never_again(asked)
        except Exception as e:
            # Noted all the same: after the call its outcome is looked at again.
            logger.opt(exception=e).error("the do-not-call list could not be written to")
