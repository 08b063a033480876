"""Where spans come from and where they go: OpenTelemetry's SDK, with nothing global of it."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue
from structlog.contextvars import bound_contextvars

from adiuva.errors import AdiuvaError

Attributes = Mapping[str, AttributeValue]

STOP_SECONDS: Final = 3.0
"""As long the end waits for a collector to take the last spans."""

_TRACEPARENT: Final = "traceparent"


class Traces:
    """Makes spans, and sends them to a collector from a thread of its own, in batches.

    Spans that cannot be sent are dropped; nobody who makes one ever waits. The SDK's own variables
    (``OTEL_SERVICE_NAME``, ``OTEL_TRACES_SAMPLER``, ``OTEL_EXPORTER_OTLP_HEADERS``, …) hold as its documents say.
    """

    def __init__(self, endpoint: str, version: str) -> None:
        """``endpoint`` is that of a collector, without the path of a signal."""
        self._url = f"{endpoint.rstrip('/')}/v1/traces"
        resource = Resource.create({"service.name": "adiuva", "service.version": version})
        self._provider = TracerProvider(
            resource=resource.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,  # which would hold the end up for a collector that is away
        )
        self.tracer = self._provider.get_tracer("adiuva", version)
        self._propagator = TraceContextTextMapPropagator()

    def start(self) -> None:
        """Begin to send."""
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=self._url)))

    async def stop(self) -> None:
        """Send what is left, at most for a few seconds."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop has been closed by now
                loop.call_soon_threadsafe(done.set)

        # A daemon, and none of the loop's own threads: those are waited for without an end.
        threading.Thread(target=shut_down, name="traces: last spans", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await done.wait()

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        parent: Context | None = None,
        links: Sequence[Link] = (),
    ) -> Iterator[Span]:
        """A span around a block, which is current in it and whose trace is in the log's lines.

        Without a ``parent`` it is the current span. What the block raises is named, and never quoted.
        """
        with (
            self.tracer.start_as_current_span(
                name,
                context=parent,
                kind=kind,
                attributes=attributes,
                links=links,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            bound_contextvars(trace_id=trace_id(span.get_span_context())),
        ):
            try:
                yield span
            except BaseException as error:
                failed(span, error)
                raise

    def traceparent(self, span: Span) -> str:
        """``span`` as W3C's ``traceparent``."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, context=set_span_in_context(span))
        return carrier.get(_TRACEPARENT, "")

    def inject(self, carrier: dict[str, str]) -> None:
        """Write the current span into ``carrier``, as W3C's ``traceparent``."""
        self._propagator.inject(carrier)

    def extract(self, traceparent: str | None) -> Context:
        """The context that a ``traceparent`` tells of; an empty one where it tells of none.

        ``tracestate`` and baggage are not taken: a client could write there what it likes.
        """
        return self._propagator.extract({_TRACEPARENT: traceparent} if traceparent else {}, context=Context())


def trace_id(context: SpanContext) -> str:
    """The id of a trace as logs have it."""
    return format_trace_id(context.trace_id)


def failed(span: Span, error: BaseException) -> None:
    """Say that ``error`` ended ``span``: its code or its class."""
    if isinstance(error, asyncio.CancelledError):
        span.set_attribute("error.type", "cancelled")
        return
    span.set_attribute("error.type", error.code if isinstance(error, AdiuvaError) else type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR))
