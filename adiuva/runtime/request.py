"""One message on its way through an actor."""

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from attrs import define, field

from adiuva.errors import AdiuvaError, DeadlineExceededError
from adiuva.runtime.channel import Channel
from adiuva.runtime.errors import RequestCancelledError
from adiuva.runtime.messages import Envelope

if TYPE_CHECKING:
    from adiuva.runtime.cell import Cell

log = structlog.get_logger(__name__)


@define(eq=False)
class Request:
    """A message that first waits, then is handled by a worker, then has ended; it never goes back.

    All of it happens on one event loop, and each step from a state to the next is free of suspension; that makes it
    safe.
    """

    envelope: Envelope
    cell: "Cell"
    told: bool = field(default=False, kw_only=True)  # nobody waits for the answer
    parent: "Request | None" = None
    events: Channel | None = None  # what the handler emits; a forwarding child has its parent's
    inbox: Channel | None = None  # what the asker sends meanwhile; likewise
    queued_at: float = 0.0  # on the monotonic clock; 0 before it was accepted
    worker: asyncio.Task[None] | None = None
    reason: AdiuvaError | None = None  # why it has to end early; outweighs what the handler makes of it
    ended: bool = False
    value: Any = None
    error: BaseException | None = None
    waiters: tuple[asyncio.Future[None], ...] = ()
    children: "set[Request] | None" = None
    timer: asyncio.TimerHandle | None = None  # for the deadline, then for the patience

    def expire(self) -> None:
        """The deadline has passed."""
        self.cancel(DeadlineExceededError())

    def cancel(self, reason: AdiuvaError) -> None:
        """End it early: at once while it waits, else as soon as its handler has ended. The first reason counts."""
        if self.ended or self.reason is not None:
            return
        self.reason = reason
        if self.worker is None:
            self.cell.withdraw(self)
            self.end()
            return
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.cell.loop.call_later(self.cell.patience, self._abandon)
        self.worker.cancel()

    def _abandon(self) -> None:
        log.warning("handler ignored its cancellation", actor=self.cell.actor.name, message_id=self.envelope.id)
        self.cell.detach(self)
        self.end()

    def end(self, *, value: Any = None, error: BaseException | None = None) -> None:
        """Settle the outcome and tell everyone who waits. Once it has ended, another outcome changes nothing."""
        if self.ended:
            return
        self.ended = True
        self.error = self.reason or error
        if self.error is None:
            self.value = value
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.events is not None or self.parent is not None or self.children is not None:
            self._close_streams()
            self._leave_family()
        self.cell.settle(self)
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _close_streams(self) -> None:
        if self.parent is None and self.events is not None and self.inbox is not None:
            self.events.close()
            self.inbox.close()
        self._cut_streams()

    def _cut_streams(self) -> None:
        self.events = self.inbox = None
        for child in self.children or ():
            child._cut_streams()  # noqa: SLF001 - one of us

    def _leave_family(self) -> None:
        if self.parent is not None and self.parent.children is not None:
            self.parent.children.discard(self)
        for child in tuple(self.children or ()):  # asked by the handler in a task that outlived it
            child.cancel(self.reason or RequestCancelledError())

    async def answer(self) -> Any:
        """The handler's answer, or its error raised. Cancelling the caller cancels the handler and awaits its end."""
        waiter = self.cell.loop.create_future()
        self.waiters = (waiter,)
        try:
            await waiter
        except asyncio.CancelledError:
            self.cancel(self._parents_reason() or RequestCancelledError())
            await self.until_ended()
            raise
        except GeneratorExit:  # the caller is destroyed, and cannot wait
            self.cancel(RequestCancelledError())
            raise
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None  # breaks the cycle with the traceback
        return self.value

    def _parents_reason(self) -> AdiuvaError | None:
        return self.parent.reason if self.parent is not None else None

    async def until_ended(self) -> None:
        """Wait for the end, which ``cancel`` brings within the patience. A cancellation of the caller waits too."""
        interrupted = False
        while not self.ended:
            waiter = self.cell.loop.create_future()
            self.waiters = (*self.waiters, waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                interrupted = True
        if interrupted:
            raise asyncio.CancelledError
