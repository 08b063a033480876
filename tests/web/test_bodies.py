"""Bodies that do not arrive as announced, over raw connections."""

import asyncio
import json
import time

import pytest
from aiohttp import web
from attrs import frozen

from adiuva.web import routes as module
from adiuva.web.responses import json_response
from adiuva.web.routes import Route, read_json
from tests.web.conftest import Client, Serve

HEAD = b"POST /api/notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@frozen
class Note:
    title: str


class Notes:
    """Tells when a handler has begun to read."""

    def __init__(self) -> None:
        self.reading = asyncio.Semaphore(0)

    async def echo(self, request: web.Request) -> web.Response:
        self.reading.release()
        return json_response(await read_json(request, Note))


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
async def client(serve: Serve, notes: Notes) -> Client:
    return await serve([Route("POST", "/notes", notes.echo, access="public")])


async def answer_to(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """The one answer of a connection that the server closes after it: its head, and the problem's code."""
    head, _, body = (await asyncio.wait_for(reader.read(), 15)).partition(b"\r\n\r\n")
    return head, json.loads(body)["code"]


async def is_told_and_let_go(reader: asyncio.StreamReader, status: int, code: str) -> None:
    head, told = await answer_to(reader)
    assert (int(head.split()[1]), told) == (status, code)
    assert b"\r\nConnection: close" in head


@pytest.mark.parametrize("begun", [HEAD + b"Content-Length: 14\r\n\r\n", CHUNKED, CHUNKED + b'5\r\n{"tit\r\n'])
async def test_a_body_that_stalls_is_given_up(
    client: Client, notes: Notes, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALLED_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(begun)
    begin = time.monotonic()
    await is_told_and_let_go(reader, 408, "request_timeout")
    assert time.monotonic() - begin < 3
    writer.close()


async def test_a_body_that_trickles_is_given_up_in_the_end(
    client: Client, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BODY_SECONDS", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")
    answer = asyncio.create_task(reader.readuntil(b"}"))  # what comes too late may reset the connection after it
    while not answer.done():
        writer.write(b" ")
        await asyncio.sleep(0.02)
    assert (await answer).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_slow_body_that_makes_progress_is_taken(
    client: Client, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALLED_SECONDS", 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(HEAD + b"Connection: close\r\nContent-Length: 14\r\n\r\n")
    for byte in b'{"title": "a"}':
        await asyncio.sleep(0.1)
        writer.write(bytes([byte]))
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.parametrize("nonsense", [b"zz\r\n", b'5\r\n{"titXX', b"-1\r\n"])
async def test_a_body_that_breaks_while_it_is_read_is_refused_at_once(
    client: Client, notes: Notes, nonsense: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(CHUNKED)
    await notes.reading.acquire()
    writer.write(nonsense)
    begin = time.monotonic()
    await is_told_and_let_go(reader, 400, "invalid_request")
    assert time.monotonic() - begin < 3
    writer.close()


async def test_a_request_behind_another_whose_body_breaks_is_refused_in_its_turn(client: Client, notes: Notes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(HEAD + b"Content-Length: 14\r\n\r\n{")
    await notes.reading.acquire()
    writer.write(b'"title": "a"}' + CHUNKED)
    await notes.reading.acquire()
    writer.write(b"zz\r\n")
    everything = await asyncio.wait_for(reader.read(), 5)
    assert [part[:3] for part in everything.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]
    writer.close()


@pytest.mark.proof
async def test_1500_broken_or_stalled_bodies_are_gone_within_15_seconds(client: Client, notes: Notes) -> None:
    connections = [await asyncio.open_connection("127.0.0.1", client.port) for _ in range(1500)]
    for _, writer in connections:
        writer.write(CHUNKED)
    for _ in connections:
        await notes.reading.acquire()
    begin = time.monotonic()
    for _, writer in connections[::2]:
        writer.write(b"zz\r\n")
    answers = await asyncio.gather(*(reader.read() for reader, _ in connections))
    assert time.monotonic() - begin < 15
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 400 ", b"HTTP/1.1 408 "}
    for _, writer in connections:
        writer.close()
