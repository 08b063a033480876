"""``WS /chat/stream``: one client's socket, whose requests run one at a time, in order.

The task of the request's handler reads; a second task runs the requests, and exists only while there are any.
"""

import asyncio
import time
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from aiohttp import WSMessage, WSMsgType, web

from adiuva import clock
from adiuva.auth.service import AUTH, Auth
from adiuva.auth.socket_watch import SOCKETS
from adiuva.auth.sockets import CLOSE_GOING_AWAY, CLOSE_UNAUTHORIZED, socket_principal
from adiuva.chat.exchange import Exchange
from adiuva.chat.messages import ChatJob
from adiuva.chat.models import ChatRequest
from adiuva.chat.service import CHAT, Chat
from adiuva.errors import (
    GoingAwayError,
    InvalidRequestError,
    InvalidTokenError,
    OverloadedError,
    UnauthorizedError,
)
from adiuva.web import problems, wire
from adiuva.web.access import PRINCIPAL, Principal
from adiuva.web.keys import COUNTING, LIMITER, SETTINGS, SOCKET_SPANS
from adiuva.web.limits import Limiter

log = structlog.get_logger(__name__)

MAX_FRAME_BYTES: Final = 1024 * 1024
MAX_WAITING: Final = 8
MAX_WAITING_CHARACTERS: Final = 2 * 1024 * 1024  # of up to four bytes in memory
LEAVE_SECONDS: Final = 3.0  # what a client has to take its leave
CLOSE_UNSUPPORTED: Final = 1003


async def open_stream(request: web.Request) -> web.WebSocketResponse:
    """Open the socket of whoever the ticket or token names, and serve it until it closes."""
    principal = await socket_principal(request)
    request[PRINCIPAL] = principal  # for the log
    socket = ChatSocket(request, principal)
    await socket.prepare(request)
    with request.app[SOCKETS].watching(socket):
        await socket.run()
    return socket.ws


class ChatSocket:
    """The server's side of one socket. Every frame that it sends goes through `_send`."""

    def __init__(self, request: web.Request, principal: Principal) -> None:
        """``principal`` is who opened it; the tier is read anew for each request."""
        self.ws = web.WebSocketResponse(max_msg_size=MAX_FRAME_BYTES + 1, autoping=False, compress=False)
        self.unanswered_pings = 0
        self.pinged_at = 0.0  # monotonic seconds; 0 where no ping is under way
        self._sending_since = 0.0  # likewise; 0 where nothing is being sent
        self.transport = request.transport
        self._chat: Chat = request.app[CHAT]
        self._auth: Auth = request.app[AUTH]
        self._limiter: Limiter = request.app[LIMITER]
        self._rate_limits = request.app[SETTINGS].rate_limits
        self._counting = request.app.get(COUNTING)
        self._spans = request.app.get(SOCKET_SPANS)
        self._user_id = str(principal.user_id)
        self._login_id: UUID = principal.login_id
        self._expires_at: datetime = principal.expires_at
        self._waiting: deque[tuple[Exchange, str]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._exchange: Exchange | None = None
        self._closing = False
        self._leaving = False

    @property
    def login_id(self) -> UUID:
        """The login that opened the socket: revoked, the socket closes."""
        return self._login_id

    @property
    def closing(self) -> bool:
        """Whether it is about to close."""
        return self._closing

    def stalled_seconds(self, now: float) -> float:
        """How long the client has not taken what it is sent, by ``now`` (monotonic)."""
        return now - self._sending_since if self._sending_since else 0.0

    @property
    def expired(self) -> bool:
        """Whether the token that opened the socket has expired."""
        return clock.now() >= self._expires_at

    @property
    def idle(self) -> bool:
        """Whether no request is running or waiting."""
        return self._worker is None

    async def prepare(self, request: web.Request) -> None:
        """Answer the upgrade."""
        await self.ws.prepare(request)

    async def close(self, code: int, reason: str) -> None:
        """Stop what runs and close the socket; a client that does not take its leave is dropped."""
        self._closing = True
        if self.transport is not None:
            asyncio.get_running_loop().call_later(LEAVE_SECONDS, self.transport.abort)
        await self._stop_worker()
        await self.ws.close(code=code, message=reason.encode(), drain=False)

    async def leave(self) -> None:
        """Begin no request any more, and wait for the one that runs; the others are for `go_away` to answer."""
        self._leaving = True
        if self._worker is not None:
            await asyncio.wait([self._worker])

    async def go_away(self) -> None:
        """Tell the client that the server stops, for the request that runs and those that wait, and close."""
        self._closing = True
        unanswered = len(self._waiting) + (not self.idle)
        if self.transport is not None:
            asyncio.get_running_loop().call_later(LEAVE_SECONDS, self.transport.abort)
        await self._stop_worker()
        for _ in range(unanswered):
            await self._send_error(GoingAwayError())
        await self.ws.close(code=CLOSE_GOING_AWAY, message=b"going away")

    # reading

    async def run(self) -> None:
        """Read frames until the socket closes."""
        try:
            async for message in self.ws:
                await self._read(message)
                await asyncio.sleep(0)  # a flood of frames that are there already would keep all others waiting
        finally:
            self._closing = True
            await self._stop_worker()

    async def _read(self, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.TEXT:
                await self._read_frame(message.data)
            case WSMsgType.BINARY:
                await self.close(CLOSE_UNSUPPORTED, "frames are JSON text")
            case WSMsgType.PING:
                await self.ws.pong(message.data)
            case WSMsgType.PONG:
                self.unanswered_pings = 0

    async def _read_frame(self, text: str) -> None:
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError:
            frame = None
        if not isinstance(frame, dict):
            return await self._send_error(InvalidRequestError("A frame is one JSON object."))
        match frame.get("type"):
            case None:
                await self._enqueue(frame, text)
            case "cancel":
                if self._exchange is not None:
                    await self._exchange.cancel()
            case "tool_result":
                await self._deliver(frame)
            case _:
                await self._send_error(InvalidRequestError("This type of frame is not known."))
        return None

    async def _enqueue(self, frame: dict[str, Any], text: str) -> None:
        waiting = sum(len(frame) for _, frame in self._waiting)
        if len(self._waiting) >= MAX_WAITING or waiting + len(text) > MAX_WAITING_CHARACTERS:
            return await self._send_error(OverloadedError("Too many requests wait on this socket."))
        exchange = Exchange(self._chat, self._send_bytes)
        if self._worker is None and not self._closing and not self._leaving:
            self._exchange = exchange  # at once, since a cancel may have come with it
            self._worker = asyncio.create_task(self._work(exchange, frame), name="chat socket")
        else:
            self._waiting.append((exchange, text))  # the text: what is parsed takes several times the memory
        return None

    async def _deliver(self, frame: dict[str, Any]) -> None:
        if not isinstance(frame.get("id"), str) or ("result" in frame) == ("error" in frame):
            return await self._send_error(InvalidRequestError("A tool_result has an id, and a result or an error."))
        if self._exchange is not None:
            self._exchange.deliver(frame)
        return None

    # running

    async def _work(self, exchange: Exchange, frame: dict[str, Any]) -> None:
        try:
            while True:
                self._exchange = exchange
                with self._span():
                    await self._serve(exchange, frame)
                if self.expired:
                    await self.close(CLOSE_UNAUTHORIZED, "token expired")
                if not self._waiting or self._closing or self._leaving:
                    break
                exchange, text = self._waiting.popleft()
                frame = orjson.loads(text)
        finally:
            self._worker = self._exchange = None

    def _span(self) -> AbstractContextManager[None]:
        return nullcontext() if self._spans is None else self._spans.socket_request()

    async def _stop_worker(self) -> None:
        self._waiting.clear()
        worker = self._worker
        if worker is not None and worker is not asyncio.current_task():
            worker.cancel()
            await asyncio.wait([worker])
            self._worker = None

    async def _serve(self, exchange: Exchange, frame: dict[str, Any]) -> None:
        """Run one request: its events, then exactly one of done, error and cancelled."""
        started = time.monotonic()
        last: dict[str, Any] | None
        raw = b""
        try:
            last = {} if exchange.cancelled else await exchange.run(*await self._admit(frame))
            raw = wire.dump(last)  # here: an answer that is no JSON is this request's fault as well
        except UnauthorizedError:
            last = None
            await self.close(CLOSE_UNAUTHORIZED, "login revoked")
        except ConnectionError:
            last = None  # the reader sees it too, and ends the socket
        except Exception as error:  # noqa: BLE001 - one request's fault never ends the socket
            last = {} if exchange.cancelled else problems.frame(self._chat.clean_error(error))
        if last is not None and exchange.cancelled:
            last, raw = {"type": "cancelled"}, b""
        self._exchange = None  # what comes from here on is for the next one
        outcome = last.get("code", last["type"]) if last else "closed"
        seconds = time.monotonic() - started
        if self._counting is not None:
            self._counting.socket_request(outcome, seconds)
        log.info("socket request", outcome=outcome, ms=round(seconds * 1000, 1), user_id=self._user_id)
        if last:
            await self._send_bytes(raw or wire.dump(last))

    async def _admit(self, frame: dict[str, Any]) -> tuple[ChatJob, Principal]:
        if self.expired:
            raise InvalidTokenError
        principal = await self._auth.refresh_principal(self._login_id, self._expires_at)
        hit = await self._limiter.hit(f"user:{principal.user_id}", self._rate_limits[principal.tier])
        hit.require()
        return self._chat.job(wire.structure(ChatRequest, frame), principal, stream=True), principal

    # writing

    async def _send_error(self, error: BaseException) -> None:
        await self._send(problems.frame(error))

    async def _send(self, frame: dict[str, Any]) -> None:
        await self._send_bytes(wire.dump(frame))

    async def _send_bytes(self, frame: bytes) -> None:
        if self.ws.closed:
            return
        self._sending_since = time.monotonic()
        try:
            await self.ws.send_frame(frame, WSMsgType.TEXT)
        finally:
            self._sending_since = 0.0
