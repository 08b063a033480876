"""``WS /storage/stream``: a device that is told when its user has new changes; what they are it asks over HTTP."""

import asyncio
import time
from contextlib import suppress
from typing import Final

from aiohttp import WSMessage, WSMsgType, web

from adiuva import clock
from adiuva.auth.socket_watch import SOCKETS
from adiuva.auth.sockets import CLOSE_GOING_AWAY, socket_principal
from adiuva.storage.changes.feed import FEED
from adiuva.web import wire
from adiuva.web.access import Principal

MAX_FRAME_BYTES: Final = 1024
LEAVE_SECONDS: Final = 10.0


async def open_stream(request: web.Request) -> web.WebSocketResponse:
    """Open the socket of whoever the ticket or token names, and serve it until it closes."""
    principal = await socket_principal(request)
    socket = ChangesSocket(request, principal)
    await socket.ws.prepare(request)
    # Who listens before the first frame is sent misses nothing: the client asks for changes once it has got that.
    with request.app[SOCKETS].watching(socket), request.app[FEED].listening(str(principal.user_id), socket):
        await socket.run()
    return socket.ws


class ChangesSocket:
    """The server's side of one socket. However much changes, at most one frame waits to be sent."""

    def __init__(self, request: web.Request, principal: Principal) -> None:
        self.ws = web.WebSocketResponse(max_msg_size=MAX_FRAME_BYTES, autoping=False, compress=False)
        self.transport = request.transport
        self.unanswered_pings = 0
        self.pinged_at = 0.0
        self.login_id = principal.login_id
        self.closing = False
        self.idle = True
        self._expires_at = principal.expires_at
        self._cursor = ""
        self._news = asyncio.Event()
        self._sending_since = 0.0

    @property
    def expired(self) -> bool:
        """Whether the token that opened the socket has expired."""
        return clock.now() >= self._expires_at

    def stalled_seconds(self, now: float) -> float:
        """How long the client has not taken what it is sent, by ``now`` (monotonic)."""
        return now - self._sending_since if self._sending_since else 0.0

    def tell(self, cursor: str) -> None:
        """There are changes up to ``cursor``."""
        self._cursor = cursor
        self._news.set()

    async def run(self) -> None:
        """Tell of changes until the socket closes."""
        telling = asyncio.create_task(self._tell_on(), name="storage stream")
        try:
            async for message in self.ws:
                await self._read(message)
                await asyncio.sleep(0)  # a flood of frames that are there already would keep all others waiting
        finally:
            self.closing = True
            telling.cancel()
            await asyncio.wait([telling])

    async def close(self, code: int, reason: str) -> None:
        """Close the socket; a client that does not take its leave is dropped."""
        self.closing = True
        if self.transport is not None:
            asyncio.get_running_loop().call_later(LEAVE_SECONDS, self.transport.abort)
        await self.ws.close(code=code, message=reason.encode(), drain=False)

    async def leave(self) -> None:
        """Nothing is asked for here."""

    async def go_away(self) -> None:
        """Tell the client that the server stops."""
        await self.close(CLOSE_GOING_AWAY, "going away")

    async def _read(self, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.PING:
                await self.ws.pong(message.data)
            case WSMsgType.PONG:
                self.unanswered_pings = 0
            case _:
                pass  # there is nothing to say here

    async def _tell_on(self) -> None:
        with suppress(ConnectionError):  # the reader sees it too
            await self._send({"type": "ready"})
            while True:
                await self._news.wait()
                self._news.clear()
                cursor = self._cursor
                await self._send({"type": "changed", "cursor": cursor} if cursor else {"type": "changed"})

    async def _send(self, frame: dict[str, str]) -> None:
        self._sending_since = time.monotonic()
        try:
            await self.ws.send_frame(wire.dump(frame), WSMsgType.TEXT)
        finally:
            self._sending_since = 0.0
