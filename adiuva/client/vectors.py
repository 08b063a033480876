"""Private search: the server compares perturbed vectors, this client decrypts what comes near and ranks it exactly.

Needs the extra ``client`` (numpy), which is imported on first use.
"""

import hashlib
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from attrs import frozen

from adiuva.client.connection import Connection
from adiuva.client.errors import DecryptionError
from adiuva.client.keys import Keys

if TYPE_CHECKING:
    from adiuva.client.perturbation import Perturbation

CANDIDATES = 50
MOST_ITEMS = 100
MOST_BYTES = 768 * 1024  # of one request: under the server's MAX_JSON_BYTES
_LENGTH = struct.Struct("<I")


@frozen(kw_only=True)
class Item:
    """Something to be found: the app's embedding of it, and what a search shall give back."""

    id: str
    embedding: Sequence[float]
    payload: bytes = b""


@frozen(kw_only=True)
class Found:
    """A result: ``score`` is the cosine of the true embeddings, 1.0 at best."""

    id: str
    score: float
    payload: bytes


class Vectors:
    """The searchable items of one user. All of it raises ``ServerError`` and ``CannotConnectError``."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        """Of the user to whom ``keys`` belong."""
        self._connection = connection
        self._keys = keys
        self._perturbations: dict[int, Perturbation] = {}

    async def add(self, items: Iterable[Item]) -> int:
        """Store items, or replace those with the same id; how many."""
        done = 0
        for batch in _batches(orjson.dumps(self._sealed(item)) for item in items):
            vectors = [orjson.Fragment(item) for item in batch]
            await self._connection.call("POST", "/storage/vectors/upsert", {"vectors": vectors})
            done += len(batch)
        return done

    async def search(self, embedding: Sequence[float], *, top: int = 10, candidates: int = CANDIDATES) -> list[Found]:
        """The ``top`` nearest of the ``candidates`` that the server finds, best first.

        Raises:
            DecryptionError: The server gave something that this user did not store under that id.
        """
        body = {"vector": self._vector(embedding), "top_k": max(top, candidates)}
        answer = await self._connection.call("POST", "/storage/vectors/search", body)
        found = [await self._opened(result, embedding) for result in answer["results"]]
        return sorted(found, key=lambda item: -item.score)[:top]

    async def delete(self, ids: Sequence[str]) -> int:
        """Delete items; how many there were."""
        deleted: int = (await self._connection.call("DELETE", "/storage/vectors", {"ids": list(ids)}))["deleted"]
        return deleted

    def _sealed(self, item: Item) -> dict[str, Any]:
        embedding = struct.pack(f"<{len(item.embedding)}f", *item.embedding)
        plain = _LENGTH.pack(len(item.embedding)) + embedding + item.payload
        envelope = self._keys.seal(plain, self._keys.place("vector", item.id))
        return {
            "id": item.id,
            "blob": b64encode(envelope).decode(),
            "checksum": hashlib.sha256(envelope).hexdigest(),
            "vector": self._vector(item.embedding, item.id),
        }

    async def _opened(self, result: dict[str, Any], query: Sequence[float]) -> Found:
        where = self._keys.place("vector", result["id"])
        plain = await self._keys.unseal(b64decode(result["blob"]), where)
        (length,) = _LENGTH.unpack_from(plain)
        if length != len(query):
            raise DecryptionError
        embedding = struct.unpack_from(f"<{length}f", plain, _LENGTH.size)
        payload = plain[_LENGTH.size + 4 * length :]
        return Found(id=result["id"], score=_cosine(embedding, query), payload=payload)

    def _vector(self, embedding: Sequence[float], context: str = "") -> list[float]:
        perturbed = self._perturbation(len(embedding)).apply(embedding, context)
        return [round(value, 4) for value in perturbed.tolist()]

    def _perturbation(self, dimensions: int) -> "Perturbation":
        from adiuva.client.perturbation import Perturbation

        if dimensions not in self._perturbations:
            self._perturbations[dimensions] = Perturbation(self._keys.ring.search_secret, dimensions)
        return self._perturbations[dimensions]


def _batches(items: Iterable[bytes]) -> Iterator[list[bytes]]:
    """As many as one request takes."""
    batch: list[bytes] = []
    size = 0
    for item in items:
        if batch and (len(batch) == MOST_ITEMS or size + len(item) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item) + 1
    if batch:
        yield batch


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    from adiuva.client.perturbation import normalised

    return float(normalised(one) @ normalised(other))
