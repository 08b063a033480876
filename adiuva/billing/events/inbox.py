"""Events come in, and are applied: at once where that goes, else in rounds, until they are."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from adiuva.billing.events import queries
from adiuva.billing.events.models import Apply, Event
from adiuva.billing.events.signature import verify
from adiuva.billing.stripe import RefusedError
from adiuva.clock import now
from adiuva.database import Database
from adiuva.errors import UnavailableError
from adiuva.web.problems import foreseen

log = structlog.get_logger(__name__)

Prepare = Callable[[Event], Awaitable[Apply]]
"""Asks Stripe what has to be asked about an event, outside any transaction, and gives what is then to be done."""

ROUND_SECONDS: Final = 2.0
AT_ONCE: Final = 8
BATCH: Final = 64
MOST_TRIES: Final = 5  # after 1, 2, 4 and 8 s
# Whoever acknowledges an event applies it himself; the rounds are for what he left.
FIRST_ROUND: Final = timedelta(seconds=5)
OUTAGE_PAUSE: Final = timedelta(seconds=5)
WAIT_SECONDS: Final = 1.0  # that an acknowledgement waits for the event to be applied
KEPT: Final = timedelta(days=90)
PRUNE_SECONDS: Final = 3600.0


class NoSecretError(UnavailableError):
    """This server takes no webhooks: STRIPE_WEBHOOK_SECRET is not set."""

    code = "webhook_not_configured"


class Inbox:
    """Takes Stripe's events, each once by its id, and sees that each is applied."""

    def __init__(
        self, *, database: Database, secrets: tuple[str, ...], prepare: Mapping[str, Prepare], applied: asyncio.Event
    ) -> None:
        """``secrets`` sign events, one for each endpoint at Stripe; ``prepare`` has the types that are applied.

        ``applied`` is set after each event that was applied.
        """
        self._applied = applied
        self._database = database
        self._secrets = secrets
        self._prepare = prepare
        self._free = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[bool]] = set()
        self._loop_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin the rounds."""
        self._loop_task = asyncio.create_task(self._loop(), name="billing: events")

    async def stop(self) -> None:
        """End; what is not applied by then is found again after the next start."""
        tasks: list[asyncio.Task[object]] = [*self._tasks, *([self._loop_task] if self._loop_task else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def receive(self, payload: bytes, signature: str) -> None:
        """Take a webhook's body; when this returns, it is kept. It is applied then too, unless that takes long.

        Raises:
            NoSecretError: nobody can sign here.
            InvalidSignatureError: it is not from Stripe, or not from now.
            InvalidRequestError: it is no event.
        """
        if not self._secrets:
            raise NoSecretError
        verify(payload, signature, self._secrets, now().timestamp())
        event = Event.parse(payload)
        if event.type not in self._prepare or (event.account and event.type != "account.updated"):
            return  # nobody's here, or an author's own business
        async with self._database.acquire() as conn:
            if not await queries.insert(conn, event, payload, first_try_in=FIRST_ROUND):
                return
        task = asyncio.create_task(self.apply(event.id), name=f"billing: {event.type}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait([task], timeout=WAIT_SECONDS)

    async def apply(self, event_id: str) -> bool:
        """Apply an event, in one transaction that also marks it; whether it is done with, now or before.

        Whatever is wrong is noted with the event, which is tried again, and parked where it is to blame itself.
        """
        try:
            async with self._free:
                await self._apply(event_id)
        except RefusedError as error:
            await self._blame(event_id, f"{type(error).__name__}: {error.reason}")
        except (UnavailableError, asyncpg.DeadlockDetectedError) as error:
            await self._put_off(event_id, type(error).__name__)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next event has to be applied
            foreseen(error)  # logs where it happened
            await self._blame(event_id, type(error).__name__)
        else:
            return True
        return False

    async def apply_due(self) -> int:
        """Apply the events whose turn it is; gives how many were tried."""
        async with self._database.acquire() as conn:
            await queries.release_known(conn)
            due = await queries.list_due(conn, BATCH)
        await asyncio.gather(*(self.apply(event_id) for event_id in due))
        return len(due)

    async def prune(self) -> None:
        """Forget events of long ago, but for those that wait for something."""
        async with self._database.acquire() as conn:
            await queries.prune(conn, now() - KEPT)

    async def _apply(self, event_id: str) -> None:
        async with self._database.acquire() as conn:
            payload = await queries.find_pending(conn, event_id)
        if payload is None:
            return
        event = Event.parse(payload)
        apply = await self._prepare[event.type](event)
        async with self._database.acquire() as conn, conn.transaction():
            if not await queries.lock_pending(conn, event_id):
                return
            outcome = await apply(conn)
            await queries.finish(conn, event_id, outcome)
        self._applied.set()
        if outcome == "unknown_customer":
            log.warning("an event of an unknown customer is kept", event_id=event_id, type=event.type)

    async def _put_off(self, event_id: str, fault: str) -> None:
        log.info("an event is put off", event_id=event_id, fault=fault)
        with suppress(UnavailableError):  # then it is due all the same
            async with self._database.acquire() as conn:
                await queries.put_off(conn, event_id, fault, OUTAGE_PAUSE)

    async def _blame(self, event_id: str, fault: str) -> None:
        state = None
        with suppress(UnavailableError):
            async with self._database.acquire() as conn:
                state = await queries.count_failure(conn, event_id, fault, most=MOST_TRIES)
        log.error("an event cannot be applied", event_id=event_id, fault=fault, state=state)

    async def _loop(self) -> None:
        loop = asyncio.get_running_loop()
        prune_at = loop.time()
        while True:
            try:
                tried = await self.apply_due()
                if loop.time() >= prune_at:
                    await self.prune()
                    prune_at = loop.time() + PRUNE_SECONDS
            except Exception as error:  # noqa: BLE001 - the next round may go well
                log.warning("events are put off", error=type(error).__name__)
                tried = 0
            if tried < BATCH:
                await asyncio.sleep(ROUND_SECONDS)
