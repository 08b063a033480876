"""What Prometheus gets: what is counted as it happens stands here, what is read when it asks in ``readings``.

Labels are templates, names of this server's own parts, and words of fixed lists; what a client wrote is none.
"""

from collections.abc import Iterator
from time import monotonic
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric

from adiuva.llm.reports import CallReport
from adiuva.observe.readings import Readings, Sources

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
NO_ROUTE: Final = "none"
_SWITCHING_PROTOCOLS: Final = 101

KEPT_SECONDS: Final = 1.0
"""So long a text is given again: making it takes some ms of the event loop, and anybody may ask for it."""

_REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_MODEL_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120)
_LAG_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class _Registry(CollectorRegistry):
    def collect(self) -> Iterator[Metric]:
        """All families, without the time at which each series began, which would be a second series for each."""
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class Metrics:
    """The metrics of one application in one process; it is the `Counting` of ``adiuva.web.keys``.

    Labels are resolved once for each set of them, since that takes longer than counting.
    """

    def __init__(self, version: str) -> None:
        self._registry = registry = _Registry()
        ProcessCollector(registry=registry)
        Info("adiuva", "The server.", registry=registry).info({"version": version})
        self._requests = Counter(
            "adiuva_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "adiuva_http_request_duration_seconds",
            "From a request's head to the answer of its handler; sockets are not in it.",
            ("method", "route"),
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._socket_requests = Counter(
            "adiuva_socket_requests",
            "Requests on sockets of the chat that have ended.",
            ("outcome",),
            registry=registry,
        )
        self._socket_request_seconds = Histogram(
            "adiuva_socket_request_duration_seconds",
            "From such a request's turn on its socket to its last frame.",
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._model_calls = Counter(
            "adiuva_model_calls", "Attempts to have a model answer.", ("model", "lane", "outcome"), registry=registry
        )
        self._model_retries = Counter(
            "adiuva_model_retries", "Those of them that repeat one that failed.", ("model", "lane"), registry=registry
        )
        self._model_tokens = Counter(
            "adiuva_model_tokens", "As the providers count them.", ("model", "lane", "type"), registry=registry
        )
        self._model_seconds = Histogram(
            "adiuva_model_call_duration_seconds",
            "How long an attempt takes, to its last token or its fault.",
            ("model", "lane"),
            buckets=_MODEL_SECONDS,
            registry=registry,
        )
        self._first_text_seconds = Histogram(
            "adiuva_model_first_text_seconds",
            "How long a streamed attempt takes to its first text.",
            ("model", "lane"),
            buckets=_MODEL_SECONDS,
            registry=registry,
        )
        self._lag = Histogram(
            "adiuva_event_loop_lag_seconds",
            "How much later than planned a timer runs, twice a second.",
            buckets=_LAG_SECONDS,
            registry=registry,
        )
        self._text, self._made_at = b"", float("-inf")
        self._bound: dict[tuple[str, str | None, int], tuple[Counter, Histogram | None]] = {}

    def read(self, sources: Sources) -> None:
        """Have ``sources`` looked at whenever somebody asks."""
        self._registry.register(Readings(sources))

    def text(self) -> bytes:
        """All of it in Prometheus's text format 0.0.4, as it was at most a second ago."""
        if monotonic() >= self._made_at + KEPT_SECONDS:
            self._text, self._made_at = generate_latest(self._registry), monotonic()
        return self._text

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """See `Counting`."""
        count, latency = self._bound.get((method, route, status)) or self._bind(method, route, status)
        count.inc()
        if latency is not None:
            latency.observe(seconds)

    def _bind(self, method: str, route: str | None, status: int) -> tuple[Counter, Histogram | None]:
        method = method if method in METHODS else OTHER  # a client may write anything
        route = route or NO_ROUTE
        latency = None
        if status != _SWITCHING_PROTOCOLS:  # that lasts as long as the socket is open
            latency = self._request_seconds.labels(method, route)
        bound = self._requests.labels(method, route, status), latency
        if method is not OTHER:
            self._bound[method, None if route == NO_ROUTE else route, status] = bound
        return bound

    def socket_request(self, outcome: str, seconds: float) -> None:
        """See `Counting`."""
        self._socket_requests.labels(outcome).inc()
        self._socket_request_seconds.observe(seconds)

    def model_call(self, report: CallReport) -> None:
        """One attempt to have a model answer has ended."""
        model, lane = report.model, report.lane
        self._model_calls.labels(model, lane, report.outcome).inc()
        self._model_seconds.labels(model, lane).observe(report.seconds)
        self._model_tokens.labels(model, lane, "input").inc(report.usage.prompt_tokens)
        self._model_tokens.labels(model, lane, "output").inc(report.usage.completion_tokens)
        if report.retry:
            self._model_retries.labels(model, lane).inc()
        if report.first_text_seconds is not None:
            self._first_text_seconds.labels(model, lane).observe(report.first_text_seconds)

    def loop_lag(self, seconds: float) -> None:
        """A timer ran ``seconds`` late."""
        self._lag.observe(seconds)


METRICS = web.AppKey("metrics", Metrics)
