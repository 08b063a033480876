"""The difference between "not given" and "null"."""

from enum import Enum
from typing import Final


class Unset(Enum):
    """The type of `UNSET`. In an annotation (``due: date | None | Unset = UNSET``) it marks what need not be given."""

    UNSET = "unset"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset.UNSET
"""The default of an argument for which "not given" and null are two things, as in a tool that changes some fields.

The model never sees it, and `Action` leaves out parameters that have this value.
"""
