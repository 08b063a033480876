"""Faults on demand."""

import re
from typing import Literal

from attrs import define, field

Kind = Literal["refuse", "fail", "fail_after", "drop", "drop_after", "hang_after"]


@define(kw_only=True)
class Fault:
    """What goes wrong with the next ``times`` calls of ``method`` whose path matches.

    ``refuse``: 429. ``fail``: 500, and nothing has happened. ``fail_after``: it has happened, and yet it is a 500.
    ``drop``, ``drop_after``: the connection breaks before or after it. ``hang_after``: it has happened, and no answer
    comes. ``delay`` is in seconds, before anything else; ``late`` too, after it has happened and before it is answered.
    ``skip`` lets so many calls pass first.
    """

    path: str
    method: str = "POST"
    kind: Kind | None = None
    delay: float = 0.0
    late: float = 0.0
    times: int = 1
    skip: int = 0
    hits: int = field(default=0, init=False)

    def takes(self, method: str, path: str) -> bool:
        """Whether this call is hit; that is counted."""
        if self.times <= 0 or method != self.method or not re.fullmatch(self.path, path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        self.hits += 1
        return True
