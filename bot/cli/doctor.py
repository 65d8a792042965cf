"""What a first call needs, checked one finding each, and what to do about it.

A missing key is no failure: the slot's offline member takes its place. Half a configuration is one, because
the vendor was meant to be used.

The way in from outside is proved with news of a call that does not exist, sent to the status webhook: the
voice webhook would take an unknown call for an inbound one and open a record for it.
"""

import argparse
import asyncio
import secrets
from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote

import aiohttp

from bot.calls.carriers import build_carrier
from bot.calls.ingress import check_exposure, find_public_url
from bot.calls.webhooks.delivery import check_settings as check_webhooks
from bot.cli.findings import SECONDS, Finding, finished, half, offline, refused, unreached, why_not
from bot.cli.llm_servers import check_llm_servers
from bot.cli.server import serving
from bot.cli.workers import check as check_workers
from bot.conversation.scenario.scenario import Scenarios
from bot.errors import CarrierError, SettingsError
from bot.phone_numbers import country_of
from bot.pipeline.resources import Resources
from bot.settings import Settings, load_settings, with_scheme
from bot.store import open_database
from bot.telephony.twilio import paths, signatures
from bot.telephony.twilio.carrier import TwilioCarrier
from bot.telephony.twilio.trust_hub import Trust

ECHO_PATH = "/api/phone/echo"
_TRUST_HUB = "Add the number to approved products in Twilio's Trust Hub: SHAKEN/STIR, then Voice Integrity."
_NOBODYS_CALL = {"CallSid": "CA" + "0" * 32, "CallStatus": "completed", "SequenceNumber": "0"}


async def examine(
    settings: Settings,
    *,
    carrier: TwilioCarrier | None,
    public_host: str | None,
) -> list[Finding]:
    """Every check, side by side, in the order to read them.

    `carrier` is None without Twilio's keys; `public_host` is the origin the server will use: that of the
    settings, or of the tunnel that was found.
    """
    checks: list[tuple[str, Awaitable[Finding]]] = [
        ("deepgram", check_deepgram(settings)),
        ("anthropic", check_anthropic(settings)),
        ("elevenlabs", check_elevenlabs(settings)),
        ("twilio account", check_twilio(settings, carrier)),
        ("twilio number", check_number(settings, carrier)),
        ("caller id", check_caller_id(settings, carrier)),
        ("api keys", check_api_keys(settings, public_host)),
        ("public webhook", check_webhook(settings, public_host)),
        ("public socket", check_socket(settings, public_host)),
    ]
    return list(await asyncio.gather(*(finished(name, check) for name, check in checks)))


async def check_settings(settings: Settings) -> list[Finding]:
    """What the server refuses to start with, in its own words, one finding each; one good one otherwise."""

    async def database() -> None:
        opened = open_database(settings)
        try:
            await opened.open()
        finally:
            await opened.close()

    async def carrier() -> None:
        if settings.twilio_account_sid is None and settings.twilio_auth_token is None:
            resources = Resources(settings)
            try:
                build_carrier(settings, resources)
            finally:
                await resources.close()

    async def workers() -> None:
        check_workers(settings)

    async def webhooks() -> None:
        check_webhooks(settings)

    wrong: dict[str, None] = {}
    for check in (workers, database, carrier, webhooks):
        try:
            await check()
        except SettingsError as error:
            wrong[error.message] = None
    return [Finding("settings", False, words) for words in wrong] or [
        Finding("settings", True, "The server starts with them.")
    ]


def call_would_work(findings: list[Finding]) -> bool:
    return all(finding.ok for finding in findings)


async def check_deepgram(settings: Settings) -> Finding:
    """Lists the key's projects. A key without the right to (403) is still a key that was accepted."""
    name, key = "deepgram", settings.deepgram_api_key
    if key is None:
        return offline(name, "DEEPGRAM_API_KEY", "the offline hearing")
    import httpx
    from deepgram import AsyncDeepgramClient
    from deepgram.core.api_error import ApiError
    from deepgram.environment import DeepgramClientEnvironment

    http = with_scheme(settings.deepgram_base_url, websocket=False)
    socket = with_scheme(settings.deepgram_base_url, websocket=True)
    environment = DeepgramClientEnvironment(base=http, production=socket, agent=socket, agent_rest=http)
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        deepgram = AsyncDeepgramClient(
            api_key=key.get_secret_value(), environment=environment, httpx_client=client, max_retries=0
        )
        try:
            await deepgram.manage.v1.projects.list()
        except ApiError as error:
            if error.status_code == 403:
                return Finding(name, True, "The key is accepted; it may not list projects, which calls need not.")
            return refused(name, error.status_code, "DEEPGRAM_API_KEY")
        except httpx.HTTPError as error:
            return unreached(name, http, error)
    return Finding(name, True, "The key is accepted.")


async def check_anthropic(settings: Settings) -> Finding:
    """Asks for the model by name."""
    name, key, model = "anthropic", settings.anthropic_api_key, settings.anthropic_model
    if key is None:
        return offline(name, "ANTHROPIC_API_KEY", "the local LLM (rules)")
    from anthropic import APIConnectionError, APIStatusError, AsyncAnthropic

    base_url = with_scheme(settings.anthropic_base_url, websocket=False)
    async with AsyncAnthropic(
        api_key=key.get_secret_value(), base_url=base_url, timeout=SECONDS, max_retries=0
    ) as client:
        try:
            await client.models.retrieve(model)
        except APIStatusError as error:
            if error.status_code == 404:
                return Finding(
                    name, False, f"There is no model {model}.", "Set ANTHROPIC_MODEL to one your key may use."
                )
            return refused(name, error.status_code, "ANTHROPIC_API_KEY")
        except APIConnectionError as error:
            return unreached(name, base_url, error)
    return Finding(name, True, f"The key is accepted and may use {model}.")


async def check_elevenlabs(settings: Settings) -> Finding:
    """Asks for the voice by its id."""
    name, key, voice_id = "elevenlabs", settings.elevenlabs_api_key, settings.elevenlabs_voice_id
    if key is None and voice_id is not None:
        return half(name, "ELEVENLABS_VOICE_ID", "ELEVENLABS_API_KEY")
    if key is None:
        return offline(name, "ELEVENLABS_API_KEY", "the offline voice")
    if voice_id is None:
        return half(name, "ELEVENLABS_API_KEY", "ELEVENLABS_VOICE_ID")
    import httpx

    # https://elevenlabs.io/docs/api-reference/voices/get
    base_url = with_scheme(settings.elevenlabs_base_url, websocket=False)
    headers = {"xi-api-key": key.get_secret_value()}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=SECONDS) as client:
        try:
            answer = await client.get(f"/v1/voices/{quote(voice_id, safe='')}")
        except httpx.HTTPError as error:
            return unreached(name, base_url, error)
    try:
        voice = answer.json()
    except ValueError:
        voice = None
    if not answer.is_success or not isinstance(voice, dict):
        return _voice_refused(name, voice_id, answer.status_code, voice)
    return Finding(name, True, f"The key is accepted and the voice is {voice.get('name') or voice_id}.")


async def check_twilio(settings: Settings, carrier: TwilioCarrier | None) -> Finding:
    """Fetches the account."""
    name = "twilio account"
    sid, token = settings.twilio_account_sid, settings.twilio_auth_token
    if sid is None and token is None:
        return offline(name, "TWILIO_ACCOUNT_SID", "the simulated carrier with its simulated callee")
    if sid is None or token is None:
        missing = "TWILIO_AUTH_TOKEN" if token is None else "TWILIO_ACCOUNT_SID"
        given = "TWILIO_ACCOUNT_SID" if token is None else "TWILIO_AUTH_TOKEN"
        return half(name, given, missing)
    if carrier is None:
        return Finding(name, False, "The account was not asked.", "Check the log for why Twilio did not open.")
    try:
        account = await carrier.check_account()
    except CarrierError as error:
        return _twilio_refused(name, error)
    if account.status != "active":
        return Finding(name, False, f"The account is {account.status}.", "Reactivate it in Twilio's console.")
    if account.kind.lower() == "trial":
        words = "The account is active. It is a trial: it calls only numbers you verified in Twilio's console."
        return Finding(name, True, words)
    return Finding(name, True, "The account is active.")


async def check_number(settings: Settings, carrier: TwilioCarrier | None) -> Finding:
    """Looks the number up among the account's own."""
    name, number = "twilio number", settings.twilio_phone_number
    if carrier is None:
        if number is not None and settings.twilio_account_sid is None:
            return half(name, "TWILIO_PHONE_NUMBER", "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")
        return Finding(name, True, "Not needed: no call goes through Twilio.")
    if number is None:
        return half(name, "TWILIO_ACCOUNT_SID", "TWILIO_PHONE_NUMBER")
    try:
        owned = await carrier.owns_number(number)
    except CarrierError as error:
        return _twilio_refused(name, error)
    if owned is None:
        fix = "Set TWILIO_PHONE_NUMBER to a number of this account, in E.164 (+12025550123)."
        return Finding(name, False, "TWILIO_PHONE_NUMBER is not a number of this account.", fix)
    if not owned.voice:
        return Finding(name, False, "The number cannot place voice calls.", "Buy one with voice in its console.")
    return Finding(name, True, "The number is the account's and can call.")


async def check_caller_id(settings: Settings, carrier: TwilioCarrier | None) -> Finding:
    """Looks for what keeps calls from the number from showing as spam; what is missing is a warning."""
    name, number = "caller id", settings.twilio_phone_number
    if carrier is None or number is None:
        return Finding(name, True, "Not asked: no call goes through Twilio.")
    if country_of(number) not in ("US", "CA"):
        return Finding(name, True, "Not asked: calls are attested in the US and Canada only.")
    try:
        owned = await carrier.owns_number(number)
        trusted = frozenset() if owned is None else await carrier.trust_of(owned)
    except CarrierError as error:
        return Finding(name, True, f"Twilio does not say how the number will show: {error.message}", _TRUST_HUB)
    missing = {
        Trust.SHAKEN_STIR: "calls are not signed with attestation A (no SHAKEN/STIR product)",
        Trust.VOICE_INTEGRITY: "the companies that label spam do not know it (no Voice Integrity)",
        Trust.CALLER_NAME: "phones show no name (no CNAM)",
    }
    wrong = [words for trust, words in missing.items() if trust not in trusted]
    if Trust.SHAKEN_STIR in trusted and Trust.VOICE_INTEGRITY in trusted:
        more = f" But {wrong[0]}." if wrong else ""
        return Finding(name, True, f"Calls from the number are attested A, and it is registered.{more}")
    return Finding(name, True, f"The number may show as spam: {'; '.join(wrong)}.", _TRUST_HUB)


async def check_api_keys(settings: Settings, public_host: str | None) -> Finding:
    name = "api keys"
    if settings.api_keys:
        return Finding(name, True, f"{len(settings.api_keys)} set: the API asks for one.")
    try:
        check_exposure(settings, public_host)
    except SettingsError as error:
        return Finding(name, False, error.message)
    return Finding(name, True, "None: this server can be reached from this machine only.")


async def check_webhook(settings: Settings, public_host: str | None) -> Finding:
    """Posts to our own status webhook from outside: unsigned, and signed where we have Twilio's token."""
    name, token = "public webhook", settings.twilio_auth_token
    if public_host is None:
        return _no_public_host(name, settings)
    url = paths.of_call(public_host, "status", None)
    try:
        unsigned = await _post(url, {})
        signed = None
        if token is not None:
            signature = signatures.sign(token.get_secret_value(), url, _NOBODYS_CALL)
            signed = await _post(url, {signatures.HEADER: signature})
    except (aiohttp.ClientError, TimeoutError) as error:
        return _closed_from_outside(name, public_host, error)
    return webhook_finding(public_host, unsigned=unsigned, signed=signed)


async def check_socket(settings: Settings, public_host: str | None) -> Finding:
    """Sends one word through the public host's WebSocket and waits for it to come back."""
    name = "public socket"
    if public_host is None:
        return _no_public_host(name, settings)
    word = secrets.token_hex(8)
    url = f"{with_scheme(public_host, websocket=True)}{ECHO_PATH}"
    try:
        async with (
            asyncio.timeout(SECONDS),
            aiohttp.ClientSession() as session,
            session.ws_connect(url) as socket,
        ):
            await socket.send_str(word)
            answer = await socket.receive()
    except aiohttp.WSServerHandshakeError as error:
        fix = "Let the proxy pass WebSocket upgrades (Connection and Upgrade headers) to this server."
        return Finding(name, False, f"{public_host} refuses WebSockets (HTTP {error.status}).", fix)
    except (aiohttp.ClientError, TimeoutError) as error:
        return _closed_from_outside(name, public_host, error)
    if answer.data != word:
        fix = "Point PUBLIC_HOST at this server."
        return Finding(name, False, f"Something else answers WebSockets at {public_host}.", fix)
    return Finding(name, True, "A WebSocket reaches this server from outside.")


def webhook_finding(public_host: str, *, unsigned: int, signed: int | None) -> Finding:
    """What two HTTP statuses of the status webhook say; `signed` is None where nothing could be signed."""
    name = "public webhook"
    if unsigned == 403 and signed == 204:
        return Finding(name, True, "Twilio's webhooks reach this server, and unsigned ones are refused.")
    if unsigned == 403 and signed is None:
        return Finding(name, True, "Webhooks reach this server, and unsigned ones are refused.")
    if unsigned == 403 and signed == 403:
        fix = (
            "Give the running server the same TWILIO_AUTH_TOKEN and PUBLIC_HOST as here, and restart it: "
            "it signs for the URL in its own settings."
        )
        return Finding(name, False, "The server refuses even a webhook with our signature.", fix)
    if 200 <= unsigned < 300:
        fix = "Point PUBLIC_HOST at this server: it never accepts an unsigned webhook."
        return Finding(name, False, f"What answers at {public_host} accepts unsigned webhooks.", fix)
    status = unsigned if unsigned != 403 else signed
    fix = "Start the server, and point PUBLIC_HOST (or the tunnel) at its port."
    return Finding(name, False, f"{public_host} answers our webhook with HTTP {status}.", fix)


async def _post(url: str, headers: dict[str, str]) -> int:
    async with (
        asyncio.timeout(SECONDS),
        aiohttp.ClientSession() as session,
        session.post(url, data=_NOBODYS_CALL, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status


def _voice_refused(name: str, voice_id: str, status: int | None, body: Any) -> Finding:
    """ElevenLabs gives its reasons in `detail.status`: 401 is both a wrong key and a narrow one."""
    detail = body.get("detail") if isinstance(body, dict) else None
    reason = detail.get("status") if isinstance(detail, dict) else None
    if reason == "missing_permissions":
        return Finding(name, True, "The key is accepted; it may not read voices, so the voice is unchecked.")
    if status == 404 or reason in ("voice_not_found", "invalid_uid", "voice_does_not_exist"):
        return Finding(
            name, False, f"There is no voice {voice_id}.", "Set ELEVENLABS_VOICE_ID to one of your voices."
        )
    return refused(name, status, "ELEVENLABS_API_KEY")


def _twilio_refused(name: str, error: CarrierError) -> Finding:
    code = f" ({error.carrier_code})" if error.carrier_code is not None else ""
    fix = "Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN." if error.status in (401, 403) else "Try again."
    return Finding(name, False, f"Twilio says: {error.message}{code}", fix)


def _closed_from_outside(name: str, public_host: str, error: Exception) -> Finding:
    fix = "Start the server and the tunnel or proxy that PUBLIC_HOST names, then ask again."
    return Finding(name, False, f"{public_host} {why_not(error)}.", fix)


def _no_public_host(name: str, settings: Settings) -> Finding:
    if settings.twilio_account_sid is None:
        return Finding(name, True, "Not needed: the simulated carrier is on this machine.")
    fix = "Set PUBLIC_HOST to where Twilio can reach this server, or run a local ngrok agent."
    return Finding(name, False, "Twilio cannot reach this server: it has no public host.", fix)


# -- in the terminal --------------------------------------------------------------------------------------


async def run(_: argparse.Namespace) -> int:
    """Print of each thing a first call needs whether it is there; 0 if a call would work."""
    settings = load_settings()
    scenarios = Scenarios.load(settings.pipelines_dir, settings.compliance_profile)
    startable = await check_settings(settings)
    carrier = None
    if settings.twilio_account_sid and settings.twilio_auth_token:
        carrier = TwilioCarrier.from_settings(settings, {})
        await carrier.open()
    try:
        public_host = await find_public_url(settings)
        if carrier is not None and call_would_work(startable) and not await _answers(settings):
            async with serving(settings):
                findings = await examine(settings, carrier=carrier, public_host=public_host)
        else:
            findings = await examine(settings, carrier=carrier, public_host=public_host)
        findings += await check_llm_servers(scenarios, settings)
    finally:
        if carrier is not None:
            await carrier.close()
    findings = [*startable, *findings]
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
    mark = "FAIL" if not finding.ok else "warn" if finding.fix else "ok"
    print(f"{mark:<4} {finding.name:<15} {finding.message}")
    if finding.fix:
        print(f"{'':20} → {finding.fix}")
