"""What a call cost: its usage at the prices of prices.toml. No network; the table is read once.

A price that is not in the table is None, never zero, and then so is the total: a sum that leaves out a line of
the bill would be taken for the bill. Twilio's own price of a call comes hours later, for minutes alone, by
another request each: it was left aside for the table.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from bot.phone_numbers import region_and_kind
from bot.pipeline.usage import Used
from bot.records import CallSpec, CostItem, CostPart, Direction, PricedItems

PRICES_FILE = Path(__file__).with_name("prices.toml")
ENGINES = frozenset({"rules", "hibari", "pocketsphinx", "moonshine", "scripted", "simulated", "browser"})
"""What this machine does itself: it costs nothing."""
_SNAPSHOT = re.compile(r"-(\d{8}|latest)$")
"""Of a model: "claude-haiku-4-5-20251001" costs what claude-haiku-4-5 does."""


@dataclass(frozen=True)
class Prices:
    """US dollars for one unit, by vendor, product and unit."""

    date: date
    of_unit: Mapping[tuple[str, str, str], float]

    @classmethod
    def load(cls, path: Path = PRICES_FILE) -> Prices:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        lines = data["price"]
        return cls(
            data["date"],
            {(line["vendor"], line["what"], line["unit"]): line["usd"] / line["per"] for line in lines},
        )

    def usd(self, used: Used) -> float | None:
        if used.vendor in ENGINES:
            return 0.0
        what = _SNAPSHOT.sub("", used.what)
        price = self.of_unit.get((used.vendor, what, used.unit))
        return None if price is None or used.quantity is None else round(price * used.quantity, 8)

    def priced(self, usage: Iterable[Used]) -> PricedItems:
        items = (CostItem(u.vendor, u.what, u.quantity, u.unit, self.usd(u)) for u in usage)
        return PricedItems(tuple(items), self.date)


@cache
def prices() -> Prices:
    """The table of this process."""
    return Prices.load()


def total_usd(costs: Mapping[CostPart, PricedItems]) -> float | None:
    """None where a price is unknown, and where nothing was counted."""
    amounts = [item.usd for priced in costs.values() for item in priced.items]
    known = [usd for usd in amounts if usd is not None]
    return round(sum(known), 6) if amounts and len(known) == len(amounts) else None


def carrier_usage(
    carrier: str, direction: Direction, spec: CallSpec, seconds: float, *, amd: bool, transferred: bool
) -> tuple[Used, ...]:
    """What the carrier bills of a call that was answered and lasted `seconds`.

    `amd`: machine detection was asked for. Twilio bills started minutes, at least one of a call that was answered
    (https://www.twilio.com/en-us/changelog/billing-changes-for-conference-voice-insights-and-byoc-usage); one
    that was not answered is free.
    """
    if carrier in ENGINES:
        return (Used(carrier, "line", "seconds", round(seconds, 3)),)
    minutes = float(max(1, math.ceil(seconds / 60)))
    used = [
        Used(carrier, route(direction, spec), "minutes", minutes),
        Used(carrier, "media streams", "minutes", minutes),
    ]
    if amd and direction is Direction.OUTBOUND:
        used.append(Used(carrier, "answering machine detection", "calls", 1.0))
    if transferred:
        # They talk on without us: how long, only the carrier knows.
        used.append(Used(carrier, "transfer", "minutes", None))
    return tuple(used)


def route(direction: Direction, spec: CallSpec) -> str:
    """The carrier's product: "outbound US", "outbound GB mobile", "inbound US toll-free"."""
    number = spec.phone_number if direction is Direction.OUTBOUND else spec.from_number
    found = region_and_kind(number or "")
    return f"{direction.value} unknown" if found is None else " ".join((direction.value, *filter(None, found)))


def engine_usage(vendors: Mapping[str, str], seconds: float, stood_in: Mapping[str, str]) -> tuple[Used, ...]:
    """What the local STT and LLM did in a call of so many seconds; the local TTS counts for itself.

    `stood_in`: slot → who went on in it; for how long is not counted.
    """
    names = {"stt": "hearing", "llm": "replies"}
    return tuple(
        Used(held[slot], what, "seconds", how_long)
        for held, how_long in ((vendors, seconds), (stood_in, None))
        for slot, what in names.items()
        if held.get(slot) in ENGINES and seconds
    )
