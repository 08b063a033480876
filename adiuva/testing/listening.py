"""What the doubles of outside services have in common: an HTTP server in the test process."""

from types import TracebackType
from typing import ClassVar, Self

from aiohttp import web
from attrs import define, field


@define(kw_only=True)
class Listening:
    """``async with`` one: it listens on this machine only, on ``port`` or a free one, until the block ends."""

    notices_leaving: ClassVar[bool] = False  # whether the handler of a caller that goes away is cancelled
    port: int = 0
    _runner: web.AppRunner = field(init=False)

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def make_app(self) -> web.Application:
        """What is served."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._runner = web.AppRunner(
            self.make_app(), handler_cancellation=self.notices_leaving, shutdown_timeout=0.1, access_log=None
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
