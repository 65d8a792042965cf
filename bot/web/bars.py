"""Bars of pages: parts beside each other, placed in thousandths of a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StagePart:
    """A stage's share of a reply, in thousandths of the longest reply's bar."""

    stage: str
    ms: float
    x: float
    width: float


def stage_parts(ms: Mapping[str, float], longest: float) -> list[StagePart]:
    """Of the ms of each stage; `longest`: ms of the longest reply."""
    places = placed(ms.values(), longest)
    return [StagePart(stage, took, *place) for (stage, took), place in zip(ms.items(), places, strict=True)]


def placed(amounts: Iterable[float], whole: float) -> Iterator[tuple[float, float]]:
    """Where each part begins, and its width."""
    x = 0.0
    for amount in amounts:
        width = 1000 * amount / whole
        yield round(x, 1), round(width, 1)
        x += width
