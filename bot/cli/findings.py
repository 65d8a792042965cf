"""What a check of the doctor finds, and the words that several checks share."""

from collections.abc import Awaitable
from dataclasses import dataclass

from loguru import logger

SECONDS = 10.0
"""The patience of each check."""


@dataclass(frozen=True)
class Finding:
    """`fix` says what to do; empty when nothing is to be done. One that is ok and has a fix is a warning."""

    name: str
    ok: bool
    message: str
    fix: str = ""


async def finished(name: str, check: Awaitable[Finding]) -> Finding:
    """Its finding; a check that breaks is one too."""
    try:
        return await check
    except Exception as error:
        logger.opt(exception=error).debug("the check of {} broke", name)
        return Finding(name, False, f"The check itself broke: {type(error).__name__}.", "Report this.")


def offline(name: str, key: str, instead: str) -> Finding:
    return Finding(name, True, f"No {key}: {instead} will be used.")


def half(name: str, given: str, missing: str) -> Finding:
    return Finding(name, False, f"{given} is set, {missing} is not.", f"Set {missing}, or unset {given}.")


def refused(name: str, status: int | None, key: str) -> Finding:
    if status in (401, 403):
        return Finding(name, False, f"The key is refused (HTTP {status}).", f"Set {key} to a valid key.")
    return Finding(
        name, False, f"The vendor answers HTTP {status}.", "Try again; if it stays, see the vendor's status page."
    )


def unreached(name: str, url: str, error: Exception) -> Finding:
    fix = "Check the network, the proxy and the base URL in the settings."
    return Finding(name, False, f"{url} {why_not(error)}.", fix)


def why_not(error: Exception) -> str:
    late = isinstance(error, TimeoutError) or "Timeout" in type(error).__name__
    return f"does not answer within {SECONDS:.0f} s" if late else "cannot be reached"
