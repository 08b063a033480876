"""What happens to every request: an id, a line in the log, and an error turned into a problem."""

import asyncio
import re
from http import HTTPStatus
from time import perf_counter

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from structlog.contextvars import bind_contextvars, reset_contextvars

from adiuva.clock import new_id
from adiuva.errors import GoingAwayError
from adiuva.web.access import PRINCIPAL
from adiuva.web.keys import COUNTING, LEAVING, Counting, Leaving
from adiuva.web.problems import X_REQUEST_ID, foreseen, problem
from adiuva.web.routes import ERROR_FORMS, HIT, Handler, OnError

log = structlog.get_logger(__name__)

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
_STARTED: web.RequestKey[web.StreamResponse] = web.RequestKey("started", web.StreamResponse)

_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,128}").fullmatch
_CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that did not wait; it is only ever logged


def install(app: web.Application) -> None:
    """Give ``app`` the middleware, and the headers that every answer carries; requests go to its `COUNTING`, if any."""
    app.setdefault(LEAVING, Leaving())
    app.middlewares.append(_middleware_of(app.get(COUNTING)))
    app.on_response_prepare.append(_stamp)


def _middleware_of(counting: Counting | None) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = perf_counter()
        request_id = request.headers.get(X_REQUEST_ID, "")
        if not _VALID_ID(request_id):
            request_id = new_id().hex
        request[REQUEST_ID] = request_id
        bound = bind_contextvars(request_id=request_id)
        status = _CLIENT_CLOSED_REQUEST
        try:
            response = await _answer(request, handler)
            status = response.status
            return response
        finally:
            _ended(request, status, perf_counter() - started, counting)
            reset_contextvars(**bound)

    return middleware


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except asyncio.CancelledError:
        if request.app[LEAVING].over and request.get(_STARTED) is None:
            return _error_form(request)(request, GoingAwayError())
        raise
    except Exception as error:
        if isinstance(error, web.HTTPException) and error.status_code < HTTPStatus.BAD_REQUEST:
            raise
        if (begun := request.get(_STARTED)) is not None:
            return _break_off(request, begun, error)
        return _error_form(request)(request, error)


def _error_form(request: web.Request) -> OnError:
    for prefix, form in request.app.get(ERROR_FORMS, {}).items():
        if request.path == prefix or request.path.startswith(f"{prefix}/"):
            return form
    return _as_problem


def _as_problem(request: web.Request, error: Exception) -> web.Response:
    return problem(error, request[REQUEST_ID])


def _break_off(request: web.Request, begun: web.StreamResponse, error: Exception) -> web.StreamResponse:
    # The status is out already; only a connection that breaks tells the client that the body is not whole.
    if not isinstance(error, ConnectionError):
        foreseen(error)
    if request.transport is not None:
        request.transport.abort()
    return begun


async def _stamp(request: web.Request, response: web.StreamResponse) -> None:
    request[_STARTED] = response
    headers = response.headers
    # An Expect that is not met is answered before the middleware runs.
    headers[X_REQUEST_ID] = request.get(REQUEST_ID) or new_id().hex
    if (hit := request.get(HIT)) is not None:
        headers["RateLimit-Limit"] = str(hit.limit)
        headers["RateLimit-Remaining"] = str(hit.remaining)
        headers["RateLimit-Reset"] = str(hit.reset)
    if request.app[LEAVING].begun and response.status != HTTPStatus.SWITCHING_PROTOCOLS:
        headers[hdrs.CONNECTION] = "close"  # so that the client does not send the next request into a closed one
        response.force_close()


def _ended(request: web.Request, status: int, seconds: float, counting: Counting | None) -> None:
    resource = request.match_info.route.resource
    route = resource.canonical if resource else None
    principal = request.get(PRINCIPAL)
    if counting is not None:
        counting.request(request.method, route, status, seconds)
    log.info(
        "request",
        method=request.method,
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
        user_id=str(principal.user_id) if principal else None,
    )
