"""Any server that speaks OpenAI's chat completions: Ollama, llama.cpp, vLLM, gateways.

pipecat's OpenAI service makes the requests; it stands in no pipeline, because its own way of a reply gives up at
the first error and drops calls of tools whose arguments are not JSON. What streams say is read leniently: servers
differ in how they number the calls of tools, and in where they say what a reply has cost.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx2
from openai import APIError, AsyncOpenAI
from openai.types.chat import ChatCompletionChunk
from pipecat.adapters.llm.services.open_ai_adapter import OpenAILLMAdapter
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.openai.base_llm import OpenAILLMSettings
from pipecat.services.openai.llm import OpenAILLMService

from bot.pipeline.llm.events import Event, ReplyEnd, Stopped, Text, Tokens, ToolBegun, ToolJson
from bot.pipeline.llm.fallback import AttemptError
from bot.pipeline.llm.request_meter import RequestMeter
from bot.pipeline.usage import Usage

VENDOR = "openai_compatible"
ENDINGS = {"length": ReplyEnd.CUT, "content_filter": ReplyEnd.REFUSED}
"""By `finish_reason`; any other ends a whole reply."""
_BROKEN = (APIError, httpx2.HTTPError, httpx2.StreamError, ValueError, OSError)
"""Of a stream: the server's word, the connection's, and data that is not JSON."""


class OpenAIRequests(OpenAILLMService):
    """pipecat's service with a client that all calls of the process share."""

    supports_developer_role = False

    def __init__(self, client: AsyncOpenAI, settings: OpenAILLMSettings) -> None:
        self._shared = client
        self._instructions = settings.system_instruction
        super().__init__(settings=settings)

    def create_client(self, *_: Any, **__: Any) -> AsyncOpenAI:
        return self._shared

    async def of(self, context: LLMContext) -> dict[str, Any]:
        """The request's parameters."""
        from_context = await self.get_llm_adapter().get_llm_invocation_params(
            context,
            system_instruction=self._instructions if isinstance(self._instructions, str) else None,
            convert_developer_to_user=not self.supports_developer_role,
        )
        return dict(self.build_chat_completion_params(from_context))


class OpenAIModel:
    """One model of such a server, with the prompt of its call."""

    vendor = VENDOR

    def __init__(self, client: AsyncOpenAI, settings: OpenAILLMSettings, *, read_seconds: float) -> None:
        """`read_seconds`: how long the server may be silent before its request is given up."""
        self._client = client
        self._requests = OpenAIRequests(client, settings)
        self._timeout = httpx2.Timeout(5.0, connect=2.0, read=read_seconds)
        self._model = str(settings.model)
        self.name = f"{self._model} at {client.base_url.host}:{client.base_url.port or client.base_url.scheme}"

    @property
    def adapter(self) -> OpenAILLMAdapter:
        return self._requests.get_llm_adapter()

    async def ask(self, context: LLMContext, usage: Usage) -> AsyncGenerator[Event, None]:
        params = await self._requests.of(context)
        meter = RequestMeter(usage, VENDOR, self._model, {"messages": params["messages"]})
        request = self._client.chat.completions.create(**params, timeout=self._timeout)
        async with aclosing(meter.ask(request, read_stream, APIError)) as said:
            async for event in said:
                yield event


async def read_stream(stream: Any) -> AsyncGenerator[Event, None]:
    """What `stream` says. AttemptError for an error in it or a broken connection."""
    reading = Reading()
    try:
        async for chunk in stream:
            for event in reading.read(chunk):
                yield event
    except _BROKEN as e:
        raise AttemptError(f"the stream broke: {type(e).__name__} {e}".strip()) from e
    finally:
        await stream.close()


@dataclass
class Reading:
    """Of one stream. Calls of tools are numbered as they begin: Ollama calls each of them number 0."""

    _ids: dict[int, str] = field(default_factory=dict)
    """The call that each of the server's numbers means now."""
    _numbers: dict[str, int] = field(default_factory=dict)
    _refused: bool = False
    """The model declined in the field the protocol has for it; its reason to stop is "stop" then."""

    def read(self, chunk: ChatCompletionChunk) -> Iterator[Event]:
        """One chunk's events. Pure but for the numbering."""
        usage = _usage(getattr(chunk, "usage", None))
        choices = getattr(chunk, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        delta = getattr(choice, "delta", None)
        text = getattr(delta, "content", None)
        if isinstance(text, str) and text:
            yield Text(text)
        self._refused |= bool(getattr(delta, "refusal", None))
        for place, call in enumerate(getattr(delta, "tool_calls", None) or ()):
            yield from self._tool(call, place)
        reason = getattr(choice, "finish_reason", None)
        if reason:
            ending = ReplyEnd.REFUSED if self._refused else ENDINGS.get(str(reason), ReplyEnd.WHOLE)
            yield Stopped(str(reason), usage or Tokens(), ending)
        elif usage is not None:
            yield usage

    def _tool(self, call: Any, place: int) -> Iterator[Event]:
        function = getattr(call, "function", None)
        name, arguments = getattr(function, "name", None), getattr(function, "arguments", None)
        said = getattr(call, "index", None)
        index = said if isinstance(said, int) else place
        call_id = getattr(call, "id", None) or self._ids.get(index, "")
        if name and (call_id not in self._numbers or not call_id):
            call_id = call_id or f"call_{len(self._numbers)}"
            self._numbers[call_id] = len(self._numbers)
            self._ids[index] = call_id
            yield ToolBegun(self._numbers[call_id], call_id, str(name))
        if isinstance(arguments, str) and arguments and call_id in self._numbers:
            yield ToolJson(self._numbers[call_id], arguments)


def _usage(usage: Any) -> Tokens | None:
    if usage is None:
        return None

    def count(of: Any, name: str) -> int | None:
        value = getattr(of, name, None)
        return value if isinstance(value, int) else None

    prompt, cached = (
        count(usage, "prompt_tokens"),
        count(getattr(usage, "prompt_tokens_details", None), "cached_tokens"),
    )
    # Billed apart, as Claude's are; the protocol counts them among the prompt's.
    fresh = prompt - cached if prompt is not None and cached else prompt
    return Tokens(fresh, count(usage, "completion_tokens"), None, cached)
