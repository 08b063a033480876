"""Who runs on a folder: the lock of ours, and the pid file of PostgreSQL's."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from attrs import frozen

from adiuva.embedded.errors import FolderInUseError

_NO_SUCH_PID = 2**31 - 1


@frozen(kw_only=True)
class Postmaster:
    """What a running server writes into ``postmaster.pid``."""

    pid: int
    socket_folder: str
    ready: bool

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        try:
            lines = (folder / "postmaster.pid").read_text().splitlines()
            return cls(pid=int(lines[0]), socket_folder=lines[4], ready=lines[7].strip() == "ready")
        except (OSError, ValueError, IndexError):
            return None  # None there, or it is being written.

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.settimeout(5)
            probe.connect(f"{self.socket_folder}/.s.PGSQL.5432")
            return self.ready
        return False


def lock_folder(folder: Path) -> IO[str]:
    """The right to run a server on ``folder``; the kernel gives it back whatever this process dies of."""
    import fcntl

    file = folder.with_suffix(".lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read(20).strip()
        file.close()
        where = f"DATA_DIR={str(folder.parent)!r}"
        raise FolderInUseError(
            f"Another server (process {owner}) runs on {where}: stop it, or set another DATA_DIR."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def is_postgres(pid: int) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return bool(process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def disown(folder: Path, pid: int) -> None:
    """Let PostgreSQL see that its old pid file is stale though another process has the number by now.

    That happens after a power cut, and in containers at every kill. Removing the file would also take away PostgreSQL's
    own check for backends that still run.
    """
    path = folder / "postmaster.pid"
    path.write_text(path.read_text().replace(str(pid), str(_NO_SUCH_PID), 1))
