"""Blobs as files under ``DATA_DIR``: written aside, made safe on the disk, then renamed into place."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import structlog

from adiuva.blobs.chunks import Pieces
from adiuva.blobs.disk import IncomingFile, OutgoingFile, remove, walk
from adiuva.blobs.keys import checked
from adiuva.blobs.protocol import BlobInfo
from adiuva.errors import BlobDamagedError, BlobMissingError, BlobStoreUnavailableError

log = structlog.get_logger(__name__)

BLOCK: Final = 2**20  # bytes; what one hop to a thread reads, or hashes and writes
INCOMING: Final = ".incoming"  # no key leads there
_THREADS: Final = 8
PAGE = 1000  # files; what one hop lists
_RETRY_SECONDS: Final = 5.0

T = TypeVar("T")


class FileStore:
    """A ``BlobStore`` in ``folder``, which is made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Threads of its own: a disk that hangs does not hold up what else runs in threads.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size: int | None, sha256: str) -> int:  # noqa: ARG002 - a file needs no hint
        """See ``BlobStore``."""
        path, pieces, file = self._path(key), Pieces(chunks), IncomingFile(self._folder / INCOMING)
        try:
            while True:
                block = await pieces.take(BLOCK)
                if pieces.ended:
                    return await self._run(partial(file.finish, block, sha256=sha256, path=path))
                await self._run(partial(file.write, block))
        except BaseException:
            await self._run_to_its_end(file.discard)
            raise

    @asynccontextmanager
    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """See ``BlobStore``."""
        file, block = await self._run(partial(_opened, self._path(key), start, end))
        try:
            yield self._blocks(file, block)
        finally:
            if file.left:
                await self._run_to_its_end(file.close)

    async def read(self, key: str, size: int) -> bytes:
        """See ``BlobStore``."""
        return await self._run(partial(_read, self._path(key), size))

    async def delete(self, key: str) -> None:
        """See ``BlobStore``."""
        await self._run(partial(remove, self._path(key), self._folder))

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """See ``BlobStore``."""
        found = _found(self._folder, prefix)
        while batch := await self._run(lambda: [*islice(found, PAGE)]):
            for info in batch:
                yield info

    async def sweep(self, before: datetime) -> int:
        """See ``BlobStore``."""
        return await self._run(partial(_sweep, self._folder / INCOMING, before.timestamp()))

    async def check(self) -> None:
        """See ``BlobStore``."""
        await self._run(partial(_try_out, self._folder / INCOMING))

    async def close(self) -> None:
        """See ``BlobStore``."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _blocks(self, file: OutgoingFile, block: bytes) -> AsyncIterator[bytes]:
        while block:
            yield block
            block = await self._run(partial(file.read, BLOCK)) if file.left else b""

    def _path(self, key: str) -> Path:
        return self._folder.joinpath(*checked(key).split("/"))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            log.error("the folder of the blobs is out of order", folder=str(self._folder), reason=error.strerror)  # noqa: TRY400
            raise BlobStoreUnavailableError(retry_after=_RETRY_SECONDS) from error

    async def _run_to_its_end(self, work: Callable[[], None]) -> None:
        """Undo something; that this fails is logged and hides no other error, and a cancellation does not stop it."""
        with suppress(BlobStoreUnavailableError):
            await asyncio.shield(self._run(work))


def _read(path: Path, size: int) -> bytes:
    with _not_missing(), path.open("rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size != size:
            raise BlobDamagedError
        data = file.read(size)
        if len(data) != size:
            raise BlobDamagedError
        return data


def _opened(path: Path, start: int, end: int | None) -> tuple[OutgoingFile, bytes]:
    with _not_missing():
        file = OutgoingFile(path, start, end)
    return file, file.read(BLOCK)


@contextmanager
def _not_missing() -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise BlobMissingError from error


def _found(folder: Path, prefix: str) -> Iterator[BlobInfo]:
    for file in walk(folder.joinpath(*prefix.split("/")[:-1])):
        key = Path(file.path).relative_to(folder).as_posix()
        if key.startswith(prefix):
            with suppress(FileNotFoundError):
                stat = file.stat()
                yield BlobInfo(key=key, size=stat.st_size, modified=datetime.fromtimestamp(stat.st_mtime, UTC))


def _sweep(folder: Path, before: float) -> int:
    swept = 0
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
                swept += 1
    return swept


def _try_out(folder: Path) -> None:
    file = IncomingFile(folder)
    try:
        file.write([b"?"])
    finally:
        file.discard()
