"""Vectors in Qdrant: one collection for all users, every call bound to its user by an indexed field of the payload."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import structlog
from attrs import define, field

from adiuva.errors import VectorStoreUnavailableError
from adiuva.vectors.protocol import Entry, Match, point_id
from adiuva.vectors.qdrant_connection import Connection, Work

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, models

T = TypeVar("T")

log = structlog.get_logger(__name__)

COLLECTION = "adiuva"
_SCORE_DIGITS = 6  # what is left of a cosine after 32-bit floats


@define
class QdrantStore:
    """Keeps vectors where ``connection`` reaches; the collection is made at the first use."""

    _connection: Connection
    _dimensions: int = field(kw_only=True)
    _prepared: bool = field(default=False, init=False)

    async def upsert(self, user_id: UUID, entries: Sequence[Entry]) -> None:
        """Keep ``entries``."""

        async def run(client: "AsyncQdrantClient") -> None:
            from qdrant_client import models

            points = [
                models.PointStruct(
                    id=str(point_id(user_id, entry.id)), vector=list(entry.vector), payload=_payload(user_id, entry)
                )
                for entry in entries
            ]
            await client.upsert(COLLECTION, points)

        await self._run(run)

    async def search(self, user_id: UUID, vector: Sequence[float], top_k: int) -> list[Match]:
        """The entries nearest to ``vector``."""

        async def run(client: "AsyncQdrantClient") -> list[Match]:
            found = await client.query_points(
                COLLECTION,
                query=list(vector),
                query_filter=_of_user(user_id),
                limit=top_k,
                with_payload=["id", "blob", "checksum"],
            )
            return [_match(point) for point in found.points]

        return await self._run(run)

    async def delete(self, user_id: UUID, ids: Sequence[str]) -> int:
        """Forget the entries with these ids."""

        async def run(client: "AsyncQdrantClient") -> int:
            from qdrant_client import models

            wanted: list[Any] = [str(point_id(user_id, entry_id)) for entry_id in ids]
            points = await client.retrieve(COLLECTION, wanted, with_payload=["user_id"])
            owned = [point.id for point in points if (point.payload or {}).get("user_id") == str(user_id)]
            if owned:
                await client.delete(COLLECTION, models.PointIdsList(points=owned))
            return len(owned)

        return await self._run(run)

    async def delete_user(self, user_id: UUID) -> None:
        """Forget all entries of this user."""

        async def run(client: "AsyncQdrantClient") -> None:
            from qdrant_client import models

            await client.delete(COLLECTION, models.FilterSelector(filter=_of_user(user_id)))

        await self._run(run)

    async def check(self) -> None:
        """Raise ``VectorStoreUnavailableError`` unless the collection, or where it would be made, can be used."""
        if not self._connection.could_open():
            await self._run(self._prepare)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _run(self, work: Work[T]) -> T:
        try:
            if not self._prepared:
                await self._connection.run(self._prepare)
                self._prepared = True
            return await self._connection.run(work)
        except VectorStoreUnavailableError:
            self._prepared = False  # a server that comes back may have come back empty
            raise

    async def _prepare(self, client: "AsyncQdrantClient") -> None:
        if not await client.collection_exists(COLLECTION):
            await self._create(client)
        vectors = (await client.get_collection(COLLECTION)).config.params.vectors
        if (size := getattr(vectors, "size", None)) != self._dimensions:
            log.error("the vectors kept are of another size than VECTOR_DIMENSIONS", kept=size, set=self._dimensions)
            raise VectorStoreUnavailableError

    async def _create(self, client: "AsyncQdrantClient") -> None:
        from qdrant_client import models
        from qdrant_client.http.exceptions import UnexpectedResponse

        try:
            await client.create_collection(
                COLLECTION,
                vectors_config=models.VectorParams(size=self._dimensions, distance=models.Distance.COSINE),
                # Nobody searches across users, so there is a graph for each of them and none for all.
                hnsw_config=models.HnswConfigDiff(payload_m=16, m=0),
                on_disk_payload=True,
            )
        except UnexpectedResponse:
            if not await client.collection_exists(COLLECTION):  # else another process was faster
                raise
        if self._connection.has_indexes:
            schema = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
            await client.create_payload_index(COLLECTION, "user_id", schema)


def _of_user(user_id: UUID) -> "models.Filter":
    from qdrant_client import models

    match = models.MatchValue(value=str(user_id))
    return models.Filter(must=[models.FieldCondition(key="user_id", match=match)])


def _payload(user_id: UUID, entry: Entry) -> dict[str, str]:
    return {"user_id": str(user_id), "id": entry.id, "blob": entry.blob, "checksum": entry.checksum}


def _match(point: "models.ScoredPoint") -> Match:
    return Match(score=round(min(point.score, 1.0), _SCORE_DIGITS), **(point.payload or {}))
