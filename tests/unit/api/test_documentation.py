"""The document of the API describes every property and parameter, and nothing else."""

from __future__ import annotations

from bot.api.app import create_app
from bot.api.documentation import DESCRIPTIONS, described, is_described
from bot.settings import Settings


def test_every_property_and_parameter_is_described() -> None:
    document = create_app(Settings(_env_file=None)).openapi()
    named = list(described(document))
    assert len(named) > 500
    assert sorted(f"{owner}.{name}" for name, node, owner in named if not is_described(node)) == []


def test_no_words_are_left_over() -> None:
    document = create_app(Settings(_env_file=None)).openapi()
    names = {name for name, _, _ in described(document)} | {f"{o}.{name}" for name, _, o in described(document)}
    assert DESCRIPTIONS.keys() - names == set()
