"""Ways to a Qdrant: a server, or qdrant-client's own local mode on files. Its client is loaded at the first use."""

import asyncio
import os
import pickle
import sqlite3
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from attrs import define, field

from adiuva.errors import OverloadedError
from adiuva.vectors.protocol import unavailable

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

T = TypeVar("T")
Work = Callable[["AsyncQdrantClient"], Awaitable[T]]

_CALL_SECONDS = 10
_WORK_SECONDS = 20.0  # a few calls
_MAX_WAITING = 100


class Connection(Protocol):
    """Runs calls of the client."""

    has_indexes: ClassVar[bool]

    async def run(self, work: Work[T]) -> T:
        """What ``work`` gives, called with the client.

        Raises:
            VectorStoreUnavailableError: A call failed.
        """
        ...

    def could_open(self) -> bool:
        """Whether nothing was opened yet, but could be: there is no call that would tell more."""
        ...

    async def close(self) -> None:
        """Close the client."""
        ...


@define(kw_only=True)
class RemoteQdrant:
    """A Qdrant server at ``url``."""

    has_indexes: ClassVar[bool] = True

    _url: str = field(repr=False)
    _api_key: str = field(default="", repr=False)
    _client: "AsyncQdrantClient | None" = field(default=None, init=False)
    _connecting: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def run(self, work: Work[T]) -> T:
        """What ``work`` gives."""
        async with self._connecting:
            if self._client is None:
                self._client = await asyncio.to_thread(self._connect)  # loads the package, which takes a second
        try:
            async with asyncio.timeout(_WORK_SECONDS):
                return await work(self._client)
        except _faults() as error:
            raise unavailable("qdrant", error) from error

    def could_open(self) -> bool:
        """Only the server can tell."""
        return False

    async def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.close()

    def _connect(self) -> "AsyncQdrantClient":
        from qdrant_client import AsyncQdrantClient

        with warnings.catch_warnings():
            # Whether the way to the server is safe without TLS is for its operator to know; the line would be no JSON.
            warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
            # The comparison of versions would be a thread that prints.
            return AsyncQdrantClient(
                url=self._url, api_key=self._api_key or None, timeout=_CALL_SECONDS, check_compatibility=False
            )


@define
class LocalQdrant:
    """Files in ``folder``, for one process: all entries are held in memory, and every search looks at each of them.

    It blocks, so it runs in a thread of its own, one piece of work at a time.
    """

    has_indexes: ClassVar[bool] = False

    _folder: Path
    _thread: ThreadPoolExecutor = field(init=False)
    _runner: asyncio.Runner = field(factory=asyncio.Runner, init=False)
    _client: "AsyncQdrantClient | None" = field(default=None, init=False)
    _waiting: int = field(default=0, init=False)
    _tried: bool = field(default=False, init=False)

    @_thread.default
    def _new_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix="vectors")

    async def run(self, work: Work[T]) -> T:
        """What ``work`` gives.

        Raises:
            OverloadedError: A hundred others wait already.
        """
        if self._waiting >= _MAX_WAITING:
            raise OverloadedError
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)
        except _faults() as error:
            raise unavailable("qdrant local mode", error) from error
        finally:
            self._waiting -= 1

    def could_open(self) -> bool:
        """Whether nobody needed the folder yet, but it can be written."""
        nearest = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        return not self._tried and os.access(nearest, os.W_OK | os.X_OK)

    async def close(self) -> None:
        """Close the files, once what runs has ended."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _work(self, work: Work[T]) -> T:
        self._tried = True
        if self._client is None:
            from qdrant_client import AsyncQdrantClient

            self._folder.mkdir(parents=True, exist_ok=True)
            self._client = AsyncQdrantClient(path=str(self._folder))
        return self._runner.run(_awaited(work(self._client)))

    def _close(self) -> None:
        if self._client is not None:
            self._runner.run(self._client.close())
        self._runner.close()


async def _awaited(result: Awaitable[T]) -> T:
    return await result


def _faults() -> tuple[type[Exception], ...]:
    """What a Qdrant that is away or broken raises; where an answer or a file cannot be read, a ``ValueError``."""
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ApiException

    return (
        ApiException,
        QdrantException,
        sqlite3.Error,
        pickle.PickleError,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
    )
