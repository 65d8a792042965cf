"""What a tool is: its schema for the model, its function, and all it may do to its call."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class NoteTaker(Protocol):
    """What tools record of their call."""

    def note_outcome(self, fields: Mapping[str, Any]) -> list[str]:
        """Keep outcome fields, `reached_goal` and `summary`; gives back the names it refused."""
        ...

    def note_message(self, message: str, name: str | None, phone_number: str | None) -> None: ...

    def note_callback(self, when: str) -> None: ...


class CallControl(Protocol):
    """What a tool needs from its call."""

    @property
    def notes(self) -> NoteTaker: ...

    async def end_after_goodbye(self) -> None:
        """Hang up when the reply being spoken, or a goodbye where there is none, was heard."""
        ...

    async def never_call_again(self, reason: str | None, phone_number: str | None = None) -> dict[str, Any]:
        """Put the callee's number on the do-not-call list. Returns the tool's result when it is there.

        `phone_number`: as they said it, for one whose line shows none.
        """
        ...

    async def send_digits(self, digits: str) -> dict[str, Any]:
        """Press keys (0-9 * # w W) when what is being said was heard. Returns the tool's result at once."""
        ...

    async def transfer(self, target: str, summary: str) -> dict[str, Any]:
        """Begin to put the callee through to a target of the scenario, by name. Returns the tool's result."""
        ...


NOT_RUN = "was not run: "
"""In the error of a tool whose arguments did not fit."""


@dataclass(frozen=True)
class Tool:
    """A tool's schema for the model and its function. `parameters` is a JSON Schema's `properties`."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    required: tuple[str, ...]
    run: Callable[[Mapping[str, Any], CallControl], Awaitable[dict[str, Any]]]
    checks_itself: bool = False
    """Its arguments are not checked against `parameters` before it runs: it takes those that fit, and says which
    do not."""
    speaks_after: bool = True
    """Whether the model is asked to go on speaking with the result, where its reply had no words."""
    timeout_seconds: float = 10.0
    """A tool that has not answered by then is reported to the model as failed; the call goes on."""
    meanwhile: str | None = None
    """Said while it runs long; None: the language's own phrase, "": nothing."""
    outside: bool = False
    """It acts or asks outside this call. So its result is news: the model speaks with it, whatever it said
    before. And the callee's voice does not stop it half-way: the model learns what it did all the same."""
    repeatable: bool = False
    """With the same arguments it may run again in the same call; else a second request gets the first result."""
    reads: bool = False
    """It changes nothing, so that it may be tried again after a timeout too."""
    waited_for: bool = False
    """It acts outside and is done in a moment: the reply waits for its result, as for that of a tool of the call.
    One tool that is not waited for, and pipecat ends every prompt with how to speak of results that come late."""


@dataclass(frozen=True)
class Offered:
    """A tool as its server describes it. `parameters` has no `$ref` any more."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    required: tuple[str, ...]
