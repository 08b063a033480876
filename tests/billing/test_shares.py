"""How a price is shared, to the cent."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adiuva.billing.shares import Shares, shares_of, shares_of_refund

MOST = 100_000


def test_every_price_is_shared_without_a_rest() -> None:
    """CO3."""
    for cents in range(1, MOST + 1):
        shares = shares_of(cents)
        assert shares.developer_cents + shares.platform_cents == cents
        assert abs(10 * shares.developer_cents - 7 * cents) <= 5


@pytest.mark.parametrize("cents, developer", [(1, 1), (2, 1), (3, 2), (5, 4), (15, 11), (499, 349), (999, 699)])
def test_halves_are_rounded_up(cents: int, developer: int) -> None:
    assert shares_of(cents) == Shares(developer, cents - developer)


@settings(deadline=None)
@given(st.integers(1, MOST), st.randoms(use_true_random=False))
def test_however_a_refund_is_split_the_parts_sum_to_the_share_of_the_whole(gross: int, chance: random.Random) -> None:
    """CO3."""
    refunded, developer, platform = 0, 0, 0
    while refunded < gross and chance.random() < 0.9:
        part = chance.randint(1, max(1, (gross - refunded) // chance.choice([1, 2, 10])))
        shares = shares_of_refund(part, gross_cents=gross, refunded_cents=refunded)
        assert shares.developer_cents >= 0
        assert shares.platform_cents >= 0
        assert shares.developer_cents + shares.platform_cents == part
        refunded += part
        developer += shares.developer_cents
        platform += shares.platform_cents
    left = shares_of(gross - refunded)
    whole = shares_of(gross)
    assert (developer, platform) == (
        whole.developer_cents - left.developer_cents,
        whole.platform_cents - left.platform_cents,
    )
    assert developer <= whole.developer_cents
