"""Errors to JSON: `{"error": {"code", "message", "field?", "provider?", "retryable"}}`, never a stack trace.

Each route answers its own errors (ProblemRoute), because the router is included in apps that we do not own:
a handler on the app would change the errors of their routes, and theirs would change ours. `install` adds
the same words for paths without a route; our own server calls it.
"""

import json
import re
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from loguru import logger
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, compile_path
from starlette.types import Message, Receive, Scope, Send

from bot.api.answers import EXAMPLES
from bot.errors import (
    BusyError,
    CarrierError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PhoneAgentError,
    RequestError,
    UnauthorizedError,
    VendorError,
    causes,
    described,
    meant_field,
)
from bot.store.kept_json import to_json

MAX_BODY_BYTES = 256 * 1024
_STATUS: tuple[tuple[type[PhoneAgentError], int], ...] = (
    (RequestError, 422),
    (UnauthorizedError, 401),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (BusyError, 429),
    (VendorError, 502),
)
_WORDS = {
    "missing": ("missing_field", "is required"),
    "extra_forbidden": ("unknown_field", "is not a field of this request"),
    "string_unicode": ("invalid_field", "is not valid Unicode"),
    "timezone_aware": ("invalid_field", "needs its zone, as in 2026-03-02T15:00:00Z"),
}
_TYPE = re.compile(r"str|int|float|bool|(dict|list)\[.*\]")
"""pydantic's name for a member of a union, which stands in an error's place beside the fields."""
_NOWHERE = -1
"""The position of a mistake in JSON of which only the words are known."""
_NOT_AN_OBJECT = frozenset({"model_attributes_type", "model_type", "dict_type"})


class Problem(BaseModel):
    code: str = Field(description="Stable, snake_case.")
    message: str = Field(description="What is wrong and what to do about it.")
    field: str | None = Field(default=None, description="The field of the request that is meant.")
    provider: str | None = Field(default=None, description="The vendor that refused.")
    provider_code: int | None = Field(
        default=None, description="The vendor's own error number, or its HTTP status."
    )
    retryable: bool = Field(default=False, description="Whether the same request may succeed later.")


class ErrorBody(BaseModel):
    error: Problem


class BodyTooLarge(HTTPException):
    """Reading stopped. An HTTPException, because FastAPI makes every other error of a body a 400."""

    def __init__(self, max_bytes: int = MAX_BODY_BYTES) -> None:
        super().__init__(413, f"The body is larger than {max_bytes // 1024} KiB.")


class BodyError(RequestValidationError):
    """What is wrong with a body that its route reads into `model` itself."""

    def __init__(self, error: ValidationError, model: type[BaseModel]) -> None:
        super().__init__([{**one, "loc": ("body", *one["loc"])} for one in error.errors()])
        self.model = model


_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ProblemRoute(APIRoute):
    """A route whose every error is ours, and whose body is read up to `max_body_bytes`."""

    max_body_bytes = MAX_BODY_BYTES

    def get_route_handler(self) -> _Handler:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                # PostgreSQL has no text with U+0000, so nothing kept has such a name.
                if "\0" in request.url.path:
                    raise NotFoundError("No path of this API holds a NUL character.")
                if "%00" in request.url.query and 422 in self.responses:
                    raise RequestError("No parameter holds a NUL character.", code="invalid_field")
                return await handle(_limited(request, self.max_body_bytes))
            except Exception as error:
                return problem(request, error)

        return answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """HEAD is GET whose body the server leaves out (RFC 9110 section 9.3.2)."""
        return super().matches(_as_get(scope))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a wrong method too, which FastAPI refuses before the handler is asked."""
        try:
            await super().handle(_as_get(scope), receive, send)
        except HTTPException as error:
            if error.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
                raise
            allow = _methods_of_path(scope["app"], scope["path"], (error.headers or {}).get("Allow", ""))
            refused = HTTPException(error.status_code, error.detail, {"Allow": allow})
            await problem(Request(scope, receive), refused)(scope, receive, send)


def _as_get(scope: Scope) -> Scope:
    return {**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope


def _methods_of_path(app: FastAPI, path: str, known: str) -> str:
    """Of all routes of the path, for `Allow`; a route itself knows only its own (`known`)."""
    methods = set(known.split(", "))
    for template, operations in app.openapi()["paths"].items():
        if compile_path(template)[0].match(path):
            methods |= {method.upper() for method in operations}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def install(app: FastAPI) -> None:
    """Makes `app` answer everything in our words: paths without a route, and errors outside our routes."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem(request, error)

    for kind in (HTTPException, RequestValidationError, PhoneAgentError, Exception):
        app.add_exception_handler(kind, answer)


def problem(request: Request, error: Exception) -> JSONResponse:
    """The answer to `error`. An unexpected one is logged here, and its words go nowhere else."""
    if isinstance(error, PhoneAgentError):
        status, body = _status_of(error), _ours(error)
    elif isinstance(error, RequestValidationError):
        models = {"body": error.model} if isinstance(error, BodyError) else _models_of(request)
        status, body = 422, validation_problem(error.errors(), models)
    elif isinstance(error, HTTPException):
        status, body = error.status_code, _framework(error)
    else:
        status, body = (
            500,
            Problem(code="internal_error", message="Something broke on our side; it is logged."),
        )
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.opt(exception=error).error("{} {} failed", request.method, request.url.path)
    # Names and paths of a request may hold half characters, which no answer can.
    content = json.loads(to_json({"error": body.model_dump(exclude_none=True)}))
    return JSONResponse(content, status_code=status, headers=_headers(error))


def _models_of(request: Request) -> dict[str, type[BaseModel]]:
    """What the request's route reads its body and its query into."""
    dependant = getattr(request.scope.get("route"), "dependant", None)
    params = {} if dependant is None else {"body": dependant.body_params, "query": dependant.query_params}
    read = {place: given[0].field_info.annotation for place, given in params.items() if given}
    return {place: kind for place, kind in read.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}


def validation_problem(errors: Any, models: Mapping[str, type[BaseModel]]) -> Problem:
    """One problem for all of pydantic's `errors`; the field is the first one's. No input is repeated."""
    said = [_said(error, models) for error in causes(errors)]
    code, field, _ = said[0]
    message = "; ".join(f"{name}: {words}" if name else words for _, name, words in said)
    return Problem(code=code, message=message, field=field)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of a route's errors, each with an example."""
    return {
        status: {
            "model": ErrorBody,
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"example": {"error": EXAMPLES["errors"][str(status)]}}},
        }
        for status in statuses
    }


def _limited(request: Request, max_bytes: int) -> Request:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > max_bytes:
        raise BodyTooLarge(max_bytes)
    seen = 0

    async def receive() -> Message:
        nonlocal seen
        message = await request.receive()
        seen += len(message.get("body", b""))
        if seen > max_bytes:
            raise BodyTooLarge(max_bytes)
        return message

    return _StrictRequest(request.scope, receive)


class _StrictRequest(Request):
    """A request whose JSON is read to the letter (RFC 8259). What is not JSON becomes `invalid_json`, a 422."""

    async def json(self) -> Any:
        body = await self.body()
        try:
            return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_once_each, parse_constant=_no_constant)
        except UnicodeDecodeError as e:
            raise json.JSONDecodeError("a byte that is not UTF-8", "", e.start) from e
        except json.JSONDecodeError:
            raise
        except RecursionError as e:
            raise json.JSONDecodeError("too many levels", "", _NOWHERE) from e
        except ValueError as e:  # an integer of more digits than Python reads, a key twice, NaN
            words = str(e) if isinstance(e, _NotJson) else "a number of too many digits"
            raise json.JSONDecodeError(words, "", _NOWHERE) from e


class _NotJson(ValueError):
    """What json.loads takes though JSON does not allow it, or leaves open."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The last of two equal keys would win silently: another phone number could be dialled than was read."""
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _NotJson(f"the key {next(key for key in keys if keys.count(key) > 1)[:64]!r} stands twice")
    return values


def _no_constant(name: str) -> None:
    raise _NotJson(f"{name} is not a number of JSON")


def _status_of(error: PhoneAgentError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def _ours(error: PhoneAgentError) -> Problem:
    return Problem(
        code=error.code,
        message=error.message,
        field=error.field,
        provider=error.provider,
        provider_code=(error.carrier_code or error.status or None) if isinstance(error, CarrierError) else None,
        retryable=error.retryable,
    )


def _framework(error: HTTPException) -> Problem:
    try:
        phrase = HTTPStatus(error.status_code).phrase
    except ValueError:
        phrase = "Error"
    code = "body_too_large" if isinstance(error, BodyTooLarge) else phrase.lower().replace(" ", "_")
    retryable = error.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    return Problem(code=code, message=str(error.detail), retryable=retryable)


def _said(error: Mapping[str, Any], models: Mapping[str, type[BaseModel]]) -> tuple[str, str | None, str]:
    """(code, field, words) of one of pydantic's errors."""
    kind, place = str(error["type"]), tuple(error["loc"])
    if kind == "json_invalid":
        where = "" if place[-1] == _NOWHERE else f" at {place[-1]}"
        return "invalid_json", None, f"The body is not JSON: {error['ctx']['error']}{where}."
    if place == ("body",) and (kind in _NOT_AN_OBJECT or kind == "missing"):
        return "invalid_json", None, "Send a JSON object, with the header Content-Type: application/json."
    code, words = _WORDS.get(kind) or ("invalid_field", described(error))
    if kind == "extra_forbidden" and (model := models.get(str(place[0]))) is not None:
        words += meant_field(model, place[1:])
    named = [str(part) for part in place[1:] if not _TYPE.fullmatch(str(part))]
    return code, ".".join(named) or None, words


def _headers(error: Exception) -> dict[str, str] | None:
    if isinstance(error, BusyError):
        return {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, UnauthorizedError):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, HTTPException) and error.headers:
        return dict(error.headers)
    return None
