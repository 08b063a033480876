"""CPU and memory of a server that keeps blobs in S3, beside a bare handler that streams to the same S3 while hashing.

Run ``python -m benchmarks.blobs``. Both are bare aiohttp handlers on uvloop; one uses the blob store. Accounts, rows
and quota, which cost the same whatever the size, are not in it.
"""

import argparse
import asyncio
import hashlib
import os
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack

import aiohttp
import psutil
import uvloop
from aiohttp import web

from adiuva.blobs.checksums import verified
from adiuva.blobs.s3 import S3Store
from adiuva.blobs.s3_calls import Bucket
from benchmarks import kit

MIB = 2**20
BLOCK = os.urandom(MIB)


def floor(s3: str) -> web.Application:
    """Streams through, and hashes what comes in."""
    app = web.Application(client_max_size=0)

    async def http(app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(None)) as app["http"]:
            yield

    async def put(request: web.Request) -> web.Response:
        hashed = hashlib.sha256()

        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in request.content.iter_any():
                hashed.update(chunk)
                yield chunk

        length = {"Content-Length": str(request.content_length)}
        async with request.app["http"].put(f"{s3}/bucket{request.path}", data=chunks(), headers=length):
            return web.Response(status=201 if hashed.hexdigest() == request.headers["X-Checksum"] else 400)

    async def get(request: web.Request) -> web.StreamResponse:
        async with request.app["http"].get(f"{s3}/bucket{request.path}") as found:
            answer = web.StreamResponse()
            answer.content_length = found.content_length
            await answer.prepare(request)
            async for chunk in found.content.iter_any():
                await answer.write(chunk)
            return answer

    app.cleanup_ctx.append(http)
    app.router.add_put("/user/{key:.*}", put)
    app.router.add_get("/user/{key:.*}", get)
    return app


def ours(s3: str, *, checked: bool) -> web.Application:
    """The same through the store; ``checked``: what goes out is hashed, too."""
    app = web.Application(client_max_size=0)
    store = S3Store(Bucket(name="bucket", region="us-east-1", endpoint_url=s3))

    async def put(request: web.Request) -> web.Response:
        chunks, checksum = request.content.iter_any(), request.headers["X-Checksum"]
        await store.put(request.path[1:], chunks, size=request.content_length, sha256=checksum)
        return web.Response(status=201)

    async def get(request: web.Request) -> web.StreamResponse:
        async with store.get(request.path[1:]) as chunks:
            answer = web.StreamResponse()
            answer.content_length = int(request.headers["X-Size"])
            await answer.prepare(request)
            async for chunk in verified(chunks, request.headers["X-Checksum"]) if checked else chunks:
                await answer.write(chunk)
            return answer

    app.router.add_put("/user/{key:.*}", put)
    app.router.add_get("/user/{key:.*}", get)
    return app


async def serve(name: str, s3: str, port: int) -> None:
    """One of the two, until the process ends."""

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    app = floor(s3) if name == "floor" else ours(s3, checked=name == "checked")
    app.router.add_get(kit.HEALTH, health)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


class Target:
    """One of the servers, and what it takes for a blob."""

    def __init__(self, url: str, process: psutil.Process) -> None:
        self.url = url
        self.process = process
        self.peak = 0

    async def up(self, name: str, size: int, checksum: str) -> None:
        """Send a blob of ``size`` bytes."""

        async def body() -> AsyncIterator[bytes]:
            for start in range(0, size, MIB):
                yield BLOCK[: size - start]
                self._look()

        headers = {"X-Checksum": checksum, "Content-Length": str(size)}
        async with (
            aiohttp.ClientSession() as http,
            http.put(f"{self.url}/user/{name}", data=body(), headers=headers) as answer,
        ):
            answer.raise_for_status()

    async def down(self, name: str, size: int, checksum: str) -> None:
        """Fetch it."""
        headers = {"X-Checksum": checksum, "X-Size": str(size)}
        async with (
            aiohttp.ClientSession(read_bufsize=MIB) as http,
            http.get(f"{self.url}/user/{name}", headers=headers) as answer,
        ):
            left = size
            async for chunk in answer.content.iter_any():
                left -= len(chunk)
                self._look()
        if left:
            raise SystemExit(f"{left} bytes are missing")

    async def small(self, requests: int, checksum: str) -> tuple[float, float]:
        """CPU seconds for each of many blobs of 4 KiB, up and down."""
        taken = []
        async with aiohttp.ClientSession(f"{self.url}/user/") as http:
            headers = {"X-Checksum": checksum, "X-Size": "4096"}
            for method, body in (("PUT", BLOCK[:4096]), ("GET", None)):
                before = kit.cpu_seconds(self.process)
                for number in range(requests):
                    async with http.request(method, f"small.{number % 50}", data=body, headers=headers) as answer:
                        await answer.read()
                        answer.raise_for_status()
                taken.append((kit.cpu_seconds(self.process) - before) / requests)
        return taken[0], taken[1]

    async def measure(self, mib: int, requests: int) -> dict[str, float]:
        """CPU in ms for a MiB of a large blob and for a small blob, and what the memory grew by, in MiB."""
        checksum = hashlib.sha256(BLOCK)
        for _ in range(mib - 1):
            checksum.update(BLOCK)
        await self.small(20, hashlib.sha256(BLOCK[:4096]).hexdigest())
        await self.up("warm", 9 * MIB, hashlib.sha256(BLOCK * 9).hexdigest())
        self.peak, rest = 0, self.process.memory_info().rss
        start = kit.cpu_seconds(self.process)
        await self.up("large", mib * MIB, checksum.hexdigest())
        middle = kit.cpu_seconds(self.process)
        await self.down("large", mib * MIB, checksum.hexdigest())
        end = kit.cpu_seconds(self.process)
        up, down = await self.small(requests, hashlib.sha256(BLOCK[:4096]).hexdigest())
        return {
            "up": (middle - start) * 1000 / mib,
            "down": (end - middle) * 1000 / mib,
            "4 KiB up": up * 1000,
            "4 KiB down": down * 1000,
            "memory": (self.peak - rest) / MIB,
        }

    def _look(self) -> None:
        self.peak = max(self.peak, self.process.memory_info().rss)


def main() -> None:
    """Run everything, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--serve", nargs=3, metavar=("NAME", "S3", "PORT"), help="used by the benchmark")
    arguments = parser.parse_args()
    if arguments.serve:
        name, s3, port = arguments.serve
        uvloop.run(serve(name, s3, int(port)))
        return
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    figures: dict[str, list[dict[str, float]]] = {"floor": [], "store": [], "checked": []}
    with ExitStack() as stack:
        sink = kit.free_port()
        module = [sys.executable, "-m", "adiuva.testing.s3_sink", str(sink)]
        stack.enter_context(kit.process(*module, port=sink, health="/"))
        for _ in range(arguments.rounds):
            for name, taken in figures.items():
                port = kit.free_port()
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.blobs",
                    "--serve",
                    name,
                    f"http://127.0.0.1:{sink}",
                    str(port),
                ]
                with kit.process(*command, port=port, **keys) as process:
                    target = Target(f"http://127.0.0.1:{port}", process)
                    taken.append(uvloop.run(target.measure(arguments.mib, arguments.requests)))
    print("| | bare handler | blob store | ratio | checked on the way out | ratio |\n|---|---:|---:|---:|---:|---:|")
    for row in figures["floor"][0]:
        bare, store, checked = (statistics.median(run[row] for run in taken) for taken in figures.values())
        unit = "MiB it grew by" if row == "memory" else "CPU ms a blob" if "KiB" in row else "CPU ms a MiB"
        ratios = ("", "") if row == "memory" else (f"{store / bare:.2f}", f"{checked / bare:.2f}")
        print(f"| {row}, {unit} | {bare:.2f} | {store:.2f} | {ratios[0]} | {checked:.2f} | {ratios[1]} |")


if __name__ == "__main__":
    main()
