"""What answers where no application is asked: requests that aiohttp cannot read get a problem like all others."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import monotonic
from typing import Any

import structlog
from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo

from adiuva.clock import new_id
from adiuva.errors import AdiuvaError, InvalidRequestError
from adiuva.web.keys import COUNTING, LEAVING, SETTINGS, Counting
from adiuva.web.middleware import REQUEST_ID
from adiuva.web.problems import X_REQUEST_ID, problem

_Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_ORIGIN = re.compile(rb"\r\norigin:[ \t]*([^\s]+)[ \t]*(?:\r\n|$)", re.IGNORECASE)

# As much as a JSON body may have: a query that is too long for its field is told so like any other.
MAX_LINE_BYTES = 2**20 + 2**14
MAX_HEAD_BYTES = 2 * MAX_LINE_BYTES  # of the target and all headers together
LEAST_GRACE_SECONDS = 1.0  # for an answer that says that the server goes away
LOOK_SECONDS = 0.02  # how often a stopping server looks whether requests still run
SILENT_SECONDS = 4.0  # from the connection to the end of its first request's headers
# How long a client that sends more than it announced may go on before it is cut off: else it would not see its answer.
LINGER_SECONDS = 10.0
QUIET_SECONDS = 0.2

log = structlog.get_logger(__name__)


class Runner(web.AppRunner):
    """``web.AppRunner``, with problems for requests that are no HTTP, and one grace for all that runs at the end."""

    def __init__(self, app: web.Application, *, delay_seconds: float = 0.0, **kwargs: Any) -> None:
        """``delay_seconds``: how long it is unready and serves on before it stops."""
        super().__init__(app, max_line_size=MAX_LINE_BYTES, **kwargs)
        self.delay_seconds = delay_seconds

    async def setup(self) -> None:
        """Start the application; where it fails, what had been started by then is stopped, PostgreSQL above all."""
        try:
            await super().setup()
        except BaseException:
            await self.cleanup()
            raise

    async def cleanup(self) -> None:
        """Stop: be unready for a while, take no more connections, let what runs come to its end, close everything."""
        if self._sites and (leaving := self.app.get(LEAVING)) is not None:
            leaving.begun = True
            await asyncio.sleep(self.delay_seconds)
        await super().cleanup()

    async def shutdown(self) -> None:
        """Let the application say goodbye and requests end, all in one grace; then tell those that still run.

        aiohttp's own wait for requests would not do: in it, nothing is read from clients any more.
        """
        until = monotonic() + self._shutdown_timeout
        await super().shutdown()
        server, leaving = self._server, self.app.get(LEAVING)
        assert isinstance(server, _Server)
        while server.busy and monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
            server.pre_shutdown()
        if leaving is not None:
            leaving.over = True
            server.cancel_requests()
        self._shutdown_timeout = LEAST_GRACE_SECONDS

    async def _make_server(self) -> web.Server:
        # No route takes compressed bodies, and unpacking would come before any route can refuse them.
        self._kwargs["auto_decompress"] = False
        server = await super()._make_server()
        answering = _Server(_answering(server.request_handler), request_factory=server.request_factory, **self._kwargs)
        if (settings := self.app.get(SETTINGS)) is not None:
            answering.origins = frozenset(settings.cors_origins)
        answering.counting = self.app.get(COUNTING)
        return answering


def has_surplus(request: web.BaseRequest) -> bool:
    """Whether more has come than the body that the request announced, and what came is no request."""
    protocol = request.protocol
    return isinstance(protocol, _RequestHandler) and protocol.surplus_of is request.content


def _answering(handle: _Handle) -> _Handle:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handle(request)
        except web.HTTPException as error:  # an Expect that is not met: no middleware has seen the request
            return problem(error, request.get(REQUEST_ID) or new_id().hex)

    return answer


class _Server(web.Server):
    origins: frozenset[str] = frozenset()  # whose pages may read the answers
    counting: Counting | None = None

    @property
    def busy(self) -> bool:
        """Whether any request runs."""
        return any(connection.busy for connection in self._own())

    def pre_shutdown(self) -> None:
        """Close the connections on which no request runs; what runs goes on, and goes on reading."""
        for connection in self._own():
            if not connection.busy:
                connection.close()

    def cancel_requests(self) -> None:
        """Cancel the requests that run."""
        for connection in self._own():
            connection.cancel_request()

    def _own(self) -> list["_RequestHandler"]:
        return [connection for connection in self.connections if isinstance(connection, _RequestHandler)]

    def __call__(self) -> web.RequestHandler:
        return _RequestHandler(self, loop=self._loop, **self._kwargs)


class _RequestHandler(web.RequestHandler):
    __slots__ = (
        "_deaf",  # what comes after something that cannot be read is not looked at
        "_head_bytes",  # of a request whose headers have not ended
        "_incoming",  # the body of the request that came last
        "_origin",  # of the request that could not be read, if that much of it could
        "_surplus_bytes",
        "surplus_of",  # the body that was announced to be shorter than what has come
    )

    @property
    def busy(self) -> bool:
        """Whether a request runs."""
        return self._request_in_progress

    def cancel_request(self) -> None:
        """Cancel the request that runs, if any."""
        if self._request_in_progress and self._task_handler is not None:
            self._task_handler.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected; if it sends nothing, it does not hold its file descriptor for long.

        aiohttp has one timeout for such connections and for idle ones that have been of use, which are kept longer.
        """
        super().connection_made(transport)
        self.surplus_of: StreamReader | None = None
        self._surplus_bytes = 0
        self._head_bytes = 0
        self._incoming: StreamReader = EMPTY_PAYLOAD
        self._deaf = False
        asyncio.get_running_loop().call_later(SILENT_SECONDS, self._close_if_silent)

    def data_received(self, data: bytes) -> None:
        """Bytes have come; where they break the body that a handler reads, the handler is told.

        aiohttp would only answer them in their turn, after the handler, which waits for the rest of its body.
        """
        if self._deaf:
            self._surplus_bytes += len(data)
            return
        before = self._request_count
        super().data_received(data)
        messages = self._messages
        if self._request_count == before:
            self._count_head(data)
            return
        self._head_bytes, self._incoming = 0, messages[-1][1]
        if type(messages[-1][0]) is not _ErrInfo:
            return
        self._deaf = True
        # Its frames hold what was received, and it is in a cycle with them.
        messages[-1][0].exc.__traceback__ = None
        origin = _ORIGIN.search(data.partition(b"\r\n\r\n")[0])
        self._origin = origin[1].decode(errors="replace") if origin else ""
        if len(messages) > 1:
            payload = messages[-2][1]
        elif self._current_request is not None:
            payload = self._current_request.content
        else:
            return
        if not payload.is_eof():
            payload.set_exception(RequestPayloadError())
        elif payload is not EMPTY_PAYLOAD:
            self.surplus_of = payload

    def _count_head(self, data: bytes) -> None:
        """Refuse a head that does not end: aiohttp looks at the length of a target only piece by piece."""
        if self._upgraded or self._payload_parser is not None or not self._incoming.is_eof():
            return  # a frame of a socket, or a body
        self._head_bytes += len(data)
        if self._head_bytes <= MAX_HEAD_BYTES:
            return
        error = _ErrInfo(status=400, exc=LineTooLong(b"", MAX_HEAD_BYTES), message="")
        self._messages.append((error, EMPTY_PAYLOAD))
        self._deaf = True
        self._origin = ""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _make_error_handler(self, err_info: _ErrInfo) -> _Handle:
        answer = super()._make_error_handler(err_info)

        async def linger_and_answer(request: web.BaseRequest) -> web.StreamResponse:
            for _ in range(int(LINGER_SECONDS / QUIET_SECONDS)):
                if self.surplus_of is None:
                    break
                before = self._surplus_bytes
                await asyncio.sleep(QUIET_SECONDS)
                if self._surplus_bytes == before:
                    break
            return await answer(request)

        return linger_and_answer

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
        request._version = HttpVersion11  # noqa: SLF001 - aiohttp has 1.0 for what it cannot read
        origin = getattr(self, "_origin", "")
        if isinstance(self._manager, _Server):
            if origin in self._manager.origins:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
                response.headers[hdrs.VARY] = hdrs.ORIGIN
            if self._manager.counting is not None:
                self._manager.counting.request("", None, response.status, 0.0)
        log.info(
            "request", method=None, route=None, status=response.status, ms=0.0, user_id=None, request_id=request_id
        )
        return response
