"""A server that is told to stop: what runs comes to its end, or is told so; what is new goes elsewhere."""

import asyncio
import hashlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientConnectorError, ClientSession, ClientWebSocketResponse

from adiuva.testing.openai_double import OpenAIDouble, say
from adiuva.testing.serving import Served

pytestmark = pytest.mark.proof

Serve = Callable[..., Served]
API = "/api/v1"
USER = {"email": "ada@example.com", "password": "correct horse battery"}
HI = {"message": "hi", "agents": ["task_agent"]}


@pytest.fixture
async def double() -> AsyncIterator[OpenAIDouble]:
    async with OpenAIDouble() as double:
        yield double


def environ(double: OpenAIDouble, **more: str) -> dict[str, str]:
    model = {"LLM_MODEL": "openai/double", "LLM_API_BASE": double.base_url, "OPENAI_API_KEY": "sk-test"}
    return {**model, "DEFAULT_TIER": "team", **more}


async def start(serve: Serve, **variables: str) -> tuple[Served, ClientSession]:
    """A server, and a session of a user."""
    served = await asyncio.to_thread(serve, **variables)
    _, tokens = await asyncio.to_thread(served.call, "POST", "/auth/register", USER)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return served, ClientSession(served.url, headers=headers, timeout=aiohttp.ClientTimeout(30))


async def stopped(served: Served) -> int:
    return await asyncio.to_thread(served.process.wait, 30)


async def frames(socket: ClientWebSocketResponse) -> list[dict[str, Any]]:
    """What comes until the socket closes."""
    return [message.json() async for message in socket]


def uploading(session: ClientSession, entered: asyncio.Event, gate: asyncio.Event) -> "asyncio.Task[Any]":
    """An upload of two halves, of which the second waits."""

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 50_000
        entered.set()
        await gate.wait()
        yield b"y" * 50_000

    async def send() -> tuple[int, Any, str | None]:
        checksum = hashlib.sha256(b"x" * 50_000 + b"y" * 50_000).hexdigest()
        headers = {"X-Checksum": checksum, "Content-Type": "application/octet-stream"}
        async with session.post(f"{API}/storage/records?table=notes", data=body(), headers=headers) as answer:
            return answer.status, await answer.json(), answer.headers.get("Connection")

    return asyncio.create_task(send())


async def test_it_is_not_ready_and_serves_on_for_the_delay_and_closes_each_connection(serve: Serve) -> None:
    served, session = await start(serve, SHUTDOWN_DELAY_SECONDS="2")
    async with session:
        async with session.get(f"{API}/health/ready") as answer:
            assert answer.status == 200
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        async with session.get(f"{API}/health/ready") as answer:  # on the connection of before
            assert (answer.status, (await answer.json())["checks"]) == (503, {"server": "stopping"})
            assert answer.headers["Connection"] == "close"
        async with session.get(f"{API}/auth/me") as answer:  # on a new one
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert await stopped(served) == 0
        assert 2 <= time.monotonic() - began < 6
        with pytest.raises(ClientConnectorError):
            await session.get(f"{API}/health/ready")


async def test_a_stream_and_an_upload_come_to_their_end_and_what_is_new_is_told(
    serve: Serve, double: OpenAIDouble
) -> None:
    gate, entered, half = asyncio.Event(), asyncio.Event(), asyncio.Event()
    double.script(say("Zebras graze. ", "Lions ", "sleep.", gate=gate))
    served, session = await start(serve, **environ(double))
    async with (
        session,
        session.ws_connect(f"{API}/chat/stream") as socket,
        session.ws_connect(f"{API}/chat/stream") as idle,
    ):
        await socket.send_json(HI)
        assert (await socket.receive_json(timeout=10))["type"] == "chunk"
        upload = uploading(session, half, entered)
        await half.wait()
        served.process.send_signal(signal.SIGTERM)
        assert (await idle.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        assert idle.close_code == 1001
        await socket.send_json(HI)  # new work
        await asyncio.sleep(0.3)
        gate.set()
        entered.set()
        *said, error = await frames(socket)
        assert "".join(frame["text"] for frame in said if frame["type"] == "chunk") == "Lions sleep."
        assert said[-1]["type"] == "done"
        assert (error["type"], error["code"]) == ("error", "going_away")
        assert socket.close_code == 1001
        status, _, connection = await upload
        assert (status, connection) == (201, "close")
    assert await stopped(served) == 0


async def test_what_outlives_the_grace_is_told_that_the_server_goes_away_and_leaves_nothing(
    serve: Serve, double: OpenAIDouble, tmp_path: Path
) -> None:
    never, half = asyncio.Event(), asyncio.Event()
    double.script(say("Zebras graze. ", "Lions.", gate=never), say("Zebras graze. ", "Lions.", gate=never))
    served, session = await start(serve, **environ(double, SHUTDOWN_GRACE_SECONDS="1"))
    async with session, session.ws_connect(f"{API}/chat/stream") as socket:
        await socket.send_json(HI)
        assert (await socket.receive_json(timeout=10))["type"] == "chunk"
        chat = asyncio.create_task(session.post(f"{API}/chat", json=HI))
        upload = uploading(session, half, never)
        await half.wait()
        await double.wait_requests(2)
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert (await frames(socket))[-1]["code"] == "going_away"
        assert socket.close_code == 1001
        async with await chat as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "going_away")
            assert answer.headers["Retry-After"]
        status, problem, _ = await upload
        assert (status, problem["code"]) == (503, "going_away")
        assert await stopped(served) == 0
        assert 1 <= time.monotonic() - began < 8
    assert [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()] == []


async def test_a_stream_can_be_cancelled_within_the_grace(serve: Serve, double: OpenAIDouble) -> None:
    """What clients send is read on while the server waits for what runs."""
    double.script(say("Zebras graze. ", "Lions.", gate=asyncio.Event()))
    served, session = await start(serve, **environ(double, SHUTDOWN_GRACE_SECONDS="20"))
    async with session, session.ws_connect(f"{API}/chat/stream") as socket:
        await socket.send_json(HI)
        await socket.receive_json(timeout=10)
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        await socket.send_json({"type": "cancel"})
        assert (await frames(socket))[-1]["type"] == "cancelled"
        assert await stopped(served) == 0
        assert time.monotonic() - began < 8
