"""Subscriptions and plugins, with events and calls at two servers."""

import asyncio
import random
import time
from fractions import Fraction
from typing import Any

import orjson
import pytest

from adiuva.testing.stripe_double import subscribing as at_stripe
from adiuva.testing.stripe_double.calls import shown
from adiuva.testing.stripe_double.webhooks import signature
from tests.two_servers.conftest import API, Pair, User, both

pytestmark = pytest.mark.proof

TIERS = ("pro", "power", "team")


async def send(pair: Pair, event: Any, at: int) -> int:
    """Deliver an event to one of the servers."""
    body = orjson.dumps(shown(event))
    headers = {"Stripe-Signature": signature(body, pair.stripe.webhook_secret), "Content-Type": "application/json"}
    url = f"{pair.servers[at % 2].url}{API}/billing/webhook"
    async with pair.session.post(url, data=body, headers=headers) as answer:
        return answer.status


async def subscribe(pair: Pair, user: User) -> str:
    """Pay for pro; the customer's id."""
    _, answer = await user.call("POST", "/billing/checkout", {"tier": "pro"})
    session = pair.stripe.pay(answer["checkout_url"].rsplit("/", 1)[1])
    for turn, event in enumerate(list(pair.stripe.webhooks.pending.values())):
        assert await send(pair, event, turn) == 200
    pair.stripe.webhooks.pending.clear()
    return str(session["customer"])


async def tier(user: User, at: int) -> str:
    return str((await user.call("GET", "/auth/me", at=at))[1]["tier"])


async def test_two_events_at_once_at_two_servers_lose_no_update_and_both_see_the_tier(pair: Pair) -> None:
    """BI3, and BI8's second half."""
    ada = await pair.user()
    customer = await subscribe(pair, ada)
    for number in range(50):
        for name in (TIERS[number % 3], TIERS[(number + 1) % 3]):
            at_stripe.change_price(pair.stripe.store, pair.stripe.subscription(customer), f"price_{name}_monthly")
        one, two = pair.stripe.store.events[-2:]
        pair.stripe.webhooks.pending.clear()
        assert set(await asyncio.gather(send(pair, one, number), send(pair, two, number + 1))) == {200}
        began = time.monotonic()
        assert [await tier(ada, at) for at in (0, 1)] == [TIERS[(number + 1) % 3]] * 2
        assert time.monotonic() - began < 1


async def test_20_parallel_checkouts_at_two_servers_make_one_session(pair: Pair) -> None:
    """BI9."""
    ada = await pair.user()
    answers = await both(lambda turn: ada.call("POST", "/billing/checkout", {"tier": "pro"}, at=turn), 20)
    assert {status for status, _ in answers} == {200}
    assert len({answer["checkout_url"] for _, answer in answers}) == 1
    assert len(pair.stripe.store.all("customer")) == 1
    assert len(pair.stripe.store.all("checkout.session")) == 1


async def test_parallel_installs_and_ratings_at_two_servers_are_counted_exactly(pair: Pair) -> None:
    """MK9."""
    people = [await pair.user(f"user{number}") for number in range(30)]
    for user in people:
        await pair.tier(user, "team")
    _, listing = await people[0].call("GET", "/plugins?limit=1")
    plugin = listing["items"][0]["id"]
    before = listing["items"][0]
    answers = await both(lambda turn: people[0].call("POST", f"/plugins/{plugin}/install", at=turn), 100)
    assert sorted(status for status, _ in answers) == [200] * 99 + [201]
    stars = [random.Random(turn).randint(1, 5) for turn in range(30)]

    async def rate(turn: int) -> None:
        assert (await people[turn].call("POST", f"/plugins/{plugin}/install", at=turn))[0] in {200, 201}
        assert (await people[turn].call("PUT", f"/plugins/{plugin}/rating", {"stars": stars[turn]}, at=turn + 1))[
            0
        ] == 200

    await both(rate, 30)
    _, after = await people[0].call("GET", f"/plugins/{plugin}")
    assert after["install_count"] == before["install_count"] + 30
    assert after["rating_count"] == before["rating_count"] + 30
    if not before["rating_count"]:
        assert after["avg_rating"] == float(Fraction(sum(stars), 30))
