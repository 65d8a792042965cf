"""Each rule of a profile, seen by what it does: it holds by the profile, and not with its setting turned off.

Turning a setting off is what each test does itself: a rule that nothing acts on any more is seen to make no
difference, and fails here.
"""

from __future__ import annotations

import asyncio
import functools
import time
import wave
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest

from bot import languages
from bot.calls.campaigns.rules import abandonment
from bot.calls.dialling.policy import Go, Number, may_dial
from bot.calls.dialling.time_zones import zones_of
from bot.calls.media_streams import put_away
from bot.calls.planner import Planner
from bot.conversation.disclosure import DisclosureWatch, discloses
from bot.conversation.keys import Keys
from bot.conversation.masking import Secrets
from bot.conversation.opt_out import OptOut, keys_of
from bot.conversation.prompt import opening_text, voicemail_text
from bot.conversation.recorder import Recorder
from bot.conversation.recording_consent import RecordingTalk
from bot.conversation.redaction import redacted
from bot.conversation.scenario.compliance import profiles
from bot.conversation.scenario.scenario import Scenario, Scenarios
from bot.errors import RequestError
from bot.pipeline.line.recording import Recording
from bot.policy import CallPurpose, Terms
from bot.records import CallSpec, Direction, Speaker, Status, Turn
from bot.settings import Settings
from tests.unit.conversation.test_keys import User
from tests.unit.conversation.test_opt_out import Bench as OptOutBench
from tests.unit.conversation.test_recorder import MemoryStore
from tests.unit.conversation.test_recording_consent import Bench as RecordingBench

EN = languages.of("en")
SPEC = CallSpec("+12125550123", "s", action="Confirm the visit", callee_name="John", agent_name="Kim")
"""A number of New York: one time zone."""
OUR_NUMBER = "+12025550199"
PROFILES = ("us_service", "us_marketing", "eu", "none")
CARD = "It is 4111 1111 1111 1111."


def scenario(profile: str, **tables: dict[str, Any]) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "s",
            "description": "A test.",
            "instructions": "Talk.",
            "opening": {"text": "Hi {{callee_name}}, this is {{agent_name}}. Does Thursday work?"},
            **tables,
            "compliance": {"profile": profile, **tables.get("compliance", {})},
        }
    )


def planner(of: Scenario) -> Planner:
    return Planner(Scenarios([of]), Settings(_env_file=None), {}, "twilio", simulated_line=False)


# -- what each rule does, as an outsider sees it ----------------------------------------------------------


async def says_it_is_an_ai(of: Scenario) -> bool:
    watch = DisclosureWatch(EN, of.phrases.disclosure, wanted=of.compliance.disclosure)
    watch.begin()
    said = discloses(opening_text(SPEC, of) or "", EN, of.phrases.disclosure)
    assert watch.pending is said, "it is heard to its end where it is said"
    return said


async def words_end_the_call(of: Scenario) -> bool:
    bench = OptOutBench()
    log = bench.log
    bench.opt_out = OptOut(
        cast(Any, type("P", (), {"scenario": of, "spec": SPEC})),
        cast(Any, type("G", (), {"leave": staticmethod(bench._leave)})),
        at_person=lambda: True,
        never_again=bench._list,
    )
    await bench.hears("Stop calling me.")
    return [name for name, _ in log] == ["opted_out", "listed"]


async def a_key_ends_the_call(of: Scenario) -> bool:
    left: list[str] = []

    async def leave() -> None:
        left.append("left")

    keys = Keys(
        of.keys,
        cast(Any, User()),
        actions=keys_of(of.compliance, leave),
        secrets=Secrets(),
        interrupts=lambda: True,
        entered=lambda _: None,
    )
    await keys.press("9")
    await keys.attend(time.monotonic() + 60)
    return bool(left)


async def the_opening_tells_how_to_opt_out(of: Scenario) -> bool:
    return "not be called again" in (opening_text(SPEC, of) or "")


async def a_message_leaves_our_number(of: Scenario) -> bool:
    return voicemail_text(SPEC, of, OUR_NUMBER).endswith(
        f"call us back at {OUR_NUMBER}, also to not be called again."
    )


async def a_call_is_for_marketing(of: Scenario) -> bool:
    asking = scenario(
        of.compliance.profile, compliance={"consent_for_marketing": True, "purpose": of.compliance.purpose}
    )
    return planner(asking).needs_consent("s", None)


async def marketing_without_consent_is_refused(of: Scenario) -> bool:
    one = planner(of)
    try:
        one.check_consent(one.record(SPEC, Direction.OUTBOUND, Terms(purpose=CallPurpose.MARKETING)))
    except RequestError:
        return True
    return False


async def a_fourth_call_of_the_day_waits(of: Scenario) -> bool:
    most = planner(of).max_per_subject("s")
    return most is not None and most <= 3


async def a_campaign_pauses_at_three_percent(of: Scenario) -> bool:
    return abandonment(100, 4, of.compliance.max_abandoned_percent) is not None


async def the_recording_is_spoken_of(of: Scenario) -> bool:
    opening = opening_text(SPEC, of) or ""
    return of.phrases.recording in opening or of.phrases.recording_question in opening


async def an_objection_deletes_the_recording(of: Scenario) -> bool:
    # Where it is asked for, nothing is answered before it: an objection later is looked at.
    of = of.model_copy(update={"recording": of.recording.model_copy(update={"mode": "announce"})})
    bench = RecordingBench("announce")
    bench.talk = RecordingTalk(
        cast(Any, type("P", (), {"scenario": of, "spec": SPEC})),
        cast(Any, bench.talk._stages),
        cast(Any, bench.tape),
        at_person=lambda: True,
        in_gap=lambda: True,
    )
    bench.opened()
    bench.talk.note_words("Please don't record")
    await bench.talk.attend()
    return bench.tape.log == ["delete"]


def kept_turn(of: Scenario) -> Turn:
    one = planner(of)
    record = one.record(SPEC, Direction.OUTBOUND)
    turn = Turn(0, Speaker.CALLEE, CARD, datetime(2026, 3, 2, tzinfo=UTC), 0, 900)
    return one.kept(replace(record, status=Status.COMPLETED, turns=(turn,))).turns[0]


async def a_card_leaves_the_transcript(of: Scenario) -> bool:
    return "4111" not in kept_turn(of).text


async def a_card_leaves_the_recording(of: Scenario) -> bool:
    with TemporaryDirectory() as folder:
        recording = Recording(Path(folder) / "a.wav")
        await recording.open()
        recording.callee(bytes([0x10]) * 8000, 0)
        clock = [0]
        recorder = Recorder(
            *("call-1", MemoryStore(), lambda: clock[0]),
            vad_start_ms=0,
            redact=functools.partial(redacted, language=EN),
        )
        recorder.callee_words(CARD, final=True)
        clock[0] = 1000
        recorder.callee_turn_over(CARD)
        keeping = asyncio.create_task(recorder.run())
        await put_away(recorder, keeping, recording, of.storage)
        with wave.open(str(recording.path)) as file:
            return not any(file.readframes(file.getnframes()))


async def the_number_leaves_the_record(of: Scenario) -> bool:
    one = planner(of)
    record = replace(one.record(SPEC, Direction.OUTBOUND), status=Status.COMPLETED)
    return one.kept(record).spec.phone_number != SPEC.phone_number


async def a_call_at_night_waits(of: Scenario) -> bool:
    night = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # three in the morning in New York
    hours = planner(of).hours("s", None)
    return not isinstance(may_dial(night, Number(zones_of(SPEC.phone_number, None)), hours=hours), Go)


Seen = Callable[[Scenario], Awaitable[bool]]
ALL: tuple[str, ...] = ("us_service", "us_marketing", "eu")
RULES: dict[str, tuple[Seen, tuple[str, ...], dict[str, dict[str, Any]]]] = {
    "compliance.disclosure": (says_it_is_an_ai, ALL, {"compliance": {"disclosure": False}}),
    "compliance.opt_out": (words_end_the_call, ALL, {"compliance": {"opt_out": False}}),
    "compliance.opt_out_key": (a_key_ends_the_call, ALL, {"compliance": {"opt_out_key": ""}}),
    "compliance.tell_opt_out": (
        *(the_opening_tells_how_to_opt_out, ("us_marketing",)),
        {"compliance": {"tell_opt_out": False}, "recording": {"mode": "announce"}},
    ),
    "compliance.call_back_number": (
        *(a_message_leaves_our_number, ("us_marketing",)),
        {"compliance": {"call_back_number": False}},
    ),
    "compliance.purpose": (a_call_is_for_marketing, ("us_marketing",), {"compliance": {"purpose": "service"}}),
    "compliance.consent_for_marketing": (
        *(marketing_without_consent_is_refused, ALL),
        {"compliance": {"consent_for_marketing": False}},
    ),
    "compliance.max_per_day_and_subject": (
        *(a_fourth_call_of_the_day_waits, ALL),
        {"compliance": {"max_per_day_and_subject": 0}},
    ),
    "compliance.max_abandoned_percent": (
        *(a_campaign_pauses_at_three_percent, ("us_marketing",)),
        {"compliance": {"max_abandoned_percent": 100.0}},
    ),
    "recording.mode": (the_recording_is_spoken_of, ALL, {"recording": {"mode": "silent"}}),
    "recording.on_refusal": (an_objection_deletes_the_recording, ALL, {"recording": {"on_refusal": "stop"}}),
    "storage.transcript": (a_card_leaves_the_transcript, ("eu",), {"storage": {"transcript": "full"}}),
    "storage.recording": (a_card_leaves_the_recording, ("eu",), {"storage": {"recording": "full"}}),
    "storage.numbers": (the_number_leaves_the_record, (), {"storage": {"numbers": "full"}}),
    "hours": (a_call_at_night_waits, ALL, {"hours": {"start": "00:00", "end": "24:00"}}),
}
"""Setting → how its rule is seen, the profiles that have it, and the setting turned off."""


def test_every_setting_of_a_profile_is_a_rule_here() -> None:
    for profile in profiles().values():
        named = {f"{table}.{key}" for table in ("compliance", "recording", "storage") for key in profile[table]}
        assert named | {"hours"} == set(RULES)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("profile", PROFILES)
async def test_a_rule_holds_by_its_profile_and_not_where_it_is_turned_off(profile: str, rule: str) -> None:
    seen, having, off = RULES[rule]
    assert await seen(scenario(profile)) is (profile in having)
    if profile in having:
        turned_off = scenario(profile, **off)
        assert not await seen(turned_off), "nothing else does what this setting does"
        assert any(name.startswith(rule) for name in turned_off.rules.changed), "the record says so"


@pytest.mark.parametrize(
    ("rule", "on"),
    [
        ("compliance.tell_opt_out", {"compliance": {"tell_opt_out": True}}),
        ("compliance.call_back_number", {"compliance": {"call_back_number": True}}),
        ("compliance.max_abandoned_percent", {"compliance": {"max_abandoned_percent": 3.0}}),
        ("storage.transcript", {"storage": {"transcript": "redacted"}}),
        ("storage.recording", {"storage": {"transcript": "redacted", "recording": "redacted"}}),
        ("storage.numbers", {"storage": {"numbers": "redacted"}}),
    ],
)
async def test_a_rule_that_a_profile_has_not_can_be_turned_on(rule: str, on: dict[str, dict[str, Any]]) -> None:
    assert await RULES[rule][0](scenario("us_service", **on))
