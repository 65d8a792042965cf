"""Whether calls from one of our numbers show as trusted: what Twilio's Trust Hub has of the number.

There is no question "does this number show as spam?" to ask: phones and their networks decide, by the attestation
of the call (A only where the number belongs to an approved SHAKEN/STIR product), by what the analytics companies
know of the number (Voice Integrity registers it with them), and by how people react. So the registrations are
looked at.

Sids of the policies: https://www.twilio.com/docs/voice/trusted-calling-with-shakenstir/shakenstir-onboarding,
https://www.twilio.com/docs/voice/spam-monitoring-with-voiceintegrity and
https://www.twilio.com/docs/voice/brand-your-calls-using-cnam.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

MOST = 50
"""Products of one policy that are looked through; an account has one or two."""


class Trust(Enum):
    """A kind of registration, by its policy."""

    SHAKEN_STIR = "RN7a97559effdf62d00f4298208492a5ea"
    """Calls are signed with attestation A."""
    VOICE_INTEGRITY = "RN5b3660f9598883b1df4e77f77acefba0"
    """The analytics companies know whose number it is."""
    CALLER_NAME = "RNf3db3cd1fe25fcfd3c3ded065c8fea53"
    """CNAM: phones in the US can show a name."""


async def registrations(
    trust_hub: Any, number_sid: str, asked: Callable[[Awaitable[Any]], Awaitable[Any]]
) -> frozenset[Trust]:
    """The approved ones that the number belongs to. `trust_hub`: the SDK's, v1; `asked` raises CarrierError."""
    found = set()
    for kind in Trust:
        products = await asked(
            trust_hub.trust_products.list_async(policy_sid=kind.value, status="twilio-approved", limit=MOST)
        )
        for product in products:
            assigned = trust_hub.trust_products(product.sid).trust_products_channel_endpoint_assignment
            if await asked(assigned.list_async(channel_endpoint_sid=number_sid, limit=1)):
                found.add(kind)
                break
    return frozenset(found)
