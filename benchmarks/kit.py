"""What the benchmarks share: processes, their CPU time, and load from one event loop."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil

ROOT = Path(__file__).parent.parent
HEALTH = "/api/v1/health"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(*command: str, port: int, health: str = HEALTH, **environ: str) -> Iterator[psutil.Process]:
    """A server that runs meanwhile, from its first 200 on."""
    child = subprocess.Popen(
        command, env={**os.environ, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        asyncio.run(until_healthy(f"http://127.0.0.1:{port}{health}", child))
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(30)


async def until_healthy(url: str, child: subprocess.Popen[bytes]) -> None:
    """Ask ``url`` until it answers 200."""
    async with aiohttp.ClientSession() as session:
        while child.poll() is None:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.005)
    raise SystemExit(f"{child.args!r} ended with {child.returncode}")


@contextmanager
def adiuva(folder: str, **environ: str) -> Iterator[tuple[str, psutil.Process]]:
    """``adiuva serve`` on a data folder: its URL and its process."""
    port = free_port()
    settings = {"DATA_DIR": folder, "PORT": str(port), "LOG_LEVEL": "WARNING", "JWT_SECRET": secrets.token_hex()}
    adiuva = str(Path(sys.executable).parent / "adiuva")
    with process(adiuva, "serve", port=port, **settings, **environ) as server:
        yield f"http://127.0.0.1:{port}", server


@contextmanager
def data_folder() -> Iterator[str]:
    """An empty folder, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="adiuva-bench-", ignore_cleanup_errors=True) as folder:
        yield folder


def cpu_seconds(server: psutil.Process) -> float:
    """The CPU time that a process has taken, user and system; its children (PostgreSQL) not counted."""
    return time.clock_gettime(~server.pid << 3 | 2)  # as clock_getcpuclockid(3) of Linux makes it, to the nanosecond


async def repeat(seconds: float, workers: int, once: Callable[[], Awaitable[None]]) -> int:
    """Do ``once`` again and again for a while, by several workers; how often it was done."""
    done, end = 0, time.monotonic() + seconds

    async def work() -> None:
        nonlocal done
        while time.monotonic() < end:
            await once()
            done += 1

    await asyncio.gather(*(work() for _ in range(workers)))
    return done
