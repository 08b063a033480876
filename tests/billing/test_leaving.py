"""Accounts that end while money is under way, at Stripe or here."""

import asyncio
from uuid import UUID

from adiuva.app import API
from adiuva.billing.events import queries
from adiuva.clock import now
from adiuva.testing.stripe_double import StripeDouble
from adiuva.testing.stripe_double.connecting import leave
from tests.billing.conftest import PASSWORD, Client, Shop, User, billing_of
from tests.billing.test_purchases import onboarded, tidy, with_card


async def delete_account(client: Client, user: User) -> None:
    headers = {"Authorization": f"Bearer {user.token}"}
    answer = await client.delete(f"{API}/auth/me", json={"password": PASSWORD}, headers=headers)
    assert answer.status == 204


async def make_power(shop: Shop, user: User) -> None:
    await shop.query("INSERT INTO subscriptions (user_id, tier) VALUES ($1, 'power')", UUID(user.id))


async def test_an_account_that_ends_while_its_customer_is_made_leaves_none_at_stripe(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await User.register(client)
    await make_power(shop, ada)
    stripe.fail(r"/v1/customers", method="POST", delay=1.5)
    installing = asyncio.create_task(ada.call("POST", "/plugins/garden/install"))
    while not await shop.query("SELECT FROM stripe_customers"):
        await asyncio.sleep(0.05)
    await delete_account(client, ada)
    await tidy(client)
    assert (await installing).status == 401
    await tidy(client)
    assert [customer for customer in stripe.store.all("customer") if not customer.get("deleted")] == []
    assert await shop.query("SELECT FROM stripe_customers") == []


async def test_an_account_that_ends_while_a_checkout_is_opened_is_401(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await User.register(client)
    await make_power(shop, ada)
    stripe.fail(r"/v1/subscriptions", method="GET", delay=1.0)
    opening = asyncio.create_task(ada.call("POST", "/billing/checkout", {"tier": "team"}))
    while not await shop.query("SELECT FROM stripe_customers WHERE stripe_customer_id IS NOT NULL"):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)  # then it waits for the list of subscriptions
    await delete_account(client, ada)
    assert (await opening).status == 401


async def test_what_an_account_has_paid_for_when_it_ends_before_the_installation_is_paid_back(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    stripe.fail(r"/v1/transfers", method="POST", delay=1.5)
    installing = asyncio.create_task(ada.call("POST", "/plugins/garden/install"))
    while not await shop.query("SELECT FROM purchases WHERE state = 'paid'"):
        await asyncio.sleep(0.05)
    await delete_account(client, ada)
    assert (await installing).status in (401, 402)
    await tidy(client)
    assert [charge["amount_refunded"] for charge in stripe.store.all("charge")] == [499]


async def test_an_author_who_leaves_is_paid_what_was_due(client: Client, stripe: StripeDouble, shop: Shop) -> None:
    account = await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    stripe.fail(r"/v1/transfers", method="POST", kind="refuse", times=2)
    assert (await ada.call("POST", "/plugins/garden/install")).status == 201
    assert stripe.store.all("transfer") == []
    await delete_account(client, shop.author)
    await shop.query("UPDATE transfers SET next_try_at = now()")
    await tidy(client)
    assert [(sent["amount"], sent["destination"]) for sent in stripe.store.all("transfer")] == [(349, account)]


async def test_an_author_who_left_the_platform_at_stripe_holds_up_no_other(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    await shop.author.json("POST", "/billing/connect")
    bob = await User.register(client, "bob@example.com")
    await make_power(shop, bob)
    await bob.json("POST", "/billing/connect")
    second, first = [account["id"] for account in stripe.store.all("account")]
    leave(stripe.store, stripe.store.get("account", first))
    stripe.onboard(second)
    stripe.webhooks.pending.clear()
    await billing_of(client).accounts.refresh()
    rows = await shop.query("SELECT stripe_account_id, state FROM payout_accounts")
    assert {tuple(row) for row in rows} == {(first, "incomplete"), (second, "active")}


async def test_nothing_is_kept_of_what_stripe_tells_of_an_account_that_has_ended(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await User.register(client)
    await ada.subscribe(stripe, "pro")
    await delete_account(client, ada)
    await tidy(client)
    await stripe.webhooks.deliver()
    assert await shop.query("SELECT FROM stripe_events WHERE payload IS NOT NULL") == []


async def test_events_of_a_customer_whom_nobody_came_to_know_are_forgotten_in_the_end(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    await shop.query(
        """
        INSERT INTO stripe_events (id, type, state, payload, created_at, received_at)
        SELECT 'evt_' || days, 'customer.subscription.updated', 'unknown_customer', '{}', now(), now() - days * interval '1 day'
        FROM unnest(ARRAY[1, 200]) AS days
        """  # noqa: E501
    )
    await billing_of(client).inbox.prune()
    assert [row["id"] for row in await shop.query("SELECT id FROM stripe_events")] == ["evt_1"]
    async with shop.database.acquire() as conn:
        await queries.prune(conn, now())
    assert await shop.query("SELECT FROM stripe_events") == []
