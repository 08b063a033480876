"""What billing's parts share."""

from uuid import UUID

from attrs import frozen


@frozen(kw_only=True)
class Call:
    """A call of Stripe that makes something."""

    key_number: int
    tries: int  # this one included


@frozen(kw_only=True)
class Customer:
    """A user as Stripe's customer."""

    id: UUID
    user_id: UUID | None  # None: the account is gone
    email: str
    stripe_customer_id: str | None  # None: not made yet
