"""A span for each request: OpenTelemetry's conventions for HTTP servers, without what the client wrote."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

from adiuva.observe.metrics import METHODS
from adiuva.observe.traces.provider import Traces

QUIET: Final = ("/metrics", "/health", "/health/ready")  # asked every few seconds, by machines
_SPAN: web.RequestKey[Span] = web.RequestKey("span", Span)


def install(app: web.Application, traces: Traces) -> None:
    """Put a span around whatever of ``app`` is installed after this."""
    app.middlewares.append(_middleware_of(traces))
    app.on_response_prepare.append(_end_at_upgrade)


def _middleware_of(traces: Traces) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else ""
        if route.endswith(QUIET):
            return await handler(request)
        method = request.method if request.method in METHODS else "_OTHER"
        attributes = {"http.request.method": method, "url.scheme": request.scheme}
        if route:
            attributes["http.route"] = route
        name = f"{'HTTP' if method == '_OTHER' else method} {route}".rstrip()
        parent = traces.extract(request.headers.get("traceparent"))
        with traces.span(name, kind=SpanKind.SERVER, attributes=attributes, parent=parent) as span:
            request[_SPAN] = span
            response = await handler(request)
            _answered(span, response.status)
            return response

    return middleware


def _answered(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))


async def _end_at_upgrade(request: web.Request, response: web.StreamResponse) -> None:
    """A socket may be open for days; its requests are traces of their own."""
    if isinstance(response, web.WebSocketResponse) and (span := request.get(_SPAN)) is not None:
        _answered(span, 101)
        span.end()


class SocketTraces:
    """The `SocketSpans` of ``adiuva.web.keys``: a trace for each request, with a link to that of the upgrade."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    @contextmanager
    def socket_request(self) -> Iterator[None]:
        """Around one request."""
        upgrade = trace.get_current_span().get_span_context()
        links = [Link(upgrade)] if upgrade.is_valid else []
        with self._traces.span("chat request", kind=SpanKind.SERVER, parent=Context(), links=links):
            yield
