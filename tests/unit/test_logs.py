"""The one logger: the call's id in its lines, other libraries' warnings, pipecat's chatter left out."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from loguru import logger

from bot import logs

if TYPE_CHECKING:
    from loguru import Record


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    logger.remove()


def test_a_calls_lines_carry_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info")
    logger.info("before")
    with logger.contextualize(call_id="call-1"):
        logger.info("during {}", "it")
    logger.info("after {literal} braces")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("before")
    assert lines[1].endswith("call-1 during it")
    assert lines[2].endswith("after {literal} braces")
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3} INFO ", line) for line in lines)


def test_the_level_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("WARNING")
    logger.info("quiet")
    logger.warning("loud")
    err = capsys.readouterr().err
    assert "loud" in err
    assert "quiet" not in err


def test_pipecats_chatter_is_for_those_who_ask(capsys: pytest.CaptureFixture[str]) -> None:
    def as_pipecat(record: Record) -> None:
        record["name"] = "pipecat.pipeline.worker"

    from_pipecat = logger.patch(as_pipecat)
    logs.set_up("DEBUG")
    from_pipecat.debug("chatter")
    from_pipecat.warning("news")
    err = capsys.readouterr().err
    assert "chatter" not in err
    assert "news" in err
    logs.set_up("TRACE")
    from_pipecat.debug("chatter")
    assert "chatter" in capsys.readouterr().err


def test_the_standard_librarys_loggers_speak_here_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("INFO")
    library = logging.getLogger("alembic.runtime")
    library.info("chatter")
    library.warning("%s is {odd}", "this")
    library.log(35, "between the levels")
    err = capsys.readouterr().err
    assert "chatter" not in err
    assert "alembic.runtime: this is {odd}" in err
    assert "between the levels" in err


def test_an_exception_is_shown_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("INFO")
    try:
        raise ValueError("the reason")
    except ValueError:
        logger.exception("it broke")
        logging.getLogger("twilio").exception("it broke there")
    err = capsys.readouterr().err
    assert err.count("ValueError: the reason") == 2
