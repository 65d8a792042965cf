"""Scenarios by another profile than their own: for tests that are not about the law."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from bot.conversation.scenario.scenario import Scenario, load_file
from bot.policy import ProfileName


def held_to(profile: ProfileName | None, path: Path) -> Scenario:
    """The scenario of a file, by `profile`; None: by its own."""
    if profile is None:
        return load_file(path)
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    table = {**data.get("compliance", {}), "profile": profile}
    document = json.dumps({**data, "name": path.stem, "compliance": table}, default=str)
    return Scenario.model_validate_json(document, strict=True)
