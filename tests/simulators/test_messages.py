"""The Messages API's rules: what is refused with which words, and the cache's arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulators.llm_replies import MessagesRequest, Reply, RuleReplies, ScriptedReplies
from tests.simulators.messages import PromptCache, Refused, validate


def body(*messages: tuple[str, Any], **more: Any) -> dict[str, Any]:
    spoken = [{"role": role, "content": content} for role, content in messages]
    return {"model": "claude-haiku-5-5", "max_tokens": 100, "messages": spoken} | more


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def used(tool_id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": tool_id, "name": "end_call", "input": {}}


def result(tool_id: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": tool_id, "content": "ok"}


USER = ("user", "hi")


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        ([], "not valid JSON"),
        ({"model": "m", "messages": []}, "max_tokens: Field required"),
        ({"max_tokens": 1, "messages": []}, "model: Field required"),
        (body(), "at least one message is required"),
        (body(USER, max_tokens=0), "max_tokens"),
        (body(USER, temperature=2), "temperature"),
        (body(USER, top_banana=1), "top_banana: Extra inputs are not permitted"),
        (body(("system", "be nice"), USER), 'Unexpected role "system"'),
        (body(("developer", "be nice"), USER), "messages.0.role"),
        (body(("assistant", "hello"), USER), 'first message must use the "user" role'),
        (body(USER, ("assistant", ""), USER), "messages.1: all messages must have non-empty content"),
        (body(("user", [])), "messages.0: all messages must have non-empty content"),
        (body(("user", [text("")])), "text content blocks must be non-empty"),
        (body(("user", [text("  ")])), "non-whitespace"),
        (body(USER, ("assistant", "Sure,")), "does not support assistant message prefill"),
        (body(USER, ("assistant", [used("a")])), "messages.1: `tool_use` ids were found without"),
        (body(USER, ("assistant", [used("a")]), USER), "messages.1: `tool_use` ids were found without"),
        (
            body(USER, ("assistant", [used("a"), used("b")]), ("user", [result("a")])),
            "`tool_result` blocks immediately after: b.",
        ),
        (body(("user", [result("a")])), "messages.0.content.0: unexpected `tool_use_id` found"),
        (
            body(USER, ("assistant", [used("a"), used("a")]), ("user", [result("a")])),
            "ids must be unique",
        ),
        (body(USER, tool_choice={"type": "auto"}), "tool_choice may only be specified while providing tools"),
        (body(USER, tools=[{"name": "x"}]), "tools.0.custom.input_schema: Field required"),
        (body(USER, tools=[{"name": "x y", "input_schema": {}}]), "tools.0.custom.name"),
        (
            body(("user", [text("hi") | {"cache_control": {"type": "ephemeral"}}] * 5)),
            "A maximum of 4 blocks with cache_control may be provided. Found 5.",
        ),
    ],
)
def test_refused(request_body: Any, message: str) -> None:
    with pytest.raises(Refused) as caught:
        validate(request_body)
    assert caught.value.status == 400
    assert message in caught.value.message


@pytest.mark.parametrize(
    "request_body",
    [
        body(USER),
        body(USER, USER),
        body(USER, ("assistant", "hello"), USER),
        body(USER, ("assistant", [text("one moment"), used("a")]), ("user", [result("a")])),
        body(USER, ("assistant", [used("a")]), ("assistant", [used("b")]), ("user", [result("a"), result("b")])),
        body(USER, ("assistant", [used("a")]), ("user", [result("a"), text("and?")])),
    ],
)
def test_accepted(request_body: dict[str, Any]) -> None:
    assert validate(request_body) is request_body


def test_prefill_where_the_model_has_it() -> None:
    validate(body(USER, ("assistant", "Sure,")), prefill=True)
    with pytest.raises(Refused, match="trailing whitespace"):
        validate(body(USER, ("assistant", "Sure, ")), prefill=True)


def test_the_cache_reads_what_it_wrote_and_adds_up() -> None:
    cached = {"cache_control": {"type": "ephemeral"}}
    cache = PromptCache(minimum_tokens=50)
    system = [text("You are a phone agent. " * 20) | cached]
    first = cache.account(body(("user", [text("hello") | cached]), system=system))
    assert first.cache_read_input_tokens == 0
    assert first.cache_creation_input_tokens == first.total > 100
    longer = body(
        ("user", [text("hello") | cached]),
        ("assistant", "hi"),
        ("user", [text("who is this?") | cached]),
        system=system,
    )
    second = cache.account(longer)
    assert second.cache_read_input_tokens == first.total
    assert 0 < second.cache_creation_input_tokens < 60
    assert second.input_tokens == 0
    other = cache.account(body(("user", "hello"), system=[text("Another prompt. " * 30) | cached]))
    assert other.cache_read_input_tokens == 0
    assert other.input_tokens > 0


def test_a_short_prompt_is_not_cached() -> None:
    cache = PromptCache(minimum_tokens=1024)
    marked = body(("user", [text("hello") | {"cache_control": {"type": "ephemeral"}}]))
    for _ in range(2):
        usage = cache.account(marked)
        assert (usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (0, 0)


def test_replies() -> None:
    asked = MessagesRequest(body(USER, ("assistant", "Who?"), ("user", [text("It is John."), result("t")])))
    assert asked.last_user_text == "It is John.\nok"
    assert asked.tool_results == {"t": "ok"}
    script = ScriptedReplies(["one"], then=Reply("more"))
    assert [script(asked).text for _ in range(3)] == ["one", "more", "more"]
    with pytest.raises(LookupError, match="request 1"):
        ScriptedReplies([])(asked)
    rules = RuleReplies([("nobody", "no"), (r"\bjohn\b", "Hello John")], otherwise="what?")
    assert rules(asked).text == "Hello John"
    assert rules(MessagesRequest(body(USER))).text == "what?"
