"""A request whose two sides talk while it runs."""

from types import TracebackType
from typing import Any, Self

from adiuva.runtime.channel import Channel, ChannelClosedError
from adiuva.runtime.errors import RequestCancelledError
from adiuva.runtime.request import Request


class Session:
    """``async with ref.stream(...) as session``: iterate over the handler's events, then take its ``result``.

    Leaving the block early cancels the handler and waits for its end. A session is used once.
    """

    __slots__ = ("_events", "_inbox", "_request")

    def __init__(self, request: Request) -> None:
        if request.events is None or request.inbox is None:
            raise ValueError("a session needs a request with streams")
        self._request = request
        self._events: Channel = request.events
        self._inbox: Channel = request.inbox

    async def __aenter__(self) -> Self:
        if self._request.queued_at:
            raise RuntimeError("a session is used once")
        self._request.cell.submit(self._request)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._request.ended:
            await self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._events.get()
        except ChannelClosedError:
            raise StopAsyncIteration from None

    def result(self) -> Any:
        """The handler's answer, once the iteration has ended; what the handler raised is raised.

        Raises:
            DeadlineExceededError: the deadline passed first.
            GoingAwayError: the actor was stopped meanwhile.
            RequestCancelledError: the session was cancelled.
        """
        if not self._request.ended:
            raise RuntimeError("the handler has not ended: iterate to the end first")
        if self._request.error is not None:
            raise self._request.error
        return self._request.value

    def send(self, item: Any) -> bool:
        """Send ``item`` to the handler, which ``ActorContext.read`` gives it; whether it was taken.

        It is dropped once the handler has ended, and while the buffer is full of what the handler has not read: whoever
        sends may have a client's socket to read, and waits for no handler.
        """
        return self._inbox.offer(item)

    async def cancel(self) -> None:
        """Cancel the handler and wait until it has ended, at most 5 s. No event comes out of the session any more."""
        if not self._request.queued_at:
            raise RuntimeError("the session has not been entered")
        self._events.mute()
        self._request.cancel(RequestCancelledError())
        await self._request.until_ended()
