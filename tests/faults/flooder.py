"""Floods sockets with frames, from a process of its own: ``python flooder.py URL TOKEN FRAME``; nothing is read."""

import asyncio
import sys
import time
from contextlib import suppress

import aiohttp

SOCKETS, SECONDS = 5, 5


async def flood(url: str, token: str, frame: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(url, autoping=False) as socket:
        end = time.monotonic() + SECONDS
        with suppress(ConnectionError, aiohttp.ClientError):
            while time.monotonic() < end:
                for _ in range(100):
                    await (socket.ping() if frame == "ping" else socket.send_str(frame))
                await asyncio.sleep(0)


async def main() -> None:
    await asyncio.gather(*(flood(*sys.argv[1:]) for _ in range(SOCKETS)))


if __name__ == "__main__":
    asyncio.run(main())
