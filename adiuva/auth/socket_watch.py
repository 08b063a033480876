"""Looks after every open socket of this server: pings, expired tokens, revoked logins, clients that stop reading."""

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol
from uuid import UUID

import structlog
from aiohttp import web

from adiuva.auth.service import Auth
from adiuva.auth.sockets import CLOSE_UNAUTHORIZED
from adiuva.errors import AdiuvaError

log = structlog.get_logger(__name__)

TICK_SECONDS: Final = 2.0  # a revoked login's socket is closed within 5 s
PING_SECONDS: Final = 30.0
PONG_SECONDS: Final = 10.0  # a ping unanswered for so long counts as missed, and the next follows at once
MAX_UNANSWERED: Final = 2
STALLED_SECONDS: Final = 20.0  # a client that takes nothing for so long has to go
CLOSE_TOO_SLOW: Final = 4408


class WatchedSocket(Protocol):
    """What is looked after: one client's socket, of whatever kind."""

    ws: web.WebSocketResponse
    transport: asyncio.Transport | None
    unanswered_pings: int
    pinged_at: float  # monotonic seconds; 0 where no ping is under way

    @property
    def login_id(self) -> UUID:
        """The login that opened the socket."""
        ...

    @property
    def closing(self) -> bool:
        """Whether it is about to close."""
        ...

    @property
    def expired(self) -> bool:
        """Whether the token that opened it has expired."""
        ...

    @property
    def idle(self) -> bool:
        """Whether nothing runs on it that may be finished first."""
        ...

    def stalled_seconds(self, now: float) -> float:
        """How long the client has not taken what it is sent, by ``now`` (monotonic)."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close it; a client that does not take its leave is dropped."""
        ...

    async def leave(self) -> None:
        """Take no more requests, and wait until none runs."""
        ...

    async def go_away(self) -> None:
        """Tell the client that the server stops, and close it."""
        ...


class SocketWatch:
    """One task for all sockets, so that an idle one costs memory only."""

    def __init__(self, *, auth: Auth) -> None:
        """``auth`` says which logins have been revoked."""
        self._auth = auth
        self._sockets: dict[WatchedSocket, float] = {}  # and when each is to be pinged next
        self._task: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> int:
        """How many sockets there are."""
        return len(self._sockets)

    @contextmanager
    def watching(self, socket: WatchedSocket) -> Iterator[None]:
        """Look after ``socket`` meanwhile."""
        self._sockets[socket] = time.monotonic() + PING_SECONDS
        try:
            yield
        finally:
            del self._sockets[socket]

    async def start(self) -> None:
        """Begin to tick."""
        self._task = asyncio.create_task(self._loop(), name="socket watch")

    async def stop(self, grace: float = 0.0) -> None:
        """Say goodbye to every socket, and end; what runs on one may come to its end for ``grace`` seconds."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await asyncio.gather(*(_see_off(socket, grace) for socket in list(self._sockets)), return_exceptions=True)

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except AdiuvaError as error:
                log.warning("sockets not checked", error=error.code)
            except Exception as error:  # noqa: BLE001 - the next tick may go well; without ticks dead sockets stay
                log.error("sockets not checked", error=type(error).__name__)  # noqa: TRY400 - no message in the log

    async def tick(self) -> None:
        """Check every socket once."""
        now = time.monotonic()
        for socket, ping_at in list(self._sockets.items()):
            if socket.stalled_seconds(now) > STALLED_SECONDS:
                self._close(socket, CLOSE_TOO_SLOW, "client does not read")
            elif socket.expired and socket.idle:
                self._close(socket, CLOSE_UNAUTHORIZED, "token expired")
            elif now >= ping_at:
                self._ping(socket, now)
        await self._close_revoked()

    async def _close_revoked(self) -> None:
        if not self._sockets:
            return
        revoked = await self._auth.revoked_logins(list({socket.login_id for socket in self._sockets}))
        for socket in list(self._sockets):
            if socket.login_id in revoked:
                self._close(socket, CLOSE_UNAUTHORIZED, "login revoked")

    def _ping(self, socket: WatchedSocket, now: float) -> None:
        if socket.pinged_at and not socket.unanswered_pings:  # answered: the next is due when its time has come
            self._sockets[socket] = socket.pinged_at + PING_SECONDS
            socket.pinged_at = 0.0
        elif socket.unanswered_pings >= MAX_UNANSWERED:
            self._abort(socket, "client is gone")
        else:
            socket.unanswered_pings += 1
            socket.pinged_at = now
            self._sockets[socket] = now + PONG_SECONDS
            self._spawn(socket.ws.ping())

    def _close(self, socket: WatchedSocket, code: int, reason: str) -> None:
        if not socket.closing:
            self._spawn(socket.close(code, reason))

    def _abort(self, socket: WatchedSocket, reason: str) -> None:
        log.info("socket dropped", reason=reason)
        if socket.transport is not None:
            socket.transport.abort()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Future[None]") -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ConnectionError):
            log.warning("socket not closed cleanly", error=type(error).__name__)


async def _see_off(socket: WatchedSocket, grace: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(grace):
            await socket.leave()
    if not socket.closing:
        await socket.go_away()


SOCKETS = web.AppKey("sockets", SocketWatch)
