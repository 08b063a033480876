"""Memory of sockets that say nothing: ``python -m benchmarks.idle``.

So many authenticated chat sockets on one server, beside as many on the bare relay: KiB of the process for each.
"""

import asyncio
import resource
import time

import aiohttp
import psutil

from benchmarks.chat import API, contenders, log_in

SOCKETS = 2000


async def cost(url: str, server: psutil.Process) -> tuple[float, float]:
    """KiB of the server for each socket, and the milliseconds of a health check with all of them open."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        headers = await log_in(session, url)

        async def connect() -> aiohttp.ClientWebSocketResponse:
            return await session.ws_connect(f"{url}{API}/chat/stream", headers=headers)

        sockets = [await connect() for _ in range(50)]  # what the first ones cost is not theirs alone
        before = server.memory_info().rss
        sockets += [await connect() for _ in range(SOCKETS)]
        taken = server.memory_info().rss - before
        began = time.monotonic()
        async with session.get(f"{url}{API}/health") as answer:
            answer.raise_for_status()
        waited = time.monotonic() - began
        for socket in sockets:
            await socket.close()
    return taken / SOCKETS / 1024, waited * 1e3


def main() -> None:
    """Print the table."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"| {SOCKETS:,} idle sockets | KiB each | x relay | health meanwhile, ms |\n|---|---:|---:|---:|")
    with contenders(("direct",)) as servers:
        found = {name: asyncio.run(cost(url, server)) for name, (url, server) in servers.items()}
    least, _ = found["bare relay"]
    for name, (kib, waited) in found.items():
        print(f"| {name} | {kib:.1f} | {kib / least:.1f} | {waited:.1f} |")


if __name__ == "__main__":
    main()
