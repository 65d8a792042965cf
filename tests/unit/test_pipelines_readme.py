"""pipelines/README.md documents every field of a scenario with its default, and its example loads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bot.scenario import (
    Agent,
    Example,
    Limits,
    Opening,
    OutcomeField,
    Phrases,
    Scenario,
    Voicemail,
    load_file,
)
from bot.stages.llm import Claude, Rules
from bot.stages.stt import DeepgramFlux, DeepgramNova, Moonshine, PocketSphinx, ToldHearing
from bot.stages.tts import ElevenLabs, LocalVoiceMember
from bot.stages.turn import InterruptionSettings, TurnSettings
from bot.stages.vad import VadSettings

README = (Path(__file__).parents[2] / "pipelines" / "README.md").read_text(encoding="utf-8")
SECTIONS: dict[str, type[BaseModel]] = {
    "The file": Scenario,
    "`[opening]`": Opening,
    "`[agent]`": Agent,
    '`[stt]` with `vendor = "deepgram"`': DeepgramNova,
    '`[stt]` with `vendor = "deepgram_flux"`': DeepgramFlux,
    '`[stt]` with `vendor = "pocketsphinx"`': PocketSphinx,
    '`[stt]` with `vendor = "moonshine"`': Moonshine,
    '`[stt]` with `vendor = "told_hearing"`': ToldHearing,
    '`[llm]` with `vendor = "anthropic"`': Claude,
    '`[llm]` with `vendor = "rules"`': Rules,
    '`[tts]` with `vendor = "elevenlabs"`': ElevenLabs,
    '`[tts]` with `vendor = "hibari"`': LocalVoiceMember,
    "`[vad]`": VadSettings,
    "`[turn]`": TurnSettings,
    "`[interruption]`": InterruptionSettings,
    "`[limits]`": Limits,
    "`[phrases]`": Phrases,
    "`[voicemail]`": Voicemail,
    "`[[outcome]]`": OutcomeField,
    "`[example]`": Example,
}


def documented() -> dict[str, dict[str, tuple[str, str]]]:
    """Section → key → (default, meaning)."""
    sections = re.split(r"^## ", README, flags=re.MULTILINE)[1:]
    rows = {}
    for section in sections:
        title, _, body = section.partition("\n")
        found = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", body, flags=re.MULTILINE)
        rows[title.strip()] = {key: (default, meaning) for key, default, meaning in found}
    return rows


def shown(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.default
    if isinstance(default, BaseModel):
        return "its own defaults"
    if default is None:
        return "not set"
    value = list(default) if isinstance(default, tuple) else default
    return "`" + json.dumps(value, ensure_ascii=False).replace("|", "\\|") + "`"


def test_every_section_stands_for_a_model_and_every_model_has_one() -> None:
    assert set(documented()) == set(SECTIONS)
    parts = {
        annotation for field in Scenario.model_fields.values() if isinstance(annotation := field.annotation, type)
    }
    models = {part for part in parts if issubclass(part, BaseModel)}
    assert models <= set(SECTIONS.values())


@pytest.mark.parametrize("title", SECTIONS)
def test_fields_and_defaults_are_those_of_the_model(title: str) -> None:
    rows = documented()[title]
    fields = SECTIONS[title].model_fields
    assert list(rows) == list(fields)
    assert {key: default for key, (default, _) in rows.items()} == {key: shown(f) for key, f in fields.items()}
    assert all(len(meaning) > 3 for _, meaning in rows.values())


def test_the_example_loads(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    assert example is not None
    path = tmp_path / "delivery.toml"
    path.write_text(example.group(1), encoding="utf-8")
    assert load_file(path).goal == "at_home"
