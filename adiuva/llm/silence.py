"""A timeout that begins anew with each sign of life, for the price of an assignment."""

import asyncio
from types import TracebackType
from typing import Self

from attrs import define, field


@define(eq=False)
class SilenceLimit:
    """Cancels what is inside, and raises `TimeoutError`, once ``seconds`` have gone by without `heard`.

    `asyncio.Timeout.reschedule` would do the same, but takes longer than all else that is done for a token.
    """

    seconds: float
    paused: bool = field(default=False, init=False)  # while set, time does not count
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False)
    _timeout: asyncio.Timeout = field(factory=lambda: asyncio.timeout(None), init=False)
    _last: float = field(default=0.0, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def heard(self) -> None:
        """Begin anew."""
        self._last = self._loop.time()

    def expired(self) -> bool:
        """Whether the `TimeoutError` that was raised is this limit's."""
        return self._timeout.expired()

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self.heard()
        self._watch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _watch(self) -> None:
        now = self._loop.time()
        due = (now if self.paused else self._last) + self.seconds
        if due <= now:
            self._timeout.reschedule(now)
        else:
            self._timer = self._loop.call_at(due, self._watch)
