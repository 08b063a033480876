"""A fixture with a real Redis, where the machine has the program."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, field


@define
class RedisServer:
    """A Redis of one test, on a port of its own, with nothing in it."""

    folder: Path
    port: int = field(init=False)
    process: "subprocess.Popen[str]" = field(init=False)

    def __attrs_post_init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        """For ``RATE_LIMIT_STORAGE_URL``."""
        return f"async+redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, again where it was stopped; it remembers nothing."""
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), "save": "", "appendonly": "no"}
        arguments = [argument for name, value in options.items() for argument in (f"--{name}", value)]
        self.process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                return
        raise RuntimeError("".join(said))

    def stop(self) -> None:
        """Stop it as a crash does."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def freeze(self) -> None:
        """Make it accept connections and answer nothing, until it is stopped."""
        self.process.send_signal(signal.SIGSTOP)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own; the test is skipped where there is no redis-server."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on this machine")
    server = RedisServer(tmp_path)
    yield server
    server.stop()
