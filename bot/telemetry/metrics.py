"""What this process counts and times for Prometheus: the metrics, one function each to note them, and their page.

The registry is our own: the library's global one would be shared with all that import it. All agents of a
process count into it, for a process is what is scraped.

With PROMETHEUS_MULTIPROC_DIR set before Python starts, prometheus_client keeps the values in files of that folder
and a page adds those of all processes: the way of `--workers` (cli/workers.py gives each start a fresh folder),
where a scrape reaches any one of them. A port of its own for each worker was rejected: the scraper would have
to know the number of workers.

Every label is bounded: by an enum, by the files in pipelines/, by the vendors and queues there are. A phone
number or a call's id is none.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, multiprocess
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import disable_created_metrics

from bot.telemetry import trouble

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PARTS = ("voice_to_voice", "vad", "stt", "turn", "llm", "sentence", "tts", "line", "answer_to_first_audio")
"""Of a reply's latency, as records.TurnLatency names them, and what the callee waited for the first sound."""
_LATENCY_SECONDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
_LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_CALL_SECONDS = (5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 3600.0)

FailureKind = Literal[
    "refused",  # the vendor said no: a key, a quota, a wrong request
    "unreachable",  # no connection, or no answer in time
    "connection_lost",  # a connection that was there is gone
    "no_reply",  # a request that was made and gave nothing
    "broke_off",  # a reply that stopped in its middle
    "gave_up",  # beyond all retries: the next model takes over, or the call ends
]
DialResult = Literal["accepted", "refused", "unconfirmed"]


@dataclass(frozen=True)
class Depth:
    """Of a queue: what more processes could begin now, and what waits for its time whatever there is."""

    ready: int = 0
    delayed: int = 0


disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each counter, for nobody
_registry = CollectorRegistry()
_shared = FOLDER_VARIABLE in os.environ
if not _shared:
    ProcessCollector(registry=_registry)  # CPU, memory and file descriptors; of one process only

_calls = Counter(
    "phone_agent_calls",
    "Calls that are over.",
    ("status", "ended_reason", "direction", "scenario"),
    registry=_registry,
)
_call_seconds = Histogram(
    "phone_agent_call_duration_seconds",
    "From answer to end, of calls that were answered.",
    ("direction",),
    buckets=_CALL_SECONDS,
    registry=_registry,
)
_on_line = Gauge(
    "phone_agent_calls_on_line",
    "Calls being held.",
    registry=_registry,
    multiprocess_mode="livesum",
)
_latency = Histogram(
    "phone_agent_turn_latency_seconds",
    "Where a reply's time goes, by part; voice_to_voice is the whole of it.",
    ("part",),
    buckets=_LATENCY_SECONDS,
    registry=_registry,
)
_lag = Histogram(
    "phone_agent_event_loop_lag_seconds",
    "How much later than asked the event loop woke up.",
    buckets=_LAG_SECONDS,
    registry=_registry,
)
_prompt_tokens = Counter(
    "phone_agent_prompt_tokens",
    "Tokens of prompts, by how they were read.",
    ("vendor", "kind"),
    registry=_registry,
)
_failures = Counter("phone_agent_vendor_errors", "Failures of vendors.", ("vendor", "kind"), registry=_registry)
_reconnects = Counter(
    "phone_agent_vendor_reconnects",
    "Connections to vendors opened again within a call.",
    ("vendor",),
    registry=_registry,
)
_dials = Counter(
    "phone_agent_dials", "Requests to the carrier to dial.", ("carrier", "result"), registry=_registry
)
_deliveries = Counter(
    "phone_agent_webhook_deliveries", "Attempts to deliver webhooks.", ("type", "result"), registry=_registry
)
_queues = Gauge(
    "phone_agent_queue_depth",
    "Workflows waiting in a queue, over all processes: ready for their turn, or delayed to a time.",
    ("queue", "state"),
    registry=_registry,
    multiprocess_mode="mostrecent",
)
_database_errors = Counter(
    "phone_agent_database_errors", "Statements the database failed.", ("kind",), registry=_registry
)

_parts = {part: _latency.labels(part) for part in PARTS}
"""Each is there from the start: a rate needs the zero before the first."""


# -- noting ---------------------------------------------------------------------------------------------


def call_ended(
    *, status: str, ended_reason: str | None, direction: str, scenario: str, duration_seconds: float | None
) -> None:
    """A call has its final status. Once a call; `duration_seconds` is None where nobody answered."""
    _calls.labels(status, ended_reason or "", direction, scenario).inc()
    if duration_seconds is not None:
        _call_seconds.labels(direction).observe(duration_seconds)


@contextmanager
def call_on_line() -> Iterator[None]:
    """A call is held for as long as the block lasts."""
    _on_line.inc()
    try:
        yield
    finally:
        _on_line.dec()


def turn_taken(parts_ms: Mapping[str, float | None]) -> None:
    """A reply has begun to sound. `parts_ms` by the names of PARTS, with None where a part was not seen."""
    for part, ms in parts_ms.items():
        if ms is not None:
            _parts[part].observe(ms / 1000)


def observe_loop_lag(seconds: float) -> None:
    """The event loop woke up so much later than asked."""
    _lag.observe(seconds)


def vendor_failed(vendor: str, kind: FailureKind) -> None:
    _failures.labels(vendor, kind).inc()
    trouble.report(vendor, kind)


def prompt_read(vendor: str, *, fresh: int, written: int, cached: int) -> None:
    """Tokens of a request's prompt: those of a cache are read at a tenth of the price, and sooner."""
    for kind, tokens in (("fresh", fresh), ("cache_write", written), ("cache_read", cached)):
        _prompt_tokens.labels(vendor, kind).inc(tokens)


def vendor_reconnected(vendor: str) -> None:
    """A connection of a call that was lost is there again."""
    _reconnects.labels(vendor).inc()
    trouble.report(vendor, "reconnected")


def dialled(carrier: str, result: DialResult) -> None:
    """The carrier was asked to dial; its end is counted by `call_ended`."""
    _dials.labels(carrier, result).inc()


def webhook_attempted(event_type: str, result: str) -> None:
    """One attempt: delivered; failed, and made again later; or dead, which was the last."""
    _deliveries.labels(event_type, result).inc()


def queues_seen(depths: Mapping[str, Depth]) -> None:
    """How many wait in each queue now."""
    for queue, depth in depths.items():
        _queues.labels(queue, "ready").set(depth.ready)
        _queues.labels(queue, "delayed").set(depth.delayed)


def database_failed(kind: str) -> None:
    """`kind` is the name of an exception's class."""
    _database_errors.labels(kind).inc()


# -- the page -------------------------------------------------------------------------------------------


def page(accept: str = "") -> tuple[bytes, str]:
    """The metrics and their content type, as the Accept header asks for them. Off the loop: it reads files."""
    encode, content_type = choose_encoder(accept)
    registry = _registry
    if _shared:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return encode(registry), content_type


# -- several processes on one port ----------------------------------------------------------------------


def process_gone(folder: Path, pid: int) -> None:
    """A process that counted into `folder` is over: the calls it held are held no more."""
    multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
