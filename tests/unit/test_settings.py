"""The environment: forms of a host, lists of keys, secrets that stay secret, mistakes by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.errors import SettingsError
from bot.settings import Settings, load_settings, with_scheme


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An empty one, in a folder without .env."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("bot.example.com", "https://bot.example.com"),
        ("bot.example.com:8443", "https://bot.example.com:8443"),
        ("https://bot.example.com/", "https://bot.example.com"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("wss://bot.example.com", "https://bot.example.com"),
        ("ws://localhost:1", "http://localhost:1"),
        (" https://bot.example.com/base/ ", "https://bot.example.com/base"),
    ],
)
def test_public_host_in_all_its_forms(environment: pytest.MonkeyPatch, given: str, kept: str) -> None:
    environment.setenv("PUBLIC_HOST", given)
    assert load_settings().public_host == kept


@pytest.mark.parametrize("given", ["ftp://bot.example.com", "https://", "://x", "https:///path"])
def test_a_host_that_is_none_is_refused_by_name(environment: pytest.MonkeyPatch, given: str) -> None:
    environment.setenv("PUBLIC_HOST", given)
    with pytest.raises(SettingsError, match="PUBLIC_HOST"):
        load_settings()


@pytest.mark.parametrize(
    ("given", "kept"), [("a", ["a"]), ("a,b", ["a", "b"]), (" a , b ,, ", ["a", "b"]), ("", []), (" , ", [])]
)
def test_api_keys_are_a_list(environment: pytest.MonkeyPatch, given: str, kept: list[str]) -> None:
    environment.setenv("API_KEYS", given)
    assert [key.get_secret_value() for key in load_settings().api_keys] == kept


def test_webhook_secrets_are_a_list_and_hide(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WEBHOOK_SECRET", "whsec_new, whsec_old")
    settings = load_settings()
    assert [secret.get_secret_value() for secret in settings.webhook_secret] == ["whsec_new", "whsec_old"]
    assert {"whsec_new", "whsec_old"} <= set(settings.secrets)
    assert "whsec_" not in repr(settings)


def test_an_empty_string_is_unset(environment: pytest.MonkeyPatch) -> None:
    bare = load_settings()
    for name in Settings.model_fields:
        environment.setenv(name.upper(), "")
    assert load_settings() == bare


def test_the_environment_wins_over_the_file(environment: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=9001\nHOST=0.0.0.0\nDEEPGRAM_API_KEY=\nUNKNOWN=1\n", encoding="utf-8")
    environment.setenv("PORT", "9002")
    settings = load_settings()
    assert (settings.port, settings.host, settings.deepgram_api_key) == (9002, "0.0.0.0", None)


def test_secrets_hide_themselves(environment: pytest.MonkeyPatch) -> None:
    secrets = {
        name: f"s3cret-{name.lower()}"
        for name in (
            "TWILIO_AUTH_TOKEN",
            "DEEPGRAM_API_KEY",
            "ANTHROPIC_API_KEY",
            "ELEVENLABS_API_KEY",
            "API_KEYS",
        )
    }
    for name, value in secrets.items():
        environment.setenv(name, value)
    settings = load_settings()
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "s3cret" not in shown
    assert settings.deepgram_api_key is not None
    assert settings.deepgram_api_key.get_secret_value() == secrets["DEEPGRAM_API_KEY"]


def test_every_wrong_value_is_named_and_not_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PORT", "s3cret")
    environment.setenv("MAX_CALLS", "0")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "PORT" in caught.value.message
    assert "MAX_CALLS" in caught.value.message
    assert "s3cret" not in caught.value.message
    assert caught.value.__cause__ is None


def test_the_defaults_reach_the_real_vendors(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    assert settings.anthropic_model == "claude-haiku-5-5"
    assert settings.host == "127.0.0.1", "nobody outside until asked for"
    assert settings.deepgram_base_url == "wss://api.deepgram.com"
    assert not any(name.upper() in os.environ for name in Settings.model_fields)


@pytest.mark.parametrize(
    ("url", "websocket", "http"),
    [
        ("https://a.example", "wss://a.example", "https://a.example"),
        ("wss://a.example/", "wss://a.example", "https://a.example"),
        ("http://127.0.0.1:1/x/", "ws://127.0.0.1:1/x", "http://127.0.0.1:1/x"),
        ("ws://[::1]:5", "ws://[::1]:5", "http://[::1]:5"),
        ("a.example:9", "wss://a.example:9", "https://a.example:9"),
    ],
)
def test_http_and_websocket_are_the_same_door(url: str, websocket: str, http: str) -> None:
    assert with_scheme(url, websocket=True) == websocket
    assert with_scheme(url, websocket=False) == http


def test_the_secrets_are_all_keys_and_nothing_else() -> None:
    settings = Settings(
        _env_file=None,
        api_keys=(SecretStr("first"), SecretStr("second")),
        anthropic_api_key=SecretStr("claude"),
        metrics_key=SecretStr("scraper"),
        twilio_account_sid="AC0",
        database_url="postgresql://agent:p%40ss@db/calls",
    )
    assert sorted(settings.secrets) == ["claude", "first", "p@ss", "scraper", "second"]
