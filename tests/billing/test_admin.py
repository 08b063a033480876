"""What an operator sees and does about money, from the command line."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from adiuva.app import API
from adiuva.cli import main
from adiuva.database import Database
from adiuva.settings import Settings
from adiuva.testing.stripe_double import StripeDouble
from adiuva.testing.stripe_double import subscribing as at_stripe
from tests.billing.conftest import Client, User, billing_of

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(paid: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """``adiuva admin`` on this test's database; in a thread, since it has a loop of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("database_url", "data_dir", "stripe_secret_key", "stripe_api_base"):
        monkeypatch.setenv(name.upper(), str(getattr(paid, name)))
    return lambda *arguments: asyncio.to_thread(CliRunner().invoke, main, ["admin", *arguments])


async def audit(database: Database) -> list[tuple[str, str]]:
    async with database.acquire() as conn:
        rows = await conn.fetch("SELECT action, target FROM audit_log ORDER BY position")
    return [(row["action"], row["target"]) for row in rows]


async def bought(client: Client, stripe: StripeDouble) -> User:
    """A user who has the Slack Notifier."""
    ada = await User.register(client)
    stripe.add_card(await ada.subscribe(stripe, "power"))
    await ada.json("POST", "/plugins/slack-notifier/install", status=201)
    await stripe.webhooks.deliver()
    return ada


async def test_events_that_are_not_applied_are_shown_and_can_be_tried_anew(
    client: Client, stripe: StripeDouble, database: Database, run: Run
) -> None:
    """BI7."""
    assert (await run("events")).output == "Every event has been applied.\n"
    stranger = at_stripe.create_customer(stripe.store, {})["id"]
    subscription: dict[str, Any] = stripe.store.add("sub", "subscription", customer=stranger, status="active", items={})
    stripe.store.tell("customer.subscription.updated", subscription)
    [event] = stripe.webhooks.pending
    await stripe.webhooks.deliver()
    await billing_of(client).inbox.apply(event)
    shown = (await run("events")).output
    assert "unknown_customer" in shown
    assert event in shown
    assert stranger in shown
    assert (await run("events", "--retry", event)).exit_code == 0
    refused = await run("events", "--retry", "evt_nothing")
    assert (refused.exit_code, refused.output) == (1, "Error: No event evt_nothing waits for anything.\n")
    assert await audit(database) == [("event.retry", event)]


async def test_reconciling_says_what_it_has_mended(
    client: Client, stripe: StripeDouble, database: Database, run: Run
) -> None:
    """BI8."""
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    assert (await run("billing", "reconcile")).output == "Everything is as Stripe has it.\n"
    at_stripe.change_price(stripe.store, stripe.subscription(customer), "price_team_monthly")
    result = await run("billing", "reconcile")
    assert result.output == f"{ada.id} was not as Stripe has it.\n1 mended.\n"
    assert await ada.tier() == "team"
    assert await audit(database) == [("subscription.reconcile", "all")] * 2


async def test_reconciling_needs_stripe(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_SECRET_KEY")
    result = await run("billing", "reconcile")
    assert result.exit_code == 1
    assert "Stripe" in result.output


async def test_a_refund_is_ordered_made_once_and_takes_the_plugin_away(
    client: Client, stripe: StripeDouble, database: Database, run: Run
) -> None:
    ada = await bought(client, stripe)
    housekeeper = billing_of(client).housekeeper
    assert housekeeper is not None
    assert (await run("billing", "refund", ada.email, "slack-notifier", "--cents", "500")).exit_code == 1
    part = await run("billing", "refund", "ADA@example.com", "slack-notifier", "--cents", "100")
    assert part.output == "100 cents are paid back shortly, by the running server.\n"
    rest = await run("billing", "refund", ada.email, "slack-notifier")
    assert rest.output == "399 cents are paid back shortly, by the running server.\n"
    assert (await run("billing", "refund", ada.email, "slack-notifier")).exit_code == 1
    await asyncio.gather(*(housekeeper.tidy() for _ in range(5)))
    async with asyncio.timeout(20):
        while len(stripe.store.all("refund")) < 2:
            await housekeeper.tidy()
            await asyncio.sleep(0.05)
    assert sorted(refund["amount"] for refund in stripe.store.all("refund")) == [100, 399]
    await stripe.webhooks.deliver()
    assert (await ada.json("GET", "/plugins/installed"))["total"] == 0
    assert [action for action, _ in await audit(database)] == ["purchase.refund"] * 2


async def test_a_refund_that_stripe_refuses_is_shown(client: Client, stripe: StripeDouble, run: Run) -> None:
    """It was paid back in the dashboard, and nobody knows here yet."""
    ada = await bought(client, stripe)
    assert (await run("billing", "refunds")).output == "All refunds have been made.\n"
    stripe.refund(stripe.store.all("payment_intent")[0]["id"])
    await run("billing", "refund", ada.email, "slack-notifier", "--cents", "100")
    housekeeper = billing_of(client).housekeeper
    assert housekeeper is not None
    async with asyncio.timeout(20):
        while "refused" not in (shown := (await run("billing", "refunds")).output):
            await housekeeper.tidy()
    assert shown.endswith("refused      100 cents  slack-notifier  ada@example.com  charge_already_refunded\n")
    assert (await run("billing", "refunds", "--retry")).output == "1 are tried again.\n"
    assert "due" in (await run("billing", "refunds")).output


async def test_shares_that_have_not_moved_are_shown(
    client: Client, stripe: StripeDouble, database: Database, run: Run
) -> None:
    ada = await User.register(client)
    async with database.acquire() as conn:
        await conn.execute("UPDATE plugins SET author_id = (SELECT id FROM users) WHERE id = 'time-tracker'")
    grace = await User.register(client, "grace@example.com")
    stripe.add_card(await grace.subscribe(stripe, "power"))
    assert (await run("billing", "transfers")).output == "All shares have moved.\n"
    await grace.json("POST", "/plugins/time-tracker/install", status=201)
    shown = (await run("billing", "transfers")).output
    assert "held" in shown
    assert "699 cents" in shown
    assert ada.email in shown


async def test_a_deleted_account_is_deleted_at_stripe_and_its_subscription_ends(
    client: Client, stripe: StripeDouble
) -> None:
    """Also where Stripe is away at that moment."""
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    outage = stripe.fail(r"/v1/customers/.*", method="DELETE", kind="fail", times=2)
    headers = {"Authorization": f"Bearer {ada.token}"}
    answer = await client.delete(f"{API}/auth/me", json={"password": "correct horse battery"}, headers=headers)
    assert answer.status == 204
    housekeeper = billing_of(client).housekeeper
    assert housekeeper is not None
    async with asyncio.timeout(30):
        while not stripe.store.objects[customer].get("deleted"):
            await housekeeper.tidy()
    assert outage.hits
    assert stripe.subscription(customer)["status"] == "canceled"
    assert set(await stripe.webhooks.deliver()) <= {200}
