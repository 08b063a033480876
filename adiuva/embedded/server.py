"""One running server, from its start to its end."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote, unquote

import structlog
from attrs import define, field

from adiuva.embedded.errors import EmbeddedPostgresError
from adiuva.embedded.postmaster import Postmaster, disown, is_postgres, lock_folder
from adiuva.embedded.programs import OPTIONS, SOCKET_PREFIX, create, identity_for, last_fault, launch

log = structlog.get_logger(__name__)

# Recovery after a crash is part of starting, and may have gigabytes to go through.
_START_SECONDS = 300.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.01


@define(kw_only=True)
class EmbeddedPostgres:
    """A running server; ``dsn`` reaches it. All methods block: call them in a thread."""

    folder: Path
    dsn: str
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    _pid: int = 0
    _lock: IO[str] | None = field(default=None, repr=False)
    _options: Mapping[str, str] = field(factory=dict, repr=False)
    # A restart and a stop do not overlap: else a server could be started that nobody stops.
    _changing: threading.Lock = field(init=False, factory=threading.Lock, repr=False)

    @classmethod
    def start(cls, folder: Path, *, options: Mapping[str, str] | None = None) -> Self:
        """Start the server on ``folder``, making it first if need be.

        A server that outlived its killed owner is taken over; a folder that was not shut down is recovered.

        Raises:
            FolderInUseError: Another process of ours runs on this folder.
            EmbeddedPostgresError: The folder cannot be written, the disk is full, or the server fails otherwise.
        """
        if sys.platform == "win32":
            raise EmbeddedPostgresError("There is no embedded PostgreSQL on Windows: set DATABASE_URL.")
        with _faults_of(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = lock_folder(folder)
            try:
                return cls._start(folder, lock, {**OPTIONS, **(options or {})})
            except BaseException:
                lock.close()
                raise

    @classmethod
    def running(cls, folder: Path) -> Self | None:
        """The server that another process runs on ``folder``, if any does. Stopping this one only lets go of it."""
        postmaster = Postmaster.read(folder)
        if postmaster is None or not postmaster.answers():
            return None
        return cls(folder=folder, dsn=_dsn(postmaster.socket_folder))

    @classmethod
    def _start(cls, folder: Path, lock: IO[str], options: Mapping[str, str]) -> Self:
        identity = identity_for(folder)
        if not (folder / "PG_VERSION").exists():
            create(folder, identity)
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            old = Postmaster.read(folder)
            if old is not None and old.answers():
                log.info("took over a PostgreSQL whose owner was killed")
                return cls(folder=folder, dsn=_dsn(old.socket_folder), pid=old.pid, lock=lock, options=options)
            if old is not None and is_postgres(old.pid):
                time.sleep(_POLL_SECONDS)  # It recovers, or is on its way out.
                continue
            if old is not None:
                disown(folder, old.pid)
            process = launch(folder, identity, options)
            if (postmaster := _wait_until_ready(folder, process, end)) is not None:
                return cls(
                    folder=folder,
                    dsn=_dsn(postmaster.socket_folder),
                    pid=process.pid,
                    process=process,
                    lock=lock,
                    options=options,
                )
            fault = last_fault(folder)
            # Backends of a killed server take a moment to notice.
            if "is still in use" not in fault and "already exists" not in fault:
                raise EmbeddedPostgresError(f"PostgreSQL does not start in {folder}: {fault}")
            time.sleep(0.1)
        raise EmbeddedPostgresError(f"PostgreSQL has not started in {folder} within {_START_SECONDS:.0f} seconds")

    def has_ended(self) -> bool:
        """Whether the server, being this process's own, has ended without being told to."""
        if not self._pid:
            return False
        return self._process.poll() is not None if self._process is not None else not is_postgres(self._pid)

    def restart(self) -> str:
        """Start the server again that has ended, unless it has been stopped; gives its DSN, which may be another.

        Raises:
            EmbeddedPostgresError: It does not start; it may later.
        """
        with self._changing:
            if self._lock is not None:
                self._remove_socket_folder()
                with _faults_of(self.folder):
                    again = self._start(self.folder, self._lock, self._options)
                self.dsn, self._pid, self._process = again.dsn, again._pid, again._process  # noqa: SLF001 - our own
            return self.dsn

    def stop(self) -> None:
        """Stop the server, if it is this process's own: connections are cut, what was committed is kept."""
        with self._changing:
            self._stop()

    def _stop(self) -> None:
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGINT)
                if not self._ended():
                    log.error("PostgreSQL does not stop; it will recover at the next start")
                    os.kill(self._pid, signal.SIGQUIT)
                    self._ended()
            self._remove_socket_folder()
            self._pid = 0
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _remove_socket_folder(self) -> None:
        folder = Path(unquote(self.dsn.partition("host=")[2]))
        if folder.name.startswith(SOCKET_PREFIX):
            shutil.rmtree(folder, ignore_errors=True)

    def _ended(self) -> bool:
        end = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < end:
            if self.has_ended():
                return True
            time.sleep(_POLL_SECONDS)
        return False


def _dsn(socket_folder: str) -> str:
    return f"postgresql://postgres@/postgres?host={quote(socket_folder, safe='')}"


@contextmanager
def _faults_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresError(f"DATA_DIR={str(folder.parent)!r} cannot be used: {error.strerror}") from error


def _wait_until_ready(folder: Path, process: "subprocess.Popen[bytes]", end: float) -> Postmaster | None:
    """None if the server has ended instead."""
    while process.poll() is None:
        postmaster = Postmaster.read(folder)
        if postmaster is not None and postmaster.pid == process.pid and postmaster.answers():
            return postmaster
        if time.monotonic() > end:
            process.send_signal(signal.SIGQUIT)
        time.sleep(_POLL_SECONDS)
    return None
