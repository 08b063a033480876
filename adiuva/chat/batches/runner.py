"""Runs the items of a batch, a few at a time, and seals what comes of each."""

import asyncio
from collections.abc import Iterator
from typing import Any

import attrs
import stamina
from attrs import define, field, frozen

from adiuva.auth.service import Auth
from adiuva.billing.tiers import require_feature
from adiuva.chat.batches.batch import Batch, Item
from adiuva.chat.batches.errors import DependencyFailedError
from adiuva.chat.batches.models import ItemRequest, ItemResult
from adiuva.chat.batches.pacing import PER_USER, Pacing
from adiuva.chat.batches.sealing import OVERHEAD_BYTES
from adiuva.chat.batches.store import BatchStore
from adiuva.chat.errors import ChosenBusyError
from adiuva.chat.messages import ChatResult
from adiuva.chat.models import MAX_CONTEXT_BYTES
from adiuva.chat.service import Chat, wire_result
from adiuva.errors import OverloadedError, PayloadTooLargeError, UnavailableError, ValidationFailedError
from adiuva.web import problems, wire
from adiuva.web.access import Principal

LINE = "batches"  # in mailboxes, all batches together take one turn of many
MAX_RESULT_BYTES = 256 * 1024
ATTEMPTS = 10


@frozen(kw_only=True)
class _Answer:
    wire: bytes = field(repr=False)  # as JSON
    result: dict[str, Any] = field(repr=False)  # as the items that use it see it


@define(kw_only=True, eq=False)
class Runner:
    """Runs batches through the agents, as their owners, and at their owners' present tier."""

    chat: Chat
    auth: Auth
    store: BatchStore
    pacing: Pacing
    wait_initial: float = 1.0  # seconds before an item that was refused is tried again
    wait_max: float = 30.0

    async def run(self, batch: Batch) -> None:
        """Run all items of ``batch``; cancelled, it ends when what runs has ended."""
        batch.status = "running"
        places = self.pacing.places_of(batch.owner.user_id)
        items = iter(batch.items)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(PER_USER):
                    group.create_task(self._work(batch, items, places))
        finally:
            batch.status = "finished"

    async def _work(self, batch: Batch, items: Iterator[Item], places: asyncio.Semaphore) -> None:
        for item in items:  # shared by the workers of the batch: each takes the next one
            for used in item.uses:
                await used.ended.wait()
            async with places:
                await self._run_item(batch, item)

    async def _run_item(self, batch: Batch, item: Item) -> None:
        try:
            answer = await self._answer(batch, item)
            self._keep(batch, item, answer)
        except Exception as error:  # noqa: BLE001 - one item's fault is that item's result
            self._append(batch, item, ItemResult(id=item.id, status="failed", sealed=_sealed_error(batch, item, error)))

    def _keep(self, batch: Batch, item: Item, answer: _Answer) -> None:
        """Hold the answer, sealed, and in the clear for those items only that are to use it."""
        content = b'{"batch_id":%b,"item_id":%b,"result":%b}' % (wire.dump(batch.id), wire.dump(item.id), answer.wire)
        if len(content) > MAX_RESULT_BYTES:
            raise PayloadTooLargeError("The result is larger than this server holds for a batch.")
        shared = len(answer.wire) if item.users else 0
        self.store.resize(batch, OVERHEAD_BYTES + len(content) + shared)
        if item.users:
            item.result, item.result_bytes = answer.result, shared
        self._append(batch, item, ItemResult(id=item.id, status="done", sealed=batch.seal(content)))

    def _append(self, batch: Batch, item: Item, result: ItemResult) -> None:
        """Count the item as ended, and let go of all that was held for it."""
        batch.results.append(result)
        self.store.resize(batch, -len(item.request or b""))
        item.request = None
        for used in item.uses:
            used.users -= 1
            if not used.users and used.result is not None:
                self.store.resize(batch, -used.result_bytes)
                used.result, used.result_bytes = None, 0
        item.ended.set()

    # one item

    async def _answer(self, batch: Batch, item: Item) -> _Answer:
        if any(used.result is None for used in item.uses):
            raise DependencyFailedError

        async def owner() -> Principal:
            return await self.auth.refresh_principal(batch.owner.login_id, batch.owner.expires_at)

        counted, chosen = False, None
        async for attempt in stamina.retry_context(
            on=_passes, attempts=ATTEMPTS, timeout=None, wait_initial=self.wait_initial, wait_max=self.wait_max
        ):
            with attempt:
                if not counted:
                    await self.pacing.minute(owner)
                    counted = True
                async with self.pacing.place():
                    try:
                        return await self._ask(item, await owner(), chosen)
                    except ChosenBusyError as error:
                        chosen = chosen or error
                        raise
        raise AssertionError  # stamina gives the answer or the last error

    async def _ask(self, item: Item, principal: Principal, chosen: ChosenBusyError | None) -> _Answer:
        """Ask once; ``chosen``: who was to answer when it was asked before, and had no room."""
        assert item.request is not None
        request = wire.read(ItemRequest, item.request)
        if item.uses:
            require_feature(principal.tier, "batch_builder")
        previous = tuple(dict(used.result or {}) for used in item.uses)
        if len(wire.dump(previous)) > MAX_CONTEXT_BYTES:
            raise ValidationFailedError([("use", f"gives results of more than {MAX_CONTEXT_BYTES} bytes")])
        job = self.chat.job(request, principal, stream=False)
        if chosen is not None and set(chosen.agents) <= {*job.agents, *job.open_agents}:
            job = attrs.evolve(job, agents=chosen.agents)
        answer = await self.chat.answer(attrs.evolve(job, previous_results=previous), principal, line=LINE)
        if chosen is not None:
            answer = attrs.evolve(answer, usage=answer.usage + chosen.usage)
        return _Answer(wire=wire.dump(wire_result(answer)), result=_for_others(item, answer))


def _for_others(item: Item, answer: ChatResult) -> dict[str, Any]:
    actions = [{"action": action.action, "params": action.params} for action in answer.actions]
    return {"item": item.id, "response": answer.response, "actions": actions}


def _passes(error: Exception) -> bool:
    """Whether the same may work a little later."""
    return isinstance(error, OverloadedError) or type(error) is UnavailableError


def _sealed_error(batch: Batch, item: Item, error: Exception) -> bytes:
    body = {"batch_id": batch.id, "item_id": item.id, "error": problems.body(error)}
    return batch.seal(wire.dump(body))
