"""The connection in reserve."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from adiuva.llm.spare import SparingConnector

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Endpoint:
    """Answers whatever comes; tells how many have connected, and whether each is still there."""

    def __init__(self) -> None:
        self.made = 0
        self.ended = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self._changed = asyncio.Condition()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._count(made=1)
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            await self.answering.wait()
            writer.write(ANSWER)
        writer.close()
        await self._count(ended=1)

    async def _count(self, *, made: int = 0, ended: int = 0) -> None:
        async with self._changed:
            self.made += made
            self.ended += ended
            self._changed.notify_all()

    async def wait(self, *, made: int = 0, ended: int = 0) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.made >= made and self.ended >= ended)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    async with await asyncio.start_server(endpoint.serve, "127.0.0.1", 0) as server:
        endpoint.url = "http://{}:{}/".format(*server.sockets[0].getsockname()[:2])
        yield endpoint


async def ask(session: aiohttp.ClientSession, endpoint: Endpoint) -> None:
    async with session.get(endpoint.url) as answer:
        assert await answer.text() == "ok"


async def test_there_is_one_more_than_were_ever_needed_at_a_time(endpoint: Endpoint) -> None:
    async with aiohttp.ClientSession(connector=SparingConnector(limit=0)) as session:
        await ask(session, endpoint)
        await endpoint.wait(made=2)
        for _ in range(5):
            await ask(session, endpoint)
        assert endpoint.made == 2
        endpoint.answering.clear()
        asking = [asyncio.create_task(ask(session, endpoint)) for _ in range(2)]
        await endpoint.wait(made=3)  # while both have not been answered
        endpoint.answering.set()
        await asyncio.gather(*asking)
        await asyncio.gather(*(ask(session, endpoint) for _ in range(2)))
        assert (endpoint.made, endpoint.ended) == (3, 0)
    await endpoint.wait(ended=3)


async def test_closing_while_one_is_made_leaves_none(endpoint: Endpoint) -> None:
    connector = SparingConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await ask(session, endpoint)
    await asyncio.sleep(0)
    await endpoint.wait(ended=endpoint.made)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "spare connection"]


async def test_an_endpoint_that_takes_no_more_is_no_fault_of_the_request(unused_tcp_port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.close()
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", unused_tcp_port)
    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with aiohttp.ClientSession(connector=SparingConnector(limit=0)) as session:
        async with session.get(f"http://127.0.0.1:{unused_tcp_port}/") as answer:
            assert await answer.text() == "ok"
        while any(task.get_name() == "spare connection" for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)
    assert faults == []
