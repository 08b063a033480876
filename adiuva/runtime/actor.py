"""Actors: what their authors write, and what a handler is given."""

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from adiuva.runtime.channel import ChannelClosedError
from adiuva.runtime.errors import RequestCancelledError
from adiuva.runtime.messages import TRACEPARENT, Envelope
from adiuva.runtime.request import Request

if TYPE_CHECKING:
    from adiuva.runtime.ref import ActorRef

log = structlog.get_logger(__name__)


class Actor:
    """Handles messages out of a bounded mailbox; subclass it and write ``receive``.

    What the runtime promises:

    - The messages of one user are begun in the order they were sent; with ``concurrency`` 1 each also ends before the
      next begins.
    - Users take turns: a user's hundred messages do not delay another user's one.
    - A message over ``capacity`` is refused at once.
    - Whoever asks gets an answer or an error, whatever happens to the handler, the actor or the system.
    - An error in ``receive`` goes to the asker as it is, and the actor lives on.
    - A cancel, a gone asker and a passed deadline reach the handler as ``asyncio.CancelledError``. The asker goes on
      only when the handler has ended, or after 5 s, when a handler that ignores it is abandoned: its place is given to
      another message, and what it still emits is dropped.
    - Each message sees the context variables as they were when the actor was started, not those another message set.
    """

    def __init__(self, name: str, *, capacity: int = 1000, concurrency: int = 1) -> None:
        """``capacity`` messages may wait while ``concurrency`` are handled at once."""
        if capacity < 1 or concurrency < 1:
            raise ValueError("capacity and concurrency are at least 1")
        self.name = name
        self.capacity = capacity
        self.concurrency = concurrency

    async def on_start(self) -> None:
        """Called before the first message. If it raises, it is called again after a pause, each longer than the last.

        Messages that came before it ended wait for it; once it has raised, messages are refused until it succeeds.
        """

    async def on_stop(self) -> None:
        """Called after the last message, if ``on_start`` succeeded. What it raises is logged; it has 5 s."""

    async def receive(self, payload: Any, ctx: "ActorContext") -> Any:
        """Called for each message; returns the answer. What it raises is raised where the question was asked."""
        raise NotImplementedError

    async def on_failure(self, envelope: Envelope, error: Exception) -> None:
        """Called when ``receive`` raised on a told message, for which nobody waits. What it raises is logged."""
        log.error("told message failed", actor=self.name, message_id=envelope.id, exc_info=error)


class ActorContext:
    """The request that a handler works on, and its way back to the asker."""

    __slots__ = ("_request", "envelope")

    def __init__(self, request: Request) -> None:
        self._request = request
        self.envelope = request.envelope

    @property
    def user(self) -> str:
        return self.envelope.user

    @property
    def tier(self) -> str:
        return self.envelope.tier

    @property
    def deadline(self) -> float | None:
        """Unix seconds."""
        return self.envelope.deadline

    @property
    def trace(self) -> dict[str, str]:
        return self.envelope.trace

    @property
    def log_ids(self) -> dict[str, str]:
        """The ids in ``trace`` that belong into the log."""
        if TRACEPARENT not in self.trace:
            return self.trace
        return {name: value for name, value in self.trace.items() if name != TRACEPARENT}

    async def emit(self, event: Any) -> None:
        """Send ``event`` to the asker's session; waits while that is full. Where nobody listens, it is dropped."""
        events = self._request.events
        if events is not None and not events.offer(event):
            await events.put(event)

    async def read(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - the one thing a reader decides
        """The next thing that the asker sends with ``Session.send``; ``timeout`` in seconds.

        Raises:
            TimeoutError: nothing came in time.
            RuntimeError: the message was not sent through a session.
        """
        inbox = self._request.inbox
        if inbox is None:
            raise RuntimeError("nobody can send to this request: it has no session")
        try:
            async with asyncio.timeout(timeout):
                return await inbox.get()
        except ChannelClosedError:
            raise RequestCancelledError from None

    async def ask(self, ref: "ActorRef", payload: Any, *, forward: bool = True) -> Any:
        """Ask another actor as a part of this request: with its user, tier, deadline, trace and cancellation.

        With ``forward`` the other handler's events go straight into this request's session, and it reads from it. If
        this handler is cancelled meanwhile, so is the other, and it has ended before this one goes on.
        """
        return await ref.ask_for(self._request, payload, forward=forward)
