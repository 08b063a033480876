"""Tells this node's sockets that their user has new changes, whichever node they were made at."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol

import asyncpg
import structlog
from aiohttp import web

from adiuva.storage.changes import queries
from adiuva.storage.queries import CHANNEL

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 1.0
START_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 15.0  # a connection that died silently is noticed by then


class Listener(Protocol):
    """A device that wants to know."""

    def tell(self, cursor: str) -> None:
        """There are changes up to ``cursor``; empty where nobody knows how far they go."""
        ...


class Feed:
    """One connection of its own, which listens for the changes of all users.

    While it is broken nothing is heard: so when it is back, everybody is told that there may be something.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._begun = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen; that it cannot be begun at once stops nobody."""
        self._task = asyncio.create_task(self._loop(), name="storage: changes")
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._begun.wait()

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @contextmanager
    def listening(self, user_id: str, listener: Listener) -> Iterator[None]:
        """Tell ``listener`` meanwhile what changes for this user."""
        self._listeners[user_id].add(listener)
        try:
            yield
        finally:
            self._listeners[user_id].discard(listener)
            if not self._listeners[user_id]:
                del self._listeners[user_id]

    async def _loop(self) -> None:
        while True:
            try:
                await self._listen()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("changes are not heard of", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(self._dsn, timeout=10)
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, self._heard)
            self._begun.set()
            self._tell_all()
            while not lost.is_set():
                try:
                    async with asyncio.timeout(PROBE_SECONDS):
                        await lost.wait()
                except TimeoutError:
                    async with asyncio.timeout(PROBE_SECONDS):
                        await queries.ping(connection)
        finally:
            connection.terminate()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        user_id, _, cursor = str(payload).partition(" ")
        for listener in self._listeners.get(user_id, ()):
            listener.tell(cursor)

    def _tell_all(self) -> None:
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.tell("")


FEED = web.AppKey("storage_feed", Feed)
