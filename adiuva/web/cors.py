"""Cross-origin requests of the app: aiohttp-cors answers preflights and marks the answers of known routes."""

from collections.abc import Collection

import aiohttp_cors
from aiohttp import hdrs, web

from adiuva.errors import OriginNotAllowedError
from adiuva.web.keys import SETTINGS

EXPOSED_HEADERS = (
    "X-Checksum",
    "X-Backup-Version",
    "X-Backup-Timestamp",
    "X-Backup-Checksum",
    "ETag",
    "Last-Modified",
    "Content-Range",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Request-ID",
)
_EXPOSED = ",".join(EXPOSED_HEADERS)
_PREFLIGHT_SECONDS = 600


def allow_origins(app: web.Application, origins: Collection[str]) -> None:
    """Let pages of ``origins`` call ``app``; to be called once, when all its routes are registered."""
    options = aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
        expose_headers=EXPOSED_HEADERS, allow_headers="*", allow_methods="*", max_age=_PREFLIGHT_SECONDS
    )
    position = len(app.on_response_prepare)
    cors = aiohttp_cors.setup(app, defaults=dict.fromkeys(origins, options))
    # It looks for the route's configuration before it sees that a request has no Origin, as those of native clients.
    mark_known = app.on_response_prepare.pop(position)
    for resource in list(app.router.resources()):
        cors.add(resource)
    allowed = frozenset(origins)

    async def mark(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return
        await mark_known(request, response)
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        # aiohttp-cors passes by where no route matched: unknown paths and wrong methods.
        if origin in allowed and request.match_info.route.resource is None:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED

    app.on_response_prepare.append(mark)


def require_origin(request: web.Request) -> None:
    """Refuse a request from a page of a foreign origin; a native client sends none.

    Raises:
        OriginNotAllowedError: its origin is neither in ``CORS_ORIGINS`` nor the server's own.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    own = {f"http://{request.host}", f"https://{request.host}"}
    if origin is not None and origin not in own and origin not in request.app[SETTINGS].cors_origins:
        raise OriginNotAllowedError
