"""What every vector store promises: the same tests against each of them."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from qdrant_client import AsyncQdrantClient

from adiuva.errors import OverloadedError, PayloadTooLargeError, VectorStoreUnavailableError
from adiuva.testing import pinecone_double, qdrant_double
from adiuva.vectors.pinecone import PineconeStore
from adiuva.vectors.protocol import Entry, VectorStore
from adiuva.vectors.qdrant import COLLECTION, QdrantStore
from adiuva.vectors.qdrant_connection import LocalQdrant, RemoteQdrant

ADA, BOB = UUID(int=1), UUID(int=2)


def axis(number: int) -> list[float]:
    return [1.0 if index == number else 0.0 for index in range(32)]


def entry(entry_id: str, number: int = 0, blob: bytes = b"sealed", checksum: str = "0" * 64) -> Entry:
    return Entry(id=entry_id, vector=axis(number), blob=base64.b64encode(blob).decode(), checksum=checksum)


async def found(store: VectorStore, user_id: UUID, number: int = 0, top_k: int = 100) -> list[str]:
    return [match.id for match in await store.search(user_id, axis(number), top_k)]


@pytest.fixture
async def pinecone() -> AsyncIterator[pinecone_double.PineconeDouble]:
    double = pinecone_double.PineconeDouble()
    async with double.server:
        yield double


@pytest.fixture
async def qdrant() -> AsyncIterator[qdrant_double.QdrantDouble]:
    double = qdrant_double.QdrantDouble()
    async with double.server:
        yield double


def pinecone_store(double: pinecone_double.PineconeDouble, dimensions: int = 32) -> PineconeStore:
    return PineconeStore(
        api_key=pinecone_double.API_KEY,
        index_name=double.index,
        dimensions=dimensions,
        api_base=double.server.url,
    )


def qdrant_store(double: qdrant_double.QdrantDouble, dimensions: int = 32) -> QdrantStore:
    return QdrantStore(RemoteQdrant(url=double.server.url, api_key=qdrant_double.API_KEY), dimensions=dimensions)


@pytest.fixture(params=["files", "server", "pinecone"])
async def store(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    qdrant: qdrant_double.QdrantDouble,
    pinecone: pinecone_double.PineconeDouble,
) -> AsyncIterator[VectorStore]:
    stores: dict[str, VectorStore] = {
        "files": QdrantStore(LocalQdrant(tmp_path / "vectors"), dimensions=32),
        "server": qdrant_store(qdrant),
        "pinecone": pinecone_store(pinecone),
    }
    chosen = stores[request.param]
    yield chosen
    await chosen.close()
    assert pinecone.faults == []


async def test_entries_come_back_as_they_went_in_the_nearest_first(store: VectorStore) -> None:
    blob = random.Random(1).randbytes(20_000)
    await store.upsert(ADA, [entry("near", 0, blob, "a" * 64), entry("far", 1)])
    near, far = await store.search(ADA, axis(0), 10)
    assert (near.id, near.score, base64.b64decode(near.blob), near.checksum) == ("near", 1.0, blob, "a" * 64)
    assert (far.id, far.score) == ("far", 0.0)


async def test_no_more_than_top_k_come_back(store: VectorStore) -> None:
    await store.upsert(ADA, [entry(str(number)) for number in range(100)])
    assert len(await found(store, ADA, top_k=7)) == 7
    assert len(await found(store, ADA, top_k=100)) == 100


async def test_an_entry_replaces_the_one_of_the_same_id(store: VectorStore) -> None:
    await store.upsert(ADA, [entry("a", 0, b"old")])
    await store.upsert(ADA, [entry("a", 0, b"new")])
    assert [base64.b64decode(match.blob) for match in await store.search(ADA, axis(0), 10)] == [b"new"]


async def test_the_same_ids_of_two_users_are_two_entries(store: VectorStore) -> None:
    await store.upsert(ADA, [entry("a", 0, b"ada's")])
    await store.upsert(BOB, [entry("a", 0, b"bob's")])
    assert [base64.b64decode(match.blob) for match in await store.search(ADA, axis(0), 10)] == [b"ada's"]
    assert await store.delete(BOB, ["a"]) == 1
    assert await found(store, ADA) == ["a"]


async def test_deleting_counts_what_was_there(store: VectorStore) -> None:
    await store.upsert(ADA, [entry(str(number)) for number in range(100)])
    assert await store.delete(ADA, [*(str(number) for number in range(0, 100, 2)), "unknown"]) == 50
    assert await store.delete(ADA, ["0", "unknown"]) == 0
    assert sorted(await found(store, ADA), key=int) == [str(number) for number in range(1, 100, 2)]


async def test_many_ids_are_deleted_at_once(store: VectorStore) -> None:
    await store.upsert(ADA, [entry(f"{number}") for number in range(50)])
    assert await store.delete(ADA, [str(number) for number in range(1000)]) == 50


async def test_whoever_has_nothing_finds_and_deletes_nothing(store: VectorStore) -> None:
    assert await found(store, ADA) == []
    assert await store.delete(ADA, ["a"]) == 0
    await store.delete_user(ADA)


async def test_a_user_is_forgotten_and_no_other(store: VectorStore) -> None:
    await store.upsert(ADA, [entry(str(number)) for number in range(100)])
    await store.upsert(BOB, [entry("kept")])
    await store.delete_user(ADA)
    await store.delete_user(ADA)
    assert await found(store, ADA) == []
    assert await found(store, BOB) == ["kept"]


async def test_ids_of_any_script_are_kept(store: VectorStore) -> None:
    ids = ["日本語", "🌻" * 128, "a/../b?x=1&y", " "]
    await store.upsert(ADA, [entry(entry_id) for entry_id in ids])
    assert sorted(await found(store, ADA)) == sorted(ids)
    assert await store.delete(ADA, ids) == len(ids)


async def test_a_store_that_is_there_passes_its_check(store: VectorStore) -> None:
    await store.check()
    await store.upsert(ADA, [entry("a")])
    await store.check()


async def test_a_user_never_reads_or_removes_what_is_anothers(store: VectorStore) -> None:
    """VE1, below HTTP; `test_isolation` has it with requests."""
    rng = random.Random(7)
    users = [uuid4() for _ in range(4)]
    ids = [f"id{number}" for number in range(6)]
    kept: dict[UUID, set[str]] = {user: set() for user in users}
    for _ in range(40):
        user, some = rng.choice(users), rng.sample(ids, rng.randint(1, 4))
        if rng.random() < 0.5:
            await store.upsert(user, [entry(entry_id, 0, user.bytes) for entry_id in some])
            kept[user] |= set(some)
        else:
            assert await store.delete(user, some) == len(kept[user] & set(some))
            kept[user] -= set(some)
        for other in users:
            matches = await store.search(other, axis(0), 100)
            assert {match.id for match in matches} == kept[other]
            assert {base64.b64decode(match.blob) for match in matches} <= {other.bytes}


async def test_a_full_disk_is_a_store_that_is_away_and_what_was_kept_stays(tmp_path: Path) -> None:
    connection = LocalQdrant(tmp_path / "vectors")
    store = QdrantStore(connection, dimensions=32)
    await store.upsert(ADA, [entry("kept")])
    await connection.run(lambda client: allow_pages(client, 4))
    with pytest.raises(VectorStoreUnavailableError):
        await store.upsert(ADA, [entry("large", blob=bytes(100_000))])
    assert await found(store, ADA) == ["kept"]
    await connection.run(lambda client: allow_pages(client, 10_000))
    await store.upsert(ADA, [entry("large", blob=bytes(100_000))])
    assert sorted(await found(store, ADA)) == ["kept", "large"]
    await store.close()


async def allow_pages(client: AsyncQdrantClient, pages: int) -> None:
    """Let the file grow to this many pages: more is to SQLite what a full disk is."""
    local: Any = client._client
    local.collections[COLLECTION].storage.storage.execute(f"PRAGMA max_page_count = {pages}")


async def test_only_a_hundred_wait_for_the_files(tmp_path: Path) -> None:
    store = QdrantStore(LocalQdrant(tmp_path / "vectors"), dimensions=32)
    await store.upsert(ADA, [entry("a")])
    answers = await asyncio.gather(*(found(store, ADA) for _ in range(150)), return_exceptions=True)
    assert answers.count(["a"]) == 100
    assert sum(isinstance(answer, OverloadedError) for answer in answers) == 50
    await store.close()


async def test_the_server_is_told_to_index_the_users(qdrant: qdrant_double.QdrantDouble) -> None:
    store = qdrant_store(qdrant)
    await store.upsert(ADA, [entry("a")])
    assert qdrant.indexes == {"user_id": {"type": "keyword", "is_tenant": True}}
    assert qdrant.settings["hnsw_config"] == {"m": 0, "payload_m": 16}
    before = len(qdrant.server.requests)
    await found(store, ADA)
    assert len(qdrant.server.requests) == before + 1, "the collection is prepared once"
    await store.close()


async def test_a_user_is_a_namespace_of_pinecone(pinecone: pinecone_double.PineconeDouble) -> None:
    store = pinecone_store(pinecone)
    await store.upsert(ADA, [entry("a")])
    await store.upsert(BOB, [entry("a")])
    assert set(pinecone.namespaces) == {str(ADA), str(BOB)}
    assert set(pinecone.namespaces[str(ADA)]).isdisjoint(pinecone.namespaces[str(BOB)])
    await store.close()


@pytest.mark.parametrize("blobs", [[30_000], [25_000] * 100])
async def test_what_pinecone_would_refuse_is_413_and_never_sent(
    pinecone: pinecone_double.PineconeDouble, blobs: list[int]
) -> None:
    store = pinecone_store(pinecone)
    with pytest.raises(PayloadTooLargeError):
        await store.upsert(ADA, [entry(str(number), blob=bytes(size)) for number, size in enumerate(blobs)])
    assert pinecone.server.requests == []
    await store.close()


async def test_pinecone_takes_and_gives_a_hundred_of_the_largest_blobs(
    pinecone: pinecone_double.PineconeDouble,
) -> None:
    store = pinecone_store(pinecone)
    blob = bytes(29_000)
    for start in range(0, 100, 25):
        await store.upsert(ADA, [entry("🌻" * 31 + str(number), blob=blob) for number in range(start, start + 25)])
    matches = await store.search(ADA, axis(0), 100)
    assert [base64.b64decode(match.blob) for match in matches] == [blob] * 100
    assert pinecone.faults == []
    await store.close()
