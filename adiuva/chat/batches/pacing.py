"""When an item of a batch may run: batches take what interactive users leave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakValueDictionary

from attrs import define, field

from adiuva.runtime import ActorRef
from adiuva.web.access import Principal
from adiuva.web.limits import Limiter

PER_USER = 2  # items of one user at once
SHARE = 32  # one of so many places of an actor is for batches
LOOK_SECONDS = 0.25  # between two looks at busy mailboxes


@define(kw_only=True, eq=False)
class Pacing:
    """Makes items wait: for their user's places, for the user's minute, for a place among all batches, for quiet."""

    limiter: Limiter
    rate_limits: Mapping[str, int]  # by tier, a minute
    mailboxes: tuple[ActorRef, ...]
    concurrency: int  # of each of the mailboxes' actors
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    _places: asyncio.Semaphore = field(init=False)
    _users: WeakValueDictionary[UUID, asyncio.Semaphore] = field(factory=WeakValueDictionary, init=False)

    def __attrs_post_init__(self) -> None:
        self._places = asyncio.Semaphore(max(1, self.concurrency // SHARE))

    def places_of(self, user_id: UUID) -> asyncio.Semaphore:
        """The places of one user, for as long as somebody holds on to them."""
        return self._users.setdefault(user_id, asyncio.Semaphore(PER_USER))

    async def minute(self, owner: Callable[[], Awaitable[Principal]]) -> None:
        """Wait until the user's rate limit has room for one more item, and count it there.

        Batches take at most half of a minute's requests: the other half is left for whoever sits at the app, and to
        ask how far a batch is.
        """
        principal = await owner()
        while not await self._hit(f"batch:{principal.user_id}", max(1, self.rate_limits[principal.tier] // 2)):
            principal = await owner()
        while not await self._hit(f"user:{principal.user_id}", self.rate_limits[principal.tier]):
            principal = await owner()

    async def _hit(self, key: str, limit: int) -> bool:
        hit = await self.limiter.hit(key, limit)
        if not hit.allowed:
            await self.sleep(hit.reset)
        return hit.allowed

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the few places that all batches share, once the mailboxes have room. Who waits is served in order."""
        async with self._places:
            while self._busy():
                await self.sleep(LOOK_SECONDS)
            yield

    def _busy(self) -> bool:
        """Whether half of an actor's places are taken; messages wait only where all of them are."""
        return any(ref.counters().running * 2 > self.concurrency for ref in self.mailboxes)
