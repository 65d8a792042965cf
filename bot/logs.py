"""One logger: what is logged, in which form, with the call's id in each line of a call."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from loguru import Record

_FORMAT = (
    "<green>{time:HH:mm:ss.SSS}</green> <level>{level: <7}</level> "
    "<cyan>{extra[call_id]}</cyan>{message}\n{exception}"
)


def _with_call(record: Record) -> str:
    call_id = record["extra"].get("call_id", "")
    record["extra"]["call_id"] = f"{call_id} " if call_id and not call_id.endswith(" ") else call_id
    return _FORMAT


def _ours(record: Record) -> bool:
    """pipecat's warnings are news; its info and debug lines are for those who ask for TRACE."""
    name = record["name"] or ""
    return not name.startswith("pipecat") or record["level"].no >= logging.WARNING


class _ToLoguru(logging.Handler):
    """The standard library's loggers (uvicorn, alembic, twilio), from WARNING on."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        logger.opt(exception=record.exc_info).log(level, "{}: {}", record.name, record.getMessage())


def set_up(level: str) -> None:
    """To stderr. TRACE shows pipecat's own lines too."""
    logger.remove()
    everything = level.upper() == "TRACE"
    logger.add(
        sys.stderr,
        level=level.upper(),
        format=_with_call,
        filter=None if everything else _ours,
        diagnose=False,  # local variables hold keys, numbers and what was said
    )
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)
