"""A purchase as the marketplace sees it, and an author's earnings."""

import re
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

from attrs import field, frozen

from adiuva.errors import ValidationFailedError

_PERIOD = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)


@frozen(kw_only=True)
class Buyer:
    """Who pays."""

    user_id: UUID
    email: str


@frozen(kw_only=True)
class Offer:
    """What is sold: a plugin at its price now. A plugin without an author is Adiuva's own."""

    plugin_id: str
    name: str
    price_cents: int
    currency: str
    author_id: UUID | None


@frozen(kw_only=True)
class Revenue:
    """How a sale is shared: the ``revenue`` of an installation."""

    amount_cents: int
    developer_share_cents: int
    platform_share_cents: int
    stripe_transfer_id: str | None  # None: nothing has gone to the author yet, or there is no author to be paid


@frozen(kw_only=True)
class Purchase:
    """A plugin that has been paid for."""

    id: UUID
    user_id: UUID
    plugin_id: str
    currency: str
    stub: bool  # made without Stripe: no money has moved
    paid_at: datetime
    revenue: Revenue
    fresh: bool = field(default=False, eq=False)  # paid for by this very call


@frozen(kw_only=True)
class Order:
    """A purchase on its way: the row that is there before any money moves."""

    id: UUID
    user_id: UUID | None  # None: the account is gone
    plugin_id: str | None
    amount_cents: int
    currency: str
    state: str
    attempt: int
    way: str | None  # "card" or "checkout": the way of paying that is open
    stripe_payment_method_id: str | None
    stripe_session_id: str | None


@frozen(kw_only=True)
class RefundLine:
    """A refund in the books, or what was undone of one."""

    stripe_refund_id: str
    kind: str
    amount_cents: int  # negative, or positive where undone


@frozen(kw_only=True)
class RefundOrder:
    """What an admin has ordered to be paid back."""

    id: UUID
    amount_cents: int
    stripe_payment_intent_id: str


@frozen(kw_only=True)
class UnmadeRefund:
    """A refund that an admin has ordered and that has not been made, as an operator sees it."""

    created_at: datetime
    state: str  # "due", or "refused" by Stripe
    amount_cents: int
    plugin_id: str | None
    buyer: str | None  # the address; None: the account is gone
    fault: str | None


@frozen(kw_only=True)
class Period:
    """A month, in UTC."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The month that ``text`` names as ``YYYY-MM``.

        Raises:
            ValidationFailedError: it names none.
        """
        match = _PERIOD.fullmatch(text)
        if match is None or match[1] == "0000":
            raise ValidationFailedError([("period", "must be a month as YYYY-MM")])
        return cls(year=int(match[1]), month=int(match[2]))

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """The month of a time."""
        return cls(year=moment.astimezone(UTC).year, month=moment.astimezone(UTC).month)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


@frozen(kw_only=True)
class PluginEarnings:
    """What one plugin has brought in a month: sales less refunds."""

    plugin_id: str | None  # None: of a plugin that is gone
    gross_cents: int
    developer_share_cents: int
    platform_share_cents: int
    events: int  # lines of the books: sales and refunds


@frozen(kw_only=True)
class Earnings:
    """What an author's plugins have brought in a month: sales less refunds."""

    period: str
    currency: str
    gross_cents: int
    developer_share_cents: int
    platform_share_cents: int
    events: int
    plugins: list[PluginEarnings]
