"""A span for each SQL statement that a traced request sends: its text, in which values are ``$1``; never the values."""

from functools import lru_cache
from time import time_ns
from typing import Any

from asyncpg.connection import LoggedQuery
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from adiuva.observe.traces.provider import Traces


class QueryTraces:
    """The ``on_query`` of a `Database`."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def __call__(self, query: LoggedQuery) -> None:
        """A statement has ended, in the context in which this is called."""
        if not trace.get_current_span().get_span_context().is_valid:
            return  # nobody's request: else housekeeping would make traces all day
        ended = time_ns()
        text, operation = _normal(query.query)
        attributes: dict[str, Any] = {
            "db.system.name": "postgresql",
            "db.query.text": text,
            "db.operation.name": operation,
            "db.namespace": query.conn_params.database or "",
        }
        if isinstance(query.conn_addr, tuple):
            attributes |= {"server.address": query.conn_addr[0], "server.port": query.conn_addr[1]}
        span = self._traces.tracer.start_span(
            operation, kind=SpanKind.CLIENT, attributes=attributes, start_time=ended - int(query.elapsed * 1e9)
        )
        if query.exception is not None:
            span.set_attribute(
                "error.type", getattr(query.exception, "sqlstate", None) or type(query.exception).__name__
            )
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)


@lru_cache(maxsize=1024)
def _normal(query: str) -> tuple[str, str]:
    """A statement on one line, and its first word."""
    text = " ".join(query.split())
    return text, text.partition(" ")[0].upper().rstrip(";")
