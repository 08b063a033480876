"""An author's account, and what has to move between the platform and the author."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from attrs import frozen

AccountState = Literal["new", "incomplete", "active"]
"""``active``: it takes transfers."""


@frozen(kw_only=True)
class Account:
    """An author's connected account, or one that is about to be made."""

    id: UUID
    stripe_account_id: str | None
    created_at: datetime


@frozen(kw_only=True)
class Connection:
    """What an author is told of the own account."""

    state: AccountState
    onboarding_url: str | None  # None: nothing is left to do
    held_cents: int  # shares that wait for the account


@frozen(kw_only=True)
class Transfer:
    """A transfer, or the reversal of one, that is to be made now."""

    id: UUID
    purchase_id: UUID
    kind: Literal["transfer", "reversal"]
    amount_cents: int
    currency: str
    stripe_charge_id: str | None  # None: it comes from the balance, since what left for this charge came back
    stripe_account_id: str | None
    reverses: str | None  # Stripe's id of the transfer that is reversed


@frozen(kw_only=True)
class StuckTransfer:
    """A transfer that has not been made, as an operator sees it."""

    kind: str
    amount_cents: int
    state: str
    tries: int
    fault: str | None
    developer: str | None
    created_at: datetime
