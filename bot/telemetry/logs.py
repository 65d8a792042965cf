"""One logger: what is logged, in which form, with the call's id in each line of a call.

Every line goes through here, the libraries' too, so it is here that keys and full numbers are kept out of all of
them: who logs what another's exception says need not know what is in it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC
from typing import TYPE_CHECKING, Literal, TextIO
from urllib.parse import quote

from loguru import logger

if TYPE_CHECKING:
    from loguru import Record

SHORTEST_SECRET = 8
"""A shorter one would be found in words that are none."""
_FORMAT = (
    "<green>{time:HH:mm:ss.SSS}</green> <level>{level: <7}</level> "
    "<cyan>{extra[call_id]}</cyan>{extra[_library]}{message}\n{exception}"
)
_NUMBER = re.compile(r"(\+|%2[Bb])(\d{8,15})(?!\d)")
"""Also as it stands in the query of a URL, which errors of HTTP libraries quote."""
_OWN_EXTRAS = ("call_id", "library", "as_is")
_DEFAULT_HANDLER = 0
"""The id of the handler that loguru begins with; later ones count on from it."""


def _as_text(record: Record) -> str:
    extra = record["extra"]
    call_id = extra.get("call_id", "")
    extra["call_id"] = f"{call_id} " if call_id and not call_id.endswith(" ") else call_id
    extra["_library"] = f"{record['name']}: " if extra.get("library") else ""
    return _FORMAT


def _as_json(record: Record) -> str:
    """One object a line: time, level, logger, message, pid; call_id and exception where there are any."""
    at = record["time"].astimezone(UTC).isoformat(timespec="milliseconds")
    extra = record["extra"]
    line: dict[str, object] = {
        "time": at.replace("+00:00", "Z"),
        "level": record["level"].name,
        "logger": record["name"] or "",
        "message": record["message"],
        "pid": record["process"].id,
    }
    if call_id := str(extra.get("call_id", "")).strip():
        line["call_id"] = call_id
    line |= {name: value for name, value in extra.items() if name not in _OWN_EXTRAS and name[0] != "_"}
    if (raised := record["exception"]) is not None:
        line["exception"] = "".join(traceback.format_exception(raised.type, raised.value, raised.traceback))
    extra["_json"] = json.dumps(line, default=str)
    return "{extra[_json]}\n"


FORMS: dict[str, Callable[[Record], str]] = {"text": _as_text, "json": _as_json}


def _ours(record: Record) -> bool:
    """pipecat's warnings are news; its info and debug lines are for those who ask for TRACE."""
    name = record["name"] or ""
    return not name.startswith("pipecat") or record["level"].no >= logging.WARNING


class _Discreet:
    """A stream that tells neither secrets nor full numbers; a line bound `as_is` is the server's own example."""

    def __init__(self, stream: TextIO, secrets: Iterable[str]) -> None:
        self._stream = stream
        long = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
        written = {form for secret in long for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])}
        # The longest first: one may begin like another.
        self._secrets = sorted(written, key=len, reverse=True)

    def write(self, message: str) -> None:
        text = str(message)
        record: Record | None = getattr(message, "record", None)
        if record is None or not record["extra"].get("as_is"):
            text = _NUMBER.sub(lambda found: f"{found[1]}{found[2][:2]}…{found[2][-2:]}", text)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


class _ToLoguru(logging.Handler):
    """The standard library's loggers (uvicorn, alembic, dbos, twilio), from WARNING on, under their own names."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno

        def as_theirs(line: Record) -> None:
            line["name"], line["function"], line["line"] = record.name, record.funcName, record.lineno
            line["extra"]["library"] = True

        logger.patch(as_theirs).opt(exception=record.exc_info).log(level, "{}", record.getMessage())


def set_up(level: str, form: Literal["text", "json"] = "text", *, secrets: Iterable[str] = ()) -> None:
    """To stderr. TRACE shows pipecat's own lines too. `secrets` are never written."""
    logger.remove()
    _add(level, form, secrets)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)


def set_up_if_unset(level: str, form: Literal["text", "json"] = "text", *, secrets: Iterable[str] = ()) -> None:
    """In the process of another's app: only what that app left as it was."""
    try:
        logger.remove(_DEFAULT_HANDLER)
    except ValueError:
        return
    _add(level, form, secrets)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING)


def _add(level: str, form: Literal["text", "json"], secrets: Iterable[str]) -> None:
    everything = level.upper() == "TRACE"
    stream = _Discreet(sys.stderr, secrets)
    logger.add(
        stream,
        level=level.upper(),
        format=FORMS[form],
        filter=None if everything else _ours,
        colorize=stream.isatty() and "NO_COLOR" not in os.environ,
        diagnose=False,  # local variables hold keys, numbers and what was said
    )
