"""The local LLM as a pipecat LLM service: same frames, same tool calls, no model.

What was said is read from the context alone, where the assistant's messages hold exactly the words that were
played: each reply comes from a fresh dialogue that is given the whole talk again. Counting turns as they come
was the other way; it loses a turn whose reply was cancelled before a word of it was heard (a sentence split in
two, a speculation withdrawn), while in the context two turns without a word between them are one utterance.
The dialogue before the last exchange is kept, so that a turn costs one reply and not the talk so far.
"""

import asyncio
import copy
import json
import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    FunctionCallFromLLM,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext, LLMSpecificMessage, standard_message_text
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings
from pipecat.utils.tracing.service_decorators import traced_llm

from bot.pipeline.offline.rules.dialogue import Dialogue
from bot.pipeline.offline.rules.menu import (
    BUSINESS_SIGN,
    KEYS_SIGN,
    MENU_OVER,
    MENU_SIGN,
    SPEAK_UP,
    choose_key,
    goal_of,
    offers_keys,
    put_through,
)
from bot.pipeline.offline.rules.state import RuleReply, RuleToolCall
from bot.pipeline.offline.rules.tool_rules import ToolRule, rule_reply

_NOTHING: dict[str, Any] = {field.name: None for field in fields(LLMSettings) if field.name != "extra"}

_TYPED = re.compile(rf"\({KEYS_SIGN}: ([0-9*#A-D]+)")


class Exchange(NamedTuple):
    """What was heard of the agent, a line a turn of its, and what the callee said to it; "" for nothing."""

    spoken: str
    heard: str


class Talk(NamedTuple):
    """What a context holds: the exchanges in order, and whether the last one waits for a reply."""

    exchanges: tuple[Exchange, ...]
    open: bool
    done: frozenset[tuple[str, str]] = frozenset()
    """The tools called, with their arguments as JSON, since a word of the agent was heard last."""


class RuleLLMService(LLMService[Any]):
    """`dialogue` belongs to this call. Tools are registered or advertised as for any LLM service."""

    reply_has_text = True
    """All there is to say is said with a tool's call: no tool's result asks for another reply."""

    def __init__(self, *, dialogue: Dialogue, tool_rules: Sequence[ToolRule] = (), **kwargs: Any) -> None:
        flags: dict[str, Any] = {"filter_incomplete_user_turns": False, "use_provider_thinking_default": False}
        super().__init__(settings=LLMSettings(**_NOTHING | flags | {"model": "rules"}), **kwargs)
        self._thinking = threading.Lock()
        self._tool_rules = tool_rules
        self.replied: set[str] = set()
        """"rules", once a reply came from here."""
        self.begin_again(dialogue)

    def begin_again(self, dialogue: Dialogue) -> None:
        """Replace the dialogue; the whole talk is replayed to the new one with its first reply."""
        self._fresh, self._dialogue = copy.deepcopy(dialogue), dialogue
        self._told: tuple[Exchange, ...] = ()
        self._before = copy.deepcopy(dialogue)
        """The dialogue that was told these exchanges."""

    @property
    def dialogue(self) -> Dialogue:
        """The dialogue after its last reply."""
        return self._dialogue

    def can_generate_metrics(self) -> bool:
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if getattr(frame.metadata.get("guess"), "withdrawn", False):
            return  # the withdrawal overtook it
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            await self._process_context(frame.context)
        else:
            await self.push_frame(frame, direction)

    @traced_llm
    async def _process_context(self, context: LLMContext) -> None:
        await self.push_frame(LLMFullResponseStartFrame())
        await self.start_processing_metrics()
        await self.start_ttfb_metrics()
        try:
            messages = context.get_messages()
            talk, menu = read(messages), open_menu(messages)
            act = menu or self._tool_due(talk, messages)
            act = act or (wish_for_a_person(talk, context) if talk.open else told(messages))
            # In a thread: a large context takes 20 ms.
            reply = await asyncio.to_thread(self._reply, talk) if act is None else act
            await self.stop_ttfb_metrics()
            self.replied |= {"rules"} if reply.text or reply.tools else set()
            for word in reply.text.split():
                await self._push_llm_text(f"{word} ")
            # A reply that nobody heard has called its tools all the same: the same call is not made twice.
            due = [c for c in reply.tools if menu is not None or (c.name, _key(c.arguments)) not in talk.done]
            calls = [FunctionCallFromLLM(c.name, uuid.uuid4().hex, dict(c.arguments), context) for c in due]
            await self.run_function_calls(calls)
        except Exception as error:  # the rim of a request: the turn is lost, the call goes on
            logger.exception(f"{self}: no reply")
            await self.push_error(f"rules: {error}", exception=error)
        finally:
            await self.stop_processing_metrics()
            await self.push_frame(LLMFullResponseEndFrame())

    def _tool_due(self, talk: Talk, messages: Sequence[Any]) -> RuleReply | None:
        if not self._tool_rules:
            return None
        heard = talk.exchanges[-1].heard if talk.open and talk.exchanges else ""
        reply = rule_reply(self._tool_rules, heard, messages)
        # What was called already since the agent's last words is not asked for again.
        called = reply is not None and any((c.name, _key(c.arguments)) in talk.done for c in reply.tools)
        return None if called else reply

    def _reply(self, talk: Talk) -> RuleReply:
        """One at a time: an interrupted reply still ends before the next begins."""
        with self._thinking:
            if not talk.exchanges:
                self._dialogue = copy.deepcopy(self._fresh)
                return RuleReply(self._dialogue.opening())
            if not talk.open:
                return RuleReply("")
            *before, last = talk.exchanges
            if self._told != tuple(before[: len(self._told)]):
                self._before, self._told = copy.deepcopy(self._fresh), ()
            for exchange in before[len(self._told) :]:
                self._before.reply(exchange.heard, spoken=exchange.spoken)
            self._told = tuple(before)
            self._dialogue = copy.deepcopy(self._before)
            return self._dialogue.reply(last.heard, spoken=last.spoken)


def read(messages: Sequence[Any]) -> Talk:
    """Read a context's messages. Pure.

    The callee's turns between which nothing of the agent was heard are one. What they said before the opening is
    answered by it. A message all in parentheses sets the scene and is no speech, unless it is what they typed.
    Only a user's message at the end, or with instructions after it, is answered; after a tool call or its result
    all has been said.
    """
    exchanges: list[Exchange] = []
    done: set[tuple[str, str]] = set()
    spoken: list[str] = []
    heard: list[str] = []
    role = ""
    for role, text, message in _said(messages, without=("system", "developer")):
        if role == "assistant":
            done |= _calls(message)
            if text:
                done = set()
                if heard and (spoken or exchanges):
                    exchanges.append(Exchange("\n".join(spoken), " ".join(heard)))
                    spoken = []
                heard = []
                spoken.append(text)
        elif typed := _TYPED.match(text):
            heard.append(typed[1])
        elif role == "user" and text and not re.fullmatch(r"\(.*\)", text, re.DOTALL):
            heard.append(text)
    if heard or (spoken and not exchanges):
        exchanges.append(Exchange("\n".join(spoken), " ".join(heard)))
    return Talk(tuple(exchanges), role == "user" and bool(heard), frozenset(done))


def open_menu(messages: Sequence[Any]) -> RuleReply | None:
    """The key to press, where an automatic menu offers some since the agent's last act; None elsewhere. Pure."""
    sought, offered = "", ""
    for role, text, _ in _said(messages):
        if text.startswith(f"({MENU_OVER}"):
            sought = ""
        elif text.startswith(f"({MENU_SIGN}"):
            sought = text
        elif role == "user":
            offered = f"{offered} {text}"
        elif role in ("assistant", "tool"):
            offered = ""
    if not sought or not offers_keys(offered):
        return None
    return RuleReply("", (RuleToolCall("send_digits", {"digits": choose_key(offered, goal_of(sought))}),))


def told(messages: Sequence[Any]) -> RuleReply | None:
    """The facts that the business has asked to speak of and that were not heard since, a sentence each. Pure."""
    facts: list[str] = []
    for role, text, _ in _said(messages):
        fact, order, _ = text.removeprefix(f"({BUSINESS_SIGN}: ").rpartition(f"\n{SPEAK_UP})")
        if role == "user" and order and text.startswith(f"({BUSINESS_SIGN}: "):
            facts.append(fact[:1].upper() + fact[1:] + ("" if fact[-1:] in ".!?" else "."))
        elif role == "assistant":
            facts = [fact for fact in facts if fact not in text]
    return RuleReply(" ".join(facts)) if facts else None


def wish_for_a_person(talk: Talk, context: LLMContext) -> RuleReply | None:
    """The call put through, where the callee asks for it and the context has the tool; None elsewhere. Pure."""
    tools = getattr(context.tools, "standard_tools", ())
    schema = next((tool for tool in tools if tool.name == "transfer_call"), None)
    heard = talk.exchanges[-1].heard if talk.exchanges else ""
    target = None if schema is None else put_through(heard, schema.properties["target"]["enum"])
    if target is None:
        return None
    return RuleReply("", (RuleToolCall("transfer_call", {"target": target, "summary": heard}),))


def _said(messages: Sequence[Any], without: Sequence[str] = ()) -> list[tuple[str, str, Any]]:
    """Role, text and message of each."""
    plain = [
        m for m in messages if not isinstance(m, LLMSpecificMessage) and str(m.get("role", "")) not in without
    ]
    texts = [standard_message_text(m).strip() if m.get("content") else "" for m in plain]
    return [(str(m.get("role", "")), text, m) for m, text in zip(plain, texts, strict=True)]


def _calls(message: Any) -> set[tuple[str, str]]:
    calls = set()
    for call in message.get("tool_calls") or ():
        function = call.get("function", {})
        try:
            calls.add((str(function.get("name")), _key(json.loads(function.get("arguments") or "{}"))))
        except ValueError:
            continue
    return calls


def _key(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False, default=str)
