"""Clients that do not read, by the hundred."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import psutil
import pytest
from yarl import URL

from adiuva.testing.openai_double import OpenAIDouble, Reply
from adiuva.testing.serving import Served

MANY = 200
API = "/api/v1"


@pytest.fixture
async def double() -> AsyncIterator[OpenAIDouble]:
    async with OpenAIDouble() as double:
        yield double


def deaf_socket(url: URL, token: str) -> socket.socket:
    """Asks for an answer, and reads none of it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((url.host, url.port))
    connection.sendall(
        f"GET {API}/chat/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Authorization: Bearer {token}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert connection.recv(1000).startswith(b"HTTP/1.1 101")
    frame = b'{"message": "Hi", "agents": ["task_agent"]}'
    connection.sendall(bytes([0x81, 0x80 | len(frame), 0, 0, 0, 0]) + frame)
    return connection


@pytest.mark.proof
async def test_200_readers_that_stop_reading_cost_under_a_mebibyte_each_and_are_closed(
    serve: Callable[..., Served], double: OpenAIDouble
) -> None:
    """WS5."""
    double.respond = lambda _: Reply(pieces=["x" * 60_000] * 100)
    limits = "free=100000,pro=100000,power=100000,team=100000"
    served = await asyncio.to_thread(
        serve, LLM_MODEL="openai/x", LLM_API_BASE=double.base_url, OPENAI_API_KEY="none", RATE_LIMITS=limits
    )
    user = {"email": "ada@example.com", "password": "correct horse battery"}
    _, tokens = await asyncio.to_thread(served.call, "POST", "/auth/register", user)
    url, server = URL(served.url), psutil.Process(served.process.pid)
    before = server.memory_info().rss
    sockets = [await asyncio.to_thread(deaf_socket, url, tokens["access_token"]) for _ in range(MANY)]
    await asyncio.sleep(5)
    assert server.memory_info().rss - before < MANY * 2**20
    assert (await asyncio.to_thread(served.call, "POST", "/auth/login", user))[0] == 200
    async with asyncio.timeout(70):
        while len(await asyncio.to_thread(server.net_connections)) > MANY // 4:
            await asyncio.sleep(0.5)
    for connection in sockets:
        connection.close()
