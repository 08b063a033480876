"""Where something of a user is kept outside the database: each place is cleared when the account has ended."""

from typing import Protocol
from uuid import UUID

from adiuva.database import Connection
from adiuva.vectors.protocol import VectorStore


class Place(Protocol):
    """One such place. A new one joins the list in ``adiuva.app``."""

    @property
    def id(self) -> str:
        """Lower-case letters and ``_``; it stands in the database until the place is cleared."""
        ...

    async def name_of(self, conn: Connection, user_id: UUID) -> str | None:
        """What the user is called there, read before the rows go and in their transaction; None: nothing is there."""
        ...

    async def clear(self, user_id: UUID, name: str) -> None:
        """Delete what is left there; that there is nothing is fine.

        It is called once the rows are gone, and again and again: until it does not raise, and for a minute from the
        end of the account, because a request that began before it may still write.

        Raises:
            AdiuvaError: the place is away; nobody else is cleared either until the next round.
        """
        ...


class VectorsPlace:
    """The vector store."""

    id = "vectors"

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    async def name_of(self, conn: Connection, user_id: UUID) -> str | None:  # noqa: ARG002 - there by their id
        """The id is the name; whether there are vectors is not known here."""
        return ""

    async def clear(self, user_id: UUID, name: str) -> None:  # noqa: ARG002 - as above
        """Delete the user's vectors."""
        await self._store.delete_user(user_id)
