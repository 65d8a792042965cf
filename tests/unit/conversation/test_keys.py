"""Keys of the callee: entries as they end, actions of single keys, and secrets that nothing keeps."""

from __future__ import annotations

from typing import Any

import pytest

from bot.conversation.keys import ACTION_SECONDS, Gathering, Keys
from bot.conversation.masking import MASK, Secrets
from bot.conversation.scenario.parts import KeySettings
from bot.pipeline.turns.context import KeysBeganFrame, KeysEnteredFrame
from bot.records import Outcome

FAR = 1e9


def entries(keys: str, *, gaps: dict[int, float] | None = None, **settings: Any) -> list[str]:
    """What is gathered of `keys`, pressed a tenth of a second apart, but for the gaps after some."""
    gathering, now, found = Gathering(KeySettings(**settings)), 0.0, []
    for number, key in enumerate(keys):
        gathering.press(key, now)
        if (entry := gathering.take(now)) is not None:
            found.append(entry)
        now += (gaps or {}).get(number, 0.1)
        if (entry := gathering.take(now)) is not None:
            found.append(entry)
    if (entry := gathering.take(FAR)) is not None:
        found.append(entry)
    assert not gathering.open
    return found


@pytest.mark.parametrize(
    ("keys", "settings", "gathered"),
    [
        ("4711#", {}, ["4711"]),
        ("4711", {}, ["4711"]),
        ("12#34#", {}, ["12", "34"]),
        ("#", {}, ["#"]),
        ("12#", {"end": ""}, ["12#"]),
        ("12*3#", {"end": "*"}, ["12", "3#"]),
        ("123456", {"longest": 4}, ["1234", "56"]),
        ("123456", {"gaps": {2: 2.6}}, ["123", "456"]),
        ("123456", {"gaps": {2: 2.4}}, ["123456"]),
        ("1", {}, ["1"]),
    ],
)
def test_an_entry_ends_with_its_key_its_length_or_a_pause(
    keys: str, settings: dict[str, Any], gathered: list[str]
) -> None:
    assert entries(keys, **settings) == gathered


class User:
    """Keeps what the callee's half of the context is given."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    async def queue_frame(self, frame: Any) -> None:
        self.frames.append(frame)


async def test_a_key_with_an_action_is_that_action_alone_in_its_entry_only() -> None:
    user = User()
    done: list[str] = []
    kept: list[str] = []

    async def opt_out() -> None:
        done.append("opt out")

    keys = Keys(
        KeySettings(),
        user,  # type: ignore[arg-type]
        actions={"9": opt_out},
        secrets=Secrets(),
        interrupts=lambda: True,
        entered=kept.append,
    )
    for pressed in ("9", "1", "#"):
        await keys.press(pressed)
    await keys.attend(FAR)
    assert (done, kept) == ([], ["91"])
    await keys.press("9")
    await keys.attend(FAR)
    assert (done, kept) == (["opt out"], ["91", "9"])
    began = [frame.interrupts for frame in user.frames if isinstance(frame, KeysBeganFrame)]
    assert began == [True, True], "once an entry"
    assert [frame.said for frame in user.frames if isinstance(frame, KeysEnteredFrame)] == [
        "(Keys pressed: 91)",
        None,
    ]
    await keys.press("9")
    await keys.close()
    assert done == ["opt out", "opt out"], "they hung up with it"


async def test_secret_keys_reach_the_model_and_nothing_else() -> None:
    user, secrets = User(), Secrets()
    kept: list[str] = []
    settings = KeySettings(secret=True)
    keys = Keys(settings, user, actions={}, secrets=secrets, interrupts=lambda: True, entered=kept.append)  # type: ignore[arg-type]
    for pressed in "471108#":
        await keys.press(pressed)
    await keys.attend(FAR)
    assert kept == [MASK]
    assert "471108" in user.frames[-1].said
    assert "471108" not in repr(user.frames), "a frame that is logged"
    assert secrets.masked(
        {"pin": "471108", "said": "4 7 1, 1 0 8.", "n": 471108, "other": ["1471108", 4711]}
    ) == {
        "pin": MASK,
        "said": f"{MASK}.",
        "n": MASK,
        "other": ["1471108", 4711],
    }
    outcome = secrets.masked_outcome(Outcome(True, "PIN 471-108 given.", {"code": "471108"}))
    assert outcome == Outcome(True, f"PIN {MASK} given.", {"code": MASK})


def test_a_short_secret_is_not_looked_for_in_other_words() -> None:
    secrets = Secrets()
    secrets.add("12")
    assert secrets.masked("at 12 o'clock") == "at 12 o'clock"


def test_a_key_with_an_action_waits_less_for_others() -> None:
    gathering = Gathering(KeySettings(timeout_seconds=2.5), {"9"})
    gathering.press("9", 0.0)
    assert gathering.take(ACTION_SECONDS - 0.01) is None
    gathering.press("1", ACTION_SECONDS - 0.01)
    assert gathering.take(ACTION_SECONDS + 2.4) is None, "it is a number"
    assert gathering.take(ACTION_SECONDS + 2.5) == "91"
    gathering.press("9", 10.0)
    assert gathering.take(10.0 + ACTION_SECONDS) == "9"
