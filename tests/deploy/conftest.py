"""Servers under gunicorn, as the image starts them."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest
from attrs import define

from adiuva.settings import Settings
from adiuva.testing.redis import RedisServer

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
API = "/api/v1"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@define(kw_only=True)
class Prefork:
    """gunicorn with so many workers, at ``url``."""

    url: str
    process: "subprocess.Popen[str]"

    def workers(self) -> list[psutil.Process]:
        children: list[psutil.Process] = psutil.Process(self.process.pid).children()
        return children

    def until_healthy(self) -> None:
        for _ in range(600):
            assert self.process.poll() is None, self.process.communicate()[0]
            try:
                with urlopen(f"{self.url}{API}/health", timeout=5):
                    return
            except (URLError, ConnectionError):
                time.sleep(0.05)
        raise AssertionError("it does not answer")

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, 30)


@pytest.fixture
def gunicorn(tmp_path: Path) -> Iterator[Callable[..., Prefork]]:
    """Start gunicorn with these variables; it is stopped after the test."""
    started: list[Prefork] = []

    def start(**environ: str) -> Prefork:
        port = free_port()
        environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "PORT": str(port), **environ}
        process = subprocess.Popen(
            [BIN / "gunicorn", "--config", "python:adiuva.gunicorn_conf"],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(Prefork(url=f"http://127.0.0.1:{port}", process=process))
        return started[-1]

    yield start
    for each in started:
        each.process.terminate()
        each.process.communicate(timeout=30)


@pytest.fixture
def shared(settings: Settings, redis: RedisServer) -> dict[str, Any]:
    """What two workers share."""
    return {
        "WEB_CONCURRENCY": "2",
        "DATABASE_URL": settings.database_url,
        "RATE_LIMIT_STORAGE_URL": redis.url,
        "QDRANT_URL": "http://127.0.0.1:9",  # away, and asked for by nothing here
    }
