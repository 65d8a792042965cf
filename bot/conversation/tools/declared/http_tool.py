"""HTTP tools of a scenario file: [[http_tools]], and the request each call of one makes.

The model's arguments are data. They fill the `{{name}}` places of the path and the query percent-encoded, and
never the host; those that fill no place go into the body or the query. What comes back is bounded, and
whatever goes wrong is a sentence for the model: a tool never breaks its call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import httpx2
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bot.conversation import templates
from bot.conversation.tools.tool import CallControl, Tool
from bot.errors import AddressError
from bot.json_schema import TOOL_NAME, checked_properties
from bot.public_http import Outgoing
from bot.settings import filled, names_in, secrets_of, without

MAX_ANSWER_BYTES = 16_384
"""Read and given to the model; some 4,000 tokens, more than a spoken answer can use."""
MAX_ERROR_CHARACTERS = 500


class HttpTool(BaseModel):
    """[[http_tools]]: a request the model can make while it talks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=TOOL_NAME)
    description: str
    """What it does and when to use it; the model reads this."""
    url: str
    """http or https; `{{argument}}` places in the path and the query."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """A JSON Schema's `properties`."""
    required: tuple[str, ...] = ()
    headers: dict[str, str] = Field(default_factory=dict)
    """`{env:NAME}` is replaced by the environment variable."""
    body: Literal["json", "form", "none"] | None = None
    """How the arguments that fill no place travel; "none": in the query. None: by the method."""
    timeout_seconds: float = Field(default=5.0, ge=0.5, le=60)
    meanwhile: str | None = None
    """Said while it runs; None: the language's own phrase, "": nothing."""
    repeatable: bool = False
    """It may run again with the same arguments in the same call; else the first answer stands for all."""
    allow_private: bool = False

    @field_validator("parameters")
    @classmethod
    def _schema(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return checked_properties(value)

    @field_validator("headers")
    @classmethod
    def _one_line_each(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not text.isprintable():
                raise ValueError(f"{name!r} is no header")
            names_in(text)
        return value

    @field_validator("url")
    @classmethod
    def _fixed_host(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("give an http:// or https:// URL")
        if "@" in parts.netloc:
            raise ValueError("no user and password in the URL; use headers with {env:NAME}")
        if "{env:" in value:
            raise ValueError("{env:NAME} stands in headers only")
        if re.search(r"[{}]", parts.netloc + parts.fragment):
            raise ValueError("{{argument}} stands in the path and the query only")
        templates.check_braces(parts.path + parts.query)
        if re.search(r"[{}]", templates.fill(parts.path + parts.query, lambda name, fallback: "")):
            raise ValueError("{{argument}} stands in the path and the query only")
        if any("{{" in key for key, _ in parse_qsl(parts.query, keep_blank_values=True)):
            raise ValueError("{{argument}} cannot be the name of a query parameter")
        parts.port  # noqa: B018  # raises ValueError for a port that is none
        return value

    @model_validator(mode="after")
    def _known_names(self) -> HttpTool:
        for name in (*self.required, *self.places):
            if name not in self.parameters:
                raise ValueError(f"{name!r} is not among the parameters")
        if self.body in ("json", "form") and self.method in ("GET", "DELETE"):
            raise ValueError(f"a {self.method} has no body")
        return self

    @property
    def places(self) -> list[str]:
        """Arguments that stand in the URL."""
        parts = urlsplit(self.url)
        return [name for name, _ in templates.placeholders(parts.path + parts.query)]

    @property
    def needs(self) -> set[str]:
        """Environment variables."""
        return {name for text in self.headers.values() for name in names_in(text)}

    def build(self, outgoing: Outgoing, environment: Mapping[str, str]) -> Tool:
        """The tool for the model. SettingsError where a variable is missing."""
        headers = {name: filled(text, environment) for name, text in self.headers.items()}
        in_path = _needed_in(urlsplit(self.url).path)
        secrets = secrets_of(self.needs, environment)

        async def run(arguments: Mapping[str, Any], _control: CallControl) -> dict[str, Any]:
            client = outgoing.client(allow_private=self.allow_private)
            try:
                request = prepare(self, arguments)
            except ValueError as e:
                return {"error": str(e)}
            result: dict[str, Any] = without(secrets, await _ask(client, request, headers))
            return result

        return Tool(
            name=self.name,
            description=self.description,
            parameters=self.parameters,
            required=tuple(dict.fromkeys([*self.required, *in_path])),
            run=run,
            timeout_seconds=self.timeout_seconds,
            meanwhile=self.meanwhile,
            outside=True,
            repeatable=self.repeatable,
            reads=self.method == "GET",
        )


def prepare(tool: HttpTool, arguments: Mapping[str, Any]) -> httpx2.Request:
    """The request without its headers. ValueError says to the model what is wrong with the arguments."""
    given = {name: value for name, value in arguments.items() if name in tool.parameters and value is not None}
    parts = urlsplit(tool.url)
    in_path = _needed_in(parts.path)
    missing = [name for name in dict.fromkeys([*tool.required, *in_path]) if name not in given]
    if missing:
        raise ValueError(f"missing: {', '.join(missing)}")

    def one(name: str, fallback: str | None) -> str:
        text = _text(given[name]) if name in given else fallback or ""
        # A dot segment would lead out of its place in the path, however the server decodes the slashes.
        if not text or any(part in (".", "..") for part in re.split(r"[/\\]", text)):
            raise ValueError(f"{name} cannot be {text!r}")
        return quote(text, safe="")

    path = templates.fill(parts.path, one)
    pairs = []
    for key, template in parse_qsl(parts.query, keep_blank_values=True):
        if all(name in given for name in _needed_in(template)):
            pairs.append((key, templates.fill(template, lambda n, fallback: _text(given.get(n, fallback)))))
    rest = {name: value for name, value in given.items() if name not in tool.places}
    body = tool.body or ("none" if tool.method in ("GET", "DELETE") else "json")
    if body == "none":
        pairs += _pairs(rest)
    url = urlunsplit((parts.scheme, parts.netloc, path, urlencode(pairs), ""))
    match body:
        case "json":
            return httpx2.Request(tool.method, url, json=rest)
        case "form":
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return httpx2.Request(tool.method, url, content=urlencode(_pairs(rest)), headers=headers)
        case _:
            return httpx2.Request(tool.method, url)


def _needed_in(text: str) -> list[str]:
    """The places without a fallback."""
    return [name for name, fallback in templates.placeholders(text) if fallback is None]


def _pairs(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A list is its name repeated."""
    found = []
    for name, value in arguments.items():
        found += [(name, _text(item)) for item in (value if isinstance(value, list) else [value])]
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


async def _ask(client: httpx2.AsyncClient, request: httpx2.Request, headers: Mapping[str, str]) -> dict[str, Any]:
    """The result for the model. A deadline is the caller's."""
    request.headers["Accept"] = "application/json, text/plain;q=0.9, */*;q=0.5"
    # What is small on the wire could unfold to anything; so it is asked for as it is.
    request.headers["Accept-Encoding"] = "identity"
    request.headers.update(headers)
    host = request.url.host
    try:
        response = await client.send(request, stream=True)
        try:
            read, whole = await _read(response)
        finally:
            await response.aclose()
    except AddressError as e:
        return {"error": f"the request was not made: {e.message}"}
    except httpx2.TimeoutException:
        return {"error": f"{host} did not answer in time"}
    except (httpx2.HTTPError, httpx2.InvalidURL) as e:
        return {"error": f"{host} could not be reached: {type(e).__name__}"}
    return understood(response.status_code, response.headers, read, whole=whole)


async def _read(response: httpx2.Response) -> tuple[bytes, bool]:
    """The body's beginning, and whether that is all of it."""
    read = bytearray()
    async for chunk in response.aiter_raw():
        read += chunk
        if len(read) > MAX_ANSWER_BYTES:
            return bytes(read[:MAX_ANSWER_BYTES]), False
    return bytes(read), True


def understood(status: int, headers: Mapping[str, str], read: bytes, *, whole: bool) -> dict[str, Any]:
    """A response as a result for the model: the answer of a 2xx, else what went wrong."""
    encoding = headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        return {"error": f"the answer is compressed ({encoding}), which was not asked for", "status": status}
    text = _decoded(read, headers)
    if not 200 <= status < 300:
        known = status in HTTPStatus._value2member_map_
        result = {"error": f"the server answered {status}{f' {HTTPStatus(status).phrase}' if known else ''}"}
        if 300 <= status < 400:
            result["error"] += "; redirects are not followed"
        return result | ({"answer": text[:MAX_ERROR_CHARACTERS]} if text.strip() else {})
    if not whole:
        return {"status": status, "answer": text, "note": f"cut after {MAX_ANSWER_BYTES} bytes; there is more"}
    try:
        return (
            {"status": status, "answer": json.loads(text, parse_constant=str)}
            if text.strip()
            else {"status": status}
        )
    except (ValueError, RecursionError):
        if "json" in headers.get("content-type", ""):
            return {"error": "the answer is not the JSON it says it is", "answer": text[:MAX_ERROR_CHARACTERS]}
        return {"status": status, "answer": text}


def _decoded(read: bytes, headers: Mapping[str, str]) -> str:
    """In the charset the response names, where there is such a one."""
    named = re.search(r"charset=\"?([\w-]+)", headers.get("content-type", ""))
    try:
        text = read.decode(named[1] if named else "utf-8", errors="replace")
    except LookupError:
        text = read.decode("utf-8", errors="replace")
    return text.replace("\x00", "")
