"""A subscription: as Stripe tells of it, as the row has it, and as the user sees it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import attrs
from attrs import field, frozen

from adiuva.billing.stripe import Object, RefusedError
from adiuva.sdk.convert import MismatchError
from adiuva.settings import Settings
from adiuva.tiers import TIER_NAMES
from adiuva.web.wire import Described

# The tier is in force. Of past_due Stripe still tries to get the money.
LIVE: Final = frozenset({"active", "trialing", "past_due"})
ENDED: Final = frozenset({"canceled", "incomplete_expired"})
_STATUSES: Final = LIVE | ENDED | {"incomplete", "unpaid", "paused"}

PAID_TIERS: Final = TIER_NAMES[1:]


def _is_paid_tier(_: object, attribute: "attrs.Attribute[str]", value: str) -> None:
    if value not in PAID_TIERS:
        raise MismatchError(f"must be one of {', '.join(PAID_TIERS)}", field=attribute.name)


@frozen(kw_only=True)
class CheckoutRequest:
    """A tier to be bought."""

    tier: str = field(validator=Described(_is_paid_tier, {"enum": [*PAID_TIERS]}))


@frozen(kw_only=True)
class Checkout:
    """Where the user pays, or changes a subscription."""

    checkout_url: str


@frozen(kw_only=True)
class Row:
    """A user's subscription as the database has it; one without Stripe's id is an admin's doing."""

    tier: str
    status: str
    stripe_subscription_id: str | None = None
    current_period_end: datetime | None = None
    cancel_at_period_end: bool = False
    told_at: datetime | None = None  # Stripe's time of the newest event in it

    @property
    def live(self) -> bool:
        """Whether the tier is in force."""
        return self.status in LIVE

    @property
    def at_stripe(self) -> bool:
        """Whether there is a subscription at Stripe, in force or not: one that is unpaid can be paid there."""
        return self.stripe_subscription_id is not None and self.status not in ENDED


@frozen(kw_only=True)
class SubscriptionView:
    """A subscription as its user sees it."""

    tier: str
    status: str
    current_period_end: datetime | None
    cancel_at_period_end: bool


@frozen(kw_only=True)
class LockedCustomer:
    """A customer whose row is locked: nobody else changes the subscription meanwhile."""

    id: UUID
    user_id: UUID | None
    reading: int


@frozen(kw_only=True)
class OpenCheckout:
    """The one checkout of a user that is open, or about to be."""

    id: UUID
    tier: str
    stripe_session_id: str | None


class UnknownPriceError(RefusedError):
    """A subscription is for a price that is none of the tiers'."""

    def __init__(self) -> None:
        super().__init__("unknown_price")


@frozen
class Prices:
    """Which of Stripe's prices is which tier: by id, or by lookup key."""

    names: Mapping[str, str]  # by tier

    @classmethod
    def of(cls, settings: Settings) -> "Prices":
        """The ones of the settings, or ``price_pro_monthly`` and so on."""
        return cls({tier: getattr(settings, f"stripe_price_{tier}") or f"price_{tier}_monthly" for tier in PAID_TIERS})

    def tier_of(self, subscription: Object) -> str:
        """The tier of a subscription; the one that checkout wrote into it, where its price is not known.

        Raises:
            UnknownPriceError: nothing tells.
        """
        tiers = {name: tier for tier, name in self.names.items()}
        for item in (subscription.get("items") or {}).get("data", []):
            price = item.get("price") or {}
            for name in (price.get("id"), price.get("lookup_key")):
                if name in tiers:
                    return tiers[name]
        tier = (subscription.get("metadata") or {}).get("tier")
        if tier in PAID_TIERS:
            return str(tier)
        raise UnknownPriceError


def row_of(subscription: Object, prices: Prices, *, told_at: datetime | None) -> Row:
    """What Stripe tells of a subscription, in whatever version of its API. Raises `UnknownPriceError`."""
    items = (subscription.get("items") or {}).get("data", [])
    ends = [subscription.get("current_period_end"), *(item.get("current_period_end") for item in items)]
    end = max((moment for moment in ends if moment), default=None)
    status = str(subscription.get("status"))
    return Row(
        tier=prices.tier_of(subscription),
        status=status if status in _STATUSES else "unpaid",
        stripe_subscription_id=str(subscription["id"]),
        current_period_end=datetime.fromtimestamp(end, UTC) if end else None,
        cancel_at_period_end=bool(subscription.get("cancel_at_period_end") or subscription.get("cancel_at")),
        told_at=told_at,
    )


def current(subscriptions: Iterable[Object]) -> Object | None:
    """Of all that a customer has or had: the newest that is in force, else the newest."""
    return max(
        subscriptions,
        key=lambda item: (item.get("status") in LIVE, item.get("created", 0), str(item.get("id"))),
        default=None,
    )
