"""Who dials, and who picks up where nobody real does."""

from __future__ import annotations

import pytest

from bot.calls.carriers import build_carrier
from bot.errors import SettingsError
from bot.pipeline.resources import Resources
from bot.settings import Settings
from bot.telephony.simulated.carrier import SimulatedCarrier


def built(callee: str | None) -> SimulatedCarrier:
    settings = Settings(_env_file=None, simulated_callee=callee)
    carrier = build_carrier(settings, Resources(settings))
    assert isinstance(carrier, SimulatedCarrier)
    return carrier


@pytest.mark.parametrize(
    ("callee", "who"),
    [("busy", "busy"), ("no_answer", "no_answer"), ("voicemail", "voicemail"), (None, "survey")],
)
def test_one_callee_picks_up_every_call(callee: str | None, who: str) -> None:
    assert built(callee)._conversations("survey").name == who


def test_a_callee_nobody_knows_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r"SIMULATED_CALLEE.*'nobody'.*busy.*no_answer.*voicemail"):
        built("nobody")
