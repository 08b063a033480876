"""What the rest of Adiuva knows of a vector store: entries of users, found again by the nearness of their vectors."""

import sqlite3
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID, uuid5

import structlog
from attrs import field, frozen

from adiuva.errors import VectorStoreUnavailableError

log = structlog.get_logger(__name__)


@frozen(kw_only=True)
class Entry:
    """One vector of a user; ``id`` is the client's own and means something within that user's entries only."""

    id: str
    vector: Sequence[float] = field(repr=False)  # of unit length
    blob: str = field(repr=False)  # base64
    checksum: str


@frozen(kw_only=True)
class Match:
    """One entry found, as a client sees it; ``score`` is the cosine of the angle between it and what was asked for."""

    id: str
    score: float
    blob: str = field(repr=False)  # base64
    checksum: str


class VectorStore(Protocol):
    """The entries of all users. No call reads or changes an entry of anyone but ``user_id``.

    Every call may raise ``adiuva.errors.VectorStoreUnavailableError`` when the store is away, full or out of order.
    What was being written then may be written or not; writing it again is safe.
    """

    async def upsert(self, user_id: UUID, entries: Sequence[Entry]) -> None:
        """Keep ``entries``, which have different ids; those that the user has under the same ids are replaced.

        Raises:
            adiuva.errors.PayloadTooLargeError: It is more than this store takes; nothing was kept.
        """
        ...

    async def search(self, user_id: UUID, vector: Sequence[float], top_k: int) -> list[Match]:
        """The entries nearest to ``vector``, which has unit length; the best first, ``top_k`` at most."""
        ...

    async def delete(self, user_id: UUID, ids: Sequence[str]) -> int:
        """Forget the entries with these ids, which are different ones; how many of them there were."""
        ...

    async def delete_user(self, user_id: UUID) -> None:
        """Forget all entries of this user; that there are none is fine."""
        ...

    async def check(self) -> None:
        """Raise ``VectorStoreUnavailableError`` unless the store can be used."""
        ...

    async def close(self) -> None:
        """Give everything back; the store cannot be used after."""
        ...


def point_id(user_id: UUID, entry_id: str) -> UUID:
    """The id of an entry in a store that all users share: no two users have one in common."""
    return uuid5(user_id, entry_id)


def unavailable(store: str, error: BaseException) -> VectorStoreUnavailableError:
    """What a call raises when ``store`` failed with ``error``; the log says how, without what a server answered."""
    status = getattr(error, "status_code", None)
    # These are of this machine; a server's own words could repeat what it was sent.
    reason = str(error) if isinstance(error, OSError | RuntimeError | sqlite3.Error) else None
    log.warning("vector store failed", store=store, error=type(error).__name__, status=status, reason=reason)
    return VectorStoreUnavailableError()
