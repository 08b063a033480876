"""Private search, at a real server."""

import random
from typing import Any

import pytest

from adiuva.client import Client, DecryptionError, Vault
from adiuva.client.vectors import Item

RANDOM = random.Random(7)
DIMENSIONS = 16


def embedding() -> list[float]:
    return [RANDOM.gauss() for _ in range(DIMENSIONS)]


def near(one: list[float]) -> list[float]:
    return [number + RANDOM.gauss(0, 0.05) for number in one]


@pytest.fixture
def items() -> list[Item]:
    return [Item(id=f"note-{number}", embedding=embedding(), payload=b"%d" % number) for number in range(250)]


async def test_what_is_near_is_found_and_ranked_by_the_true_embeddings(vault: Vault, items: list[Item]) -> None:
    assert await vault.vectors.add(items) == len(items)
    for item in items[::25]:
        query = near(list(item.embedding))
        found = await vault.vectors.search(query, top=5)
        assert found[0].id == item.id
        assert found[0].payload == item.payload
        assert found[0].score > 0.99
        assert [result.score for result in found] == sorted((result.score for result in found), reverse=True)
        assert len(found) == 5


async def test_what_is_deleted_or_replaced_is_not_found(vault: Vault, items: list[Item]) -> None:
    one, other = items[:2]
    await vault.vectors.add([one, other])
    assert await vault.vectors.delete([one.id, "unknown"]) == 1
    await vault.vectors.add([Item(id=other.id, embedding=one.embedding, payload=b"new")])
    (found,) = await vault.vectors.search(one.embedding)
    assert (found.id, found.payload) == (other.id, b"new")


async def test_another_user_s_items_are_not_found(vault: Vault, items: list[Item], device: Any) -> None:
    await vault.vectors.add(items)
    eve = await (await device("eve@example.com")).unlock("a passphrase of hers")
    assert await eve.vectors.search(items[0].embedding) == []


async def test_other_devices_search_the_same_items(vault: Vault, items: list[Item], device: Any) -> None:
    await vault.vectors.add(items)
    other = await (await device()).unlock("the server never sees this one")
    assert await other.vectors.search(items[7].embedding) == await vault.vectors.search(items[7].embedding)


async def test_a_server_that_gives_one_item_s_blob_for_another_is_found_out(
    client: Client, vault: Vault, items: list[Item]
) -> None:
    one = vault.vectors._sealed(items[0])
    await client.call("POST", "/storage/vectors/upsert", {"vectors": [one | {"id": "another"}]})
    with pytest.raises(DecryptionError):
        await vault.vectors.search(items[0].embedding)


async def test_items_survive_a_rotation_of_the_keys(vault: Vault, items: list[Item]) -> None:
    await vault.vectors.add(items[:1])
    await vault.rotate()
    await vault.vectors.add(items[1:2])
    assert {found.id for found in await vault.vectors.search(items[0].embedding)} == {"note-0", "note-1"}
