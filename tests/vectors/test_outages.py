"""A vector store that is away: vector calls say so, everything else goes on, and it is found again."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from attrs import evolve

from adiuva.settings import Settings
from adiuva.testing import pinecone_double, qdrant_double
from adiuva.testing.faulty import FaultyServer
from adiuva.vectors import pinecone, qdrant_connection
from adiuva.vectors.build import build_vector_store
from tests.vectors.conftest import API, Start, User, item, register

Doubles = dict[str, tuple[FaultyServer, dict[str, Any]]]
AXIS = [1.0, *[0.0] * 31]


@pytest.fixture
async def doubles() -> AsyncIterator[Doubles]:
    """The servers of the stores, and the settings that lead there."""
    one, other = qdrant_double.QdrantDouble(), pinecone_double.PineconeDouble()
    async with one.server, other.server:
        yield {
            "qdrant": (one.server, {"qdrant_url": one.server.url, "qdrant_api_key": qdrant_double.API_KEY}),
            "pinecone": (
                other.server,
                {
                    "pinecone_api_key": pinecone_double.API_KEY,
                    "pinecone_index": other.index,
                    "pinecone_api_base": other.server.url,
                },
            ),
        }


@pytest.fixture(autouse=True)
def impatient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer is given up at once; but for proofs, which have all the time."""
    if request.node.get_closest_marker("proof"):
        return
    for module in (qdrant_connection, pinecone):
        monkeypatch.setattr(module, "_WORK_SECONDS", 0.5)


async def readiness(user: User) -> Any:
    async with user.client.get(f"{API}/health/ready") as answer:
        return (await answer.json())["checks"]["vectors"]


async def calls(user: User) -> list[tuple[int, str]]:
    """Status and code of each of the vector calls."""
    answers = [await user.upsert(item("b")), await user.search(vector=AXIS), await user.delete("b")]
    return [(status, body.get("code", "ok")) for status, body in answers]


@pytest.mark.parametrize("mode", ["failing", "hanging", "dropping", "stopped"])
@pytest.mark.parametrize("name", ["qdrant", "pinecone"])
async def test_while_the_store_is_down_vector_calls_are_503_and_afterwards_they_work(
    start: Start, doubles: Doubles, name: str, mode: str
) -> None:
    """VE5."""
    server, settings = doubles[name]
    user = await register(await start(**settings))
    assert await user.upsert(item("a")) == (200, {"upserted": 1})
    await set_mode(server, mode)
    assert await calls(user) == [(503, "vector_store_unavailable")] * 3
    assert await readiness(user) == "VectorStoreUnavailableError"
    for number in range(20):
        assert await keep_record(user, f"sealed {number}".encode()) == 201
    if mode == "stopped":
        await server.start()
    server.mode = "well"
    assert await user.found(vector=AXIS) == ["a"]
    assert await calls(user) == [(200, "ok")] * 3
    assert await readiness(user) == "ok"


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["hanging", "stopped"])
async def test_60_seconds_without_the_store_are_none_without_records(start: Start, doubles: Doubles, mode: str) -> None:
    """VE5, with the patience that a server really has."""
    server, settings = doubles["qdrant"]
    user = await register(await start(**settings))
    assert await user.upsert(item("a")) == (200, {"upserted": 1})
    await set_mode(server, mode)
    back = time.monotonic() + 60
    refused: list[tuple[int, str]] = []

    async def search() -> None:
        while time.monotonic() < back:
            began = time.monotonic()
            status, body = await user.search(vector=AXIS)
            refused.append((status, body["code"]))
            assert time.monotonic() - began < 25
            await asyncio.sleep(0.1)

    searching = asyncio.create_task(search())
    kept = 0
    while time.monotonic() < back:
        assert await keep_record(user, f"sealed {kept}".encode()) == 201
        kept += 1
        await asyncio.sleep(0.05)
    await searching
    assert set(refused) == {(503, "vector_store_unavailable")}
    if mode == "stopped":
        await server.start()
    server.mode = "well"
    assert await user.found(vector=AXIS) == ["a"]
    assert await calls(user) == [(200, "ok")] * 3


@pytest.mark.parametrize("name", ["qdrant", "pinecone"])
async def test_a_server_starts_while_the_store_is_down(start: Start, doubles: Doubles, name: str) -> None:
    server, settings = doubles[name]
    await server.stop()
    user = await register(await start(**settings))
    assert (await user.upsert(item("a")))[0] == 503
    await server.start()
    assert (await user.upsert(item("a")))[0] == 200
    assert await user.found(vector=AXIS) == ["a"]


async def test_a_refused_call_can_be_tried_again_after_a_moment(start: Start, doubles: Doubles) -> None:
    server, settings = doubles["qdrant"]
    user = await register(await start(**settings))
    await server.stop()
    headers = {"Authorization": f"Bearer {user.token}"}
    async with user.client.delete(f"{API}/storage/vectors", json={"ids": ["a"]}, headers=headers) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_a_qdrant_that_comes_back_empty_is_set_up_again(start: Start) -> None:
    double = qdrant_double.QdrantDouble()
    async with double.server:
        url, key = double.server.url, qdrant_double.API_KEY
        user = await register(await start(qdrant_url=url, qdrant_api_key=key))
        await user.upsert(item("a"))
        double.client = type(double.client)(":memory:")
        double.indexes.clear()
        assert (await user.upsert(item("b")))[0] == 503
        assert (await user.upsert(item("b")))[0] == 200
        assert await user.found(vector=AXIS) == ["b"]
        assert set(double.indexes) == {"user_id"}


@pytest.mark.parametrize("name", ["qdrant", "pinecone"])
async def test_a_store_with_vectors_of_another_size_is_not_used(start: Start, doubles: Doubles, name: str) -> None:
    _, settings = doubles[name]
    if name == "qdrant":
        first = await register(await start(**settings))
        await first.upsert(item("a"))
    user = await register(await start(**settings, vector_dimensions=64), "bob")
    assert (await user.upsert(item("a")))[0] == 503
    assert await readiness(user) == "VectorStoreUnavailableError"


async def test_a_wrong_key_is_a_store_that_cannot_be_used(start: Start, doubles: Doubles) -> None:
    _, settings = doubles["pinecone"]
    user = await register(await start(**{**settings, "pinecone_api_key": "wrong"}))
    assert await calls(user) == [(503, "vector_store_unavailable")] * 3


async def test_pinecone_wins_over_qdrant(settings: Settings, doubles: Doubles) -> None:
    both = evolve(settings, **doubles["qdrant"][1], **doubles["pinecone"][1])
    store = build_vector_store(both)
    await store.check()
    assert doubles["qdrant"][0].requests == []
    assert doubles["pinecone"][0].requests[0] == ("GET", "/indexes/adiuva")
    await store.close()


async def test_files_that_another_process_holds_are_a_store_that_is_away(start: Start, settings: Settings) -> None:
    first = await register(await start())
    await first.upsert(item("a"))
    second = User(await start(), first.id, first.token)
    assert await calls(second) == [(503, "vector_store_unavailable")] * 3
    await first.client.close()
    assert await second.found(vector=AXIS) == ["a"]


async def test_files_that_are_damaged_are_a_store_that_is_away(start: Start, settings: Settings) -> None:
    client = await start()
    user = await register(client)
    await user.upsert(item("a"))
    await client.close()
    (settings.data_dir / "vectors" / "meta.json").write_text("{")
    again = User(await start(), user.id, user.token)
    assert await calls(again) == [(503, "vector_store_unavailable")] * 3
    assert await readiness(again) == "VectorStoreUnavailableError"


async def keep_record(user: User, blob: bytes) -> int:
    """The status of an upload."""
    headers = {
        "Authorization": f"Bearer {user.token}",
        "Content-Type": "application/octet-stream",
        "X-Checksum": hashlib.sha256(blob).hexdigest(),
    }
    async with user.client.post(f"{API}/storage/records?table=notes", data=blob, headers=headers) as answer:
        return answer.status


async def set_mode(server: FaultyServer, mode: str) -> None:
    if mode == "stopped":
        await server.stop()
    else:
        server.mode = mode  # type: ignore[assignment]
