"""Which carrier dials: Twilio with its keys, the simulated one without."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from bot.audio import Speech
from bot.errors import RequestError, SettingsError
from bot.pipeline.offline.voice import CALLEE_PITCH, LocalVoice
from bot.pipeline.resources import Resources
from bot.records import Slot
from bot.settings import Settings
from bot.telephony.browser.carrier import WithClients
from bot.telephony.carrier import Carrier, Webhook
from bot.telephony.simulated.carrier import SimulatedCarrier
from bot.telephony.simulated.script import TRANSFER_TARGET, shipped_conversations
from bot.telephony.twilio.carrier import TwilioCarrier


class CarrierType(Protocol):
    """A carrier before it is built."""

    @property
    def vendor(self) -> str: ...

    @property
    def needs(self) -> Sequence[str]:
        """Environment variables that have to be set, all of them."""
        ...

    @property
    def webhook_prefix(self) -> str: ...

    @property
    def signature_headers(self) -> Sequence[str]: ...

    @property
    def webhooks(self) -> Sequence[Webhook]: ...

    def from_settings(self, settings: Settings, environment: Mapping[str, str]) -> Carrier: ...


CARRIERS: Sequence[CarrierType] = (TwilioCarrier,)
"""Those of the world outside. The simulated one speaks the webhooks of the first."""


class _CalleeVoice:
    """The local voice lowered, so that callee and agent sound like two people."""

    def __init__(self, voice: LocalVoice) -> None:
        self._voice = voice

    async def speak(self, text: str, *, speed: float = 1.0) -> Speech:
        return await self._voice.speak(text, speed=speed, pitch=CALLEE_PITCH)


def build_carrier(settings: Settings, resources: Resources, own_port: int | None = None) -> Carrier:
    """The carrier whose keys are set, or the simulated one. SettingsError on half of them or an unknown callee.

    `own_port`: of this process alone, where others listen on PORT too: the simulated callees are this one's.
    """
    for kind in CARRIERS:
        missing = _missing(kind, settings, resources.environment)
        if not missing:
            return kind.from_settings(settings, resources.environment)
        if len(missing) < len(kind.needs):
            given = next(name for name in kind.needs if name not in missing)
            raise SettingsError(
                f"{given} is set and {missing[0]} is not: set both, or neither.", field=missing[0]
            )
    carrier = _simulated(settings, resources, own_port)
    if settings.simulated_callee is not None:
        try:
            carrier.answer_with(settings.simulated_callee)
        except RequestError as e:
            raise SettingsError(f"SIMULATED_CALLEE: {e.message}", field="SIMULATED_CALLEE") from None
    return carrier


def callees_of(carrier: Carrier) -> Sequence[str]:
    """Who may pick up, by name; nobody where real phones ring."""
    return carrier.callees if isinstance(carrier, SimulatedCarrier) else ()


def with_clients(carrier: Carrier, resources: Resources, own_port: int | None = None) -> WithClients:
    """`carrier`, and the calls that ring no phone."""
    if isinstance(carrier, SimulatedCarrier):
        return WithClients(carrier, carrier, resources.scripts)
    return WithClients(carrier, _simulated(resources.settings, resources, own_port), resources.scripts)


def callee_choices() -> dict[str, str]:
    """The simulated callees, each with a sentence on what they do."""
    shipped = shipped_conversations()
    return {name: callee.description for name, callee in shipped.items() if name != TRANSFER_TARGET}


def _simulated(settings: Settings, resources: Resources, own_port: int | None) -> SimulatedCarrier:
    return SimulatedCarrier(
        voice=_CalleeVoice(resources.voice),
        listener=resources.scripts,
        max_lines=settings.max_calls,
        local_origin=f"http://127.0.0.1:{own_port or settings.port}",
        agent_words=resources.scripts.agent_words,
    )


def carrier_slot(carrier: Carrier, settings: Settings, public_url: str | None) -> Slot:
    """Which carrier dials, and why, for the health check."""
    if carrier.simulated:
        missing = [name for kind in CARRIERS[:1] for name in _missing(kind, settings, {})]
        return Slot(carrier.vendor, "ready", f"{' and '.join(missing)} not set; callees are simulated")
    if public_url is None:
        return Slot(carrier.vendor, "failed", "PUBLIC_HOST not set and no local ngrok agent runs")
    needs = next((kind.needs for kind in CARRIERS if kind.vendor == carrier.vendor), ())
    return Slot(carrier.vendor, "ready", f"{' and '.join(needs)} set; webhooks at {public_url}")


def _missing(kind: CarrierType, settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Settings that have a field of their own are read there, others in the environment."""
    return [name for name in kind.needs if not getattr(settings, name.lower(), environment.get(name))]
