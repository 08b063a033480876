"""Looks after every open socket of this server: pings, expired tokens, revoked logins, clients that stop reading."""

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from adiuva.auth.service import Auth
from adiuva.errors import AdiuvaError

if TYPE_CHECKING:
    from adiuva.chat.socket import ChatSocket

log = structlog.get_logger(__name__)

TICK_SECONDS: Final = 2.0  # a revoked login's socket is closed within 5 s
PING_SECONDS: Final = 30.0
PONG_SECONDS: Final = 10.0  # a ping unanswered for so long counts as missed, and the next follows at once
MAX_UNANSWERED: Final = 2
STALLED_SECONDS: Final = 20.0  # a client that takes nothing for so long has to go
CLOSE_UNAUTHORIZED: Final = 4401
CLOSE_TOO_SLOW: Final = 4408


class SocketWatch:
    """One task for all sockets, so that an idle one costs memory only."""

    def __init__(self, *, auth: Auth) -> None:
        """``auth`` says which logins have been revoked."""
        self._auth = auth
        self._sockets: dict[ChatSocket, float] = {}  # and when each is to be pinged next
        self._task: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @contextmanager
    def watching(self, socket: "ChatSocket") -> Iterator[None]:
        """Look after ``socket`` meanwhile."""
        self._sockets[socket] = time.monotonic() + PING_SECONDS
        try:
            yield
        finally:
            del self._sockets[socket]

    async def start(self) -> None:
        """Begin to tick."""
        self._task = asyncio.create_task(self._loop(), name="socket watch")

    async def stop(self) -> None:
        """Say goodbye to every socket, and end."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await asyncio.gather(*(socket.go_away() for socket in list(self._sockets)), return_exceptions=True)

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

    def _ping(self, socket: "ChatSocket", now: float) -> None:
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

    def _close(self, socket: "ChatSocket", code: int, reason: str) -> None:
        if not socket.closing:
            self._spawn(socket.close(code, reason))

    def _abort(self, socket: "ChatSocket", reason: str) -> None:
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


SOCKETS = web.AppKey("sockets", SocketWatch)
