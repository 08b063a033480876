"""What the file store does in threads: plain calls that block, each safe to be waited for by nobody any more."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path
from uuid import uuid4

from adiuva.blobs.checksums import Sha256


class IncomingFile:
    """A file that is being written, in ``folder`` and under a name of its own, until it is whole.

    The lock makes ``discard`` wait for a write whose caller was cancelled, so that no descriptor is closed under it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / uuid4().hex
        self._lock = threading.Lock()
        self._file: BufferedWriter | None = None
        self._sha256 = Sha256()
        self._size = 0
        self._unwanted = False

    def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Append ``chunks``."""
        with self._lock:
            self._append(chunks)

    def finish(self, chunks: Sequence[bytes | memoryview], *, sha256: str, path: Path) -> int:
        """Append ``chunks``, make all of it safe on the disk, and move it to ``path``; gives its size.

        Raises:
            ChecksumMismatchError: It is not what ``sha256`` tells of; it was not moved.
        """
        with self._lock:
            file = self._append(chunks)
            self._sha256.expect(sha256)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            if not self._unwanted:
                _move(self._path, path)
            return self._size

    def discard(self) -> None:
        """Forget it, unless it was moved."""
        self._unwanted = True
        with self._lock:
            if self._file is not None:
                with suppress(OSError):  # What is still in its buffer may not fit on the disk.
                    self._file.close()
                self._path.unlink(missing_ok=True)

    def _append(self, chunks: Sequence[bytes | memoryview]) -> BufferedWriter:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")
        for chunk in chunks:
            self._file.write(chunk)
            self._size += len(chunk)
        self._sha256.update(chunks)
        return self._file


class OutgoingFile:
    """A file that is read from ``start`` on, in blocks; up to ``end``, not included, or to its own."""

    def __init__(self, path: Path, start: int, end: int | None) -> None:
        self._lock = threading.Lock()
        self._file: BufferedReader = path.open("rb", buffering=0)  # type: ignore[assignment]
        size = os.fstat(self._file.fileno()).st_size
        self.left = max(0, min(size, size if end is None else end) - start)
        self._file.seek(start)

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; nothing at the end."""
        with self._lock:
            block = b"" if self._file.closed else self._file.read(min(size, self.left))
            self.left = self.left - len(block) if block else 0
            if not self.left:
                self._file.close()
            return block

    def close(self) -> None:
        """Let go of it, once a read whose caller was cancelled has ended."""
        with self._lock:
            self._file.close()


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The files below ``folder``, but for hidden ones and folders; what goes away meanwhile is left out."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from walk(Path(entry.path))
            else:
                yield entry


def remove(path: Path, root: Path) -> None:
    """Remove the file, and the folders below ``root`` that it leaves empty."""
    path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty
        for folder in path.parents:
            if folder == root:
                break
            folder.rmdir()


def _move(source: Path, target: Path) -> None:
    for _ in range(100):  # A folder may be removed as empty in the very moment.
        _make_folder(target.parent)
        try:
            source.replace(target)
        except FileNotFoundError:
            continue
        _sync_folder(target.parent)
        return
    raise FileNotFoundError(target)


def _make_folder(folder: Path) -> None:
    """Make ``folder`` so that a power failure does not take it back."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileNotFoundError, FileExistsError):  # removed as empty in that very moment, by somebody else
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no such call, and needs none.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
