"""How a price is shared: the author of a plugin has 70 %, rounded half up to the cent, the platform has the rest."""

from typing import Final

from attrs import frozen

DEVELOPER_PERCENT: Final = 70


@frozen
class Shares:
    """The two parts of an amount, in cents; they sum to it."""

    developer_cents: int
    platform_cents: int


def shares_of(amount_cents: int) -> Shares:
    """The shares of a price, which is not negative."""
    developer = (amount_cents * DEVELOPER_PERCENT + 50) // 100
    return Shares(developer, amount_cents - developer)


def shares_of_refund(amount_cents: int, *, gross_cents: int, refunded_cents: int) -> Shares:
    """What each gives back of a refund, after ``refunded_cents`` of ``gross_cents`` have been refunded before.

    However a sum is split into refunds, the parts of each add up to the shares of what is taken back in all.
    """
    before = shares_of(gross_cents - refunded_cents)
    after = shares_of(gross_cents - refunded_cents - amount_cents)
    return Shares(before.developer_cents - after.developer_cents, before.platform_cents - after.platform_cents)
