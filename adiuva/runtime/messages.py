"""What travels between actors, and what is counted on the way."""

from typing import Any, Final, Literal

from attrs import field, frozen

TRACEPARENT: Final = "traceparent"
"""In an envelope's ``trace``: the span that it was sent in, as W3C's Trace Context writes it."""

State = Literal["starting", "running", "stopping", "stopped"]


@frozen(kw_only=True, slots=False)  # one is made for every message, and frozen slots are slow to fill
class Envelope:
    """A message with all it needs to be handled anywhere: plain data, no callbacks, no sockets."""

    id: str
    user: str
    line: str  # where it waits in a mailbox: lines take turns
    tier: str
    deadline: float | None  # Unix seconds: valid on every machine
    trace: dict[str, str]  # ids for the log, and `TRACEPARENT` where traces are made
    payload: Any = field(repr=False)  # a user's content


@frozen(kw_only=True)
class Counters:
    """What an actor did so far.

    At any moment ``received`` is the sum of ``handled``, ``failed``, ``refused``, ``cancelled``, ``expired``,
    ``queued`` and ``running``.
    """

    state: State
    received: int
    handled: int
    failed: int  # the handler raised
    refused: int  # no room, not running, or stopping
    cancelled: int  # by the asker, by a stop, or by a start that failed
    expired: int  # past the deadline
    queued: int
    running: int
    begun: int  # those whose handling has begun, whatever became of it
    starts_failed: int
    wait_seconds_total: float  # between being sent and being handled, of those that have begun
