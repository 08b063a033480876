"""Whatever Stripe's answers do, and wherever a process dies: one charge, one transfer, one reversal."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from adiuva.app import API
from adiuva.billing.purchases import queries as purchase_queries
from adiuva.billing.service import Billing
from adiuva.clock import new_id
from adiuva.database import Database
from adiuva.errors import CheckoutRequiredError, UnavailableError
from adiuva.settings import Settings
from adiuva.testing.limits import NO_RATE_LIMITS
from adiuva.testing.serving import Served
from adiuva.testing.stripe_double import StripeDouble
from adiuva.testing.stripe_double import subscribing as at_stripe
from adiuva.testing.stripe_double.calls import shown
from adiuva.testing.stripe_double.webhooks import signature
from tests.billing.conftest import Client, User, send
from tests.billing.money import Sale, add_card, assert_exact, make_author, make_sale, make_user

pytestmark = pytest.mark.proof

CALLS = {
    "customers": r"/v1/customers",
    "payment_intents": r"/v1/payment_intents",
    "transfers": r"/v1/transfers",
    "refunds": r"/v1/refunds",
    "reversals": r"/v1/transfers/.*/reversals",
}
KINDS = ["refuse", "fail", "fail_after", "drop", "drop_after", "hang_after"]


@pytest.fixture
async def billing(paid: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Billing]:
    """Billing without its rounds, without the library's own tries, and with little patience."""
    monkeypatch.setattr("adiuva.billing.stripe.TIMEOUT_SECONDS", 1.0)
    billing = Billing(settings=paid, database=database, prefix=API)
    assert billing._stripe is not None
    billing._stripe._retries = 0
    yield billing
    await billing._stripe.close()


async def until(work: Callable[[], Awaitable[Any]]) -> Any:
    """What ``work`` gives once Stripe has answered."""
    while True:
        try:
            return await work()
        except UnavailableError:
            await asyncio.sleep(0)


async def hurry(database: Database) -> None:
    """Whatever was put off is due."""
    async with database.acquire() as conn:
        await conn.execute("UPDATE transfers SET next_try_at = now() WHERE state = 'due'")
        await conn.execute("UPDATE refunds SET next_try_at = now() WHERE state = 'due'")
        await conn.execute("UPDATE stripe_events SET next_try_at = now() WHERE state = 'pending'")
        await conn.execute("UPDATE purchases SET check_at = now() WHERE state = 'pending'")


async def left(database: Database) -> int:
    async with database.acquire() as conn:
        count: int = await conn.fetchval(
            """
            SELECT (SELECT count(*) FROM transfers WHERE state = 'due')
                + (SELECT count(*) FROM refunds WHERE state = 'due')
                + (SELECT count(*) FROM stripe_events WHERE state = 'pending')
            """
        )
        return count


async def finish(billing: Billing, database: Database, stripe: StripeDouble) -> None:
    """Deliver all events, and let housekeeping go round until nothing is left to do."""
    assert billing.housekeeper is not None
    async with asyncio.timeout(100):
        while True:
            for event in list(stripe.webhooks.pending.values()):
                payload = orjson.dumps(shown(event))
                await billing.inbox.receive(payload, signature(payload, stripe.webhook_secret))
                del stripe.webhooks.pending[event["id"]]
            await hurry(database)
            await billing.inbox.apply_due()
            await billing.housekeeper.tidy()
            if not stripe.webhooks.pending and not await left(database):
                return


async def live(billing: Billing, database: Database, stripe: StripeDouble, sale: Sale, chance: random.Random) -> None:
    """Buy, and get part of it back twice: by an admin, and in Stripe's dashboard."""
    await until(lambda: no_card(billing, sale))
    async with database.acquire() as conn:
        await add_card(conn, stripe, sale)
    [customer] = stripe.store.all("customer", email=sale.buyer.email)
    [session] = stripe.store.all("checkout.session", customer=customer["id"])
    session["expires_at"] = 0
    await until(lambda: billing.purchases.buy(sale.buyer, sale.offer))
    async with database.acquire() as conn:
        assert await purchase_queries.order_refund(
            conn,
            refund_id=new_id(),
            email=sale.buyer.email,
            plugin_id=sale.offer.plugin_id,
            amount_cents=chance.randint(1, 20),
        )
    [intent] = stripe.store.all("payment_intent", customer=customer["id"])
    stripe.refund(intent["id"], chance.randint(1, 20))


async def no_card(billing: Billing, sale: Sale) -> None:
    with pytest.raises(CheckoutRequiredError):
        await billing.purchases.buy(sale.buyer, sale.offer)


async def suffer(
    billing: Billing, database: Database, stripe: StripeDouble, *, times: int, kinds: list[str], calls: list[str]
) -> None:
    """As many buyers as ``times``, while each kind of fault hits each call as often; keys are pruned all the time."""
    async with database.acquire() as conn:
        author = await make_author(conn, stripe)
        sales = [await make_sale(conn, author, random.Random(number)) for number in range(times)]
    faults = [stripe.fail(CALLS[call], kind=kind, times=times) for call in calls for kind in kinds]
    random.Random(times).shuffle(stripe.faults)

    async def prune() -> None:
        while True:
            await asyncio.sleep(0.02)
            stripe.keys.prune()

    pruning = asyncio.create_task(prune())
    free = asyncio.Semaphore(16)

    async def one(sale: Sale, number: int) -> None:
        async with free:
            await live(billing, database, stripe, sale, random.Random(number))

    try:
        await asyncio.gather(*(one(sale, number) for number, sale in enumerate(sales)))
        await finish(billing, database, stripe)
    finally:
        pruning.cancel()
    # Where a fault comes after the fact, the next try finds it done, and meets no other fault.
    assert all(sum(fault.hits for fault in faults if fault.path == CALLS[call]) >= times for call in calls)
    async with database.acquire() as conn:
        for sale in sales:
            await assert_exact(conn, stripe, sale)


async def test_no_fault_of_a_call_moves_money_twice(billing: Billing, database: Database, stripe: StripeDouble) -> None:
    """CO2, in small."""
    await suffer(billing, database, stripe, times=4, kinds=KINDS, calls=list(CALLS))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
async def test_50_faults_of_each_kind_at_each_call_move_no_money_twice(
    billing: Billing, database: Database, stripe: StripeDouble, kind: str
) -> None:
    """CO2: with keys pruned before the retries."""
    await suffer(billing, database, stripe, times=50, kinds=[kind], calls=list(CALLS))


async def die_often(paid: Settings, **plan: Any) -> int:
    """Let processes do ``plan`` and die, each a step later than the one before; how many died."""
    whole = {
        "database_url": paid.database_url,
        "stripe_api_base": paid.stripe_api_base,
        "stripe_secret_key": paid.stripe_secret_key,
        "stripe_webhook_secret": paid.stripe_webhook_secret,
        **plan,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.billing.dying",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    output, _ = await process.communicate(orjson.dumps(whole))
    assert process.returncode == 0
    return int(output)


@pytest.mark.timeout(300)
async def test_killed_after_each_step_of_a_purchase_and_its_refunds_no_money_moves_twice(
    billing: Billing, paid: Settings, database: Database, stripe: StripeDouble
) -> None:
    """CO2: a step is a statement of the database or a call of Stripe; keys are pruned after each death."""
    async with database.acquire() as conn:
        author = await make_author(conn, stripe)
        sales = [await make_sale(conn, author, random.Random(number)) for number in range(120)]
    for sale in sales:
        customer = at_stripe.create_customer(stripe.store, {"email": sale.buyer.email})
        stripe.add_card(customer["id"])
        async with database.acquire() as conn:
            await conn.execute(
                "INSERT INTO stripe_customers (id, user_id, email, stripe_customer_id) VALUES ($1, $2, $3, $4)",
                new_id(),
                sale.buyer.user_id,
                sale.buyer.email,
                customer["id"],
            )
    died = await die_often(
        paid,
        sales=[
            [str(sale.buyer.user_id), sale.buyer.email, sale.offer.plugin_id, sale.offer.price_cents, str(author)]
            for sale in sales
        ],
        events=[],
    )
    assert 30 < died < len(sales)
    stripe.keys.prune()
    for sale in sales[: died + 1]:
        await billing.purchases.buy(sale.buyer, sale.offer)
    await finish(billing, database, stripe)
    async with database.acquire() as conn:
        for sale in sales[: died + 1]:
            await assert_exact(conn, stripe, sale)


async def test_killed_after_each_step_from_receipt_to_applied_an_event_is_applied_once(
    client: Client, paid: Settings, database: Database, stripe: StripeDouble
) -> None:
    """BI4."""
    users, events = [], []
    for number in range(30):
        ada = await User.register(client, f"ada{number}@example.com")
        answer = await ada.json("POST", "/billing/checkout", {"tier": "pro"})
        stripe.pay(answer["checkout_url"].rsplit("/", 1)[1])
        told = list(stripe.webhooks.pending.values())
        stripe.webhooks.pending.clear()
        users.append(ada)
        events.append(orjson.dumps(shown(told[-1])).decode())
    died = await die_often(paid, sales=[], events=events)
    assert 6 <= died < len(events)
    async with database.acquire() as conn:
        kept = {row["id"] for row in await conn.fetch("SELECT id FROM stripe_events")}
    assert len(kept) >= died - 2
    # Those that nobody has acknowledged are sent again.
    for text in events[: died + 1]:
        assert await send(client, orjson.loads(text)) == 200
    async with asyncio.timeout(30), database.acquire() as conn:
        while await conn.fetchval("SELECT count(*) FROM stripe_events WHERE state <> 'applied'"):
            await asyncio.sleep(0.1)
    for ada in users[: died + 1]:
        assert await ada.tier() == "pro"


async def test_with_the_table_of_events_locked_nothing_is_acknowledged_and_nothing_lost(
    client: Client, stripe: StripeDouble, database_url: str
) -> None:
    """BI4."""
    ada = await User.register(client)
    answer = await ada.json("POST", "/billing/checkout", {"tier": "pro"})
    stripe.pay(answer["checkout_url"].rsplit("/", 1)[1])
    other = await asyncpg.connect(database_url)
    async with other.transaction():
        await other.execute("LOCK TABLE stripe_events")
        statuses = await stripe.webhooks.deliver()
        assert set(statuses) == {503}
        assert await ada.tier() == "free"
    await other.close()
    assert set(await stripe.webhooks.deliver()) == {200}
    assert await ada.tier() == "pro"


async def test_a_server_killed_while_it_asks_stripe_applies_the_event_after_its_restart(
    stripe: StripeDouble, serve: Callable[..., Served]
) -> None:
    """BI4, BI8: the real server, as its operator runs it."""
    environ = {
        "STRIPE_SECRET_KEY": stripe.api_key,
        "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
        "STRIPE_API_BASE": stripe.base_url,
        **NO_RATE_LIMITS,
    }
    served = await asyncio.to_thread(serve, **environ)
    body = {"email": "ada@example.com", "password": "correct horse battery"}
    _, tokens = await asyncio.to_thread(served.call, "POST", "/auth/register", body)
    token = tokens["access_token"]
    _, answer = await asyncio.to_thread(served.call, "POST", "/billing/checkout", {"tier": "pro"}, token)
    stripe.pay(answer["checkout_url"].rsplit("/", 1)[1])
    hanging = stripe.fail(r"/v1/subscriptions", method="GET", kind="hang_after", times=100)
    stripe.webhooks.url = f"{served.url}{API}/billing/webhook"
    assert set(await stripe.webhooks.deliver()) == {200}
    assert hanging.hits
    served.process.kill()
    served.process.wait()
    hanging.times = 0
    served = await asyncio.to_thread(serve, **environ)
    async with asyncio.timeout(30):
        while True:
            _, me = await asyncio.to_thread(served.call, "GET", "/auth/me", None, token)
            if me["tier"] == "pro":
                break
            await asyncio.sleep(0.1)
    assert await asyncio.to_thread(served.stop) == 0
    log = "".join(served.lines)
    assert '"stopping"' in log
    secrets = (stripe.api_key, stripe.webhook_secret, body["email"], body["password"], token, answer["checkout_url"])
    assert [secret for secret in secrets if secret in log] == []  # WS1


async def test_orders_that_nobody_waits_for_are_looked_after(
    billing: Billing, database: Database, stripe: StripeDouble
) -> None:
    """The answer to a charge is lost, and so is its event."""
    async with database.acquire() as conn:
        sale = await make_sale(conn, await make_author(conn, stripe), random.Random(1))
    await no_card(billing, sale)
    stripe.pay(stripe.store.all("checkout.session")[0]["id"])
    stripe.webhooks.pending.clear()
    await finish(billing, database, stripe)
    async with database.acquire() as conn:
        await assert_exact(conn, stripe, sale)


async def test_an_order_that_cannot_be_looked_after_holds_up_no_other(
    billing: Billing, database: Database, stripe: StripeDouble
) -> None:
    async with database.acquire() as conn:
        author = await make_author(conn, stripe)
        sales = [await make_sale(conn, author, random.Random(number)) for number in range(7)]
    for sale in sales:
        await no_card(billing, sale)
    for session in stripe.store.all("checkout.session"):
        stripe.pay(session["id"])
    stripe.webhooks.pending.clear()
    await hurry(database)
    stripe.fail(r"/v1/checkout/sessions/.*", method="GET", kind="fail")
    assert billing.housekeeper is not None
    await billing.housekeeper.tidy()
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM purchases WHERE state = 'paid'") == 6
        await conn.execute("UPDATE purchases SET check_at = now() WHERE state = 'pending'")
    await billing.housekeeper.tidy()
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM purchases WHERE state = 'paid'") == 7


async def test_looking_after_an_order_makes_no_customer(
    billing: Billing, database: Database, stripe: StripeDouble
) -> None:
    """The one who was to be charged is not known any more: then nothing was."""
    async with database.acquire() as conn:
        sale = await make_sale(conn, await make_author(conn, stripe), random.Random(1))
        await conn.execute(
            """
            INSERT INTO purchases (id, user_id, plugin_id, amount_cents, currency, stub, way, stripe_payment_method_id)
            VALUES ($1, $2, $3, 499, 'eur', false, 'card', 'pm_1')
            """,
            new_id(),
            sale.buyer.user_id,
            sale.offer.plugin_id,
        )
    assert billing.housekeeper is not None
    await billing.housekeeper.tidy()
    assert stripe.store.all("customer") == []
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT check_at > now() FROM purchases")


async def test_a_refund_that_was_made_stays_made(billing: Billing, database: Database, stripe: StripeDouble) -> None:
    async with database.acquire() as conn:
        sale = await make_sale(conn, await make_author(conn, stripe), random.Random(1))
    await no_card(billing, sale)
    stripe.pay(stripe.store.all("checkout.session")[0]["id"])
    await billing.purchases.buy(sale.buyer, sale.offer)
    async with database.acquire() as conn:
        refund_id = new_id()
        await purchase_queries.order_refund(
            conn, refund_id=refund_id, email=sale.buyer.email, plugin_id=sale.offer.plugin_id, amount_cents=1
        )
        await purchase_queries.finish_refund(conn, refund_id, "re_1")
        await purchase_queries.count_failure(conn, refund_id, "late news", most=1)
        [refund] = await conn.fetch("SELECT state, stripe_refund_id, fault FROM refunds")
        assert tuple(refund) == ("done", "re_1", None)


async def test_what_is_called_for_during_a_round_is_done_in_the_next_one_which_comes_at_once(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though Stripe leaves the comparison of all customers hanging."""
    monkeypatch.setattr("adiuva.billing.housekeeping.ROUND_SECONDS", 3600.0)
    keeper, again = billing.housekeeper, asyncio.Event()
    assert keeper is not None
    rounds = iter((keeper._soon.set, again.set))

    async def round_() -> None:
        next(rounds)()

    monkeypatch.setattr(keeper, "tidy", round_)
    monkeypatch.setattr(keeper, "reconcile", asyncio.Event().wait)
    await keeper.start()
    try:
        async with asyncio.timeout(10):
            await again.wait()
    finally:
        await keeper.stop()


async def test_stopping_waits_for_an_account_that_is_being_made(
    billing: Billing, database: Database, stripe: StripeDouble
) -> None:
    async with database.acquire() as conn:
        author = await make_user(conn, "grace@example.com")
    making = stripe.fail(r"/v1/accounts", late=0.3)
    connecting = asyncio.create_task(billing.accounts.connect(author, "grace@example.com", "team"))
    while not making.hits:
        await asyncio.sleep(0.01)
    await billing.stop()
    assert (await connecting).state == "incomplete"
