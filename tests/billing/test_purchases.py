"""Plugins that are bought: charges, the books, transfers, refunds."""

import asyncio
from contextlib import suppress
from uuid import UUID

import attrs
import pytest

from adiuva.billing.purchases import queries
from adiuva.billing.purchases.models import Offer, Period, Purchase
from adiuva.clock import new_id, now
from adiuva.database import Connection, Database
from adiuva.errors import CheckoutRequiredError, UnavailableError, ValidationFailedError
from adiuva.settings import Settings
from adiuva.testing.stripe_double import StripeDouble
from adiuva.testing.stripe_double import paying as at_stripe
from adiuva.testing.stripe_double.subscribing import delete_customer
from adiuva.web.keys import DATABASE
from tests.billing.conftest import Client, Shop, Start, User, billing_of, buyer

OFFER = Offer(plugin_id="slack-notifier", name="Slack Notifier", price_cents=499, currency="eur", author_id=None)


async def onboarded(shop: Shop, stripe: StripeDouble) -> str:
    """The author's account, which takes transfers."""
    answer = await shop.author.json("POST", "/billing/connect")
    account = str(answer["onboarding_url"].rsplit("/", 1)[1])
    stripe.onboard(account)
    await stripe.webhooks.deliver()
    return account


async def with_card(client: Client, stripe: StripeDouble, card: str = "pm_card_visa") -> User:
    """A user whose card is on file."""
    ada = await User.register(client)
    stripe.add_card(await ada.subscribe(stripe, "power"), card)
    return ada


async def buy(client: Client, user: User, shop: Shop) -> Purchase:
    return await billing_of(client).purchases.buy(buyer(user), shop.offer)


def priced(shop: Shop, cents: int) -> Shop:
    return attrs.evolve(shop, offer=attrs.evolve(shop.offer, price_cents=cents))


async def refused(client: Client, user: User, shop: Shop) -> str | None:
    """Where the user has to pay."""
    with pytest.raises(CheckoutRequiredError) as error:
        await buy(client, user, shop)
    return error.value.checkout_url


async def test_a_card_on_file_pays_at_once_and_the_author_has_70_percent(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    account = await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    purchase = await buy(client, ada, shop)
    [charge] = stripe.store.all("charge")
    [transfer] = stripe.store.all("transfer")
    assert charge["amount"] == 499
    assert (transfer["amount"], transfer["destination"]) == (349, account)
    assert (transfer["source_transaction"], transfer["transfer_group"]) == (charge["id"], str(purchase.id))
    assert attrs.asdict(purchase.revenue) == {
        "amount_cents": 499,
        "developer_share_cents": 349,
        "platform_share_cents": 150,
        "stripe_transfer_id": transfer["id"],
    }
    assert await buy(client, ada, shop) == purchase
    await stripe.webhooks.deliver()
    assert len(stripe.store.all("charge")) == len(stripe.store.all("transfer")) == 1
    [line] = await shop.query("SELECT amount_cents, kind FROM revenue_events")
    assert tuple(line) == (499, "sale")


async def test_50_at_once_on_two_servers_are_one_charge(
    client: Client, start: Start, paid: Settings, stripe: StripeDouble, shop: Shop
) -> None:
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    there = await start(paid)
    bought = await asyncio.gather(*(buy(server, ada, shop) for _ in range(25) for server in (client, there)))
    assert len({purchase.id for purchase in bought}) == 1
    assert [len(stripe.store.all(kind)) for kind in ("payment_intent", "charge", "transfer")] == [1, 1, 1]
    assert len(await shop.query("SELECT FROM revenue_events")) == 1


async def test_without_a_card_the_user_pays_at_a_checkout(client: Client, stripe: StripeDouble, shop: Shop) -> None:
    """CO1."""
    await onboarded(shop, stripe)
    ada = await User.register(client)
    urls = {await refused(client, ada, shop) for _ in range(3)}
    [session] = stripe.store.all("checkout.session")
    assert urls == {session["url"]}
    assert stripe.store.all("charge") == stripe.store.all("transfer") == []
    stripe.pay(session["id"])
    purchase = await buy(client, ada, shop)
    assert purchase.revenue.stripe_transfer_id is not None
    await stripe.webhooks.deliver()
    assert [len(stripe.store.all(kind)) for kind in ("payment_intent", "charge", "transfer")] == [1, 1, 1]


async def test_over_http_it_is_402_with_the_url_and_then_201(client: Client, stripe: StripeDouble, shop: Shop) -> None:
    """CO1."""
    ada = await User.register(client)
    await shop.query(
        "INSERT INTO subscriptions (user_id, tier) SELECT id, 'power' FROM users WHERE id = $1", UUID(ada.id)
    )
    problem = await ada.json("POST", "/plugins/garden/install", status=402)
    [session] = stripe.store.all("checkout.session")
    assert (problem["code"], problem["checkout_url"]) == ("payment_required", session["url"])
    assert (await ada.json("GET", "/plugins/installed"))["total"] == 0
    stripe.pay(session["id"])
    installed = await ada.json("POST", "/plugins/garden/install", status=201)
    assert installed["revenue"]["amount_cents"] == 499
    assert "stub" not in installed
    assert (await ada.call("DELETE", "/plugins/garden/install")).status == 204
    assert (await ada.json("POST", "/plugins/garden/install", status=201))["revenue"] == installed["revenue"]
    stripe.refund(stripe.store.all("payment_intent")[0]["id"])
    await stripe.webhooks.deliver()
    assert (await ada.json("GET", "/plugins/installed"))["total"] == 0


async def test_a_checkout_that_is_paid_is_entered_though_nobody_comes_back(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await User.register(client)
    with pytest.raises(CheckoutRequiredError):
        await buy(client, ada, shop)
    stripe.pay(stripe.store.all("checkout.session")[0]["id"])
    await stripe.webhooks.deliver()
    [order] = await shop.query("SELECT state FROM purchases")
    assert order["state"] == "paid"
    stripe.webhooks.pending.clear()


@pytest.mark.parametrize("card", [at_stripe.DECLINED, at_stripe.ASKS_FIRST])
async def test_a_card_that_refuses_or_asks_leads_to_a_checkout(
    client: Client, stripe: StripeDouble, shop: Shop, card: str
) -> None:
    """CO1."""
    ada = await with_card(client, stripe, card)
    [url] = {await refused(client, ada, shop) for _ in range(2)}
    [intent] = stripe.store.all("payment_intent")
    assert intent["status"] == "canceled"
    assert stripe.store.all("charge") == []
    assert url is not None
    stripe.pay(url.rsplit("/", 1)[1])
    await buy(client, ada, shop)
    assert len(stripe.store.all("charge")) == 1


async def test_a_checkout_that_has_expired_gives_way_to_another(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await User.register(client)
    with pytest.raises(CheckoutRequiredError) as first:
        await buy(client, ada, shop)
    stripe.store.all("checkout.session")[0]["expires_at"] = 0
    with pytest.raises(CheckoutRequiredError) as second:
        await buy(client, ada, shop)
    assert first.value.checkout_url != second.value.checkout_url


async def test_a_price_that_changes_before_it_is_paid_is_the_new_one(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await User.register(client)
    with pytest.raises(CheckoutRequiredError):
        await buy(client, ada, shop)
    cheaper = attrs.evolve(shop, offer=attrs.evolve(shop.offer, price_cents=299))
    with pytest.raises(CheckoutRequiredError):
        await buy(client, ada, cheaper)
    newest, oldest = stripe.store.all("checkout.session")
    assert (oldest["status"], newest["status"]) == ("expired", "open")
    stripe.pay(newest["id"])
    assert (await buy(client, ada, cheaper)).revenue.amount_cents == 299


async def test_a_price_that_changes_after_a_charge_that_never_began_is_the_new_one(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await with_card(client, stripe)
    stripe.fail(r"/v1/payment_intents", kind="refuse", times=1)
    with pytest.raises(UnavailableError):
        await buy(client, ada, priced(shop, 9900))
    with pytest.raises(UnavailableError, match="price has changed"):  # nobody knows yet whether it began
        await buy(client, ada, priced(shop, 100))
    await shop.query("UPDATE stripe_calls SET tried_at = now() - interval '6 minutes'")
    assert (await buy(client, ada, priced(shop, 100))).revenue.amount_cents == 100
    assert [charge["amount"] for charge in stripe.store.all("charge")] == [100]


async def test_a_charge_that_has_begun_stands_though_the_price_changes(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await with_card(client, stripe)
    stripe.fail(r"/v1/payment_intents", method="POST", kind="fail_after", times=2)
    with pytest.raises(UnavailableError):
        await buy(client, ada, priced(shop, 900))
    assert (await buy(client, ada, priced(shop, 100))).revenue.amount_cents == 900
    assert [charge["amount"] for charge in stripe.store.all("charge")] == [900]


async def test_a_charge_that_is_about_to_begin_is_not_made_beside_one_of_the_new_price(
    client: Client, start: Start, paid: Settings, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await with_card(client, stripe)
    there = await start(paid)
    async with shop.database.acquire() as conn:
        async with conn.transaction():
            await conn.execute("LOCK TABLE stripe_calls IN EXCLUSIVE MODE")  # it can be read, but nothing noted
            old = asyncio.create_task(buy(client, ada, shop))
            while not await conn.fetchval("SELECT true FROM purchases WHERE way = 'card'"):
                await asyncio.sleep(0.05)
            await waiting(conn, 1)
            new = asyncio.create_task(buy(there, ada, priced(shop, 100)))
            await waiting(conn, 2)
        await asyncio.gather(old, new, return_exceptions=True)
    with suppress(UnavailableError):
        await buy(client, ada, priced(shop, 100))
    [charge] = stripe.store.all("charge")
    [line] = await shop.query("SELECT amount_cents FROM revenue_events")
    assert charge["amount"] == line["amount_cents"]


async def waiting(conn: Connection, count: int) -> None:
    """Until so many wait for the table of calls."""
    async with asyncio.timeout(20):
        while (
            await conn.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'stripe_calls'::regclass"
            )
            < count
        ):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("card", [True, False])
async def test_what_was_too_small_once_can_be_bought_at_a_higher_price(
    client: Client, stripe: StripeDouble, shop: Shop, *, card: bool
) -> None:
    ada = await with_card(client, stripe) if card else await User.register(client)
    stripe.store.minimum_cents = 500
    assert await refused(client, ada, shop) is None or not card
    stripe.store.minimum_cents = 50
    if card:
        assert (await buy(client, ada, shop)).revenue.amount_cents == 499
    else:
        assert await refused(client, ada, shop) is not None


async def test_a_payment_that_takes_days_and_fails_gives_way_to_another(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    """As with a debit: the checkout is complete, and its payment needs another means of payment in the end."""
    ada = await User.register(client)
    url = await refused(client, ada, shop)
    assert url is not None
    session = stripe.store.get("checkout.session", url.rsplit("/", 1)[1])
    intent = stripe.store.add(
        "pi",
        "payment_intent",
        amount=499,
        currency="eur",
        customer=session["customer"],
        metadata=session["metadata"],
        status="processing",
        latest_charge=None,
    )
    session.update(status="complete", payment_status="unpaid", payment_intent=intent["id"])
    with pytest.raises(UnavailableError, match="on its way"):
        await buy(client, ada, shop)
    intent["status"] = "requires_payment_method"
    assert await refused(client, ada, shop) not in {None, url}


async def test_a_plugin_withdrawn_while_it_is_paid_for_is_paid_back(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    stripe.fail(r"/v1/transfers", method="POST", delay=1.5)
    installing = asyncio.create_task(ada.call("POST", "/plugins/garden/install"))
    while not stripe.store.all("charge"):
        await asyncio.sleep(0.05)
    while not await shop.query("SELECT FROM purchases WHERE state = 'paid'"):
        await asyncio.sleep(0.05)
    assert (await shop.author.call("DELETE", "/plugins/garden")).status == 204
    assert (await installing).status == 404
    await tidy(client)
    assert [charge["amount_refunded"] for charge in stripe.store.all("charge")] == [499]
    assert await total(shop) == (0, 0, 0)


async def test_a_customer_deleted_at_stripe_buys_as_a_new_one(client: Client, stripe: StripeDouble, shop: Shop) -> None:
    ada = await with_card(client, stripe)
    delete_customer(stripe.store, {}, stripe.store.all("customer")[0]["id"])
    url = await refused(client, ada, shop)
    assert url is not None
    stripe.pay(url.rsplit("/", 1)[1])
    await buy(client, ada, shop)


async def test_less_than_stripe_takes_is_402_without_a_checkout(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await with_card(client, stripe)
    cheap = attrs.evolve(shop, offer=attrs.evolve(shop.offer, price_cents=49))
    with pytest.raises(CheckoutRequiredError) as refused:
        await buy(client, ada, cheap)
    assert refused.value.checkout_url is None


async def test_earnings_are_held_and_paid_once_when_the_author_is_ready(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    """CO8."""
    ada = await with_card(client, stripe)
    purchase = await buy(client, ada, shop)
    assert purchase.revenue.stripe_transfer_id is None
    answer = await shop.author.json("POST", "/billing/connect")
    assert (answer["state"], answer["held_cents"]) == ("incomplete", 349)
    again = await shop.author.json("POST", "/billing/connect")
    assert again == answer
    [account] = stripe.store.all("account")
    stripe.onboard(account["id"])
    told = [event for event in stripe.store.events if event["type"] == "account.updated"] * 5
    await asyncio.gather(*(stripe.webhooks.deliver([event]) for event in told))
    await asyncio.gather(*(tidy(client) for _ in range(5)))
    [transfer] = stripe.store.all("transfer")
    assert transfer["amount"] == 349
    assert await shop.author.json("POST", "/billing/connect") == {
        "state": "active",
        "onboarding_url": None,
        "held_cents": 0,
    }
    assert (await buy(client, ada, shop)).revenue.stripe_transfer_id == transfer["id"]


async def test_two_partial_refunds_are_two_reversals_and_two_lines(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    """CO4."""
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)
    [intent] = stripe.store.all("payment_intent")
    stripe.refund(intent["id"], 100)
    stripe.refund(intent["id"], 101)
    told = list(stripe.webhooks.pending.values())
    await asyncio.gather(*(stripe.webhooks.deliver([event]) for event in told * 2))
    await tidy(client)
    assert sorted(item["amount"] for item in stripe.store.all("transfer_reversal")) == [70, 70]
    lines = await shop.query(
        "SELECT amount_cents, developer_share_cents, platform_share_cents FROM revenue_events ORDER BY amount_cents"
    )
    assert [tuple(line) for line in lines] == [(-101, -70, -31), (-100, -70, -30), (499, 349, 150)]
    assert (await buy(client, ada, shop)).revenue.amount_cents == 499  # what is left is still paid


async def test_a_full_refund_takes_the_purchase_back_and_the_next_one_is_charged(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    first = await buy(client, ada, shop)
    [intent] = stripe.store.all("payment_intent")
    stripe.refund(intent["id"])
    await stripe.webhooks.deliver()
    await tidy(client)
    [transfer] = stripe.store.all("transfer")
    assert transfer["reversed"]
    assert await total(shop) == (0, 0, 0)
    second = await buy(client, ada, shop)
    assert second.id != first.id
    assert len(stripe.store.all("charge")) == 2


async def test_a_refund_before_the_share_has_left_is_taken_off_it(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)
    stripe.refund(stripe.store.all("payment_intent")[0]["id"], 100)
    await stripe.webhooks.deliver()
    await onboarded(shop, stripe)
    await tidy(client)
    [transfer] = stripe.store.all("transfer")
    assert transfer["amount"] == 349 - 70
    assert stripe.store.all("transfer_reversal") == []


async def test_a_refund_that_fails_is_undone(client: Client, stripe: StripeDouble, shop: Shop) -> None:
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)
    refund = stripe.refund(stripe.store.all("payment_intent")[0]["id"])
    await stripe.webhooks.deliver()
    await tidy(client)
    at_stripe.fail_refund(stripe.store, refund)
    await stripe.webhooks.deliver()
    await tidy(client)
    assert await total(shop) == (499, 349, 150)
    [order] = await shop.query("SELECT state FROM purchases")
    assert order["state"] == "paid"
    assert sum(transfer["amount"] - transfer["amount_reversed"] for transfer in stripe.store.all("transfer")) == 349


async def test_a_refund_that_fails_again_and_again_leaves_the_author_the_share(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)
    for _ in range(2):
        refund = stripe.refund(stripe.store.all("payment_intent")[0]["id"])
        await stripe.webhooks.deliver()
        await tidy(client)
        at_stripe.fail_refund(stripe.store, refund)
        await stripe.webhooks.deliver()
        await tidy(client)
    assert sum(transfer["amount"] - transfer["amount_reversed"] for transfer in stripe.store.all("transfer")) == 349
    assert await shop.query("SELECT FROM transfers WHERE state IN ('due', 'parked')") == []


async def test_a_refund_that_fails_after_the_plugin_was_bought_anew_is_ordered_again(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)
    refund = stripe.refund(stripe.store.all("payment_intent")[0]["id"])
    await stripe.webhooks.deliver()
    await buy(client, ada, shop)
    at_stripe.fail_refund(stripe.store, refund)
    await stripe.webhooks.deliver()
    await tidy(client)
    await stripe.webhooks.deliver()
    await tidy(client)
    assert sorted(charge["amount_refunded"] for charge in stripe.store.all("charge")) == [0, 499]
    assert await total(shop) == (499, 349, 150)
    assert sorted(order["state"] for order in await shop.query("SELECT state FROM purchases")) == ["paid", "refunded"]


async def test_a_refund_that_was_ordered_here_is_in_the_books_without_an_event(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)
    async with shop.database.acquire() as conn:
        await queries.order_refund(conn, refund_id=new_id(), email=ada.email, plugin_id="garden", amount_cents=None)
    await tidy(client)
    assert await total(shop) == (0, 0, 0)
    assert [order["state"] for order in await shop.query("SELECT state FROM purchases")] == ["refunded"]
    assert sum(transfer["amount"] - transfer["amount_reversed"] for transfer in stripe.store.all("transfer")) == 0


async def test_a_refund_in_the_dashboard_whose_events_are_lost_is_found_by_asking(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)
    stripe.refund(stripe.store.all("payment_intent")[0]["id"], 200)
    stripe.webhooks.pending.clear()
    housekeeper = billing_of(client).housekeeper
    assert housekeeper is not None
    await housekeeper.reconcile()
    assert (await total(shop))[0] == 299
    asked = stripe.called("GET", "/v1/payment_intents/" + stripe.store.all("payment_intent")[0]["id"])
    await housekeeper.reconcile()
    assert stripe.called("GET", "/v1/payment_intents/" + stripe.store.all("payment_intent")[0]["id"]) == asked


@pytest.mark.parametrize("refunded", [0, 100])
@pytest.mark.parametrize("told", [True, False])
async def test_a_disputed_charge_is_taken_back_and_given_again_once_the_dispute_is_won(
    client: Client, stripe: StripeDouble, shop: Shop, *, refunded: int, told: bool
) -> None:
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)

    async def hear() -> None:
        if told:
            await stripe.webhooks.deliver()
        else:
            stripe.webhooks.pending.clear()
            await billing_of(client).housekeeper.reconcile()  # type: ignore[union-attr]
        await tidy(client)

    if refunded:
        stripe.refund(stripe.store.all("payment_intent")[0]["id"], refunded)
        await hear()
    before = await total(shop)
    dispute = at_stripe.dispute(stripe.store, stripe.store.all("charge")[0])
    await hear()
    assert await total(shop) == (0, 0, 0)
    assert [order["state"] for order in await shop.query("SELECT state FROM purchases")] == ["refunded"]
    assert sum(transfer["amount"] - transfer["amount_reversed"] for transfer in stripe.store.all("transfer")) == 0
    at_stripe.close_dispute(stripe.store, dispute, won=False)
    await hear()
    assert await total(shop) == (0, 0, 0)
    at_stripe.close_dispute(stripe.store, dispute, won=True)
    await hear()
    assert await total(shop) == before
    assert [order["state"] for order in await shop.query("SELECT state FROM purchases")] == ["paid"]
    left = sum(transfer["amount"] - transfer["amount_reversed"] for transfer in stripe.store.all("transfer"))
    assert left == before[1]


async def test_an_older_reading_of_refunds_changes_nothing(client: Client, stripe: StripeDouble, shop: Shop) -> None:
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)
    await stripe.webhooks.deliver()
    refund = stripe.refund(stripe.store.all("payment_intent")[0]["id"])
    stripe.webhooks.pending.clear()
    created = [event for event in stripe.store.events if event["type"] == "refund.created"]
    stripe.fail(r"/v1/refunds", method="GET", late=2.5)
    await stripe.webhooks.deliver(created)  # is acknowledged, while its reading is still on its way
    at_stripe.fail_refund(stripe.store, refund)
    await stripe.webhooks.deliver([event for event in stripe.store.events if event["type"] == "refund.failed"])
    async with asyncio.timeout(20):
        while await shop.query("SELECT FROM stripe_events WHERE state = 'pending'"):
            await asyncio.sleep(0.1)
    await tidy(client)
    assert await total(shop) == (499, 349, 150)
    assert [order["state"] for order in await shop.query("SELECT state FROM purchases")] == ["paid"]


async def test_a_refund_that_is_refused_is_tried_again(client: Client, stripe: StripeDouble, shop: Shop) -> None:
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)
    async with shop.database.acquire() as conn:
        await queries.order_refund(conn, refund_id=new_id(), email=ada.email, plugin_id="garden", amount_cents=None)
        [(refund_id,)] = await conn.fetch("SELECT id FROM refunds")
        await queries.count_failure(conn, refund_id, "balance_insufficient", most=24)
        later = await conn.fetchval("SELECT state = 'due' AND next_try_at > now() FROM refunds")
        await conn.execute("UPDATE refunds SET next_try_at = now()")
    assert later
    await tidy(client)
    assert [charge["amount_refunded"] for charge in stripe.store.all("charge")] == [499]


@pytest.mark.parametrize("the_second_is_held", [False, True])
async def test_a_refund_larger_than_any_one_transfer_takes_back_the_whole_share(
    client: Client, stripe: StripeDouble, shop: Shop, *, the_second_is_held: bool
) -> None:
    """CO3. A refund that failed leaves two transfers: what was left of the first, and the share given anew."""
    await onboarded(shop, stripe)
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)
    [intent] = stripe.store.all("payment_intent")
    part = stripe.refund(intent["id"], 200)
    await stripe.webhooks.deliver()
    await tidy(client)
    if the_second_is_held:
        await shop.query("UPDATE payout_accounts SET state = 'incomplete'")
    at_stripe.fail_refund(stripe.store, part)
    await stripe.webhooks.deliver()
    await tidy(client)
    assert len(stripe.store.all("transfer")) == (1 if the_second_is_held else 2)
    stripe.refund(intent["id"])
    await stripe.webhooks.deliver()
    await tidy(client)
    assert sum(transfer["amount"] - transfer["amount_reversed"] for transfer in stripe.store.all("transfer")) == 0
    assert await shop.query("SELECT FROM transfers WHERE state IN ('held', 'due', 'parked')") == []
    assert await total(shop) == (0, 0, 0)


async def test_without_an_author_there_is_nobody_to_transfer_to(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await with_card(client, stripe)
    ours = attrs.evolve(shop.offer, plugin_id="slack-notifier", author_id=None)
    purchase = await billing_of(client).purchases.buy(buyer(ada), ours)
    assert (purchase.revenue.developer_share_cents, purchase.revenue.stripe_transfer_id) == (349, None)
    assert await shop.query("SELECT FROM transfers") == []


async def test_without_stripe_it_is_sold_and_no_money_moves(bare: Client, database: Database) -> None:
    ada = await User.register(bare)
    purchases = billing_of(bare).purchases
    author = await User.register(bare, "author@example.com")
    offer = attrs.evolve(OFFER, author_id=UUID(author.id))
    bought = await asyncio.gather(*(purchases.buy(buyer(ada), offer) for _ in range(10)))
    assert len({purchase.id for purchase in bought}) == 1
    assert (purchases.stub, bought[0].stub) == (True, True)
    earnings = await purchases.earnings(UUID(author.id), Period.of(now()))
    assert (earnings.gross_cents, earnings.developer_share_cents, earnings.events) == (499, 349, 1)
    answer = await author.call("POST", "/billing/connect")
    assert answer.status == 403  # neither an author of a plugin nor on a tier that publishes


async def test_a_purchase_without_stripe_is_none_once_there_is_stripe(
    start: Start, unlimited: Settings, paid: Settings, stripe: StripeDouble
) -> None:
    """CO1."""
    ada = await User.register(await start(unlimited))
    await billing_of(ada.client).purchases.buy(buyer(ada), OFFER)
    with pytest.raises(CheckoutRequiredError):
        await billing_of(await start(paid)).purchases.buy(buyer(ada), OFFER)


async def test_earnings_are_those_of_the_month_less_refunds(client: Client, stripe: StripeDouble, shop: Shop) -> None:
    ada = await with_card(client, stripe)
    await buy(client, ada, shop)
    stripe.refund(stripe.store.all("payment_intent")[0]["id"], 99)
    await stripe.webhooks.deliver()
    purchases, author = billing_of(client).purchases, UUID(shop.author.id)
    earnings = await purchases.earnings(author, Period.of(now()))
    assert (earnings.gross_cents, earnings.developer_share_cents, earnings.platform_share_cents) == (400, 280, 120)
    assert [(plugin.plugin_id, plugin.events) for plugin in earnings.plugins] == [("garden", 2)]
    assert (await purchases.earnings(author, Period.parse("2020-01"))).events == 0
    assert (await purchases.earnings(UUID(ada.id), Period.of(now()))).events == 0


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-00", "0000-01", "2026-1", "2026-01-01", "\uff12026-01"])
def test_a_period_is_a_month(text: str) -> None:
    with pytest.raises(ValidationFailedError):
        Period.parse(text)


async def tidy(client: Client) -> None:
    """Until nothing is due any more; the server's own rounds may be at it too."""
    housekeeper = billing_of(client).housekeeper
    assert housekeeper is not None
    async with asyncio.timeout(20):
        while True:
            await housekeeper.tidy()
            async with client_database(client).acquire() as conn:
                if not await conn.fetchval(
                    "SELECT true FROM transfers WHERE state = 'due'"
                    " UNION ALL SELECT true FROM refunds WHERE state = 'due'"
                ):
                    return
            await asyncio.sleep(0.05)


def client_database(client: Client) -> Database:
    assert client.app is not None
    return client.app[DATABASE]


async def total(shop: Shop) -> tuple[int, ...]:
    [row] = await shop.query(
        "SELECT sum(amount_cents), sum(developer_share_cents), sum(platform_share_cents) FROM revenue_events"
    )
    return tuple(row)


@pytest.mark.parametrize("gone", ["withdrawn", "suspended", "account"])
async def test_what_is_paid_for_after_it_has_gone_is_paid_back(
    client: Client, stripe: StripeDouble, shop: Shop, gone: str
) -> None:
    await onboarded(shop, stripe)
    ada = await User.register(client)
    url = await refused(client, ada, shop)
    assert url is not None
    if gone == "account":
        await shop.query("DELETE FROM users WHERE id = $1", UUID(ada.id))
    else:
        await shop.query("UPDATE plugins SET status = $1::text::plugin_status WHERE id = 'garden'", gone)
    stripe.pay(url.rsplit("/", 1)[1])
    for _ in range(2):
        await stripe.webhooks.deliver()
        await tidy(client)
    [refund] = stripe.store.all("refund")
    assert (refund["amount"], refund["status"]) == (499, "succeeded")
    [books] = await shop.query("SELECT sum(amount_cents) AS sum, count(*) AS lines FROM revenue_events")
    assert (books["sum"], books["lines"]) == (0, 2)
    sent = sum(transfer["amount"] for transfer in stripe.store.all("transfer"))
    back = sum(reversal["amount"] for reversal in stripe.store.all("transfer_reversal"))
    assert sent == back


async def test_what_is_there_when_it_is_paid_for_is_not_paid_back(
    client: Client, stripe: StripeDouble, shop: Shop
) -> None:
    ada = await User.register(client)
    url = await refused(client, ada, shop)
    assert url is not None
    stripe.pay(url.rsplit("/", 1)[1])
    await stripe.webhooks.deliver()
    await billing_of(client).housekeeper.tidy()  # type: ignore[union-attr]
    assert stripe.store.all("refund") == []
    assert (await buy(client, ada, shop)).revenue.amount_cents == 499
