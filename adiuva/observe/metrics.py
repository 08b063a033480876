"""What Prometheus gets: what is counted as it happens stands here, what is read when it asks in ``readings``.

Labels are templates, names of this server's own parts, and words of fixed lists; what a client wrote is none.
"""

from time import monotonic
from typing import Final

from aiohttp import web
from attrs import frozen
from prometheus_client import CollectorRegistry, Info, ProcessCollector, generate_latest

from adiuva.llm.reports import CallReport
from adiuva.observe.readings import Readings, Sources
from adiuva.observe.tallies import Count, Counts, Spread, Spreads

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
NO_ROUTE: Final = "none"
_SWITCHING_PROTOCOLS: Final = 101

KEPT_SECONDS: Final = 1.0
"""So long a text is given again: making it takes some ms of the event loop, and anybody may ask for it."""

_REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_MODEL_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0)
_LAG_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@frozen(kw_only=True)
class _Calls:
    """What one kind of model calls is counted by."""

    calls: Count
    retries: Count
    seconds: Spread
    first_text_seconds: Spread
    input_tokens: Count
    output_tokens: Count


class Metrics:
    """The metrics of one application in one process; it is the `Counting` of ``adiuva.web.keys``."""

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        Info("adiuva", "The server.", registry=self._registry).info({"version": version})
        self._requests = Counts("adiuva_http_requests", "Requests answered.", "method", "route", "status")
        self._request_seconds = Spreads(
            "adiuva_http_request_duration_seconds",
            "From a request's head to the answer of its handler; sockets are not in it.",
            "method",
            "route",
            bounds=_REQUEST_SECONDS,
        )
        self._socket_requests = Counts(
            "adiuva_socket_requests", "Requests on the chat's sockets that have ended.", "outcome"
        )
        self._socket_request_seconds = Spreads(
            "adiuva_socket_request_duration_seconds",
            "From such a request's turn on its socket to its last frame.",
            bounds=_REQUEST_SECONDS,
        )
        model = "model", "lane"
        self._calls = Counts("adiuva_model_calls", "Attempts to have a model answer.", *model, "outcome")
        self._retries = Counts("adiuva_model_retries", "Those of them that repeat one that failed.", *model)
        self._tokens = Counts("adiuva_model_tokens", "As the providers count them.", *model, "type")
        self._call_seconds = Spreads(
            "adiuva_model_call_duration_seconds",
            "How long an attempt takes, to its last token or its fault.",
            *model,
            bounds=_MODEL_SECONDS,
        )
        self._first_text_seconds = Spreads(
            "adiuva_model_first_text_seconds",
            "How long a streamed attempt takes to its first text.",
            *model,
            bounds=_MODEL_SECONDS,
        )
        self._lag = Spreads(
            "adiuva_event_loop_lag_seconds",
            "How much later than planned a timer runs, twice a second.",
            bounds=_LAG_SECONDS,
        )
        for family in list(vars(self).values()):
            if isinstance(family, Counts | Spreads):
                self._registry.register(family)
        self._bound: dict[tuple[str, str | None, int], tuple[Count, Spread | None]] = {}
        self._bound_calls: dict[tuple[str, str, str], _Calls] = {}
        self._text, self._made_at = b"", float("-inf")

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
        count.value += 1
        if latency is not None:
            latency.add(seconds)

    def _bind(self, method: str, route: str | None, status: int) -> tuple[Count, Spread | None]:
        known = method in METHODS  # a client may write anything
        labels = method if known else OTHER, route or NO_ROUTE
        # A switch to another protocol lasts as long as the socket is open.
        latency = None if status == _SWITCHING_PROTOCOLS else self._request_seconds.of(*labels)
        bound = self._requests.of(*labels, str(status)), latency
        if known:
            self._bound[method, route, status] = bound
        return bound

    def socket_request(self, outcome: str, seconds: float) -> None:
        """See `Counting`."""
        self._socket_requests.of(outcome).value += 1
        self._socket_request_seconds.of().add(seconds)

    def model_call(self, report: CallReport) -> None:
        """One attempt to have a model answer has ended."""
        key = report.model, report.lane, report.outcome
        bound = self._bound_calls.get(key) or self._bind_call(*key)
        bound.calls.value += 1
        bound.seconds.add(report.seconds)
        if (usage := report.usage) is not None:
            bound.input_tokens.value += usage.prompt_tokens
            bound.output_tokens.value += usage.completion_tokens
        if report.retry:
            bound.retries.value += 1
        if report.first_text_seconds is not None:
            bound.first_text_seconds.add(report.first_text_seconds)

    def _bind_call(self, model: str, lane: str, outcome: str) -> _Calls:
        bound = self._bound_calls[model, lane, outcome] = _Calls(
            calls=self._calls.of(model, lane, outcome),
            retries=self._retries.of(model, lane),
            seconds=self._call_seconds.of(model, lane),
            first_text_seconds=self._first_text_seconds.of(model, lane),
            input_tokens=self._tokens.of(model, lane, "input"),
            output_tokens=self._tokens.of(model, lane, "output"),
        )
        return bound

    def loop_lag(self, seconds: float) -> None:
        """A timer ran ``seconds`` late."""
        self._lag.of().add(seconds)


METRICS = web.AppKey("metrics", Metrics)
