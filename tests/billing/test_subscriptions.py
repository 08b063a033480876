"""Tiers that are paid for, from the checkout to the end."""

import asyncio
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from adiuva.app import API
from adiuva.auth.queries import set_tier
from adiuva.billing import queries
from adiuva.database import Database
from adiuva.errors import UnavailableError
from adiuva.settings import Settings
from adiuva.testing.stripe_double import StripeDouble
from adiuva.testing.stripe_double import subscribing as at_stripe
from adiuva.web.keys import DATABASE
from tests.billing.conftest import Client, Start, User, billing_of

DEFAULT = {"tier": "free", "status": "active", "current_period_end": None, "cancel_at_period_end": False}


async def test_without_a_subscription_it_is_the_default_tier(client: Client) -> None:
    ada = await User.register(client)
    assert await ada.json("GET", "/billing/subscription") == DEFAULT


async def test_a_tier_that_is_paid_for_holds_at_the_next_request(client: Client, stripe: StripeDouble) -> None:
    ada = await User.register(client)
    answer = await ada.json("POST", "/billing/checkout", {"tier": "power"})
    assert answer.keys() == {"checkout_url"}
    [session] = stripe.store.all("checkout.session")
    assert answer["checkout_url"] == session["url"]
    assert session["success_url"] == f"https://adiuva.example{API}/billing/pages/done"
    assert session["cancel_url"] == f"https://adiuva.example{API}/billing/pages/canceled"
    assert session["_params"]["line_items"] == [{"price": "price_power_monthly", "quantity": "1"}]
    assert await ada.tier() == "free"
    stripe.pay(session["id"])
    assert set(await stripe.webhooks.deliver()) == {200}
    assert await ada.tier() == "power"
    found = await ada.json("GET", "/billing/subscription")
    [item] = stripe.subscription(session["customer"])["items"]["data"]
    assert found == {
        "tier": "power",
        "status": "active",
        "current_period_end": found["current_period_end"],
        "cancel_at_period_end": False,
    }
    end = datetime.fromtimestamp(item["current_period_end"], UTC)
    assert found["current_period_end"] == end.isoformat().replace("+00:00", "Z")


async def test_20_parallel_checkouts_make_one_customer_and_one_session(client: Client, stripe: StripeDouble) -> None:
    """BI9."""
    ada = await User.register(client)
    answers = await asyncio.gather(*(ada.json("POST", "/billing/checkout", {"tier": "pro"}) for _ in range(20)))
    assert len({answer["checkout_url"] for answer in answers}) == 1
    assert len(stripe.store.all("customer")) == 1
    assert len(stripe.store.all("checkout.session")) == 1


async def test_parallel_checkouts_on_two_servers_make_one_customer_and_one_session(
    client: Client, start: Start, paid: Settings, stripe: StripeDouble
) -> None:
    """BI9."""
    ada = await User.register(client)
    there = User(await start(paid), ada.id, ada.email, ada.token)
    body = {"tier": "pro"}
    calls = [user.call("POST", "/billing/checkout", body) for _ in range(10) for user in (ada, there)]
    answers = await asyncio.gather(*calls)
    assert {answer.status for answer in answers} == {200}
    assert len({(await answer.json())["checkout_url"] for answer in answers}) == 1
    assert len(stripe.store.all("customer")) == 1
    assert len(stripe.store.all("checkout.session")) == 1


async def test_another_tier_chosen_meanwhile_closes_the_first_checkout(client: Client, stripe: StripeDouble) -> None:
    ada = await User.register(client)
    await ada.json("POST", "/billing/checkout", {"tier": "pro"})
    await ada.json("POST", "/billing/checkout", {"tier": "team"})
    newest, oldest = stripe.store.all("checkout.session")
    assert (oldest["status"], newest["status"]) == ("expired", "open")
    assert newest["metadata"]["tier"] == "team"


async def test_a_subscriber_gets_409_for_the_same_tier_and_the_portal_for_another(
    client: Client, stripe: StripeDouble
) -> None:
    """BI9."""
    ada = await User.register(client)
    await ada.subscribe(stripe, "pro")
    problem = await ada.json("POST", "/billing/checkout", {"tier": "pro"}, status=409)
    assert problem["code"] == "already_on_tier"
    answer = await ada.json("POST", "/billing/checkout", {"tier": "team"})
    [portal] = stripe.store.all("billing_portal.session")
    assert answer == {"checkout_url": portal["url"]}
    assert len(stripe.store.all("checkout.session")) == 1
    assert len(stripe.store.all("subscription")) == 1


async def test_no_second_subscription_although_no_event_has_come(client: Client, stripe: StripeDouble) -> None:
    """BI9: Stripe is asked."""
    ada = await User.register(client)
    answer = await ada.json("POST", "/billing/checkout", {"tier": "pro"})
    stripe.pay(answer["checkout_url"].rsplit("/", 1)[1])
    await ada.json("POST", "/billing/checkout", {"tier": "pro"}, status=409)
    assert await ada.tier() == "pro"
    portal = await ada.json("POST", "/billing/checkout", {"tier": "power"})
    assert "/portal/" in portal["checkout_url"]


async def test_a_change_of_plan_in_the_portal_holds_after_its_event(client: Client, stripe: StripeDouble) -> None:
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    at_stripe.change_price(stripe.store, stripe.subscription(customer), "price_team_monthly")
    await stripe.webhooks.deliver()
    assert await ada.tier() == "team"


async def test_a_failed_payment_is_past_due_and_keeps_the_tier_until_the_end(
    client: Client, stripe: StripeDouble
) -> None:
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    at_stripe.fail_invoice(stripe.store, stripe.subscription(customer))
    await stripe.webhooks.deliver()
    found = await ada.json("GET", "/billing/subscription")
    assert (found["tier"], found["status"]) == ("pro", "past_due")
    assert await ada.tier() == "pro"
    at_stripe.end_subscription(stripe.store, stripe.subscription(customer))
    await stripe.webhooks.deliver()
    assert await ada.json("GET", "/billing/subscription") == DEFAULT | {"status": "canceled"}
    assert await ada.tier() == "free"


async def test_one_that_is_unpaid_holds_no_tier_and_leads_to_the_portal(client: Client, stripe: StripeDouble) -> None:
    """BI9: it can still be paid, and would then be a second one."""
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    at_stripe.change_subscription(stripe.store, stripe.subscription(customer), status="unpaid")
    await stripe.webhooks.deliver()
    assert await ada.tier() == "free"
    for tier in ("pro", "team"):
        answer = await ada.json("POST", "/billing/checkout", {"tier": tier})
        assert "/portal/" in answer["checkout_url"]
    assert len(stripe.store.all("checkout.session")) == 1
    assert (await ada.json("DELETE", "/billing/subscription"))["status"] == "canceled"
    assert stripe.subscription(customer)["status"] == "canceled"


async def test_canceling_ends_it_at_stripe_and_here(client: Client, stripe: StripeDouble) -> None:
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    assert await ada.json("DELETE", "/billing/subscription") == DEFAULT | {"status": "canceled"}
    assert stripe.subscription(customer)["status"] == "canceled"
    assert await ada.tier() == "free"
    await ada.json("DELETE", "/billing/subscription", status=404)
    await stripe.webhooks.deliver()
    assert await ada.json("GET", "/billing/subscription") == DEFAULT | {"status": "canceled"}


async def test_canceling_changes_nothing_while_stripe_is_away(client: Client, stripe: StripeDouble) -> None:
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    outage = stripe.fail(r"/v1/subscriptions/.*", method="DELETE", kind="drop", times=100)
    problem = await ada.json("DELETE", "/billing/subscription", status=503)
    assert problem["code"] == "payments_unavailable"
    assert (await ada.tier(), stripe.subscription(customer)["status"]) == ("pro", "active")
    outage.times = 0
    await ada.json("DELETE", "/billing/subscription")


async def test_what_was_read_before_canceling_does_not_undo_it(client: Client, stripe: StripeDouble) -> None:
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    late = stripe.fail(r"/v1/subscriptions", method="GET", late=0.8)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(billing_of(client).following.sync(customer))
        while not late.hits:
            await asyncio.sleep(0.01)
        await ada.json("DELETE", "/billing/subscription")
    assert await ada.tier() == "free"


async def test_another_subscription_bought_meanwhile_is_not_said_to_be_canceled(
    client: Client, stripe: StripeDouble, database: Database
) -> None:
    ada = await User.register(client)
    await ada.subscribe(stripe, "pro")
    late = stripe.fail(r"/v1/subscriptions/.*", method="DELETE", late=0.5)
    canceling = asyncio.create_task(ada.json("DELETE", "/billing/subscription"))
    while not late.hits:
        await asyncio.sleep(0.01)
    async with database.acquire() as conn:
        await conn.execute("UPDATE subscriptions SET stripe_subscription_id = 'sub_new', tier = 'team'")
    found = await canceling
    assert (found["tier"], found["status"]) == ("team", "active")
    assert await ada.tier() == "team"


async def test_an_answer_lost_at_canceling_is_healed(client: Client, stripe: StripeDouble) -> None:
    ada = await User.register(client)
    await ada.subscribe(stripe, "pro")
    stripe.fail(r"/v1/subscriptions/.*", method="DELETE", kind="drop_after", times=2)
    # The library's own second try finds it ended.
    assert (await ada.json("DELETE", "/billing/subscription"))["status"] == "canceled"


async def test_nothing_to_cancel_is_404(client: Client) -> None:
    ada = await User.register(client)
    await ada.json("DELETE", "/billing/subscription", status=404)


@pytest.mark.parametrize("body", [{}, {"tier": "free"}, {"tier": "gold"}, {"tier": 5}, {"tier": None}])
async def test_other_tiers_cannot_be_bought(client: Client, body: dict[str, object]) -> None:
    ada = await User.register(client)
    await ada.json("POST", "/billing/checkout", body, status=422)


async def test_prices_may_be_named_by_their_lookup_keys(client: Client, stripe: StripeDouble) -> None:
    stripe.store.prices = {"price_1Abc": "price_pro_monthly"}
    ada = await User.register(client)
    await ada.subscribe(stripe, "pro")
    [item] = stripe.store.all("subscription")[0]["items"]["data"]
    assert item["price"]["id"] == "price_1Abc"


async def test_a_price_that_stripe_has_not_is_told(client: Client, stripe: StripeDouble) -> None:
    stripe.store.prices = {}
    ada = await User.register(client)
    problem = await ada.json("POST", "/billing/checkout", {"tier": "pro"}, status=503)
    assert problem["code"] == "price_missing"


async def test_a_customer_deleted_at_stripe_is_made_anew(client: Client, stripe: StripeDouble) -> None:
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    at_stripe.delete_customer(stripe.store, {}, customer)
    await stripe.webhooks.deliver()
    assert await ada.tier() == "free"
    assert await ada.subscribe(stripe, "pro") != customer


async def test_a_customer_of_another_account_at_stripe_is_made_anew(client: Client, stripe: StripeDouble) -> None:
    """As after a change from the key for tests to the real one."""
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    await ada.json("DELETE", "/billing/subscription")
    await stripe.webhooks.deliver()
    stripe.store.objects.clear()
    assert await ada.subscribe(stripe, "power") != customer


async def test_a_tier_that_an_admin_sets_after_the_end_is_not_ended_by_late_news(
    client: Client, stripe: StripeDouble, database: Database
) -> None:
    ada = await User.register(client)
    await ada.subscribe(stripe, "pro")
    await ada.json("DELETE", "/billing/subscription")
    async with database.acquire() as conn:
        assert await set_tier(conn, ada.email, "team")
    assert set(await stripe.webhooks.deliver()) == {200}
    await billing_of(client).following.reconcile()
    assert await ada.tier() == "team"
    found = await ada.json("DELETE", "/billing/subscription")
    assert (found["tier"], found["status"]) == ("free", "canceled")


async def test_without_stripe_checkout_is_a_stub_and_says_so(bare: Client) -> None:
    ada = await User.register(bare)
    answer = await ada.json("POST", "/billing/checkout", {"tier": "pro"})
    assert answer == {"checkout_url": f"https://adiuva.example{API}/billing/pages/stub", "stub": True}
    page = await bare.get(f"{API}/billing/pages/stub")
    assert page.status == 200
    assert "not connected to Stripe" in await page.text()
    assert (await bare.get(f"{API}/billing/pages/nothing")).status == 404


async def test_reconciling_repairs_what_no_event_has_told(client: Client, stripe: StripeDouble) -> None:
    """BI8."""
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    grace = await User.register(client, "grace@example.com")
    await grace.subscribe(stripe, "power")
    at_stripe.change_price(stripe.store, stripe.subscription(customer), "price_team_monthly")
    stripe.webhooks.pending.clear()
    assert await billing_of(client).following.reconcile() == 1
    assert (await ada.tier(), await grace.tier()) == ("team", "power")
    at_stripe.end_subscription(stripe.store, stripe.subscription(customer))
    assert await billing_of(client).following.reconcile() == 1
    assert (await ada.tier(), await grace.tier()) == ("free", "power")
    assert await billing_of(client).following.reconcile() == 0


async def test_reconciling_goes_on_after_a_customer_that_could_not_be_read(
    client: Client, stripe: StripeDouble
) -> None:
    """BI8, with Stripe busy for a moment; while it is away nobody goes through all of them."""
    users = [await User.register(client, f"user{number}@example.com") for number in range(5)]
    customers = [await user.subscribe(stripe, "pro") for user in users]
    for customer in customers:
        at_stripe.change_price(stripe.store, stripe.subscription(customer), "price_team_monthly")
    stripe.webhooks.pending.clear()
    stripe.fail(r"/v1/subscriptions", method="GET", kind="refuse", times=2)
    assert await billing_of(client).following.reconcile() == 3
    assert sorted([await user.tier() for user in users]) == ["pro", "pro", *["team"] * 3]
    stripe.fail(r"/v1/subscriptions", method="GET", kind="refuse", times=100)
    with pytest.raises(UnavailableError):
        await billing_of(client).following.reconcile()


async def test_one_server_of_several_goes_through_all_customers(client: Client) -> None:
    assert client.app is not None
    async with client.app[DATABASE].acquire() as conn:
        begun = [await queries.begin_round(conn, "a round", timedelta(minutes=15)) for _ in range(3)]
        await conn.execute("UPDATE stripe_rounds SET begun_at = now() - interval '16 minutes'")
        begun += [await queries.begin_round(conn, "a round", timedelta(minutes=15)) for _ in range(2)]
    assert begun == [True, False, False, True, False]


async def test_the_default_tier_is_not_sold_and_is_what_a_cancelled_subscription_leaves(
    start: Start, paid: Settings, stripe: StripeDouble
) -> None:
    client = await start(attrs.evolve(paid, default_tier="pro"))
    stripe.webhooks.url = str(client.make_url(f"{API}/billing/webhook"))
    ada = await User.register(client)
    problem = await ada.json("POST", "/billing/checkout", {"tier": "pro"}, status=409)
    assert problem["code"] == "already_on_tier"
    assert stripe.store.all("checkout.session") == []
    await ada.subscribe(stripe, "team")
    ended = {"tier": "pro", "status": "canceled", "current_period_end": None, "cancel_at_period_end": False}
    assert await ada.json("DELETE", "/billing/subscription") == ended
    assert await ada.json("GET", "/billing/subscription") == ended
    assert await ada.tier() == "pro"
