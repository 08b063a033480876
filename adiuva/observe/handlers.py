"""``GET /metrics``, which Prometheus asks. It is open to whoever reaches it: a proxy keeps it inside."""

from aiohttp import hdrs, web

from adiuva.observe.metrics import METRICS
from adiuva.web.describe import Answer
from adiuva.web.routes import Route

TEXT = "text/plain; version=0.0.4; charset=utf-8"


async def get_metrics(request: web.Request) -> web.Response:
    """The metrics of this process, in Prometheus's text format."""
    return web.Response(body=request.app[METRICS].text(), headers={hdrs.CONTENT_TYPE: TEXT})


ROUTES = [
    Route(
        "GET",
        "/metrics",
        get_metrics,
        access="public",
        limit=None,
        answers={200: Answer({"type": "string"}, media_type="text/plain")},
    ),
]
