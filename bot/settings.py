"""The environment, read once, and what a file may take of it by {env:NAME}.

Every name is documented in .env.example. Secrets are SecretStr: they hide in repr, logs and tracebacks.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from loguru import logger
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.errors import SettingsError, described, did_you_mean
from bot.policy import DEFAULT_PROFILE, ProfileName

SHORTEST_SECRET = 6
"""Characters; what is shorter would be found in innocent words."""
_VARIABLE = re.compile(r"\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_BRACED = re.compile(r"\$?\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}")


class Settings(BaseSettings):
    """All settings. Empty strings count as unset, so `KEY=` in .env changes nothing."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    # Carrier
    twilio_account_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_phone_number: str | None = None
    twilio_base_url: str = "https://api.twilio.com"
    simulated_callee: str | None = None
    """Who picks up every call of the simulated carrier; None: the callee that fits the scenario."""

    # Vendors of the stages
    deepgram_api_key: SecretStr | None = None
    deepgram_base_url: str = "wss://api.deepgram.com"
    anthropic_api_key: SecretStr | None = None
    anthropic_model: str = "claude-haiku-5-5"
    anthropic_base_url: str = "https://api.anthropic.com"
    elevenlabs_api_key: SecretStr | None = None
    elevenlabs_voice_id: str | None = None
    elevenlabs_base_url: str = "wss://api.elevenlabs.io"

    # This server
    public_host: str | None = None
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    metrics_key: SecretStr | None = None
    """Asked of whoever reads /metrics; unset: of those from outside, who need one of api_keys."""
    database_url: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1)
    """Processes behind the one port; more than one needs a PostgreSQL."""
    internal_host: str | None = None
    """Where other servers of the same database reach this one; unset: found out."""
    data_dir: Path = Path("data")
    pipelines_dir: Path = Path("pipelines")
    compliance_profile: ProfileName = DEFAULT_PROFILE
    """Of scenarios that name none."""
    max_calls: int = Field(default=20, ge=1)
    """On the line in one process."""
    max_loop_lag_ms: float = Field(default=50, gt=0)
    """A process whose event loop is later takes no more calls: see `capacity`."""
    max_lines: int | None = Field(default=None, ge=1)
    """On the line over all processes of the database; None: what the processes carry."""
    max_lines_per_number: int | None = Field(default=None, ge=1)
    max_lines_per_key: int | None = Field(default=None, ge=1)
    dials_per_second: float | None = Field(default=None, gt=0)
    """Over all processes. Twilio queues what is beyond an account's own rate."""
    max_calls_per_number: int = Field(default=1, ge=1)
    """With one number at a time, over all campaigns and requests; more for a company's switchboard."""
    max_calls_per_number_per_day: int | None = Field(default=None, ge=1)
    mcp_calls_per_day: int = Field(default=20, ge=0)
    """Calls of one API key in a day of UTC, from which on /mcp places none."""
    mcp_countries: Annotated[tuple[str, ...], NoDecode] = ()
    """Where /mcp may call on a real carrier, two letters each; empty: the country of TWILIO_PHONE_NUMBER."""
    drain_seconds: float = Field(default=600, ge=0)
    """How long calls on the line may go on after SIGTERM."""
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    trace_transcripts: bool = False
    """Whether traces hold what was said, the prompt included. Traces themselves are OTEL_*'s to switch on."""
    retention_recordings_days: int | None = Field(default=None, ge=1)
    """A call's recording is deleted so many days after its end; None: it is kept."""
    retention_transcripts_days: int | None = Field(default=None, ge=1)
    """What was said and what it was about: the record stays without it."""
    retention_numbers_days: int | None = Field(default=None, ge=1)
    """Who was called: number, name, metadata, contacts."""
    webhook_url: str | None = None
    """Where events of calls go whose request names no place of its own."""
    webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Each signs every event: two while the receiver changes from one to the other."""
    webhook_allow_private: bool = False
    webhook_in_order: bool = True
    """Whether an event of a call waits until the one before it is delivered or given up."""
    ngrok_api_url: str = "http://127.0.0.1:4040"
    """Where a running local ngrok agent is asked for its tunnel; its documented default address."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that no log may hold."""
        values = [getattr(self, name) for name in type(self).model_fields]
        found = [value for value in values if isinstance(value, SecretStr)]
        password = urlsplit(self.database_url or "").password
        keys = [secret.get_secret_value() for secret in (*found, *self.api_keys, *self.webhook_secret)]
        return (*keys, unquote(password)) if password else tuple(keys)

    @field_validator("api_keys", "webhook_secret", "mcp_countries", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("mcp_countries")
    @classmethod
    def _countries(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for country in value:
            if re.fullmatch("[A-Z]{2}", country) is None:
                raise ValueError(f"give countries by their two letters, as in US,CA; {country!r} is none")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("public_host")
    @classmethod
    def _host_or_url(cls, value: str | None) -> str | None:
        """A bare host, host:port or an http(s)/ws(s) URL; kept as an http(s) origin without a slash."""
        if value is None:
            return None
        url = value.strip() if "://" in value else f"https://{value.strip()}"
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise ValueError("give a host (bot.example.com) or a URL (https://bot.example.com)")
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def load_settings() -> Settings:
    """The environment and .env. SettingsError names every variable that is wrong."""
    for name in dotenv_values(".env"):
        known = [field.upper() for field in Settings.model_fields]
        if name.upper() not in known and (meant := did_you_mean(name.upper(), known)):
            logger.warning(".env: {} is no setting of this server{}", name, meant)
    try:
        return Settings()
    except ValidationError as e:
        wrong = "; ".join(f"{str(error['loc'][0]).upper()}: {described(error)}" for error in e.errors())
        raise SettingsError(wrong) from None


def environment() -> dict[str, str]:
    """What {env:NAME} of a scenario file may name: the environment, and .env where that says nothing."""
    return {name: value for name, value in dotenv_values(".env").items() if value is not None} | dict(os.environ)


def with_scheme(url: str, *, websocket: bool) -> str:
    """`url` for a WebSocket or an HTTP client: http/ws and https/wss reach the same server.

    A bare host is taken as TLS. The path is kept, a trailing slash is not.
    """
    if "://" not in url:
        url = f"https://{url}"
    parts = urlsplit(url)
    tls = parts.scheme in ("https", "wss")
    scheme = ("wss" if tls else "ws") if websocket else ("https" if tls else "http")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


# -- {env:NAME}: a file names its secrets, the environment holds them ------------------------------------


def names_in(text: str) -> list[str]:
    """The variables `text` names. ValueError for a brace that names none: it would be sent as it stands."""
    rest = _VARIABLE.sub("", text)
    if "{env" in rest:
        raise ValueError("write {env:NAME}")
    if (unfilled := _BRACED.search(rest)) is not None:
        raise ValueError(
            f"nothing fills {unfilled[0]} here; write {{env:{unfilled[1]}}} for an environment variable"
        )
    return _VARIABLE.findall(text)


def filled(text: str, environment: Mapping[str, str]) -> str:
    """`text` with its variables. SettingsError names one that is missing or is no single line.

    Spaces around a value are a slip of the hand, and no header may have them.
    """
    for name in names_in(text):
        value = environment.get(name, "").strip()
        if not value:
            raise SettingsError(f"set {name} in the environment or in .env")
        if not value.isprintable():
            raise SettingsError(f"{name} has characters in it that no value may have, such as a line's end")
    return _VARIABLE.sub(lambda match: environment[match[1]].strip(), text).strip()


def secrets_of(names: Iterable[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of the variables, longest first: one may be part of another."""
    values = {environment.get(name, "").strip() for name in names}
    return tuple(sorted((v for v in values if len(v) >= SHORTEST_SECRET), key=len, reverse=True))


def without(secrets: Iterable[str], value: Any) -> Any:
    """`value`, as JSON has it, without the secrets: a server or a library may repeat what it was sent."""
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret, "[hidden]")
            return value
        case dict():
            return {without(secrets, key): without(secrets, one) for key, one in value.items()}
        case list():
            return [without(secrets, one) for one in value]
    return value
