"""Lists in pages: ``?page``, from 1, and ``?limit``."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from aiohttp import web
from attrs import frozen

from adiuva.errors import ValidationFailedError

T = TypeVar("T")

MAX_LIMIT = 200
DEFAULT_LIMIT = 50


@frozen(kw_only=True)
class Page:
    """Which part of a list is asked for."""

    number: int
    limit: int

    @property
    def offset(self) -> int:
        """How many items come before this page."""
        return (self.number - 1) * self.limit

    def cut(self, items: Sequence[T]) -> Sequence[T]:
        """The page out of all ``items``."""
        return items[self.offset : self.offset + self.limit]

    def listing(self, items: Sequence[Any], *, total: int) -> dict[str, Any]:
        """The answer: ``items`` are this page's, ``total`` counts those of all pages."""
        return {"items": items, "page": self.number, "limit": self.limit, "total": total}


def read_page(request: web.Request, *, limit: int = DEFAULT_LIMIT) -> Page:
    """The page that the query asks for; of ``limit`` items, where it does not say of how many.

    Raises:
        ValidationFailedError: ``page`` or ``limit`` is no number, or out of bounds.
    """
    values = {"page": 1, "limit": limit}
    faults = []
    for name, highest in (("page", 10**9), ("limit", MAX_LIMIT)):
        text = request.query.get(name)
        if text is None:
            continue
        if re.fullmatch(r"[0-9]{1,10}", text) and 1 <= int(text) <= highest:
            values[name] = int(text)
        else:
            faults.append((name, f"must be a number from 1 to {highest}"))
    if faults:
        raise ValidationFailedError(faults)
    return Page(number=values["page"], limit=values["limit"])
