"""What answers where no application is asked: requests that aiohttp cannot read get a problem like all others."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web

from adiuva.clock import new_id
from adiuva.errors import AdiuvaError, InvalidRequestError
from adiuva.web.middleware import REQUEST_ID
from adiuva.web.problems import X_REQUEST_ID, problem

_Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# As much as a JSON body may have: a query that is too long for its field is told so like any other.
MAX_LINE_BYTES = 2**20 + 2**14
SILENT_SECONDS = 4.0  # from the connection to the end of its first request's headers

log = structlog.get_logger(__name__)


class Runner(web.AppRunner):
    """``web.AppRunner``, with problems for requests that are no HTTP."""

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        super().__init__(app, max_line_size=MAX_LINE_BYTES, **kwargs)

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(_answering(server.request_handler), request_factory=server.request_factory, **self._kwargs)


def _answering(handle: _Handle) -> _Handle:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handle(request)
        except web.HTTPException as error:  # an Expect that is not met: no middleware has seen the request
            return problem(error, request.get(REQUEST_ID) or new_id().hex)

    return answer


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _RequestHandler(self, loop=self._loop, **self._kwargs)


class _RequestHandler(web.RequestHandler):
    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected; if it sends nothing, it does not hold its file descriptor for long.

        aiohttp has one timeout for such connections and for idle ones that have been of use, which are kept longer.
        """
        super().connection_made(transport)
        asyncio.get_running_loop().call_later(SILENT_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self._request_count == 0:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request, which may hold a token
    ) -> web.StreamResponse:
        """The answer to a request that could not be read, or, which should not happen, got past the middleware."""
        if request.writer.output_size > 0:
            raise ConnectionError  # the answer has begun: aiohttp then closes the connection
        request_id = new_id().hex
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            error: BaseException = InvalidRequestError("This is not HTTP as this server speaks it.")
        else:
            error = exc or AdiuvaError()
        response = problem(error, request_id)
        response.headers[X_REQUEST_ID] = request_id
        response.force_close()
        log.info(
            "request", method=None, route=None, status=response.status, ms=0.0, user_id=None, request_id=request_id
        )
        return response
