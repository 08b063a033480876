"""Rate limits that several servers share: counts in Redis, through the package ``limits``.

Times are those of the servers, so their clocks should agree.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

import structlog
from limits.aio.storage import RedisStorage
from limits.errors import StorageError
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from adiuva.errors import UnavailableError
from adiuva.settings import SettingsError
from adiuva.web.limits import WINDOW, Hit, LocalLimiter

log = structlog.get_logger(__name__)

CONNECTIONS: Final = 32
TIMEOUT_SECONDS: Final = 3.0
PAUSE_SECONDS: Final = 10.0


class SharedLimiter:
    """Counts in Redis; in this process for as long as Redis does not answer.

    Limits protect the server. Without Redis each process holds them by itself, so that users can go on and nobody is
    unlimited; every few seconds one request finds out whether Redis is back.
    """

    def __init__(self, storage_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """``storage_url`` is ``async+redis://…``, or Valkey's, which speaks the same.

        Raises:
            SettingsError: it cannot be understood.
        """
        self._clock = clock
        self._local = LocalLimiter(clock)
        self._retry_at: float | None = None  # set while Redis does not answer
        try:
            self._pool = BlockingConnectionPool.from_url(
                storage_url.removeprefix("async+").replace("valkey", "redis", 1),
                max_connections=CONNECTIONS,
                retry=Retry(NoBackoff(), 1),  # a pooled connection may have been closed meanwhile
            )
        except ValueError as error:
            raise SettingsError(["RATE_LIMIT_STORAGE_URL: Redis does not understand this URL"]) from error
        self._storage = RedisStorage(
            "async+redis://",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix="adiuva",
            connection_pool=self._pool,  # type: ignore[arg-type]  # as its documentation says
        )

    async def open(self) -> None:
        """See ``Limiter``: one count, which warns if Redis does not answer."""
        await self.hit("start", 1)

    async def hit(self, key: str, limit: int) -> Hit:
        """See ``Limiter``."""
        trying = self._retry_at is not None
        if self._retry_at is not None:
            if self._clock() < self._retry_at:
                return await self._local.hit(key, limit)
            self._retry_at = self._clock() + PAUSE_SECONDS  # this request tries, the others go on without
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                hit = await self._hit(key, limit)
        except (StorageError, OSError) as error:
            self._lost(error)
            return await self._local.hit(key, limit)
        if trying:
            self._retry_at = None
            log.info("rate limit storage answers again")
        return hit

    async def _hit(self, key: str, limit: int) -> Hit:
        # Not through the strategy: its keys hold the limit, so that a change of the tier would begin a new count.
        allowed = await self._storage.acquire_entry(key, limit, WINDOW)
        oldest, count = await self._storage.get_moving_window(key, limit, WINDOW)
        reset = math.ceil(oldest + WINDOW - time.time())
        return Hit(allowed, limit, max(0, limit - count), max(1, reset))

    def _lost(self, error: Exception) -> None:
        if self._retry_at is None:
            cause = error.storage_error if isinstance(error, StorageError) else error
            log.warning(
                "rate limit storage does not answer, each process counts by itself", error=type(cause).__qualname__
            )
        self._retry_at = self._clock() + PAUSE_SECONDS

    async def check(self) -> None:
        """See ``Limiter``."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._hit("check", 1)  # what a request needs, and not only an answer
        except (StorageError, OSError) as error:
            cause = error.storage_error if isinstance(error, StorageError) else error
            raise UnavailableError("The storage of the rate limits does not answer.") from cause

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.disconnect()
