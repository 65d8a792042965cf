"""Which strategies a scenario's settings become, and smart turn on shared threads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pipecat.audio.turn.base_turn_analyzer import EndOfTurnState
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.turns.user_stop import ExternalUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies, UserTurnStrategies
from pydantic import ValidationError

from bot import languages
from bot.pipeline.turns import turn
from bot.pipeline.turns.interjection import InterruptionSettings
from bot.pipeline.turns.speculation import CountedEagerStop, Speculating
from bot.pipeline.turns.turn import PauseStop, SharedSmartTurn, SmartStop, TurnSettings
from bot.pipeline.turns.vad import VoiceActivity
from tests.unit.pipeline.conversation import Diary


def kinds(strategies: Any) -> list[type]:
    return [type(strategy) for strategy in strategies or []]


def analyzer_of(strategies: UserTurnStrategies) -> Any:
    (strategy,) = strategies.stop or []
    assert isinstance(strategy, SmartStop)
    return strategy._turn_analyzer


def build(
    settings: TurnSettings | None = None,
    interruption: InterruptionSettings | None = None,
    *,
    vendor_turns: bool = False,
) -> UserTurnStrategies:
    voice = VoiceActivity()
    return turn.build(
        settings or TurnSettings(),
        interruption or InterruptionSettings(),
        vendor_turns=vendor_turns,
        voice=voice,
        language=languages.of("en"),
        speculating=Speculating(voice, Diary(), allowed=lambda: True),
    )


def test_the_default_is_smart_turn_and_speech_interrupts() -> None:
    built = build()
    assert kinds(built.start) == [VADUserTurnStartStrategy, TranscriptionUserTurnStartStrategy]
    assert kinds(built.stop) == [SmartStop]


def test_a_pause_can_be_enough() -> None:
    built = build(TurnSettings(detector="timeout"))
    assert kinds(built.stop) == [PauseStop]


def test_an_ear_that_detects_turns_decides_alone() -> None:
    built = build(vendor_turns=True)
    assert isinstance(built, ExternalUserTurnStrategies)
    assert kinds(built.stop) == [CountedEagerStop]
    patient = build(TurnSettings(early_replies=False), vendor_turns=True)
    assert kinds(patient.stop) == [ExternalUserTurnStopStrategy]


@pytest.mark.parametrize("min_words", [1, 2])
@pytest.mark.parametrize("vendor_turns", [True, False])
def test_an_agent_that_always_finishes_cannot_be_interrupted(min_words: int, vendor_turns: bool) -> None:
    interruption = InterruptionSettings(allowed=False, min_words=min_words)
    built = build(TurnSettings(detector="timeout"), interruption, vendor_turns=vendor_turns)
    assert all(not strategy._enable_interruptions for strategy in built.start or [])
    assert built.start


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        (TurnSettings, {"detector": "magic"}),
        (TurnSettings, {"incomplete_seconds": 0.1}),
        (TurnSettings, {"pause": 1}),
        (InterruptionSettings, {"min_words": 0}),
    ],
)
def test_wrong_settings_are_refused(settings: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**wrong)


async def test_smart_turn_runs_in_the_processes_threads_and_leaves_the_loop_free() -> None:
    turn.warm_up()
    first = build(TurnSettings(incomplete_seconds=0.8))
    second = build()
    analyzers = [analyzer_of(strategies) for strategies in (first, second)]
    assert all(isinstance(analyzer, SharedSmartTurn) for analyzer in analyzers)
    assert analyzers[0]._model_executor is analyzers[1]._model_executor
    assert analyzers[0]._session is analyzers[1]._session is turn.load()
    assert analyzers[0].params.stop_secs == 0.8
    analyzers[0].set_sample_rate(8000)
    for _ in range(40):
        analyzers[0].append_audio(bytes(512), True)
    verdict = asyncio.create_task(analyzers[0].analyze_end_of_turn())
    ticks = 0
    while not verdict.done():
        await asyncio.sleep(0.001)
        ticks += 1
    await verdict
    assert ticks > 2, "the loop was held by the model"


@pytest.mark.parametrize("verdict", [EndOfTurnState.COMPLETE, EndOfTurnState.INCOMPLETE])
async def test_where_the_words_leave_no_question_the_model_is_not_run(
    verdict: EndOfTurnState, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyzer = analyzer_of(build())
    analyzer.set_sample_rate(8000)
    monkeypatch.setattr(analyzer, "_predict_endpoint", None)
    analyzer.append_audio(bytes(512), True)
    analyzer.foregone = verdict
    assert await analyzer.analyze_end_of_turn() == (verdict, None)
