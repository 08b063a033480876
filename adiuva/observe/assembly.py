"""Puts what observes into an application: metrics always, traces where there is a collector for them."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from attrs import field, frozen

from adiuva import __version__
from adiuva.database import OnQuery
from adiuva.llm.protocol import Model
from adiuva.observe.lag import LoopLag
from adiuva.observe.listener import listen
from adiuva.observe.metrics import METRICS, Metrics
from adiuva.observe.readings import Sources
from adiuva.runtime import Tracing
from adiuva.settings import Settings, SettingsError
from adiuva.web.keys import COUNTING, SETTINGS, SOCKET_SPANS

if TYPE_CHECKING:
    from adiuva.observe.traces.provider import Traces


@frozen(kw_only=True)
class TraceHooks:
    """What makes traces, for each part of the server to take in; without a collector there is nothing to take."""

    traces: "Traces | None" = None
    on_query: OnQuery | None = None
    messages: Tracing | None = None
    model_requests: tuple[aiohttp.TraceConfig, ...] = ()
    around: Any = field(default=None, repr=False)

    def model(self, model: Model) -> Model:
        """``model``, whose calls are traced if any are."""
        traced: Model = model if self.around is None else self.around(model)
        return traced


TRACES = web.AppKey("traces", TraceHooks)


def prepare(app: web.Application) -> None:
    """Count and trace the requests that the middleware installed after this answers.

    ``/metrics`` is the caller's to register, unless it has a port of its own (``METRICS_PORT``).

    Raises:
        SettingsError: traces are wanted, and the packages for them are not installed.
    """
    app[METRICS] = app[COUNTING] = Metrics(__version__)
    hooks = app[TRACES] = _hooks(app[SETTINGS])
    if hooks.traces is not None:
        from adiuva.observe.traces.http import SocketTraces, install

        install(app, hooks.traces)
        app[SOCKET_SPANS] = SocketTraces(hooks.traces)
        app.cleanup_ctx.append(_sending)  # first to come and last to go
    if app[SETTINGS].metrics_port:
        app.cleanup_ctx.append(listen)


async def watch(app: web.Application, sources: Sources) -> AsyncIterator[None]:
    """Have ``sources`` read for the metrics, and the event loop looked after, as a cleanup context."""
    app[METRICS].read(sources)
    lag = LoopLag(app[METRICS].loop_lag)
    lag.start()
    yield
    lag.stop()


async def _sending(app: web.Application) -> AsyncIterator[None]:
    traces = app[TRACES].traces
    assert traces is not None
    traces.start()
    yield
    await traces.stop()


def _hooks(settings: Settings) -> TraceHooks:
    if not settings.otel_exporter_otlp_endpoint:
        return TraceHooks()
    try:
        from adiuva.observe.traces.provider import Traces
    except ModuleNotFoundError as error:
        fault = "OTEL_EXPORTER_OTLP_ENDPOINT needs packages that are not installed: pip install 'adiuva[otel]'"
        raise SettingsError([fault]) from error
    from adiuva.observe.traces.actors import MessageTraces
    from adiuva.observe.traces.models import TracedModel, requests_of
    from adiuva.observe.traces.sql import QueryTraces

    traces = Traces(settings.otel_exporter_otlp_endpoint, __version__)
    return TraceHooks(
        traces=traces,
        on_query=QueryTraces(traces),
        messages=MessageTraces(traces),
        model_requests=(requests_of(traces),),
        around=lambda model: TracedModel(model, traces),
    )
