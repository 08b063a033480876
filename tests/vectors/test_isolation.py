"""VE1: no request of one user reads or removes what is another's."""

import random
from typing import Any

import pytest

from adiuva.testing import pinecone_double, qdrant_double
from tests.vectors.conftest import Start, User, item, register

TRIES = 1000
AXIS = [1.0, *[0.0] * 31]
IDS = [f"id{number}" for number in range(20)]


def disguises(rng: random.Random, victim: User) -> dict[str, Any]:
    """Fields that name the victim, as a store or a careless handler may read them."""
    owner = {"key": "user_id", "match": {"value": victim.id}}
    fields: dict[str, Any] = {
        "user_id": victim.id,
        "namespace": victim.id,
        "filter": rng.choice([{"must": [owner]}, {"should": [owner]}, {"user_id": {"$eq": victim.id}}, {}]),
        "deleteAll": True,
        "delete_all": True,
        "collection_name": "adiuva",
        "payload": {"user_id": victim.id},
    }
    return {name: fields[name] for name in rng.sample(sorted(fields), rng.randint(1, len(fields)))}


async def attack(rng: random.Random, attacker: User, victim: User) -> None:
    """One try of one kind, which may do as it likes to the attacker's own."""
    ids = rng.sample([*IDS, victim.id, f"{victim.id}/id1", "*", "%"], rng.randint(1, 5))
    extra = disguises(rng, victim)
    kind = rng.choice(["search", "delete", "upsert"])
    if kind == "search":
        status, answer = await attacker.search(vector=AXIS, top_k=100, **extra)
        assert {result["blob"] for result in answer["results"]} <= {item("", b"attacker")["blob"]}
    elif kind == "delete":
        status, _ = await attacker.call("DELETE", "/storage/vectors", {"ids": ids, **extra})
    else:
        entries = [{**item(entry_id, b"attacker", AXIS), **extra} for entry_id in ids]
        status, _ = await attacker.call("POST", "/storage/vectors/upsert", {"vectors": entries, **extra})
    assert status == 200


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("heavy")
@pytest.mark.parametrize("name", ["files", "qdrant", "pinecone"])
async def test_a_thousand_tries_to_reach_anothers_vectors_reach_none(start: Start, name: str) -> None:
    qdrant, pinecone = qdrant_double.QdrantDouble(), pinecone_double.PineconeDouble()
    async with qdrant.server, pinecone.server:
        settings = {
            "files": {},
            "qdrant": {"qdrant_url": qdrant.server.url, "qdrant_api_key": qdrant_double.API_KEY},
            "pinecone": {
                "pinecone_api_key": pinecone_double.API_KEY,
                "pinecone_index": pinecone.index,
                "pinecone_api_base": pinecone.server.url,
            },
        }[name]
        client = await start(**settings)
        victim, attacker = await register(client, "ada"), await register(client, "mallory")
        await victim.upsert(*(item(entry_id, b"victim", AXIS) for entry_id in IDS))
        before = await kept(victim)
        rng = random.Random(5)
        for _ in range(TRIES):
            await attack(rng, attacker, victim)
        assert await kept(victim) == before
        assert len(before) == len(IDS)


async def kept(user: User) -> dict[str, str]:
    """The user's blobs by their ids."""
    _, answer = await user.search(vector=AXIS, top_k=100)
    return {result["id"]: result["blob"] for result in answer["results"]}
