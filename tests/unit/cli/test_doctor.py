"""The doctor's checks, through the real SDKs and sockets, against servers of this machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI

from bot.api import router
from bot.cli import doctor, llm_servers
from bot.cli.doctor import webhook_finding
from bot.cli.findings import Finding
from bot.conversation.scenario.compliance import Compliance
from bot.conversation.scenario.scenario import Scenario, Scenarios
from bot.errors import CarrierError
from bot.pipeline.llm.vendors import OpenAICompatible
from bot.settings import Settings
from bot.telephony.carrier import CarrierEvent, CarrierReply, CarrierRequest, StatusReported
from bot.telephony.twilio.carrier import Account, OwnedNumber, TwilioCarrier
from bot.telephony.twilio.trust_hub import Trust
from bot.telephony.twilio.webhooks import TwilioWebhooks
from tests.simulators.twilio import TwilioSimulator
from tests.unit.api.fake_agent import FakeAgent

TWILIO = {"twilio_account_sid": "AC1", "twilio_auth_token": "token", "twilio_phone_number": "+12025550100"}


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass
class Vendor:
    """One HTTP server in place of a vendor: answers everything with `status` and `body`."""

    url: str
    status: int
    body: Any
    asked: list[tuple[str, dict[str, str]]]


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    played = Vendor("", 200, {}, [])

    async def answer(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        played.asked.append((f"{request.method} {request.path}", headers))
        return web.Response(status=played.status, text=json.dumps(played.body), content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    played.url = f"http://127.0.0.1:{port}"
    yield played
    await runner.cleanup()


def nobody_listens() -> str:
    """A URL whose port was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


class TestDeepgram:
    async def test_the_key_is_shown_to_the_vendor(self, vendor: Vendor) -> None:
        vendor.body = {"projects": []}
        url = vendor.url.replace("http://", "ws://")
        finding = await doctor.check_deepgram(settings(deepgram_api_key="dg", deepgram_base_url=url))
        assert finding == Finding("deepgram", True, "The key is accepted.")
        [(asked, headers)] = vendor.asked
        assert asked == "GET /v1/projects"
        assert headers["authorization"].lower() == "token dg"

    @pytest.mark.parametrize(("status", "ok"), [(401, False), (403, True), (500, False)])
    async def test_refusals(self, vendor: Vendor, status: int, ok: bool) -> None:
        vendor.status, vendor.body = status, {"err_code": "X", "err_msg": "no"}
        values = settings(deepgram_api_key="dg", deepgram_base_url=vendor.url)
        finding = await doctor.check_deepgram(values)
        assert finding.ok is ok
        assert bool(finding.fix) is not ok
        assert len(vendor.asked) == 1


class TestAnthropic:
    async def test_the_model_is_asked_for(self, vendor: Vendor) -> None:
        vendor.body = {"id": "m", "type": "model", "display_name": "M", "created_at": "2026-01-01T00:00:00Z"}
        values = settings(
            anthropic_api_key="sk", anthropic_model="claude-haiku-5-5", anthropic_base_url=vendor.url
        )
        assert (await doctor.check_anthropic(values)).ok
        [(asked, headers)] = vendor.asked
        assert asked == "GET /v1/models/claude-haiku-5-5"
        assert headers["x-api-key"] == "sk"

    @pytest.mark.parametrize(
        ("status", "fix"), [(401, "ANTHROPIC_API_KEY"), (404, "ANTHROPIC_MODEL"), (529, "Try again")]
    )
    async def test_refusals(self, vendor: Vendor, status: int, fix: str) -> None:
        vendor.status, vendor.body = status, {"type": "error", "error": {"type": "x", "message": "no"}}
        values = settings(anthropic_api_key="sk", anthropic_base_url=vendor.url)
        finding = await doctor.check_anthropic(values)
        assert not finding.ok
        assert fix in finding.fix
        assert len(vendor.asked) == 1


class TestElevenLabs:
    async def test_the_voice_is_asked_for(self, vendor: Vendor) -> None:
        vendor.body = {"voice_id": "v1", "name": "Rachel"}
        finding = await doctor.check_elevenlabs(self.values(vendor))
        assert finding.ok
        assert "Rachel" in finding.message
        [(asked, headers)] = vendor.asked
        assert asked == "GET /v1/voices/v1"
        assert headers["xi-api-key"] == "el"

    @pytest.mark.parametrize(
        ("status", "reason", "ok", "fix"),
        [
            (401, "invalid_api_key", False, "ELEVENLABS_API_KEY"),
            (401, "missing_permissions", True, ""),
            (400, "voice_not_found", False, "ELEVENLABS_VOICE_ID"),
            (404, "voice_not_found", False, "ELEVENLABS_VOICE_ID"),
            (422, "odd", False, "Try again"),
        ],
    )
    async def test_refusals(self, vendor: Vendor, status: int, reason: str, ok: bool, fix: str) -> None:
        vendor.status, vendor.body = status, {"detail": {"status": reason, "message": "no"}}
        finding = await doctor.check_elevenlabs(self.values(vendor))
        assert finding.ok is ok
        assert fix in finding.fix
        assert len(vendor.asked) == 1

    @staticmethod
    def values(vendor: Vendor) -> Settings:
        return settings(elevenlabs_api_key="el", elevenlabs_voice_id="v1", elevenlabs_base_url=vendor.url)


CHECKS: list[tuple[Callable[[Settings], Awaitable[Finding]], str]] = [
    (doctor.check_deepgram, "deepgram"),
    (doctor.check_anthropic, "anthropic"),
    (doctor.check_elevenlabs, "elevenlabs"),
]


@pytest.mark.parametrize(("check", "name"), CHECKS)
async def test_a_vendor_nobody_reaches_is_told(
    check: Callable[[Settings], Awaitable[Finding]], name: str
) -> None:
    url = nobody_listens()
    values = {f"{name}_api_key": "secret-key", f"{name}_base_url": url, "elevenlabs_voice_id": "v1"}
    finding = await check(settings(**values))
    assert not finding.ok
    assert f"{url} cannot be reached" in finding.message
    assert "secret-key" not in repr(finding)


class FakeTwilio(TwilioCarrier):
    def __init__(self, account: Account | CarrierError, number: OwnedNumber | None = None) -> None:
        self.account, self.number = account, number

    async def check_account(self) -> Account:
        if isinstance(self.account, CarrierError):
            raise self.account
        return self.account

    async def owns_number(self, number: str) -> OwnedNumber | None:
        if isinstance(self.account, CarrierError):
            raise self.account
        return self.number


@asynccontextmanager
async def opened(twilio: TwilioSimulator) -> AsyncIterator[TwilioCarrier]:
    carrier = TwilioCarrier(account_sid=twilio.account_sid, auth_token=twilio.auth_token, base_url=twilio.url)
    await carrier.open()
    try:
        yield carrier
    finally:
        await carrier.close()


ACTIVE = Account("active", "Full", "Us")
NUMBER = OwnedNumber("PN1", "+12025550100", voice=True)


class TestTwilio:
    async def test_an_account_and_its_number(self) -> None:
        carrier, values = FakeTwilio(ACTIVE, NUMBER), settings(**TWILIO)
        assert (await doctor.check_twilio(values, carrier)).ok
        assert (await doctor.check_number(values, carrier)).ok

    @pytest.mark.parametrize(
        ("trust", "warned", "words"),
        [
            ([], True, ["attestation A", "Voice Integrity", "CNAM"]),
            ([Trust.SHAKEN_STIR], True, ["Voice Integrity"]),
            ([Trust.VOICE_INTEGRITY, Trust.CALLER_NAME], True, ["attestation A"]),
            ([Trust.SHAKEN_STIR, Trust.VOICE_INTEGRITY], False, ["attested A", "no name"]),
            (list(Trust), False, ["attested A"]),
        ],
    )
    async def test_a_number_that_will_show_as_spam(
        self, trust: list[Trust], warned: bool, words: list[str]
    ) -> None:
        """By the real SDK, against a Trust Hub that has the number in these approved products."""
        number = "+12025550100"
        trusted: dict[tuple[str, str], list[str]] = {(kind.value, "twilio-approved"): [number] for kind in trust}
        others = {(kind.value, "twilio-approved"): ["+12025550177"] for kind in Trust if kind not in trust}
        waiting = {(kind.value, "in-review"): [number] for kind in Trust}
        async with (
            TwilioSimulator(numbers={number: True}, trusted=waiting | others | trusted) as twilio,
            opened(twilio) as carrier,
        ):
            finding = await doctor.check_caller_id(settings(**TWILIO), carrier)
        assert finding.ok, "a call would work"
        assert (finding.fix != "") == warned
        assert all(word in finding.message for word in words), finding.message

    async def test_where_nobody_can_say_how_a_number_shows(self) -> None:
        abroad = settings(**{**TWILIO, "twilio_phone_number": "+34911234567"})
        assert "US and Canada" in (await doctor.check_caller_id(abroad, FakeTwilio(ACTIVE, NUMBER))).message
        assert (
            await doctor.check_caller_id(settings(), None)
        ).message == "Not asked: no call goes through Twilio."
        gone = FakeTwilio(CarrierError("Twilio answered 403", provider="twilio", status=403))
        finding = await doctor.check_caller_id(settings(**TWILIO), gone)
        assert (finding.ok, finding.fix != "") == (True, True)

    async def test_a_trial_is_told_what_it_can_call(self) -> None:
        trial = FakeTwilio(Account("active", "Trial", "Us"))
        finding = await doctor.check_twilio(settings(**TWILIO), trial)
        assert finding.ok
        assert "verified" in finding.message

    async def test_refusals(self) -> None:
        values = settings(**TWILIO)
        refused = FakeTwilio(CarrierError("Authenticate", provider="twilio", status=401, carrier_code=20003))
        for finding in (
            await doctor.check_twilio(values, refused),
            await doctor.check_number(values, refused),
        ):
            assert not finding.ok
            assert finding.message == "Twilio says: Authenticate (20003)"
            assert "TWILIO_AUTH_TOKEN" in finding.fix
        suspended = FakeTwilio(Account("suspended", "Full", "Us"))
        assert not (await doctor.check_twilio(values, suspended)).ok
        assert not (await doctor.check_number(values, FakeTwilio(ACTIVE, None))).ok
        assert not (
            await doctor.check_number(values, FakeTwilio(ACTIVE, OwnedNumber("PN1", "+1", voice=False)))
        ).ok

    async def test_half_a_configuration_is_a_failure(self) -> None:
        for name in ("twilio_account_sid", "twilio_auth_token"):
            finding = await doctor.check_twilio(settings(**{name: "x"}), None)
            assert not finding.ok
        assert not (await doctor.check_number(settings(twilio_phone_number="+12025550100"), None)).ok
        without = settings(twilio_account_sid="AC1", twilio_auth_token="token")
        assert not (await doctor.check_number(without, FakeTwilio(ACTIVE))).ok
        assert not (await doctor.check_elevenlabs(settings(elevenlabs_api_key="el"))).ok
        assert not (await doctor.check_elevenlabs(settings(elevenlabs_voice_id="v1"))).ok


@pytest.mark.parametrize(
    ("unsigned", "signed", "ok", "words"),
    [
        (403, 204, True, "reach this server"),
        (403, None, True, "reach this server"),
        (403, 403, False, "with our signature"),
        (204, 204, False, "accepts unsigned"),
        (200, None, False, "accepts unsigned"),
        (404, 404, False, "HTTP 404"),
        (403, 502, False, "HTTP 502"),
    ],
)
def test_what_the_webhook_answers_means(unsigned: int, signed: int | None, ok: bool, words: str) -> None:
    finding = webhook_finding("https://bot.example.com", unsigned=unsigned, signed=signed)
    assert finding.ok is ok
    assert words in finding.message
    assert bool(finding.fix) is not ok


class SigningAgent(FakeAgent):
    """Refuses what Twilio did not sign for the public URL, as the real one does."""

    public_host = ""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.reported: list[CarrierEvent | None] = []

    async def handle(self, request: CarrierRequest) -> CarrierReply:
        self.reported.append(TwilioWebhooks("token").read(request, self.public_host))
        return await super().handle(request)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[SigningAgent]:
    """Our own routes on a real server, with an agent that checks signatures."""
    app = FastAPI()
    app.state.phone_agent = agent = SigningAgent(settings(data_dir=tmp_path))
    app.include_router(router)
    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="websockets-sansio"))
    serving = asyncio.create_task(server.serve())
    await server.listening.wait()
    agent.public_host = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield agent
    server.should_exit = True
    await serving


class TestPublicHost:
    async def test_our_own_server_is_recognised(self, running: SigningAgent) -> None:
        values = settings(**TWILIO)
        webhook = await doctor.check_webhook(values, running.public_host)
        assert webhook == webhook_finding(running.public_host, unsigned=403, signed=204)
        (event,) = running.reported
        assert isinstance(event, StatusReported)
        assert event.call_sid == "CA" + "0" * 32
        assert (await doctor.check_socket(values, running.public_host)).ok

    async def test_another_token_is_told_apart(self, running: SigningAgent) -> None:
        values = settings(**TWILIO | {"twilio_auth_token": "another"})
        finding = await doctor.check_webhook(values, running.public_host)
        assert not finding.ok
        assert "TWILIO_AUTH_TOKEN" in finding.fix

    async def test_something_else_answers(self, vendor: Vendor) -> None:
        vendor.status = 404
        values = settings(**TWILIO)
        assert not (await doctor.check_webhook(values, vendor.url)).ok
        refused = await doctor.check_socket(values, vendor.url)
        assert not refused.ok
        assert "Upgrade" in refused.fix

    async def test_nobody_answers(self) -> None:
        url = nobody_listens()
        for check in (doctor.check_webhook, doctor.check_socket):
            finding = await check(settings(**TWILIO), url)
            assert not finding.ok
            assert "Start the server" in finding.fix

    async def test_twilio_needs_one_and_the_offline_carrier_does_not(self) -> None:
        for check in (doctor.check_webhook, doctor.check_socket):
            assert not (await check(settings(**TWILIO), None)).ok
            assert (await check(settings(), None)).ok

    async def test_a_public_host_needs_keys(self) -> None:
        assert not (await doctor.check_api_keys(settings(), "https://bot.example.com")).ok
        assert (await doctor.check_api_keys(settings(api_keys="a,b"), "https://bot.example.com")).ok
        assert (await doctor.check_api_keys(settings(), None)).ok


SECRETLESS = "this server has no WEBHOOK_SECRET"
WRONG_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"database_url": "mysql://x"}, "mysql:// is not a database this server knows"),
    (
        {"database_url": "postgresql://me:hush@127.0.0.1:1/calls"},
        "at 127.0.0.1:1/calls cannot be used: Connection refused. Check",
    ),
    ({"simulated_callee": "voicemial"}, "SIMULATED_CALLEE: "),
    ({"webhook_url": "https://example.com/events"}, SECRETLESS),
    ({"data_dir": Path("/proc/nope")}, "DATA_DIR: "),
    ({"data_dir": Path("/etc/passwd")}, "Set DATA_DIR to a folder"),
    ({"workers": 2}, "2 workers need a database"),
]


@pytest.mark.parametrize(("values", "words"), WRONG_SETTINGS)
async def test_what_the_server_does_not_start_with(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    [finding] = await doctor.check_settings(settings(**{"data_dir": tmp_path} | values))
    assert not finding.ok
    assert words in finding.message
    assert "Errno" not in finding.message
    assert "hush" not in finding.message


async def test_several_wrong_settings_are_each_named(tmp_path: Path) -> None:
    values = settings(
        data_dir=tmp_path, workers=2, simulated_callee="voicemial", webhook_url="https://example.com/events"
    )
    findings = await doctor.check_settings(values)
    assert [finding.ok for finding in findings] == [False] * 3


async def test_settings_that_the_server_starts_with(tmp_path: Path) -> None:
    [finding] = await doctor.check_settings(settings(data_dir=tmp_path))
    assert finding.ok


async def test_the_doctor_fails_where_the_server_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = settings(data_dir=tmp_path, simulated_callee="voicemial")
    monkeypatch.setattr(doctor, "load_settings", lambda: values)
    assert await doctor.run(argparse.Namespace()) == 1
    printed = capsys.readouterr().out
    assert "FAIL settings        SIMULATED_CALLEE: " in printed
    assert "A call would fail" in printed


async def test_without_any_key_everything_is_well() -> None:
    findings = await doctor.examine(settings(), carrier=None, public_host=None)
    assert [finding.name for finding in findings] == [
        "deepgram",
        "anthropic",
        "elevenlabs",
        "twilio account",
        "twilio number",
        "caller id",
        "api keys",
        "public webhook",
        "public socket",
    ]
    assert doctor.call_would_work(findings)


async def test_a_check_that_breaks_is_a_finding_not_a_crash() -> None:
    class Broken(FakeTwilio):
        async def check_account(self) -> Account:
            raise ZeroDivisionError

    findings = await doctor.examine(settings(**TWILIO), carrier=Broken(ACTIVE, NUMBER), public_host=None)
    [account] = [finding for finding in findings if finding.name == "twilio account"]
    assert not account.ok
    assert "ZeroDivisionError" in account.message
    assert not doctor.call_would_work(findings)


@pytest.mark.parametrize(
    ("status", "body", "ok", "said"),
    [
        (200, {"object": "list", "data": [{"id": "qwen3:4b"}]}, True, "has qwen3:4b"),
        (200, {"object": "list", "data": [{"id": "llama3.2"}]}, False, "it has: llama3.2"),
        (404, {}, True, "does not list its models"),
        (401, {}, False, "The key is refused"),
    ],
)
async def test_an_llm_server_is_asked_for_its_models(
    vendor: Vendor, status: int, body: Any, ok: bool, said: str
) -> None:
    vendor.status, vendor.body = status, body
    server = OpenAICompatible(base_url=f"{vendor.url}/v1", model="qwen3:4b")
    finding = await llm_servers.check_llm_server(server, settings())
    assert (finding.ok, said in finding.message) == (ok, True), finding
    assert vendor.asked[0][0] == "GET /v1/models"


async def test_an_llm_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    server = OpenAICompatible(base_url=f"http://127.0.0.1:{port}/v1", model="qwen3:4b")
    finding = await llm_servers.check_llm_server(server, settings())
    assert not finding.ok
    assert "cannot be reached" in finding.message
    assert "Error" not in finding.message


def _scenario(name: str, **values: Any) -> Scenario:
    return Scenario(compliance=Compliance(profile="none"), name=name, description="d", instructions="i", **values)


async def test_calls_go_on_without_an_llm_server() -> None:
    server = OpenAICompatible(base_url=f"{nobody_listens()}/v1", model="qwen3:4b")
    scenarios = Scenarios([_scenario("survey", llm=server), _scenario("reminder")])
    [finding] = await llm_servers.check_llm_servers(scenarios, settings())
    assert finding.ok
    assert finding.message == (
        f"{server.base_url} cannot be reached. The calls of survey go on with the rule-based LLM."
    )
    assert finding.fix


async def test_a_scenario_left_without_any_llm_fails() -> None:
    first = OpenAICompatible(base_url=f"{nobody_listens()}/v1", model="a")
    second = OpenAICompatible(base_url=f"{nobody_listens()}/v1", model="b")
    scenarios = Scenarios([_scenario("survey", llm=first, llm_fallback=second)])
    findings = await llm_servers.check_llm_servers(scenarios, settings())
    assert [finding.ok for finding in findings] == [False, False]
    assert "No other LLM holds the calls of survey." in findings[0].message
