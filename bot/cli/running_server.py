"""The server that some commands ask over HTTP: where it is, its key, and the arguments of these commands.

Apart from what they do, which imports a client of HTTP that no other command needs.
"""

import argparse
import os
from typing import Any

PHONE_AGENT_URL = "PHONE_AGENT_URL"
PHONE_AGENT_KEY = "PHONE_AGENT_KEY"
DEFAULT_URL = "http://127.0.0.1:8000"


def address_of(chosen: argparse.Namespace) -> tuple[str, str | None]:
    """The server's URL, and the key to ask it with."""
    return chosen.server or os.environ.get(PHONE_AGENT_URL) or DEFAULT_URL, os.environ.get(PHONE_AGENT_KEY)


def add_commands(commands: Any) -> None:
    """Their parsers, into those of the console script."""
    call = _added(
        commands, "call", "place a call: call +12025550123 --action 'Confirm the visit on Friday' --follow"
    )
    call.add_argument("phone_number", help="E.164, as +12025550123")
    call.add_argument("--action", required=True, help="what the call is to achieve")
    call.add_argument(
        "--context", metavar="FILE", help="what the agent may know: text, or an object in JSON; -: stdin"
    )
    call.add_argument("--scenario", dest="in_scenario", help="default: the server's")
    call.add_argument("--callee-name")
    call.add_argument("--organization")
    call.add_argument("--simulated-callee", help="who picks up where callees are simulated")
    call.add_argument(
        "--follow", action="store_true", help="print words, turns and tools as they come, then the outcome"
    )
    calls = _added(commands, "calls", "list calls, newest first: calls --live")
    calls.add_argument("--live", action="store_true", help="those that are on the line")
    calls.add_argument("--limit", type=int, default=20)
    show = _added(commands, "show", "one call with its transcript: show CALL_ID")
    show.add_argument("call_id")
    hang_up = _added(commands, "hangup", "end a call: hangup CALL_ID")
    hang_up.add_argument("call_id")
    say = _added(commands, "say", "let the agent say something: say CALL_ID 'The driver is late.'")
    say.add_argument("call_id")
    say.add_argument("text")
    say.add_argument("--now", action="store_true", help="in the midst of its sentence")
    dnc = _added(commands, "dnc", "the do-not-call list: dnc add +12025550123 --reason 'asked by e-mail'")
    dnc.add_argument("what", choices=("add", "remove", "check"))
    dnc.add_argument("phone_number")
    dnc.add_argument("--reason")


def _added(commands: Any, name: str, words: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=words)
    parser.add_argument(
        "--server",
        metavar="URL",
        help=f"default: {PHONE_AGENT_URL}, or {DEFAULT_URL}; the key is {PHONE_AGENT_KEY}",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else")
    parser.set_defaults(module="remote")
    return parser
