"""Who fills a slot: the wanted vendor with its keys, the offline member without, and the reason."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from bot.conversation.call_plan import choose
from bot.conversation.scenario.compliance import Compliance
from bot.conversation.scenario.scenario import Scenario
from bot.pipeline.llm.vendors import Claude, Rules
from bot.pipeline.stt.vendors import DeepgramFlux, DeepgramNova, PocketSphinx
from bot.pipeline.tts.vendors import ElevenLabs, Hibari
from bot.settings import Settings

KEYS = {
    "deepgram_api_key": SecretStr("d"),
    "anthropic_api_key": SecretStr("a"),
    "elevenlabs_api_key": SecretStr("e"),
    "elevenlabs_voice_id": "v",
}


def settings(*names: str) -> Settings:
    empty: dict[str, Any] = dict.fromkeys(KEYS)
    return Settings(_env_file=None, **(empty | {name: KEYS[name] for name in names}))


def scenario(**changes: Any) -> Scenario:
    return Scenario(compliance=Compliance(profile="none"), name="s", description="d", instructions="i", **changes)


def test_without_keys_everything_is_offline_and_says_why() -> None:
    slots = choose(scenario(), settings(), simulated_line=True)
    assert slots.vendors == {"stt": "scripted", "llm": "rules", "tts": "hibari"}
    assert slots.why == {
        "stt": "DEEPGRAM_API_KEY not set",
        "llm": "ANTHROPIC_API_KEY not set",
        "tts": "ELEVENLABS_API_KEY and ELEVENLABS_VOICE_ID not set",
    }


def test_with_all_keys_all_vendors() -> None:
    slots = choose(scenario(), settings(*KEYS), simulated_line=False)
    assert slots.vendors == {"stt": "deepgram", "llm": "anthropic", "tts": "elevenlabs"}
    assert slots.why["stt"] == "DEEPGRAM_API_KEY set"


@pytest.mark.parametrize(("key", "slot"), [("deepgram_api_key", "stt"), ("anthropic_api_key", "llm")])
def test_one_key_upgrades_one_slot(key: str, slot: str) -> None:
    bare = choose(scenario(), settings(), simulated_line=True).vendors
    upgraded = choose(scenario(), settings(key), simulated_line=True).vendors
    assert {name for name in bare if bare[name] != upgraded[name]} == {slot}


def test_a_real_line_has_a_real_ear() -> None:
    assert choose(scenario(), settings(), simulated_line=False).stt == PocketSphinx()


def test_the_scenario_chooses_among_what_there_is() -> None:
    wanted = scenario(stt=DeepgramFlux(), llm=Rules(), tts=Hibari(speed=1.2))
    slots = choose(wanted, settings(*KEYS), simulated_line=False)
    assert (slots.stt, slots.llm, slots.tts) == (wanted.stt, wanted.llm, wanted.tts)
    assert slots.why["llm"] == "the scenario asks for it"
    assert choose(wanted, settings(), simulated_line=True).vendors["stt"] == "scripted"


def test_another_claude_stands_behind_a_claude() -> None:
    first, second = choose(scenario(), settings(*KEYS), simulated_line=True).llms
    assert isinstance(first, Claude)
    assert isinstance(second, Claude)
    assert second.model not in (None, first.model_name(settings()))


def test_the_scenario_names_who_stands_behind() -> None:
    wanted = scenario(llm=Claude(model="a"), llm_fallback=Rules())
    assert choose(wanted, settings(*KEYS), simulated_line=True).llms == (Claude(model="a"), Rules())
    assert choose(wanted, settings(), simulated_line=True).llms == (Rules(),)


def test_nobody_stands_behind_the_rules() -> None:
    wanted = scenario(llm=Rules(), llm_fallback=Claude())
    assert choose(wanted, settings(*KEYS), simulated_line=True).llms == (Rules(),)


def test_a_voice_of_the_scenario_replaces_the_voice_of_the_environment() -> None:
    slots = choose(scenario(tts=ElevenLabs(voice_id="x")), settings("elevenlabs_api_key"), simulated_line=True)
    assert slots.vendors["tts"] == "elevenlabs"


def test_what_health_shows_holds_no_secret() -> None:
    slots = choose(scenario(), settings(*KEYS), simulated_line=False)
    described = slots.described()
    assert {name: slot.vendor for name, slot in described.items()} == slots.vendors
    assert {slot.state for slot in described.values()} == {"ready"}


def test_local_engines_are_strangers_to_spanish() -> None:
    spanish = scenario(language="es")
    assert choose(spanish, settings(), simulated_line=True).strangers("es") == ["hibari"]
    assert choose(spanish, settings(), simulated_line=False).strangers("es-MX") == ["pocketsphinx", "hibari"]
    assert choose(spanish, settings(*KEYS), simulated_line=False).strangers("es") == []
    assert choose(scenario(), settings(), simulated_line=False).strangers("en-GB") == []


def test_the_local_voice_stands_in_for_elevenlabs_in_english() -> None:
    assert choose(scenario(), settings(*KEYS), simulated_line=False).ttss == (ElevenLabs(), Hibari())
    assert choose(scenario(language="es"), settings(*KEYS), simulated_line=False).ttss == (ElevenLabs(),)
    assert choose(scenario(), settings(), simulated_line=False).ttss == (Hibari(),)


def test_who_stands_in_is_the_scenarios_choice() -> None:
    wanted = scenario(
        stt_fallback=PocketSphinx(), tts=Hibari(), tts_fallback=ElevenLabs(model="eleven_turbo_v2_5")
    )
    slots = choose(wanted, settings(*KEYS), simulated_line=False)
    assert slots.stts == (DeepgramNova(), PocketSphinx())
    assert slots.ttss == (wanted.tts, wanted.tts_fallback)
    assert slots.vendors == {"stt": "deepgram", "llm": "anthropic", "tts": "hibari"}
    without = choose(wanted, settings("deepgram_api_key"), simulated_line=False)
    assert without.ttss == (wanted.tts,), "its keys are missing"
    assert choose(wanted, settings(), simulated_line=False).stts == (PocketSphinx(),), "not for itself"
