"""The doctor in the terminal: each finding with what to do about it."""

from __future__ import annotations

import asyncio

from bot.calls.ingress import find_public_url
from bot.cli.doctor import Finding, call_would_work, examine
from bot.cli.server import serving
from bot.conversation.scenario.scenario import Scenarios
from bot.settings import Settings, load_settings
from bot.telephony.twilio.carrier import TwilioCarrier

_MARKS = {True: "ok  ", False: "FAIL"}


async def check_up() -> int:
    """Say of each thing a first call needs whether it is there; 0 if a call would work."""
    settings = load_settings()
    Scenarios.load(settings.pipelines_dir)
    carrier = None
    if settings.twilio_account_sid and settings.twilio_auth_token:
        carrier = TwilioCarrier.from_settings(settings, {})
        await carrier.open()
    try:
        public_host = await find_public_url(settings)
        if carrier is not None and not await _answers(settings):
            async with serving(settings):
                findings = await examine(settings, carrier=carrier, public_host=public_host)
        else:
            findings = await examine(settings, carrier=carrier, public_host=public_host)
    finally:
        if carrier is not None:
            await carrier.close()
    for finding in findings:
        _print_finding(finding)
    works = call_would_work(findings)
    print("\nA call would work." if works else "\nA call would fail: see FAIL above.")
    return 0 if works else 1


async def _answers(settings: Settings) -> bool:
    """Whether something listens on our port, the server presumably; else the doctor starts it."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", settings.port)
    except OSError:
        return False
    writer.close()
    return True


def _print_finding(finding: Finding) -> None:
    print(f"{_MARKS[finding.ok]} {finding.name:<15} {finding.message}")
    if finding.fix:
        print(f"{'':20} → {finding.fix}")
