"""A queue that serves its users in turn."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Items wait in one line per user; ``take`` goes round the users, so that a long line delays only its own user.

    The items of one user are taken in the order they were put. Who puts has to keep the size in bounds.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        """How many items wait."""
        return self._size

    def put(self, user: str, item: T) -> None:
        """Add ``item`` to the end of its user's line."""
        line = self._lines.get(user)
        if line is None:
            line = self._lines[user] = deque()
        line.append(item)
        self._size += 1

    def take(self) -> T | None:
        """The next item of the user whose turn it is; None when nobody waits."""
        if not self._size:
            return None
        user, line = self._lines.popitem(last=False)
        item = line.popleft()
        self._size -= 1
        if line:
            self._lines[user] = line
        return item

    def remove(self, user: str, item: T) -> None:
        """Take ``item`` out of the middle of its user's line."""
        line = self._lines[user]
        line.remove(item)
        self._size -= 1
        if not line:
            del self._lines[user]
