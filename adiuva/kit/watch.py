"""Watches, inside the process that runs a package's code, what that code tries to do; and keeps it from doing it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from attrs import define, field

_PROCESSES: Final = {"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"}
_CHANGES: Final = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
_NATIVE: Final = {"ctypes.dlopen", "ctypes.dlsym"}
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_COMMON: Final = ("/usr/share/zoneinfo", "/etc/localtime", "/etc/mime.types", "/dev/", "/proc/self")


class ForbiddenOperationError(PermissionError):
    """The package's code tried something that a check does not let it do."""


@define
class Watch:
    """What was tried, each once, in order; ``readable`` is where files may be read."""

    readable: tuple[str, ...]
    tried: dict[str, None] = field(factory=dict, init=False)
    _armed: bool = field(default=False, init=False)

    def install(self) -> None:
        """Watch from now on; Python has no way to stop that, but nothing is watched outside of `armed`."""
        sys.addaudithook(self._hook)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """While the package's code runs."""
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._armed:
            return
        match event:
            case "open":
                self._open(*arguments)
            case "socket.connect":
                self._forbid(f"opens a connection to {_shown(arguments[1])}")
            case "socket.getaddrinfo":
                self._forbid(f"looks up {_shown(arguments[0])}")
            case _ if event in _PROCESSES:
                self._forbid(f"starts a process ({event})")
            case _ if event in _CHANGES:
                self._forbid(f"changes files ({event} {_shown(arguments[0])})")
            case _ if event in _NATIVE:
                self._forbid(f"calls native code ({event})")

    def _open(self, path: object, mode: object, flags: object) -> None:
        if not isinstance(path, str | bytes):
            return  # a file descriptor that is open already
        name = os.fsdecode(path)
        if (isinstance(flags, int) and flags & _WRITING) or (isinstance(mode, str) and set(mode) & set("wax+")):
            self._forbid(f"writes the file {name}")
        where = str(Path(name).absolute())
        if not where.startswith((*self.readable, *_COMMON)):
            self._note(f"reads the file {name}")

    def _note(self, what: str) -> None:
        self.tried[what] = None

    def _forbid(self, what: str) -> None:
        self._note(what)
        raise ForbiddenOperationError(what)


def _shown(value: object) -> str:
    return str(value.decode(errors="replace") if isinstance(value, bytes) else value)[:200]
