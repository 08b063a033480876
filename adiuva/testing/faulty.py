"""An HTTP server in the test process that can be told to fail: the doubles of outside services are built on it."""

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Literal, Self, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from attrs import define, field

Mode = Literal["well", "failing", "hanging", "dropping"]
"""How it answers: as it should; with 503; never; by breaking off the connection."""


Answer = TypeVar("Answer")


def app_of(routes: Iterable[tuple[str, str, Answer]], checked: Callable[[Answer], Handler]) -> web.Application:
    """An application of these methods, paths and what answers them, which ``checked`` makes a handler of."""
    app = web.Application(client_max_size=64 * 2**20)
    for method, path, answer in routes:
        app.router.add_route(method, path, checked(answer))
    return app


@define
class FaultyServer:
    """``async with FaultyServer(app)``: serves on a port of its own, which it keeps while it is stopped."""

    make_app: Callable[[], web.Application]
    mode: Mode = field(default="well", init=False)
    requests: list[tuple[str, str]] = field(factory=list, init=False)  # method and path of each
    _port: int = field(default=0, init=False)
    _runner: web.AppRunner | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen, again where it was stopped."""
        app = self.make_app()
        app.middlewares.append(self._misbehave)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        if self.mode == "failing":
            return web.json_response({"status": "error"}, status=503)
        if self.mode == "hanging":
            await asyncio.Event().wait()
        if self.mode == "dropping":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return await handler(request)
