"""The one logger: the call's id in its lines, other libraries' warnings, pipecat's chatter left out."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import pytest
from loguru import logger

from bot.telemetry import logs

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


def _json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_as_json_each_line_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("INFO", "json")
    logger.info('two\nlines and a "quote", ünï, {literal}')
    with logger.contextualize(call_id="call_1"):
        logger.bind(attempt=2).warning("during {}", "it")
    first, second = _json_lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(first.pop("time")))
    assert first == {
        "level": "INFO",
        "logger": __name__,
        "message": 'two\nlines and a "quote", ünï, {literal}',
        "pid": os.getpid(),
    }
    assert (second["call_id"], second["level"], second["attempt"]) == ("call_1", "WARNING", 2)


def test_as_json_an_exception_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("INFO", "json")
    try:
        raise ValueError("the reason")
    except ValueError as e:
        logger.opt(exception=e).error("it broke")
    (line,) = _json_lines(capsys)
    assert str(line["exception"]).startswith("Traceback (most recent call last):\n")
    assert str(line["exception"]).endswith("ValueError: the reason\n")


def test_as_json_libraries_keep_their_names_and_the_calls_id(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    logs.set_up("INFO", "json")
    caplog.set_level(logging.WARNING, "dbos")  # an engine that an earlier test closed has silenced it
    with logger.contextualize(call_id="call_1"):
        for name in ("uvicorn.error", "dbos", "sqlalchemy.pool"):
            logging.getLogger(name).warning("%s {braces}", "news")
    lines = _json_lines(capsys)
    assert [line["logger"] for line in lines] == ["uvicorn.error", "dbos", "sqlalchemy.pool"]
    assert all(line["message"] == "news {braces}" and line["call_id"] == "call_1" for line in lines)


async def test_a_task_of_a_call_and_its_threads_carry_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("INFO", "json")

    async def stage() -> None:
        logger.info("in a task")
        await asyncio.to_thread(logger.info, "in a thread")

    async def call(name: str) -> None:
        with logger.contextualize(call_id=name):
            await asyncio.create_task(stage())

    await asyncio.gather(call("call_1"), call("call_2"))
    found = sorted((str(line["call_id"]), str(line["message"])) for line in _json_lines(capsys))
    assert found == [
        ("call_1", "in a task"),
        ("call_1", "in a thread"),
        ("call_2", "in a task"),
        ("call_2", "in a thread"),
    ]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_line_tells_a_number_or_a_secret(
    form: Literal["text", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up("INFO", form, secrets=["sk-very-secret", "short"])
    try:
        raise ValueError("Twilio: +12025550123 is not valid, key sk-very-secret")
    except ValueError as e:
        logger.opt(exception=e).error("+442079460123 could not be called")
    logging.getLogger("httpx").warning("GET https://x?key=sk-very-secret&to=%2B1 in short")
    logger.bind(as_is=True).info("try +12025550123")
    err = capsys.readouterr().err
    assert "sk-very-secret" not in err
    assert "+442079460123" not in err
    assert err.count("+12025550123") == 1, "the example's"
    assert "short" in err, "too short to be hidden without harm"
    assert ("+44…23" in err) or ("+44\\u202623" in err)


@pytest.mark.parametrize("form", ["text", "json"])
def test_nor_as_a_url_or_json_writes_them(
    form: Literal["text", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = ["p@ss/wörd and more", 'qu"oted-key', "sk-begins", "sk-begins-alike"]
    logs.set_up("INFO", form, secrets=secrets)
    try:
        raise ConnectionError("Max retries exceeded with url: /Calls.json?To=%2B12025550123&PageSize=20")
    except ConnectionError as e:
        logger.opt(exception=e).error("the carrier cannot be asked, {}", "to=%2b442079460123")
    logger.info("postgresql://phone:{}@db/phone", quote(secrets[0], safe=""))
    logger.info("{} {}", secrets[0], secrets[1])
    logger.info("as {} is", secrets[3])
    err = capsys.readouterr().err
    for told in ("2025550123", "2079460123", "rd and more", "rd%20and", "oted-key", "alike"):
        assert told not in err, told
    assert "%2B12" in err


def test_another_app_gets_our_log_only_where_it_has_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger.remove()
    theirs: list[str] = []
    monkeypatch.setattr(logs, "_DEFAULT_HANDLER", logger.add(lambda line: None))
    logger.add(theirs.append, format="{message}")
    logs.set_up_if_unset("INFO", secrets=["sk-very-secret"])
    logger.bind(call_id="call_1").info("sk-very-secret")
    assert re.search(r"INFO    call_1 \*\*\*$", capsys.readouterr().err.strip())
    assert theirs == ["sk-very-secret\n"], "a handler of theirs stays"

    logger.remove()
    logger.add(theirs.append, format="{message}")
    logs.set_up_if_unset("INFO")
    logger.info("again")
    assert capsys.readouterr().err == ""
    assert theirs[-1] == "again\n"
