"""Plugins that cost something, beside a double of Stripe: from the price to the author's share, and back."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adiuva.testing.stripe_double import StripeDouble
from tests.marketplace.conftest import API, Person, Place, Start, publish

INSTALL = "/plugins/garden-planner/install"


@pytest.fixture
async def stripe() -> AsyncIterator[StripeDouble]:
    async with StripeDouble() as double:
        yield double


@pytest.fixture
async def place(start: Start, stripe: StripeDouble) -> Place:
    """A server with Stripe, to which its events are delivered."""
    place = await start(
        public_url="https://adiuva.example",
        stripe_secret_key=stripe.api_key,
        stripe_webhook_secret=stripe.webhook_secret,
        stripe_api_base=stripe.base_url,
    )
    stripe.webhooks.url = str(place.client.make_url(f"{API}/billing/webhook"))
    return place


async def refused(user: Person) -> str:
    """Where the user has to pay first."""
    status, problem = await user.post(INSTALL)
    assert (status, problem["code"]) == (402, "payment_required")
    assert "stub" not in problem
    return str(problem["checkout_url"])


async def test_who_has_not_paid_is_told_where_and_then_has_it_for_good(
    stripe: StripeDouble, author: Person, admin: Person, user: Person
) -> None:
    await publish(author, admin, price_cents=999)
    url = await refused(user)
    assert await refused(user) == url
    plugin = await user.plugin("garden-planner")
    assert (plugin["installed"], plugin["install_count"]) == (False, 0)
    stripe.pay(url.rsplit("/", 1)[1])
    answers = await asyncio.gather(*(user.post(INSTALL) for _ in range(5)))
    assert sorted(status for status, _ in answers) == [200] * 4 + [201]
    for _, installation in answers:
        assert installation["revenue"]["amount_cents"] == 999
        assert installation["revenue"]["developer_share_cents"] == 699
        assert "stub" not in installation
    await user.done("DELETE", INSTALL)
    assert (await user.post(INSTALL))[0] == 201
    assert len(stripe.store.all("charge")) == 1
    earnings = await author.done("GET", "/plugins/earnings")
    assert (earnings["gross_cents"], earnings["events"], "stub" in earnings) == (999, 1, False)


async def test_a_full_refund_uninstalls_and_a_partial_one_does_not(
    stripe: StripeDouble, author: Person, admin: Person, user: Person
) -> None:
    await publish(author, admin, price_cents=999)
    stripe.pay((await refused(user)).rsplit("/", 1)[1])
    await user.done("POST", INSTALL)
    [intent] = stripe.store.all("payment_intent")
    stripe.refund(intent["id"], 100)
    await stripe.webhooks.deliver()
    assert (await user.plugin("garden-planner"))["installed"] is True
    stripe.refund(intent["id"])
    await stripe.webhooks.deliver()
    plugin = await user.plugin("garden-planner")
    assert (plugin["installed"], plugin["install_count"]) == (False, 0)
    assert (await author.done("GET", "/plugins/earnings"))["gross_cents"] == 0
    await user.done("POST", INSTALL)  # paid for again, with the card that is on file now
    assert len(stripe.store.all("charge")) == 2
    assert (await author.done("GET", "/plugins/earnings"))["gross_cents"] == 999


async def test_a_free_plugin_needs_no_stripe(stripe: StripeDouble, author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin)
    assert (await user.post(INSTALL))[0] == 201
    assert stripe.store.all("customer") == []
