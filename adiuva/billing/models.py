"""What billing's parts share."""

from typing import Literal
from uuid import UUID

from attrs import frozen

from adiuva.tiers import Features, Tier


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


@frozen(kw_only=True)
class TierView(Features):
    """What a tier holds; null is "without a limit"."""

    tier: Tier


@frozen(kw_only=True)
class Tiers:
    """All tiers, from the smallest to the largest."""

    items: list[TierView]


@frozen(kw_only=True)
class Received:
    """An event has been taken."""

    received: Literal[True] = True
