"""A connection in reserve, so that no message waits for one to be made: over TLS that takes three round trips."""

import asyncio
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class SparingConnector(aiohttp.TCPConnector):
    """Makes one connection more whenever a request has taken the last idle one, or found none.

    So there is at most one more than were ever needed at a time; as any other, it is closed once it has been idle for
    ``keepalive_timeout``.
    """

    _making: asyncio.Task[None] | None = None

    async def connect(
        self,
        req: "ClientRequest",
        traces: "list[Trace]",
        timeout: "ClientTimeout",  # noqa: ASYNC109 - the base class's
    ) -> "Connection":
        """A connection for ``req``."""
        connection = await super().connect(req, traces, timeout)
        if self._making is None and not self._conns.get(req.connection_key):
            self._making = asyncio.create_task(self._make_spare(req, limits=timeout), name="spare connection")
        return connection

    async def _make_spare(self, req: "ClientRequest", *, limits: "ClientTimeout") -> None:
        try:
            spare = await super().connect(req, [], limits)
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass  # whoever needs one will see it too
        else:
            spare.release()  # into the pool
        finally:
            self._making = None

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections."""
        if self._making is not None:
            self._making.cancel()
        await super().close(abort_ssl=abort_ssl)
