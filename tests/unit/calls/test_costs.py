"""Prices, and the carrier's bill."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import Any

import pytest

from bot.calls.costs import PRICES_FILE, Prices, carrier_usage, engine_usage, prices, route, total_usd
from bot.pipeline.stt.vendors import DeepgramFlux, DeepgramNova
from bot.pipeline.tts.vendors import ElevenLabs
from bot.pipeline.usage import NO_USAGE, Metered, Usage, Used, count_for
from bot.records import CallSpec, CostPart, Direction
from bot.settings import Settings

TABLE = Prices(
    date(2026, 1, 2),
    {
        ("anthropic", "claude-haiku-4-5", "input_tokens"): 1e-6,
        ("twilio", "outbound US", "minutes"): 0.014,
        ("twilio", "media streams", "minutes"): 0.004,
        ("twilio", "answering machine detection", "calls"): 0.0075,
    },
)
US = CallSpec("+12025550123", "s")


def test_a_price_unknown_is_none_and_so_is_the_sum() -> None:
    known = TABLE.priced([Used("anthropic", "claude-haiku-4-5", "input_tokens", 1234.0)])
    assert known.items[0].usd == 0.001234
    assert known.prices_of == date(2026, 1, 2)
    assert total_usd({CostPart.CALL: known}) == 0.001234
    unknown = TABLE.priced([Used("anthropic", "claude-next", "input_tokens", 10.0)])
    assert unknown.items[0].usd is None
    assert total_usd({CostPart.CALL: known, CostPart.ANALYSIS: unknown}) is None
    assert total_usd({}) is None


def test_a_dated_model_costs_what_the_model_does_and_no_other() -> None:
    for name, usd in (
        ("claude-haiku-4-5-20251001", 1e-6),
        ("claude-haiku-4-5-latest", 1e-6),
        ("claude-haiku-4", None),
        ("claude-haiku-4-5-9", None),
    ):
        assert TABLE.usd(Used("anthropic", name, "input_tokens", 1.0)) == usd, name


def test_this_machine_costs_nothing() -> None:
    vendors = {"carrier": "simulated", "stt": "scripted", "llm": "rules", "tts": "hibari"}
    used = engine_usage(vendors, 12.5, {})
    assert used == (Used("scripted", "hearing", "seconds", 12.5), Used("rules", "replies", "seconds", 12.5))
    line = carrier_usage("simulated", Direction.OUTBOUND, US, 12.5, amd=True, transferred=False)
    speech = Used("hibari", "speech", "characters", 80.0)
    assert total_usd({CostPart.CALL: TABLE.priced((*used, *line, speech))}) == 0.0
    assert engine_usage({"stt": "deepgram", "llm": "anthropic"}, 12.5, {}) == ()
    stood_in = engine_usage({"stt": "deepgram"}, 12.5, {"stt": "pocketsphinx", "tts": "hibari"})
    assert stood_in == (Used("pocketsphinx", "hearing", "seconds", None),)
    assert TABLE.usd(stood_in[0]) == 0.0, "for how long is not known, and it costs nothing"


@pytest.mark.parametrize(("seconds", "minutes"), [(0.4, 1), (59.9, 1), (60.0, 1), (60.1, 2), (601, 11)])
def test_twilio_bills_started_minutes(seconds: float, minutes: int) -> None:
    used = carrier_usage("twilio", Direction.OUTBOUND, US, seconds, amd=True, transferred=False)
    assert [(u.what, u.quantity) for u in used] == [
        ("outbound US", minutes),
        ("media streams", minutes),
        ("answering machine detection", 1),
    ]
    total = total_usd({CostPart.CARRIER: TABLE.priced(used)})
    assert total == pytest.approx(minutes * 0.018 + 0.0075)


def test_a_transfer_goes_on_without_us() -> None:
    used = carrier_usage("twilio", Direction.OUTBOUND, US, 30, amd=False, transferred=True)
    assert used[-1] == Used("twilio", "transfer", "minutes", None)
    assert total_usd({CostPart.CARRIER: TABLE.priced(used)}) is None


@pytest.mark.parametrize(
    ("direction", "spec", "expected"),
    [
        (Direction.OUTBOUND, US, "outbound US"),
        (Direction.OUTBOUND, CallSpec("+4915112345678", "s"), "outbound DE mobile"),
        (Direction.OUTBOUND, CallSpec("+442079460000", "s"), "outbound GB landline"),
        (Direction.INBOUND, CallSpec("+4915112345678", "s", from_number="+12025550100"), "inbound US"),
        (Direction.INBOUND, CallSpec("+12025550123", "s", from_number="+18005550123"), "inbound US toll-free"),
        (Direction.INBOUND, CallSpec("anonymous", "s", from_number=None), "inbound unknown"),
        (Direction.OUTBOUND, CallSpec("sip:x@example.com", "s"), "outbound unknown"),
    ],
)
def test_the_route_is_the_carriers_product(direction: Direction, spec: CallSpec, expected: str) -> None:
    assert route(direction, spec) == expected


def test_the_table_says_where_each_price_is_from() -> None:
    data: dict[str, Any] = tomllib.loads(PRICES_FILE.read_text(encoding="utf-8"))
    for line in data["price"]:
        assert line["source"].startswith("https://"), line
        assert line["as_of"] <= data["date"], line
        assert line["usd"] > 0, line
        assert line["per"] >= 1, line
    keys = [(line["vendor"], line["what"], line["unit"]) for line in data["price"]]
    assert len(set(keys)) == len(keys)


def test_what_a_call_uses_by_default_has_a_price() -> None:
    table = prices()
    models = {Settings(_env_file=None).anthropic_model, "claude-haiku-4-5"}
    for model in models:
        for unit in ("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens"):
            assert ("anthropic", model, unit) in table.of_unit
    assert ("deepgram", DeepgramNova().model, "seconds") in table.of_unit
    assert ("deepgram", DeepgramFlux().model, "seconds") in table.of_unit
    assert ("elevenlabs", ElevenLabs().model, "characters") in table.of_unit


def test_usage_adds_up_by_product() -> None:
    usage = Usage()
    for seconds in (0.032, 0.032, 0.0):
        usage.add("deepgram", "nova-3", "seconds", seconds)
    usage.add("deepgram", "nova-3 multilingual", "seconds", 1.0)
    usage.add("deepgram", "silence", "seconds", 0.0)
    assert usage.items == (
        Used("deepgram", "nova-3", "seconds", 0.064),
        Used("deepgram", "nova-3 multilingual", "seconds", 1.0),
    )
    metered, other = Metered(), object()
    count_for(usage, (metered, other))
    assert metered.usage is usage
    NO_USAGE.add("x", "y", "z", 1.0)
    assert NO_USAGE.items == ()
