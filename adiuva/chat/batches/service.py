"""Batches from their coming to their going: posted, run in the background, found, cancelled, expired."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

import structlog
from aiohttp import web
from attrs import define, field

from adiuva import clock
from adiuva.billing.tiers import require_feature
from adiuva.chat.batches.batch import Batch
from adiuva.chat.batches.builder import build_items
from adiuva.chat.batches.models import BatchRequest
from adiuva.chat.batches.runner import Runner
from adiuva.chat.batches.sealing import Seal
from adiuva.chat.batches.store import BatchStore
from adiuva.errors import GoingAwayError, NotFoundError, ValidationFailedError
from adiuva.tiers import TIERS
from adiuva.web import problems
from adiuva.web.access import Principal

log = structlog.get_logger(__name__)

LIFETIME = timedelta(hours=1)


@define(kw_only=True, eq=False)
class Batches:
    """All batches of this process; they end with it."""

    store: BatchStore
    runner: Runner
    sweep_seconds: float = 15.0
    _tasks: dict[UUID, asyncio.Task[None]] = field(factory=dict, init=False)  # of the batches that are active
    _sweeper: asyncio.Task[None] | None = field(default=None, init=False)
    _stopping: bool = field(default=False, init=False)

    async def start(self) -> None:
        """Begin to forget what has expired; a second call begins anew."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._sweeper = asyncio.create_task(self._sweep_forever(), name="batches: sweep")

    async def stop(self) -> None:
        """Take nothing more, cancel what runs and wait for its end: nobody could fetch what would come of it."""
        self._stopping = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        await self._forget(self.store.all())

    async def post(self, body: BatchRequest, principal: Principal) -> Batch:
        """Take a batch and begin to run it.

        Raises:
            ValidationFailedError: an item that asks for what is not there, or uses what it cannot.
            TierRequiredError: an item that asks for what the user's tier does not hold.
            BatchLimitError: the user has as many active batches as the tier holds.
            OverloadedError: there is no memory left for it.
        """
        if any(item.use for item in body.items):
            require_feature(principal.tier, "batch_builder")
        items = build_items(body.items)
        self._check_jobs(body, principal)
        if self._stopping:
            raise GoingAwayError
        now = clock.now()
        batch = Batch(
            id=clock.new_id(),
            owner=principal,
            seal=Seal(body.public_key),
            items=items,
            created_at=now,
            expires_at=now + LIFETIME,
        )
        self.store.add(batch, active=TIERS[principal.tier].batches_active)
        task = self._tasks[batch.id] = asyncio.create_task(self._run(batch), name="batch")
        task.add_done_callback(lambda _: self._tasks.pop(batch.id, None))
        return batch

    def get(self, principal: Principal, batch_id: UUID) -> Batch:
        """One batch of the user.

        Raises:
            NotFoundError: there is none of that id, it is somebody else's, or it has expired.
        """
        batch = self.store.get(principal.user_id, batch_id)
        if batch.expires_at <= clock.now():
            raise NotFoundError
        return batch

    def of(self, principal: Principal) -> list[Batch]:
        """The user's batches, the newest first."""
        now = clock.now()
        return [batch for batch in self.store.of(principal.user_id) if batch.expires_at > now]

    async def cancel(self, principal: Principal, batch_id: UUID) -> None:
        """Cancel a batch of the user, and forget it once nothing of it runs any more.

        Raises:
            NotFoundError: as `get`.
        """
        await self._forget([self.get(principal, batch_id)])

    async def sweep(self) -> None:
        """Forget the batches that have expired."""
        now = clock.now()
        await self._forget([batch for batch in self.store.all() if batch.expires_at <= now])

    def _check_jobs(self, body: BatchRequest, principal: Principal) -> None:
        """Refuse at once what would be refused when it is run."""
        for index, item in enumerate(body.items):
            try:
                self.runner.chat.job(item, principal, stream=False)
            except ValidationFailedError as error:
                faults = [(f"items[{index}].{name}", fault) for name, fault in error.errors]
                raise ValidationFailedError(faults) from None

    async def _run(self, batch: Batch) -> None:
        try:
            await self.runner.run(batch)
        except Exception as error:  # noqa: BLE001 - a fault of ours, whose text may hold what a user wrote
            problems.foreseen(error)
        view = batch.view()
        log.info("batch finished", batch_id=str(batch.id), done=view.done, failed=view.failed)

    async def _forget(self, batches: Iterable[Batch]) -> None:
        """Let go of ``batches`` at once, and wait until nothing of them runs any more."""
        tasks = []
        for batch in batches:
            self.store.remove(batch)
            if (task := self._tasks.get(batch.id)) is not None:
                task.cancel()
                tasks.append(task)
        if tasks:
            await asyncio.wait(tasks)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self.sweep_seconds)
            await self.sweep()


BATCHES = web.AppKey("batches", Batches)
