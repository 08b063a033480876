"""Fixtures with an S3 of moto's over HTTP, and a way to it on which things go wrong on request."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web
from attrs import define, field, frozen

Kind = Literal["503", "403", "hang", "reset", "stall", "cut", "flip", "slow", "keyless"]
SLOW_SECONDS = 0.5


@frozen(kw_only=True)
class S3Server:
    """moto's server at ``url``, and a bucket in it that nobody else uses."""

    url: str
    bucket: str = field(factory=lambda: f"bucket-{uuid4().hex}")

    def client(self) -> Any:
        """boto3's client, to look at the bucket from outside."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
        )


@pytest.fixture(scope="session")
def s3_server_url() -> Iterator[str]:
    """The address of a moto server that lives as long as the tests."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_server(s3_server_url: str, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """S3 with a bucket of this test's own, which is still to be made, and credentials in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in [
        name for name in os.environ if name.startswith("AWS_") and name.endswith(("PROFILE", "REGION", "URL"))
    ]:
        monkeypatch.delenv(name)
    return S3Server(url=s3_server_url)


@define(kw_only=True)
class Fault:
    """What goes wrong with requests of ``method`` whose query has ``query`` in it, ``times`` times."""

    kind: Kind
    method: str = ""
    query: str = ""
    times: int = 10**6
    met: int = 0

    def meets(self, request: web.BaseRequest) -> bool:
        """Whether it is this request's turn."""
        fits = request.method.startswith(self.method) and self.query in request.query_string and self.met < self.times
        self.met += fits
        return fits


@define
class S3Way:
    """A proxy in front of ``server``: passes on what comes, but for the ``faults``; remembers what it was asked."""

    server: S3Server
    faults: list[Fault] = field(factory=list)
    seen: list[tuple[str, str]] = field(factory=list)
    url: str = ""
    _runner: web.ServerRunner | None = None
    _port: int = 0
    _closing: asyncio.Event = field(factory=asyncio.Event)

    async def open(self) -> None:
        """Listen, at the same address each time."""
        self._closing.clear()
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def close(self) -> None:
        """Be gone: connections are refused."""
        self._closing.set()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append((request.method, request.query_string))
        kind = next((fault.kind for fault in self.faults if fault.meets(request)), None)
        if kind == "stall":  # takes nothing
            await self._closing.wait()
            _abort(request)
        if kind == "hang":  # takes all, answers nothing
            await _invite(request)
            await request.content.read()
            await self._closing.wait()
            _abort(request)
        if kind == "reset":
            await _invite(request)
            await request.content.readany()
            _abort(request)
        if kind == "keyless" and "x-amz-server-side-encryption" in request.headers:  # MinIO, without a KMS
            if not request.headers.get("Expect"):
                await request.content.read()
            text = "<Error><Code>NotImplemented</Code></Error>"
            return web.Response(status=501, text=text, content_type="text/xml")
        if kind in {"503", "403"}:
            if not request.headers.get("Expect"):
                await request.content.read()
            code = "SlowDown" if kind == "503" else "AccessDenied"
            return web.Response(status=int(kind), text=f"<Error><Code>{code}</Code></Error>", content_type="text/xml")
        if kind == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        return await self._pass_on(request, kind)

    async def _pass_on(self, request: web.BaseRequest, kind: str | None) -> web.StreamResponse:
        await _invite(request)
        body = await request.content.read()
        headers = {name: value for name, value in request.headers.items() if name != "Expect"}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.request(request.method, self.server.url + request.raw_path, data=body, headers=headers) as got,
        ):
            data = bytearray(await got.read())
            headers = {k: v for k, v in got.headers.items() if k not in {"Content-Length", "Transfer-Encoding", "Date"}}
            length = got.headers.get("Content-Length", str(len(data)))
            answer = web.StreamResponse(status=got.status, headers={**headers, "Content-Length": length})
        if kind == "flip":
            data[-1] ^= 1
        await answer.prepare(request)
        if kind == "cut":
            await answer.write(bytes(data[: len(data) // 2]))
            _abort(request)
        await answer.write(bytes(data))
        return answer


async def _invite(request: web.BaseRequest) -> None:
    if request.headers.get("Expect") and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _abort(request: web.BaseRequest) -> None:
    if request.transport:
        request.transport.abort()
    raise ConnectionResetError


@pytest.fixture
async def s3_way(s3_server: S3Server) -> AsyncIterator[S3Way]:
    """A way to ``s3_server`` on which nothing goes wrong yet."""
    way = S3Way(s3_server)
    await way.open()
    yield way
    await way.close()


@pytest.fixture
def s3_sink() -> Iterator[str]:
    """The address of an S3, a process of its own, that takes and gives any number of bytes and keeps none of them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "adiuva.testing.s3_sink", str(port)])
    for _ in range(1000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()
