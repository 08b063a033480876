"""How late the event loop runs what is due: the time that something else has held it up."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

INTERVAL: Final = 0.5  # seconds


class LoopLag:
    """Sets a timer again and again, and tells ``observe`` how many seconds late it ran."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._due = monotonic() + INTERVAL
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._tick)

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._observe(max(0.0, monotonic() - self._due))
        self.start()
