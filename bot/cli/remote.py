"""Commands that ask a running server over HTTP: call, calls, show, hangup, say, dnc."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bot.cli.running_server import address_of
from bot.client import ApiError, Event, PhoneCall, PhoneClient
from bot.errors import PhoneAgentError

_REACHED, _NOT_REACHED, _UNANSWERED = 0, 1, 3
"""Exit codes of a call that was followed, or waited for."""


def main(chosen: argparse.Namespace) -> int:
    """0 if what was asked for was done; of a call that is followed: 0 goal reached, 1 not, 3 never answered."""
    try:
        with PhoneClient(*address_of(chosen)) as phone:
            return _COMMANDS[chosen.command](phone, chosen)
    except ApiError as e:
        raise PhoneAgentError(str(e)) from e


def _call(phone: PhoneClient, chosen: argparse.Namespace) -> int:
    given = {
        "context": _context(chosen.context),
        "scenario": chosen.in_scenario,
        "callee_name": chosen.callee_name,
        "organization": chosen.organization,
        "simulated_callee": chosen.simulated_callee,
    }
    more = {name: value for name, value in given.items() if value is not None}
    placed = phone.place(chosen.phone_number, chosen.action, **more)
    if not chosen.follow:
        _print(chosen, placed, [f"{placed.call_id}  {placed.status}"])
        return 0
    for event in phone.events(placed.call_id):
        _print_event(chosen, event)
    call = phone.wait(placed.call_id)
    _print(chosen, call, _ended(call))
    return _code_of(call)


def _context(name: str | None) -> str | dict[str, Any] | None:
    if name is None:
        return None
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except OSError as e:
        raise PhoneAgentError(f"--context: {name} cannot be read ({e.strerror})") from e
    try:
        read = json.loads(text)
    except ValueError:
        return text
    return read if isinstance(read, dict) else text


def _print_event(chosen: argparse.Namespace, event: Event) -> None:
    said: Mapping[str, Any] = event.model_extra or {}
    if chosen.json:
        print(json.dumps({"event": event.event, **said}, ensure_ascii=False, default=str), flush=True)
    elif event.event == "turn_completed":
        print(f"{said.get('speaker', ''):<9}  {said.get('text', '')}", flush=True)
    elif event.event in ("status_changed", "tool_used", "answer_detected"):
        about = " ".join(
            str(said[name]) for name in ("status", "name", "answered_by", "result") if said.get(name)
        )
        print(f"{'':<9}  > {event.event.replace('_', ' ')}: {about}", flush=True)


def _ended(call: PhoneCall) -> list[str]:
    seconds = "" if call.duration_seconds is None else f", {call.duration_seconds} s"
    lines = [f"{call.call_id}  {call.status}, {call.ended_reason}{seconds}"]
    if call.outcome is not None:
        reached = "reached" if call.outcome.reached_goal else "not reached"
        lines.append(f"goal {reached}: {call.outcome.summary}")
        lines += [f"  {name}: {value}" for name, value in call.outcome.fields.items() if value is not None]
    return lines


def _code_of(call: PhoneCall) -> int:
    if call.answered_at is None:
        return _UNANSWERED
    return _REACHED if call.outcome is not None and call.outcome.reached_goal else _NOT_REACHED


def _calls(phone: PhoneClient, chosen: argparse.Namespace) -> int:
    where = {"status": "in-progress"} if chosen.live else {}
    calls = phone.list_calls(limit=chosen.limit, **where)
    if chosen.json:
        print(json.dumps([call.model_dump(mode="json") for call in calls], ensure_ascii=False))
        return 0
    for call in calls:
        print(
            f"{call.call_id}  {call.created_at:%Y-%m-%d %H:%M}  {call.status:<11}  {call.scenario}: {call.action}"
        )
    return 0


def _show(phone: PhoneClient, chosen: argparse.Namespace) -> int:
    call = phone.get(chosen.call_id)
    _print(chosen, call, [*(f"{turn.speaker:<9}  {turn.text}" for turn in call.transcript), *_ended(call)])
    return 0


def _hangup(phone: PhoneClient, chosen: argparse.Namespace) -> int:
    call = phone.hang_up(chosen.call_id)
    _print(chosen, call, [f"{call.call_id}  {call.status}"])
    return 0


def _say(phone: PhoneClient, chosen: argparse.Namespace) -> int:
    result = phone.say(chosen.call_id, chosen.text, now=chosen.now)
    print(json.dumps({"result": result}) if chosen.json else result)
    return 0


def _dnc(phone: PhoneClient, chosen: argparse.Namespace) -> int:
    path = "/api/phone/do-not-call"
    if chosen.what == "add":
        body = {"phone_number": chosen.phone_number} | ({"reason": chosen.reason} if chosen.reason else {})
        answer = phone.request("POST", path, body)
    else:
        method = "DELETE" if chosen.what == "remove" else "GET"
        answer = phone.request(method, f"{path}/{quote(chosen.phone_number)}")
    done = {"add": "is on the list", "remove": "is off the list", "check": "is on the list"}[chosen.what]
    print(json.dumps(answer, ensure_ascii=False) if chosen.json else f"{chosen.phone_number} {done}")
    return 0


def _print(chosen: argparse.Namespace, answer: Any, lines: Iterable[str]) -> None:
    print(answer.model_dump_json() if chosen.json else "\n".join(lines), flush=True)


_COMMANDS: Mapping[str, Callable[[PhoneClient, argparse.Namespace], int]] = {
    "call": _call,
    "calls": _calls,
    "show": _show,
    "hangup": _hangup,
    "say": _say,
    "dnc": _dnc,
}
