"""A collector of OpenTelemetry in the test process: takes traces over HTTP, and shows the spans in them."""

import asyncio
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from attrs import define, field, frozen
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@frozen(kw_only=True)
class SpanSeen:
    """A span as it came; ids are hex, ``parent_id`` is "" where it has none."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]  # the traces that it names
    attributes: dict[str, Any]
    failed: bool
    started: int  # Unix nanoseconds
    ended: int


@define(kw_only=True)
class OtlpDouble:
    """``async with OtlpDouble() as collector``: ``OTEL_EXPORTER_OTLP_ENDPOINT`` is its ``url``."""

    stuck: bool = False  # takes requests and never answers
    bodies: list[bytes] = field(factory=list, init=False)
    spans: list[SpanSeen] = field(factory=list, init=False)
    resource: dict[str, Any] = field(factory=dict, init=False)
    asked: asyncio.Event = field(factory=asyncio.Event, init=False)  # set with the first request
    _runner: web.AppRunner = field(init=False)

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def named(self, name: str) -> list[SpanSeen]:
        """The spans of that name, in the order they began."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.started)

    def under(self, parent: SpanSeen) -> list[SpanSeen]:
        """The spans that have ``parent`` for their parent, in the order they began."""
        found = (span for span in self.spans if (span.trace_id, span.parent_id) == (parent.trace_id, parent.span_id))
        return sorted(found, key=lambda span: span.started)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.set()
        if self.stuck:
            await asyncio.Event().wait()
        self.bodies.append(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = _attributes(group.resource.attributes)
            self.spans += [_seen(span) for scope in group.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")


def _seen(span: Any) -> SpanSeen:
    return SpanSeen(
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=tuple(link.trace_id.hex() for link in span.links),
        attributes=_attributes(span.attributes),
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        started=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind)
    return [_value(item) for item in found.values] if kind == "array_value" else found
