"""A fixture that runs ``adiuva serve`` as its operator does: a process of its own, seen from outside only."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import orjson
import pytest
from attrs import define, field

ADIUVA = Path(sys.executable).with_name("adiuva")


class NotServingError(Exception):
    """The server ended instead of listening; ``args`` are its exit status and its output."""


@define(kw_only=True)
class Served:
    """A server that listens at ``url``; ``lines`` is what it has said so far."""

    url: str
    process: "subprocess.Popen[str]"
    lines: list[str] = field(factory=list)

    @classmethod
    def start(cls, environ: dict[str, str], cwd: Path, program: Path = ADIUVA) -> Self:
        """Start a server on a free port.

        Raises:
            NotServingError: It ended; there is something wrong with its settings or resources.
        """
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        process = subprocess.Popen(
            [program, "serve"],
            cwd=cwd,
            env={
                **inherited,
                "PORT": "0",
                "LOG_FORMAT": "json",
                "LOG_LEVEL": "DEBUG",
                "SHUTDOWN_DELAY_SECONDS": "0",
                **environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        served = cls(url="", process=process)
        for line in process.stdout:
            served.lines.append(line)
            if line.startswith("{") and (url := orjson.loads(line).get("url")):
                served.url = url
                threading.Thread(target=served.lines.extend, args=[process.stdout], daemon=True).start()
                return served
        raise NotServingError(process.wait(), "".join(served.lines))

    def call(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        """Status and JSON body of one request under the base path."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else orjson.dumps(body)
        request = Request(f"{self.url}/api/v1{path}", data, headers, method=method)
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, orjson.loads(answer.read() or b"null")
        except HTTPError as error:
            with error:
                return error.code, orjson.loads(error.read() or b"null")

    def stop(self) -> int:
        """Tell it to stop; its exit status."""
        self.process.terminate()
        return self.process.wait(timeout=30)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start a server with these variables, in a folder of the test's own; it is stopped after the test."""
    started: list[Served] = []

    def start(program: Path = ADIUVA, **environ: str) -> Served:
        served = Served.start({"DATA_DIR": str(tmp_path / "data"), **environ}, tmp_path, program)
        started.append(served)
        return served

    yield start
    for served in started:
        if served.process.poll() is None:
            served.stop()
