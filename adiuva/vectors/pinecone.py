"""Vectors in Pinecone: a namespace for each user. The index is the operator's to make: dense, with metric cosine."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import structlog
from attrs import define, field

from adiuva.errors import PayloadTooLargeError, VectorStoreUnavailableError
from adiuva.vectors.protocol import Entry, Match, point_id, unavailable

if TYPE_CHECKING:
    from pinecone import AsyncIndex

log = structlog.get_logger(__name__)

# What Pinecone takes in one record and in one request. A hundred such records also fit into one of its answers.
_MAX_METADATA_BYTES = 40_000
_MAX_REQUEST_BYTES = 2_000_000
_FETCHED_AT_ONCE = 100  # ids that make a URL of four kilobytes
_CALL_SECONDS = 10.0
_WORK_SECONDS = 20.0  # a call with its retries
_SCORE_DIGITS = 6  # what is left of a cosine after 32-bit floats


@define(kw_only=True)
class PineconeStore:
    """Keeps vectors in the index of that name; what is written may take seconds until searches see it."""

    _api_key: str = field(repr=False)
    _index_name: str
    _dimensions: int
    _api_base: str = ""  # of the control plane, which tells where the index is
    _index: "AsyncIndex | None" = field(default=None, init=False)

    async def upsert(self, user_id: UUID, entries: Sequence[Entry]) -> None:
        """Keep ``entries``, in one request, so that it is all or none."""
        records = [_record(user_id, entry) for entry in entries]
        if any(len(orjson.dumps(record["metadata"])) > _MAX_METADATA_BYTES for record in records):
            raise PayloadTooLargeError("A blob is larger than this server's vector store takes: 29,000 bytes.")
        if len(orjson.dumps(records)) > _MAX_REQUEST_BYTES:
            raise PayloadTooLargeError("These are more bytes than this server's vector store takes at once: 2 MB.")
        async with self._opened() as index:
            await index.upsert(vectors=records, namespace=str(user_id))

    async def search(self, user_id: UUID, vector: Sequence[float], top_k: int) -> list[Match]:
        """The entries nearest to ``vector``."""
        async with self._opened() as index:
            found = await index.query(
                namespace=str(user_id), vector=list(vector), top_k=top_k, include_metadata=True, include_values=False
            )
            return [
                Match(score=round(min(match.score, 1.0), _SCORE_DIGITS), **(match.metadata or {}))
                for match in found.matches
            ]

    async def delete(self, user_id: UUID, ids: Sequence[str]) -> int:
        """Forget the entries with these ids."""
        namespace = str(user_id)
        wanted = [str(point_id(user_id, entry_id)) for entry_id in ids]
        count = 0
        for start in range(0, len(wanted), _FETCHED_AT_ONCE):
            async with self._opened() as index:  # deleting does not tell what was there
                found = await index.fetch(ids=wanted[start : start + _FETCHED_AT_ONCE], namespace=namespace)
                if found.vectors:
                    await index.delete(ids=list(found.vectors), namespace=namespace)
                count += len(found.vectors)
        return count

    async def delete_user(self, user_id: UUID) -> None:
        """Forget all entries of this user."""
        from pinecone import NotFoundError

        async with self._opened() as index:
            try:
                await index.delete(delete_all=True, namespace=str(user_id))
            except NotFoundError:
                return  # the user has no namespace

    async def check(self) -> None:
        """Raise ``VectorStoreUnavailableError`` unless the index answers."""
        async with self._opened() as index:
            await index.describe_index_stats()

    async def close(self) -> None:
        """Close the connections."""
        if self._index is not None:
            await self._index.close()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator["AsyncIndex"]:
        await asyncio.to_thread(_load)
        from pinecone import PineconeError

        try:
            async with asyncio.timeout(_WORK_SECONDS):
                yield self._index or await self._open()
        except (PineconeError, OSError) as error:
            raise unavailable("pinecone", error) from error

    async def _open(self) -> "AsyncIndex":
        from pinecone import AsyncPinecone

        async with AsyncPinecone(
            api_key=self._api_key, host=self._api_base or None, timeout=_CALL_SECONDS
        ) as control_plane:
            index = await control_plane.index(name=self._index_name)
        stats = await index.describe_index_stats()
        if stats.dimension != self._dimensions:
            await index.close()
            log.error(
                "the Pinecone index has another dimension than VECTOR_DIMENSIONS",
                index=stats.dimension,
                set=self._dimensions,
            )
            raise VectorStoreUnavailableError
        if self._index is None:
            self._index = index
        return index


def _load() -> None:
    """Load the package, whose parts are loaded as they are first named."""
    from pinecone import AsyncIndex, AsyncPinecone  # noqa: F401


def _record(user_id: UUID, entry: Entry) -> dict[str, Any]:
    metadata = {"id": entry.id, "blob": entry.blob, "checksum": entry.checksum}
    return {"id": str(point_id(user_id, entry.id)), "values": list(entry.vector), "metadata": metadata}
