"""OpenTelemetry: one trace a call, switched on by the standard OTEL_* variables alone.

    call                      the record's life, from the request to its end
    ├── dial, opening, …      what happens around the conversation
    └── turn                  what the callee said and what answered it
        └── stt, llm, tts     pipecat's own spans

A call's trace and root span have ids made from the call's id: every process that has a part in a call finds its
trace by itself, and the root is written last, where the record is completed.

The services' spans are pipecat's (pipecat/utils/tracing/service_decorators.py), placed by the TracingContext they
read. Its TurnTraceObserver was not taken: with the turn tracking it needs, it sees every frame at every hop, and
its turns end by a timer. Ours are reported by the call's recorder, which knows them.

pipecat writes what was said into its spans. What leaves this process is decided in one place, before the export:
of its text attributes only those that are known to hold no words.
"""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from urllib.parse import urlsplit

from loguru import logger
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.util.types import Attributes, AttributeValue
from pipecat.utils.tracing.tracing_context import TracingContext

SCOPE = "phone-agent"
"""The instrumentation scope of our spans; pipecat's are "pipecat"."""
GOODBYE_SECONDS = 3.0
"""What a collector gets for the last spans when the server stops."""
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_WORDLESS = frozenset(
    {
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.operation.name",
        "gen_ai.output.type",
        "voice_id",
        "language",
        "settings.model",
        "settings.voice",
        "settings.language",
    }
)
"""pipecat's text attributes that hold no words of a call."""
_root_ids: ContextVar[tuple[int, int] | None] = ContextVar("ids of a root span", default=None)


# -- ids ------------------------------------------------------------------------------------------------


def trace_id_of(call_id: str) -> int:
    """128 bits."""
    return int.from_bytes(hashlib.sha256(call_id.encode()).digest()[:16]) or 1


def root_id_of(call_id: str) -> int:
    """64 bits: the span of the whole call."""
    return int.from_bytes(hashlib.sha256(call_id.encode()).digest()[16:24]) or 1


class CallIds(RandomIdGenerator):
    """Random, but for the root span of a call."""

    def generate_trace_id(self) -> int:
        wanted = _root_ids.get()
        return super().generate_trace_id() if wanted is None else wanted[0]

    def generate_span_id(self) -> int:
        wanted = _root_ids.get()
        return super().generate_span_id() if wanted is None else wanted[1]


class CallTraces(TracerProvider):
    """Makes the spans of calls only: libraries that find a provider (FastAPI, DBOS) trace each request."""

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> trace.Tracer:
        if instrumenting_module_name not in (SCOPE, "pipecat"):
            return trace.NoOpTracer()
        return super().get_tracer(
            instrumenting_module_name, instrumenting_library_version, schema_url, attributes
        )


# -- what leaves the process ----------------------------------------------------------------------------


class DiscreetExporter(SpanExporter):
    """Hands spans on without the words of the call, unless `transcripts`.

    Runs in the SDK's own thread. A collector that cannot be reached is logged once, and once when it can again.
    """

    def __init__(self, exporter: SpanExporter, *, transcripts: bool, place: str = "the collector") -> None:
        self._exporter = exporter
        self._transcripts = transcripts
        self._place = place
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        shown = spans if self._transcripts else [_without_words(span) for span in spans]
        result = self._exporter.export(shown)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failing:
            logger.warning("traces do not reach {}; calls go on without", self._place)
        elif self._failing and not failed:
            logger.info("traces reach {} again", self._place)
        self._failing = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _without_words(span: ReadableSpan) -> ReadableSpan:
    scope = span.instrumentation_scope
    attributes: Mapping[str, AttributeValue] = span.attributes or {}
    if scope is None or scope.name != SCOPE:
        attributes = {
            name: value
            for name, value in attributes.items()
            if name in _WORDLESS or not isinstance(value, str | Sequence)
        }
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=[_without_message(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, _kind_of(span.status.description)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope,
    )


def _without_message(event: Event) -> Event:
    """An exception's message and trace may quote what was said."""
    kept = {
        name: value
        for name, value in (event.attributes or {}).items()
        if name not in ("exception.message", "exception.stacktrace")
    }
    return Event(event.name, kept, event.timestamp)


def _kind_of(description: str | None) -> str | None:
    """Of "ValueError: words" the first part; our own descriptions are one word. None of words alone."""
    word = "" if description is None else description.partition(":")[0]
    return word if word.replace(".", "_").replace("-", "_").isidentifier() else None


# -- life -----------------------------------------------------------------------------------------------


class State:
    """What `open_traces` made; None while traces are off."""

    provider: TracerProvider | None = None
    exporter: SpanExporter | None = None


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the OTEL_* variables ask for traces, and in a way that we speak."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() not in ("otlp", ""):
        return False
    return any(environment.get(name) for name in ENDPOINTS)


def open_traces(environment: Mapping[str, str], *, transcripts: bool, version: str) -> None:
    """Begin to send traces where the OTEL_* variables of `environment` say so; else nothing happens.

    The SDK reads os.environ, which is given what .env adds to it. Once a process: OpenTelemetry knows one
    provider, and pipecat asks it.
    """
    if State.provider is not None or not wanted(environment):
        return
    for name, value in environment.items():
        if name.startswith("OTEL_") and value:
            os.environ.setdefault(name, value)
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        logger.warning("traces are sent as http/protobuf, not as {}", protocol)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    # Each failed attempt is a line of theirs, and each dropped span; ours is enough.
    for name in ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter()
    place = _place(environment)
    provider = CallTraces(
        resource=_resource(environment, version), id_generator=CallIds(), shutdown_on_exit=False
    )
    provider.add_span_processor(
        BatchSpanProcessor(DiscreetExporter(exporter, transcripts=transcripts, place=place))
    )
    trace.set_tracer_provider(provider)
    State.provider, State.exporter = provider, exporter
    logger.info("traces go to {}{}", place, ", with what was said" if transcripts else "")


def close_traces() -> None:
    """Send what is left, within GOODBYE_SECONDS. Blocks: not on the loop."""
    provider, exporter = State.provider, State.exporter
    if provider is None or exporter is None:
        return
    State.provider = State.exporter = None
    # The processor waits half a minute for an exporter that tries again and again; one that is shut down stops.
    enough = threading.Timer(GOODBYE_SECONDS, exporter.shutdown)
    enough.start()
    provider.shutdown()
    enough.cancel()


def on() -> bool:
    """Whether traces are sent."""
    return State.provider is not None


def _resource(environment: Mapping[str, str], version: str) -> Resource:
    """The environment's word wins: what is given to Resource.create would win over it."""
    named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    own = Resource({"service.version": version, "service.instance.id": str(os.getpid())})
    return own.merge(Resource.create({} if named else {"service.name": SCOPE}))


def _place(environment: Mapping[str, str]) -> str:
    """Host and port: an address may hold a key."""
    url = next(environment[name] for name in ENDPOINTS if environment.get(name))
    parts = urlsplit(url)
    return parts.hostname or "?" if parts.port is None else f"{parts.hostname}:{parts.port}"


# -- spans of a call ------------------------------------------------------------------------------------


def _tracer() -> trace.Tracer:
    provider = State.provider
    return trace.NoOpTracer() if provider is None else provider.get_tracer(SCOPE)


def root_of(call_id: str) -> SpanContext:
    """The root span of a call, in whichever process it will be ended; sampled or not as it will be itself."""
    trace_id = trace_id_of(call_id)
    provider = State.provider
    sampled = False
    if provider is not None:
        decision = provider.sampler.should_sample(None, trace_id, "call").decision
        sampled = decision is Decision.RECORD_AND_SAMPLE
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(trace_id, root_id_of(call_id), is_remote=True, trace_flags=flags)


@contextmanager
def span(name: str, call_id: str, **attributes: AttributeValue) -> Iterator[Span]:
    """Something done for a call; an exception that leaves the block is named in it. Nothing while off."""
    parent = trace.set_span_in_context(NonRecordingSpan(root_of(call_id)), Context())
    with _tracer().start_as_current_span(name, context=parent, attributes=attributes) as current:
        yield current


def call_ended(
    call_id: str,
    *,
    begun: datetime,
    ended: datetime,
    attributes: Mapping[str, AttributeValue | None],
    failure: str | None = None,
) -> None:
    """The call's own span, from its record. Once a call; `failure` is a word for why, where it failed."""
    if not on():
        return
    token = _root_ids.set((trace_id_of(call_id), root_id_of(call_id)))
    try:
        root = _tracer().start_span(
            "call",
            context=Context(),
            start_time=_nanoseconds(begun),
            attributes={name: value for name, value in attributes.items() if value is not None},
        )
    finally:
        _root_ids.reset(token)
    root.set_attribute("call.id", call_id)
    if failure is not None:
        root.set_status(StatusCode.ERROR, failure)
    root.end(_nanoseconds(ended))


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000


class CallTrace:
    """The turns of one held call as spans, and where pipecat's services hang theirs.

    A turn begins with the callee's speech once the agent has spoken, and ends with the last that was heard of
    it; the first one is the opening's. `clock` gives nanoseconds since 1970.
    """

    def __init__(self, call_id: str, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._call_id = call_id
        self._clock = clock
        self._tracer = _tracer()
        self._root = root_of(call_id)
        self._services = TracingContext()  # type: ignore[no-untyped-call]
        self._services.set_conversation_context(self._root, call_id)
        self._turn: Span | None = None
        self._number = 0
        self._answered = False
        """The agent has spoken in this turn."""
        self._speaking = False
        self._speech_at: int | None = None
        """When speech began that may become a turn: under the agent's voice it may be an "mhm"."""
        self._last_at = 0

    @property
    def services(self) -> TracingContext | None:
        """For the pipeline's worker; None while traces are off."""
        return self._services if on() else None

    # -- reported by the recorder -------------------------------------------------------------------------

    def answered(self) -> None:
        """The line is open."""
        self._begin(self._clock())

    def speech_began(self) -> None:
        """The callee's voice."""
        self._speech_at = self._clock()
        if not self._speaking:
            self._take_up()

    def words_came(self) -> None:
        """The callee said something that is no "mhm"."""
        self._take_up()

    def backchannel(self) -> None:
        self._speech_at = None

    def turn_over(self) -> None:
        """The callee's turn is."""
        self._last_at = self._clock()

    def voice_began(self, parts_ms: Mapping[str, float | None]) -> None:
        """The agent's audio leaves; `parts_ms` says where the time of this reply went."""
        self._answered = self._speaking = True
        self._last_at = self._clock()
        if self._turn is not None:
            for part, ms in parts_ms.items():
                if ms is not None:
                    self._turn.set_attribute(f"turn.{part}_ms", ms)

    def voice_ended(self, *, interrupted: bool) -> None:
        self._speaking = False
        self._last_at = self._clock()
        if self._turn is not None and interrupted:
            self._turn.set_attribute("turn.was_interrupted", True)

    def tool_used(self, name: str) -> None:
        if self._turn is not None:
            self._turn.add_event("tool", {"tool.name": name}, self._clock())

    def close(self) -> None:
        """The line is closed."""
        self._end()

    # -- turns ----------------------------------------------------------------------------------------

    def _take_up(self) -> None:
        """Speech of which something may come: a new turn, unless this one still waits for the agent."""
        at, self._speech_at = self._speech_at, None
        if self._answered and at is not None:
            self._begin(at)

    def _begin(self, at: int) -> None:
        self._end()
        self._number += 1
        self._answered = False
        self._last_at = at
        parent = trace.set_span_in_context(NonRecordingSpan(self._root), Context())
        attributes: dict[str, AttributeValue] = {
            "turn.number": self._number,
            "turn.type": "conversation",
            "conversation.id": self._call_id,
        }
        self._turn = self._tracer.start_span("turn", context=parent, start_time=at, attributes=attributes)
        self._services.set_turn_context(self._turn.get_span_context())

    def _end(self) -> None:
        if self._turn is not None:
            self._turn.end(self._last_at)
            self._turn = None
            self._services.set_turn_context(None)
