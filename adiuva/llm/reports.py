"""What became of a call, for those who count: no word of what was asked or answered."""

from collections.abc import Callable
from typing import Literal

from attrs import frozen

from adiuva.llm.faults import FaultKind
from adiuva.llm.protocol import Usage

Outcome = Literal["ok", "cancelled", "error", FaultKind]
"""``error``: whoever took the answer in raised something of its own."""


@frozen(kw_only=True, slots=False)  # one is made for every call, and frozen slots are slow to fill
class CallReport:
    """One attempt to have one model answer."""

    model: str  # as it is called in the settings
    lane: str
    outcome: Outcome
    retry: bool  # whether this model had failed at the same call before
    seconds: float
    first_text_seconds: float | None  # to the first piece of text; None where it was not streamed, or none came
    usage: Usage | None  # None where the answer is not whole


OnReport = Callable[[CallReport], None]
