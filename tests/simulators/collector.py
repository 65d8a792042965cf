"""An OpenTelemetry collector's OTLP/HTTP door on loopback: keeps the spans it is sent, decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


@dataclass(frozen=True)
class SpanSeen:
    """Times in nanoseconds since 1970; ids in hex, `parent_id` "" for a root."""

    name: str
    scope: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    failed: bool
    events: tuple[tuple[str, dict[str, Any]], ...]


@dataclass
class Collector:
    """`refusing`: answers 503 until it is False again."""

    refusing: bool = False
    spans: list[SpanSeen] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: bytes = b""
    """All that was received."""
    url: str = ""
    _runner: web.AppRunner | None = None
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Collector:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        if self.refusing:
            return web.Response(status=503)
        body = await request.read()
        self.raw += body
        self.headers.append(dict(request.headers))
        told = ExportTraceServiceRequest.FromString(body)
        for resource_spans in told.resource_spans:
            resource = _plain(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                self.spans += [_seen(span, scope_spans.scope.name, resource) for span in scope_spans.spans]
        self._came.set()
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def named(self, name: str) -> list[SpanSeen]:
        return [span for span in self.spans if span.name == name]

    async def until(self, holds: Callable[[], bool], within: float = 15.0) -> None:
        """AssertionError with the spans there are, after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                while not holds():
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"not within {within} s: {[span.name for span in self.spans]}") from None


def _seen(span: Any, scope: str, resource: dict[str, Any]) -> SpanSeen:
    return SpanSeen(
        name=span.name,
        scope=scope,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_plain(span.attributes),
        resource=resource,
        failed=span.status.code == 2,
        events=tuple((event.name, _plain(event.attributes)) for event in span.events),
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)
