"""What happens to vectors between the wire and the store: checksums, sizes, derived vectors."""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Sequence
from uuid import UUID

from aiohttp import web
from attrs import frozen

from adiuva.errors import ChecksumMismatchError, ValidationFailedError
from adiuva.vectors.derive import derive_vector, unit
from adiuva.vectors.models import NewVector, SearchRequest
from adiuva.vectors.protocol import Entry, Match, VectorStore


@frozen
class Vectors:
    """The vectors of all users, each ``dimensions`` numbers."""

    store: VectorStore
    dimensions: int

    async def upsert(self, user_id: UUID, vectors: Sequence[NewVector]) -> int:
        """Keep ``vectors``, all or none; of several with one id the last. How many were kept.

        Raises:
            ChecksumMismatchError: A checksum is not that of its blob.
            ValidationFailedError: A given vector is not one that can be kept.
        """
        self._require(*((f"vectors[{index}].vector", new.vector) for index, new in enumerate(vectors)))
        for index, new in enumerate(vectors):
            if not hmac.compare_digest(hashlib.sha256(new.blob).hexdigest(), new.checksum):
                raise ChecksumMismatchError(f"vectors[{index}]: {ChecksumMismatchError().message}")
        entries = {new.id: self._entry(new) for new in vectors}
        await self.store.upsert(user_id, list(entries.values()))
        return len(entries)

    async def search(self, user_id: UUID, request: SearchRequest) -> list[Match]:
        """What of the user's own is nearest.

        Raises:
            ValidationFailedError: It does not say what to look for, or says it twice, or not as it has to.
        """
        if (request.blob is None) == (request.vector is None):
            raise ValidationFailedError([("body", "must have either blob or vector")])
        self._require(("vector", request.vector))
        return await self.store.search(user_id, self._vector(request.blob, request.vector), request.top_k)

    async def delete(self, user_id: UUID, ids: Sequence[str]) -> int:
        """Forget these entries of the user; how many of them there were."""
        return await self.store.delete(user_id, list(dict.fromkeys(ids)))

    def _entry(self, new: NewVector) -> Entry:
        return Entry(
            id=new.id,
            vector=self._vector(new.blob, new.vector),
            blob=base64.b64encode(new.blob).decode(),
            checksum=new.checksum,
        )

    def _vector(self, blob: bytes | None, given: list[float] | None) -> list[float]:
        return unit(given) if given is not None else derive_vector(blob or b"", self.dimensions)

    def _require(self, *given: tuple[str, list[float] | None]) -> None:
        if faults := list(self._faults(given)):
            raise ValidationFailedError(faults)

    def _faults(self, given: Sequence[tuple[str, list[float] | None]]) -> Iterator[tuple[str, str]]:
        for name, vector in given:
            if vector is not None and len(vector) != self.dimensions:
                yield name, f"must have {self.dimensions} numbers"
            elif vector is not None and not any(vector):
                yield name, "must not be all zeros"


VECTORS = web.AppKey("vectors", Vectors)
