"""[compliance], [recording], [storage]: what the law asks of a call, by profile, each setting with its own name.

A profile is data: `profiles.toml` says what each sets where a scenario file says nothing. A file may change every
one; what it changed stands in the record and in the log.
"""

from __future__ import annotations

import tomllib
from functools import cache, partial
from importlib import resources
from typing import Any, Literal

from pydantic import Field

from bot.conversation.masking import Redact
from bot.conversation.redaction import redacted
from bot.conversation.scenario.parts import Part
from bot.languages import Language
from bot.policy import DEFAULT_PROFILE, CallPurpose, ProfileName
from bot.records import RulesOfCall


class Compliance(Part):
    """[compliance]: what is left out is the profile's to say."""

    profile: ProfileName = DEFAULT_PROFILE
    disclosure: bool = True
    """The first sentence says "an AI assistant", and is heard to its end."""
    opt_out: bool = True
    """"Stop calling me" ends the call and puts the number on the do-not-call list, without a model."""
    opt_out_key: str = Field(default="9", pattern=r"^([0-9*#]|)$")
    """Does the same; "": none."""
    tell_opt_out: bool = False
    """The opening tells of both."""
    call_back_number: bool = False
    """Messages on voicemails end with our number."""
    purpose: CallPurpose = CallPurpose.SERVICE
    """Of calls whose request does not say."""
    consent_for_marketing: bool = True
    """A request for a marketing call needs `consent`."""
    max_per_day_and_subject: int = Field(default=3, ge=0, le=100)
    """Calls of this scenario to one number in a day of the callee's; 0: no limit."""
    max_abandoned_percent: float = Field(default=100, ge=0, le=100)
    """A campaign pauses when more of the callees who said hello heard no word within two seconds; 100: never."""


class RecordingRules(Part):
    """[recording]: whether a call is recorded, and what the callee hears of it."""

    mode: Literal["off", "announce", "ask", "silent"] = "announce"
    """off: no recording. announce: a sentence says so. ask: it begins with a yes. silent: nothing is said."""
    on_refusal: Literal["delete", "stop"] = "delete"
    """What becomes of it once the callee objects: nothing is left, or what was recorded until then."""


Kept = Literal["full", "redacted", "none"]


class Storage(Part):
    """[storage]: what stays of a call once it is over and its outcome known; retention erases that by age.

    `bot/conversation/kept.py` does it.
    """

    transcript: Kept = "full"
    """redacted: long numbers, written or dictated, and addresses are cut out of all texts. none: of what was said
    nothing stays but the outcome, which is redacted too."""
    recording: Kept = "full"
    """redacted: silent where something was cut out of the transcript. none: there is none, as with mode "off"."""
    numbers: Kept = "full"
    """redacted: country and last two digits stay of the callee's number. none: the country."""

    @property
    def silent(self) -> bool:
        """Whether no word of the call stays."""
        return self.transcript == "none"

    def redact(self, language: Language) -> Redact | None:
        """What is done to every text before it is kept; None: nothing."""
        return None if self.transcript == "full" else partial(redacted, language=language)


def storage_of(rules: RulesOfCall | None) -> Storage:
    """As the call's record has it: its scenario may have changed, or be gone."""
    if rules is None or rules.profile not in profiles():
        return Storage()
    own = {
        name.removeprefix("storage."): value for name, value in rules.changed.items() if name[:8] == "storage."
    }
    return Storage.model_validate(profiles()[rules.profile]["storage"] | own)


class Privacy(Part):
    """[privacy]: what the callee has to say before they hear what the call is about."""

    until: Literal["identified"] | None = None
    """identified: who they are. Nobody else hears anything of action or context, nor does a machine."""


@cache
def profiles() -> dict[str, dict[str, dict[str, Any]]]:
    """Profile → table of a scenario file → what it sets."""
    text = resources.files(__package__).joinpath("profiles.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
