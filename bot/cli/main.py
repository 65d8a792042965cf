"""phone-agent: hold a call in the terminal, check what a first call needs, let other agents call."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from importlib import import_module

from bot.cli import names, running_server
from bot.cli.running_server import DEFAULT_URL, PHONE_AGENT_URL
from bot.errors import PhoneAgentError
from bot.telemetry.logs import set_up


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script; its exit code is 0 only if what was asked for worked.

    What a command needs is imported when it runs: the pipeline's libraries take seconds, --help does not.
    """
    parser = argparse.ArgumentParser(prog="phone-agent", description=__doc__)
    parser.add_argument("--log-level", default="WARNING", help="default: WARNING")
    commands = parser.add_subparsers(dest="command", required=True)
    simulate = commands.add_parser("simulate", help="hold a call with a simulated callee")
    simulate.add_argument("scenario", nargs="?", help="default: appointment_confirmation")
    simulate.add_argument("--action", help="what the agent calls for; default: the scenario's example")
    simulate.add_argument("--context", help="what it may know; default: the scenario's example")
    simulate.add_argument("--callee", help="who picks up: voicemail, silent, busy …; default: the scenario's")
    simulate.add_argument(
        "--say", action="append", default=[], metavar="LINE", help="what the callee says; may be given again"
    )
    simulate.add_argument("--callee-name", help="whom the agent calls; default: the scenario's example")
    simulate.add_argument("--organization", help="for whom; default: the scenario's example")
    simulate.add_argument("--json", action="store_true", help="print the call's record as JSON, and nothing else")
    simulate.add_argument("--tools-from", metavar="FILE", help="[[tool]] tables: what HTTP and MCP tools answer")
    mcp = commands.add_parser(
        "mcp", help="offer a running server's tools to an MCP client, over stdin and stdout"
    )
    mcp.add_argument("--server", metavar="URL", help=f"default: {PHONE_AGENT_URL}, or {DEFAULT_URL}")
    chat = commands.add_parser("chat", help="be the callee of a scenario, by typing")
    chat.add_argument("scenario", nargs="?", help="default: appointment_confirmation")
    chat.add_argument("--action", help="what the agent calls for; default: the scenario's example")
    chat.add_argument("--context", help="what it may know; default: the scenario's example")
    chat.add_argument("--callee-name", help="your name; default: the scenario's example")
    chat.add_argument("--organization", help="for whom; default: the scenario's example")
    test = commands.add_parser("test", help="hold the calls of a suite and check what is expected of them")
    test.add_argument("suites", nargs="*", help="names or files of suites; default: all of pipelines/suites/")
    test.add_argument(
        "--text", action="store_true", help="without audio: seconds, many calls at once; the default"
    )
    test.add_argument(
        "--audio", action="store_true", help="through voice and line, as simulate: cases with audio = true"
    )
    test.add_argument("--case", metavar="WORDS", help="only cases whose names hold these words")
    test.add_argument("--new", metavar="SCENARIO", help="write a first suite for a scenario")
    test.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    test.add_argument("--json-report", metavar="FILE", help="write JSON, which --baseline reads")
    test.add_argument("--html", metavar="FILE", help="write a page with the transcripts")
    test.add_argument("--baseline", metavar="FILE", help="say what got worse since an earlier --json-report")
    commands.add_parser("doctor", help="check what a first call needs")
    running_server.add_commands(commands)
    chosen = parser.parse_args(arguments)
    set_up(chosen.log_level)
    try:
        names.check(chosen)
        sys.exit(_run(chosen))
    except PhoneAgentError as e:
        sys.exit(f"error: {e.message}")
    except KeyboardInterrupt:
        sys.exit(130)


def _run(chosen: argparse.Namespace) -> int:
    """The command of the module of its name: `main(chosen)`, or the coroutine `run(chosen)`."""
    command = import_module(f"bot.cli.{getattr(chosen, 'module', chosen.command)}")
    if hasattr(command, "main"):
        return int(command.main(chosen))
    code: int = asyncio.run(command.run(chosen))
    return code
