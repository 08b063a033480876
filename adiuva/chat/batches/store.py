"""The batches that this process holds: whose they are, how many are active, and how much memory they may take."""

from uuid import UUID

from attrs import define, field

from adiuva.chat.batches.batch import Batch
from adiuva.chat.batches.errors import BatchLimitError
from adiuva.errors import NotFoundError, OverloadedError

MIB = 1024**2


@define(kw_only=True, eq=False)
class BatchStore:
    """Nothing in here suspends, so that what is checked still holds when it is acted upon."""

    max_bytes: int = 128 * MIB
    max_user_bytes: int = 32 * MIB  # so that no one user takes all the room
    bytes: int = field(default=0, init=False)
    _batches: dict[UUID, dict[UUID, Batch]] = field(factory=dict, init=False)  # by user, then by id

    def add(self, batch: Batch, *, active: int | None) -> None:
        """Hold ``batch``; ``active`` is how many its owner may have at once, None any number.

        Raises:
            BatchLimitError: that many are active.
            OverloadedError: there is no memory left for it.
        """
        mine = self._batches.get(batch.owner.user_id, {})
        if active is not None and sum(other.active for other in mine.values()) >= active:
            raise BatchLimitError(f"At most {active} batches are active at once in the {batch.owner.tier} tier.")
        self._check_room(batch.owner.user_id, batch.bytes)
        self._batches.setdefault(batch.owner.user_id, mine)[batch.id] = batch
        self.bytes += batch.bytes

    def get(self, user_id: UUID, batch_id: UUID) -> Batch:
        """One batch of a user.

        Raises:
            NotFoundError: the user has no such batch.
        """
        batch = self._batches.get(user_id, {}).get(batch_id)
        if batch is None:
            raise NotFoundError
        return batch

    def of(self, user_id: UUID) -> list[Batch]:
        """The batches of a user, the newest first."""
        return [*reversed(self._batches.get(user_id, {}).values())]

    def all(self) -> list[Batch]:
        """The batches of everyone."""
        return [batch for batches in self._batches.values() for batch in batches.values()]

    def resize(self, batch: Batch, by: int) -> None:
        """Count that ``batch``, if it is still there, takes ``by`` bytes more, or less.

        Raises:
            OverloadedError: there is no memory left for that.
        """
        if batch.id not in self._batches.get(batch.owner.user_id, {}):
            return
        if by > 0:
            self._check_room(batch.owner.user_id, by)
        batch.bytes += by
        self.bytes += by

    def remove(self, batch: Batch) -> None:
        """Forget ``batch``, if it is still there."""
        mine = self._batches.get(batch.owner.user_id, {})
        if mine.pop(batch.id, None) is not None:
            self.bytes -= batch.bytes
        if not mine:
            self._batches.pop(batch.owner.user_id, None)

    def _check_room(self, user_id: UUID, more: int) -> None:
        held = sum(batch.bytes for batch in self._batches.get(user_id, {}).values())
        if held + more > self.max_user_bytes:
            raise OverloadedError("Your batches take up all the room that one user has here; delete finished ones.")
        if self.bytes + more > self.max_bytes:
            raise OverloadedError("There is no room for more batches right now.")
