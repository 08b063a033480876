"""The bodies of the batches' calls, as docs/api-extensions.md has them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import attrs
from attrs import field, frozen

from adiuva.chat.batches.sealing import Seal
from adiuva.chat.models import ChatRequest
from adiuva.sdk.convert import MismatchError
from adiuva.web.wire import Described, Length, Pattern

MAX_ITEMS = 100
MAX_USES = 10

BatchStatus = Literal["queued", "running", "finished"]
ItemStatus = Literal["done", "failed"]


def _sealable(_: object, attribute: "attrs.Attribute[Any]", value: bytes) -> None:
    try:
        Seal(value)
    except ValueError as error:
        raise MismatchError(str(error), field=attribute.name) from None


@frozen(kw_only=True)
class ItemRequest(ChatRequest):
    """A `ChatRequest` within a batch. Its id is kept in the clear; where it has none, it is its position from 0."""

    id: str | None = field(default=None, validator=Pattern(r"[A-Za-z0-9_-]{1,64}", "1 to 64 of A-Z a-z 0-9 _ -"))
    use: list[str] = field(factory=list, validator=Length(max=MAX_USES))  # ids of earlier items of this batch


@frozen(kw_only=True)
class BatchRequest:
    """Requests to run in the background, and the X25519 key that their results are sealed to."""

    public_key: bytes = field(validator=Described(_sealable, {"minLength": 44, "maxLength": 44}))  # base64 of 32 bytes
    items: list[ItemRequest] = field(validator=Length(1, MAX_ITEMS))


@frozen(kw_only=True)
class BatchView:
    """How far a batch is. ``done`` and ``failed`` make ``total`` once it has finished."""

    id: UUID
    status: BatchStatus
    total: int
    done: int
    failed: int
    created_at: datetime
    expires_at: datetime


@frozen(kw_only=True)
class ItemResult:
    """What came of one item; only the client can read ``sealed``."""

    id: str
    status: ItemStatus
    sealed: bytes = field(repr=False)
