"""Clients that send too much, too slowly, or nothing at all."""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from adiuva.testing.openai_double import OpenAIDouble, say
from tests.faults.conftest import API, MIB, PASSWORD, Server

pytestmark = pytest.mark.proof

SOCKETS = 2000


async def pour(port: int, *, first: bytes, more: bytes, mib: int, pause: float = 0.0) -> bytes:
    """Send ``first``, then ``more`` again and again until the server has had enough; what it answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = len(first)
    with suppress(ConnectionError):
        writer.write(first)
        while sent < mib * MIB and not reader.at_eof() and not writer.is_closing():
            writer.write(more)
            sent += len(more)
            await writer.drain()
            await asyncio.sleep(pause)
    answer = b""
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(15):
            answer = await reader.read(65536)
    writer.close()
    return answer


@pytest.mark.parametrize(
    "first, more",
    [
        (b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n", b"X-Flood: " + b"a" * 4000 + b"\r\n"),
        (b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX-Flood: ", b"a" * 4000),
        (b"GET /", b"a" * 4000),
    ],
    ids=["many headers", "one header", "the target"],
)
async def test_a_flood_of_headers_is_refused_and_costs_no_memory(
    server: Callable[..., Server], first: bytes, more: bytes
) -> None:
    ours = await asyncio.to_thread(server)
    before = ours.memory()

    async def trouble() -> list[bytes]:
        return await asyncio.gather(*(pour(ours.port, first=first, more=more, mib=64) for _ in range(10)))

    flood = asyncio.create_task(trouble())
    assert await ours.slowest_meanwhile(flood) < 2
    for answer in flood.result():
        assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431", b"HTTP/1.1 414")), answer[:100]
    assert ours.memory() - before < 64


async def test_headers_that_dribble_are_cut_off_and_disturb_nobody(server: Callable[..., Server]) -> None:
    ours = await asyncio.to_thread(server)

    async def dribble() -> float:
        began = time.monotonic()
        await pour(ours.port, first=b"GET /api/v1/health HTTP/1.1\r\n", more=b"X-A: b\r\n", mib=1, pause=0.5)
        return time.monotonic() - began

    async def trouble() -> list[float]:
        return await asyncio.gather(*(dribble() for _ in range(300)))

    slow = asyncio.create_task(trouble())
    assert await ours.slowest_meanwhile(slow) < 2
    assert max(slow.result()) < 10


@pytest.mark.parametrize("frame", ["5", "ping", '{"type":"cancel"}'], ids=["garbage", "pings", "cancels"])
async def test_a_flood_of_frames_disturbs_nobody(server: Callable[..., Server], frame: str) -> None:
    ours = await asyncio.to_thread(server)
    before = ours.memory()
    program, url = Path(__file__).with_name("flooder.py"), f"{ours.url}{API}/chat/stream"
    flooder = await asyncio.create_subprocess_exec(sys.executable, program, url, ours.token, frame)
    assert await ours.slowest_meanwhile(flooder.wait()) < 1
    assert ours.memory() - before < 64


async def test_2000_idle_sockets_cost_little_and_a_login_is_as_quick_as_ever(server: Callable[..., Server]) -> None:
    ours = await asyncio.to_thread(server)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=ours.bearer, connector=connector) as session:
        first = [await session.ws_connect(f"{ours.url}{API}/chat/stream") for _ in range(100)]
        before, files = ours.memory(), ours.files()
        sockets = [await session.ws_connect(f"{ours.url}{API}/chat/stream") for _ in range(SOCKETS)]
        assert (ours.memory() - before) * 1024 / SOCKETS < 64
        credentials = {"email": "ada@example.com", "password": PASSWORD}
        began = time.monotonic()
        async with session.post(f"{ours.url}{API}/auth/login", json=credentials) as answer:
            assert answer.status == 200
        assert time.monotonic() - began < 2
        for socket in [*first, *sockets]:
            await socket.close()
        async with asyncio.timeout(10):
            while ours.files() > files:
                await asyncio.sleep(0.05)


async def test_a_model_that_hangs_holds_up_its_own_requests_until_the_deadline_and_no_others(
    server: Callable[..., Server],
) -> None:
    async with OpenAIDouble(respond=lambda _: say("Wait", ending="hang")) as double:
        model = {"LLM_MODEL": "openai/double", "LLM_API_BASE": double.base_url, "OPENAI_API_KEY": "sk-test"}
        ours = await asyncio.to_thread(server, **model, CHAT_DEADLINE_SECONDS="4", LLM_TIMEOUT_SECONDS="60")
        async with aiohttp.ClientSession(headers=ours.bearer, connector=aiohttp.TCPConnector(limit=0)) as session:

            async def ask() -> tuple[int, str]:
                body = {"message": "hi", "agents": ["task_agent"]}
                async with session.post(f"{ours.url}{API}/chat", json=body) as answer:
                    return answer.status, (await answer.json())["code"]

            asked = asyncio.gather(*(ask() for _ in range(100)))
            assert await ours.slowest_meanwhile(asked) < 1
            assert set(await asked) == {(504, "llm_timeout")}
        await double.wait_aborted(100)
