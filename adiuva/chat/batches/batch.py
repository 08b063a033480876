"""A batch and its items, as the server holds them in memory."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import define, field

from adiuva.chat.batches.models import BatchStatus, BatchView, ItemResult
from adiuva.chat.batches.sealing import Seal
from adiuva.web.access import Principal

# What a batch and an item take up beside their content, a sealed error included; measured, and rounded up.
BATCH_BYTES = 4096
ITEM_BYTES = 2048


@define(kw_only=True, eq=False)
class Item:
    """One request of a batch: its content is let go as soon as it has run."""

    id: str
    uses: tuple["Item", ...] = field(default=(), repr=False)
    request: bytes | None = field(repr=False)  # the `ItemRequest` as JSON
    ended: asyncio.Event = field(factory=asyncio.Event, init=False, repr=False)
    result: Mapping[str, Any] | None = field(default=None, init=False, repr=False)  # in the clear, for its users
    result_bytes: int = field(default=0, init=False)  # what ``result`` takes up
    users: int = field(default=0, init=False)  # how many items have yet to use the result

    @property
    def bytes(self) -> int:
        """What the item takes up."""
        return ITEM_BYTES + len(self.request or b"") + self.result_bytes


@define(kw_only=True, eq=False)
class Batch:
    """The items of a batch, and the sealed results of those that have run, in the order in which they ended."""

    id: UUID
    owner: Principal  # as it was when the batch came: its tier is read anew for each item
    seal: Seal = field(repr=False)
    items: tuple[Item, ...] = field(repr=False)
    created_at: datetime
    expires_at: datetime
    status: BatchStatus = field(default="queued", init=False)
    results: list[ItemResult] = field(factory=list, init=False, repr=False)
    bytes: int = field(default=0, init=False)  # what all of it takes up

    def __attrs_post_init__(self) -> None:
        self.bytes = BATCH_BYTES + sum(item.bytes for item in self.items)
        for item in self.items:
            for used in item.uses:
                used.users += 1

    @property
    def active(self) -> bool:
        """Whether any item has yet to run."""
        return self.status != "finished"

    def view(self) -> BatchView:
        """The batch as its owner sees it."""
        done = sum(result.status == "done" for result in self.results)
        return BatchView(
            id=self.id,
            status=self.status,
            total=len(self.items),
            done=done,
            failed=len(self.results) - done,
            created_at=self.created_at,
            expires_at=self.expires_at,
        )
