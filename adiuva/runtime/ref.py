"""The outside of an actor."""

from itertools import count
from typing import Any

from adiuva import clock
from adiuva.runtime.cell import Cell
from adiuva.runtime.channel import Channel
from adiuva.runtime.errors import RequestCancelledError
from adiuva.runtime.messages import Counters, Envelope
from adiuva.runtime.request import Request
from adiuva.runtime.session import Session

_PREFIX = (
    f"{clock.new_id().hex}-"  # with a number behind it: an id of its own for each message costs as much as handling it
)
_numbers = count(1)


class ActorRef:
    """Sends messages to an actor; the only thing that others hold of it.

    A message waits in the line of its ``user``, or in the ``line`` that it names; lines take turns. It ends at the
    earlier of ``timeout`` (seconds from now) and ``deadline`` (Unix seconds); without either it may take for ever.

    Every way of sending raises at once:

    - OverloadedError: the mailbox is full.
    - UnavailableError: the actor's start failed, and will be tried again.
    - GoingAwayError: the actor has been stopped or is stopping.
    """

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def __repr__(self) -> str:
        return f"<ActorRef {self.name}>"

    @property
    def name(self) -> str:
        return self._cell.actor.name

    def counters(self) -> Counters:
        """What the actor did so far."""
        return self._cell.counters()

    async def ask(
        self,
        payload: Any,
        *,
        user: str = "",
        tier: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 - travels with the message
        deadline: float | None = None,
        trace: dict[str, str] | None = None,
        line: str | None = None,
    ) -> Any:
        """Send ``payload`` and wait for the answer; what the handler raises is raised here.

        Cancelling this cancels the handler, and ends only after it.

        Raises:
            DeadlineExceededError: the deadline passed first.
            GoingAwayError: the actor was stopped meanwhile.
            HandlerCrashedError: the handler raised what is not an ``Exception``.
        """
        if timeout is not None:
            deadline = _earlier(timeout, deadline)
        request = Request(self._envelope(payload, user, tier, deadline, trace, line=line), self._cell)
        self._cell.submit(request)
        return await request.answer()

    def tell(self, payload: Any, *, user: str = "", tier: str = "") -> None:
        """Send ``payload`` and forget it; what the handler raises goes to the actor's ``on_failure``."""
        self._cell.submit(Request(envelope=self._envelope(payload, user, tier, None, None), cell=self._cell, told=True))

    def stream(
        self,
        payload: Any,
        *,
        user: str = "",
        tier: str = "",
        timeout: float | None = None,
        deadline: float | None = None,
        trace: dict[str, str] | None = None,
        buffer: int = 64,
    ) -> Session:
        """A session around ``payload``, which is sent on entering it. ``buffer`` events may wait in each direction."""
        return Session(
            Request(
                envelope=self._envelope(payload, user, tier, _earlier(timeout, deadline), trace),
                cell=self._cell,
                events=Channel(buffer),
                inbox=Channel(buffer),
            )
        )

    async def ask_for(self, parent: Request, payload: Any, *, forward: bool) -> Any:
        """``ActorContext.ask``."""
        if parent.ended or parent.reason is not None:
            raise parent.reason or RequestCancelledError()
        of = parent.envelope
        request = Request(
            envelope=self._envelope(payload, of.user, of.tier, of.deadline, of.trace, line=of.line),
            cell=self._cell,
            parent=parent,
            events=parent.events if forward else None,
            inbox=parent.inbox if forward else None,
        )
        self._cell.submit(request)
        if parent.children is None:
            parent.children = set()
        parent.children.add(request)
        return await request.answer()

    def _envelope(
        self,
        payload: Any,
        user: str,
        tier: str,
        deadline: float | None,
        trace: dict[str, str] | None,
        *,
        line: str | None = None,
    ) -> Envelope:
        tracing = self._cell.tracing
        return Envelope(
            id=f"{_PREFIX}{next(_numbers)}",
            user=user,
            line=user if line is None else line,
            tier=tier,
            deadline=deadline,
            trace=(trace or {}) if tracing is None else tracing.sent(trace or {}),
            payload=payload,
        )


def _earlier(timeout: float | None, deadline: float | None) -> float | None:
    if timeout is None:
        return deadline
    ends = clock.now().timestamp() + timeout
    return ends if deadline is None else min(ends, deadline)
