"""A queue that serves its users in turn."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Items wait in one line per user; ``take`` goes round the users, so that a long line delays only its own user.

    The items of one user are taken in the order they were put. Who puts has to keep the size in bounds.
    """

    def __init__(self) -> None:
        self.size = 0
        self._only: tuple[str, T] | None = None  # a single item stands in no line, which is the common case and cheap
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()

    def put(self, user: str, item: T) -> None:
        """Add ``item`` to the end of its user's line."""
        self.size += 1
        if self.size == 1:
            self._only = (user, item)
            return
        if self._only is not None:
            first, self._only = self._only, None
            self._line_up(*first)
        self._line_up(user, item)

    def _line_up(self, user: str, item: T) -> None:
        line = self._lines.get(user)
        if line is None:
            line = self._lines[user] = deque()
        line.append(item)

    def take(self) -> T | None:
        """The next item of the user whose turn it is; None when nobody waits."""
        if not self.size:
            return None
        self.size -= 1
        if self._only is not None:
            (_, item), self._only = self._only, None
            return item
        user, line = self._lines.popitem(last=False)
        item = line.popleft()
        if line:
            self._lines[user] = line
        return item

    def remove(self, user: str, item: T) -> None:
        """Take ``item`` out of the middle of its user's line."""
        if self._only == (user, item):
            self._only = None
        else:
            line = self._lines[user]
            line.remove(item)
            if not line:
                del self._lines[user]
        self.size -= 1
