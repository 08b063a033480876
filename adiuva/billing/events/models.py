"""An event of Stripe."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal, TypeGuard
from uuid import UUID

from attrs import field, frozen

from adiuva.billing.stripe import Object, object_in
from adiuva.database import Connection
from adiuva.errors import InvalidRequestError
from adiuva.web import wire

Outcome = Literal["applied", "ignored", "unknown_customer"]
Apply = Callable[[Connection], Awaitable[Outcome]]
"""Does what an event asks for, in the transaction that marks it as done."""

_MAX_ID = 255
_LATEST = 253402300799  # the last second of the year 9999


@frozen(kw_only=True)
class Event:
    """What has happened at Stripe, and the object as it was then."""

    id: str
    type: str
    created_at: datetime
    object: Object = field(repr=False)
    account: str | None = None  # the connected one that it is of; ours where there is none

    @classmethod
    def parse(cls, payload: bytes) -> "Event":
        """The event that a webhook's body says.

        Raises:
            InvalidRequestError: it is none.
        """
        data = wire.load(payload)
        if not isinstance(data, dict):
            raise InvalidRequestError("The body is no event.")
        about = data["data"].get("object") if isinstance(data.get("data"), dict) else None
        key, kind, created = data.get("id"), data.get("type"), data.get("created")
        if not (_is_name(key) and _is_name(kind) and isinstance(about, dict) and _is_time(created)):
            raise InvalidRequestError("The body is no event.")
        return cls(
            id=key,
            type=kind,
            created_at=datetime.fromtimestamp(created, UTC),
            object=about,
            account=_id(data.get("account")),
        )

    @property
    def customer(self) -> str | None:
        """The customer that the object belongs to."""
        return _id(self.object if self.object.get("object") == "customer" else self.object.get("customer"))

    @property
    def subscription(self) -> str | None:
        """The subscription that a session or an invoice belongs to, in whatever version of the API."""
        if (found := _id(self.object.get("subscription"))) is not None:
            return found
        details = object_in(object_in(self.object, "parent"), "subscription_details")
        return _id(details.get("subscription"))

    @property
    def user_id(self) -> UUID | None:
        """The user whom the object names: what our checkouts write there."""
        named = self.object.get("client_reference_id") or object_in(self.object, "metadata").get("user_id")
        try:
            return UUID(named) if isinstance(named, str) else None
        except ValueError:
            return None


@frozen(kw_only=True)
class EventLine:
    """An event that waits for something, as an operator sees it."""

    id: str
    type: str
    stripe_customer_id: str | None
    state: str
    tries: int
    fault: str | None
    received_at: datetime


async def nothing(_: Connection) -> Outcome:
    """There is nothing to do about an event."""
    return "ignored"


def _id(value: Any) -> str | None:
    found = value.get("id") if isinstance(value, dict) else value
    return found if _is_name(found) else None


def _is_name(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _MAX_ID and "\x00" not in value


def _is_time(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LATEST
