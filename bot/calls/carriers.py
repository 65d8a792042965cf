"""Which carrier dials: Twilio with its keys, the offline one without."""

from __future__ import annotations

from loguru import logger

from bot.audio import Speech
from bot.errors import RequestError, SettingsError
from bot.pipeline.offline.voice import CALLEE_PITCH, LocalVoice
from bot.pipeline.resources import Resources
from bot.settings import Settings
from bot.telephony.carrier import Carrier
from bot.telephony.simulated.carrier import SimulatedCarrier
from bot.telephony.twilio.carrier import TwilioCarrier

TWILIO_KEYS = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN")


class _CalleeVoice:
    """The local voice lowered, so that callee and agent sound like two people."""

    def __init__(self, voice: LocalVoice) -> None:
        self._voice = voice

    async def speak(self, text: str) -> Speech:
        return await self._voice.speak(text, pitch=CALLEE_PITCH)


def build_carrier(settings: Settings, resources: Resources, own_port: int | None = None) -> Carrier:
    """Twilio with its keys, the simulated carrier without. SettingsError on half a key pair or an unknown callee.

    `own_port`: of this process alone, where others listen on PORT too: the simulated callees are this one's.
    """
    present = [name for name in TWILIO_KEYS if getattr(settings, name.lower())]
    if len(present) == len(TWILIO_KEYS):
        if settings.twilio_phone_number is None:
            logger.warning("TWILIO_PHONE_NUMBER is not set: every request has to name its from_number")
        return TwilioCarrier.from_settings(settings)
    if present:
        missing = next(name for name in TWILIO_KEYS if name not in present)
        raise SettingsError(f"{present[0]} is set and {missing} is not: set both, or neither.", field=missing)
    carrier = SimulatedCarrier(
        voice=_CalleeVoice(resources.voice),
        listener=resources.scripts,
        max_lines=settings.max_calls,
        local_origin=f"http://127.0.0.1:{own_port or settings.port}",
    )
    if settings.simulated_callee is not None:
        try:
            carrier.answer_with(settings.simulated_callee)
        except RequestError as e:
            raise SettingsError(f"SIMULATED_CALLEE: {e.message}", field="SIMULATED_CALLEE") from None
    return carrier
