"""Stripe's webhook: who may speak, what is kept, and that order and repetition do not matter."""

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adiuva.app import API
from adiuva.billing.subscriptions.merge import Doubt, merged
from adiuva.billing.subscriptions.models import Prices, Row, row_of
from adiuva.database import Database
from adiuva.settings import Settings
from adiuva.testing.stripe_double import StripeDouble
from adiuva.testing.stripe_double import subscribing as at_stripe
from adiuva.testing.stripe_double.calls import shown
from adiuva.testing.stripe_double.webhooks import signature
from tests.billing.conftest import Client, Start, User, billing_of, send

SECRET = "whsec_double"


async def states(database: Database) -> dict[str, str]:
    async with database.acquire() as conn:
        return {row["id"]: row["state"] for row in await conn.fetch("SELECT id, state FROM stripe_events")}


async def post(client: Client, payload: bytes, header: str | None) -> tuple[int, str | None]:
    headers = {} if header is None else {"Stripe-Signature": header}
    answer = await client.post(f"{API}/billing/webhook", data=payload, headers=headers)
    return answer.status, (await answer.json()).get("code")


def event(kind: str = "customer.subscription.updated", **about: Any) -> dict[str, Any]:
    return {
        "id": f"evt_{random.getrandbits(64):x}",
        "object": "event",
        "type": kind,
        "created": int(time.time()),
        "data": {"object": {"id": "sub_1", "object": "subscription", "status": "active", **about}},
    }


async def test_a_signature_of_the_last_or_next_300_seconds_is_taken(client: Client) -> None:
    """BI5."""
    payload = orjson.dumps(event("something.else"))
    for off in (0, -298, 298):
        assert await post(client, payload, signature(payload, SECRET, at=time.time() + off)) == (200, None)


async def test_the_signature_is_the_one_that_stripes_library_makes(client: Client) -> None:
    from stripe import WebhookSignature

    payload = orjson.dumps(event("something.else")).decode()
    header = WebhookSignature.generate_signature_header(payload, SECRET)
    assert (await post(client, payload.encode(), header))[0] == 200


async def test_other_signatures_are_400_and_nothing_is_kept(client: Client, database: Database) -> None:
    """BI5."""
    payload = orjson.dumps(event(customer="cus_1"))
    good = signature(payload, SECRET)
    moment, _, digest = good.partition(",v1=")
    bad: list[str | None] = [
        None,
        "",
        "t=1",
        "nonsense",
        digest,
        moment,
        f"{moment},v1=",
        f"{moment},v0={digest}",
        f"{moment},v1={digest[:-1]}",
        f"{moment},v1={digest[:-1]}{'0' if digest[-1] != '0' else '1'}",
        f"t=x,v1={digest}",
        f"t=-1,v1={digest}",
        f"{moment},{moment},v1={digest}",
        f"t={int(moment[2:]) + 1},v1={digest}",
        f"{moment},v1=\xe9\xe9",
        "t=1,v1=" + "0" * 5000,
        signature(payload, "whsec_other"),
        signature(payload, SECRET, at=time.time() - 302),
        signature(payload, SECRET, at=time.time() + 302),
    ]
    for header in bad:
        assert await post(client, payload, header) == (400, "invalid_signature"), header
    changed = payload.replace(b"active", b"Active")
    assert len(changed) == len(payload)
    assert await post(client, changed, good) == (400, "invalid_signature")
    assert await states(database) == {}


async def test_one_valid_signature_of_several_is_enough(client: Client) -> None:
    """BI5: as while a secret is rolled."""
    payload = orjson.dumps(event("something.else"))
    moment, _, digest = signature(payload, SECRET).partition(",v1=")
    assert (await post(client, payload, f"{moment},v1={'0' * 64},v0=abc,v1={digest}"))[0] == 200


async def test_several_secrets_are_for_several_endpoints(start: Start, paid: Settings) -> None:
    client = await start(attrs.evolve(paid, stripe_webhook_secret="whsec_one, whsec_two"))
    payload = orjson.dumps(event("something.else"))
    for secret, status in (("whsec_one", 200), ("whsec_two", 200), ("whsec_one, whsec_two", 400), ("", 400)):
        assert (await post(client, payload, signature(payload, secret)))[0] == status


async def test_without_a_secret_nobody_can_speak(bare: Client) -> None:
    payload = orjson.dumps(event())
    assert await post(bare, payload, signature(payload, "")) == (503, "webhook_not_configured")


NO_EVENTS = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"{}",
    b'{"id":"evt_1","type":"x","created":1,"data":5}',
    b'{"id":"evt_1","type":"x","created":1,"data":{"object":[]}}',
    b'{"id":"evt_1","type":"x","created":"1","data":{"object":{}}}',
    b'{"id":"evt_1","type":"x","created":1e300,"data":{"object":{}}}',
    b'{"id":"","type":"x","created":1,"data":{"object":{}}}',
    b'{"id":"evt\\u0000","type":"x","created":1,"data":{"object":{}}}',
    b'{"id":"evt_1","type":5,"created":1,"data":{"object":{}}}',
]


async def test_what_is_signed_but_no_event_is_400(client: Client) -> None:
    for payload in NO_EVENTS:
        assert (await post(client, payload, signature(payload, SECRET)))[0] == 400, payload


STRANGE: list[dict[str, Any]] = [
    {"customer": "cus_\x00"},
    {"customer": 5},
    {"customer": {"id": "cus_1"}},
    {"customer": "cus_1", "metadata": {"user_id": "nobody"}},
    {"customer": "cus_1", "metadata": "none"},
    {"customer": "cus_1", "items": "none"},
    {"customer": "cus_1", "client_reference_id": "00000000-0000-0000-0000-000000000000"},
]


async def test_strange_objects_are_kept_or_ignored_and_never_a_500(client: Client) -> None:
    for about in STRANGE:
        assert await send(client, event(**about)) == 200, about


async def test_other_types_are_acknowledged_and_ignored(client: Client, database: Database) -> None:
    assert await send(client, event("customer.created")) == 200
    assert await states(database) == {}


async def test_an_event_of_an_unknown_customer_is_kept_and_applied_once_the_customer_is_known(
    start: Start, unlimited: Settings, database: Database
) -> None:
    client = await start(attrs.evolve(unlimited, stripe_webhook_secret=SECRET))
    ada = await User.register(client)
    early = event(customer="cus_1", metadata={"tier": "power"})
    assert await send(client, early) == 200
    assert await states(database) == {early["id"]: "unknown_customer"}
    assert await ada.tier() == "free"
    session = event("checkout.session.completed", customer="cus_1", client_reference_id=ada.id, mode="subscription")
    session["data"]["object"] |= {"object": "checkout.session", "subscription": "sub_1", "metadata": {"tier": "pro"}}
    session["created"] -= 10
    assert await send(client, session) == 200
    assert await ada.tier() == "pro"
    while await billing_of(client).inbox.apply_due():
        pass
    assert await ada.tier() == "power"
    assert set((await states(database)).values()) == {"applied"}


async def test_a_poison_event_is_parked_and_delays_nobody(
    client: Client, stripe: StripeDouble, database: Database
) -> None:
    """BI7."""
    ada, grace = await User.register(client), await User.register(client, "grace@example.com")
    customer = await ada.subscribe(stripe, "pro")
    [item] = stripe.subscription(customer)["items"]["data"]
    item["price"] = {"id": "price_unknown", "object": "price"}
    stripe.subscription(customer)["metadata"] = {}
    at_stripe.change_subscription(stripe.store, stripe.subscription(customer))
    [poison] = stripe.webhooks.pending
    await stripe.webhooks.deliver()
    assert (await states(database))[poison] == "pending"
    began = time.monotonic()
    await grace.subscribe(stripe, "power")
    assert time.monotonic() - began < 1
    inbox = billing_of(client).inbox
    for _ in range(4):
        async with database.acquire() as conn:
            await conn.execute("UPDATE stripe_events SET next_try_at = now() WHERE state = 'pending'")
        await inbox.apply_due()
    assert (await states(database))[poison] == "parked"
    assert await ada.tier() == "pro"
    async with database.acquire() as conn:
        tries, fault = await conn.fetchrow("SELECT tries, fault FROM stripe_events WHERE id = $1", poison)  # type: ignore[misc]
    assert (tries, fault) == (5, "UnknownPriceError: unknown_price")


async def test_while_stripe_is_away_the_event_itself_is_taken(
    client: Client, stripe: StripeDouble, database: Database
) -> None:
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    stripe.fail(r"/v1/subscriptions", method="GET", kind="fail", times=1000)
    async with database.acquire() as conn:
        await conn.execute("UPDATE subscriptions SET told_at = told_at - interval '1 second'")
    at_stripe.change_price(stripe.store, stripe.subscription(customer), "price_team_monthly")
    await stripe.webhooks.deliver()
    assert await ada.tier() == "team"
    # Of the same second: only Stripe knows which was last.
    at_stripe.change_price(stripe.store, stripe.subscription(customer), "price_power_monthly")
    stripe.store.events[-1]["created"] = stripe.store.events[-2]["created"]
    [last] = stripe.webhooks.pending
    await stripe.webhooks.deliver()
    assert (await ada.tier(), (await states(database))[last]) == ("team", "pending")
    stripe.faults.clear()
    async with database.acquire() as conn:
        await conn.execute("UPDATE stripe_events SET next_try_at = now() WHERE state = 'pending'")
    await billing_of(client).inbox.apply_due()
    assert (await ada.tier(), (await states(database))[last]) == ("power", "applied")


def life(stripe: StripeDouble, user: User, customer: str) -> list[dict[str, Any]]:
    """The events of a subscription's life, several of them within one second; it may end, or not."""
    store, chance = stripe.store, random.Random(len(stripe.store.events))
    clock = itertools.accumulate(chance.choice([0, 0, 1, 2]) for _ in itertools.count())
    store.clock = lambda: 1_800_000_000 + next(clock)
    before = len(store.events)
    session = at_stripe.create_session(
        store,
        {
            "mode": "subscription",
            "customer": customer,
            "client_reference_id": user.id,
            "success_url": "https://adiuva.example",
            "line_items": [{"price": "price_pro_monthly"}],
            "metadata": {"user_id": user.id, "tier": "pro"},
            "subscription_data": {"metadata": {"user_id": user.id, "tier": "pro"}},
        },
    )
    at_stripe.complete_session(store, session)
    subscription = stripe.subscription(customer)
    for _ in range(chance.randint(1, 5)):
        step = chance.randrange(4)
        if step == 0:
            at_stripe.change_price(store, subscription, f"price_{chance.choice(['pro', 'power', 'team'])}_monthly")
        elif step == 1:
            at_stripe.fail_invoice(store, subscription)
        elif step == 2:
            at_stripe.renew(store, subscription)
        else:
            at_stripe.change_subscription(store, subscription, cancel_at_period_end=chance.random() < 0.5)
    if chance.random() < 0.4:
        at_stripe.end_subscription(store, subscription)
    return deepcopy(store.events[before:])


def as_stripe_has_it(stripe: StripeDouble, customer: str) -> Row:
    subscription = shown(stripe.subscription(customer))
    return attrs.evolve(row_of(subscription, Prices.of(Settings()), told_at=None))


async def as_we_have_it(database: Database, user: User) -> Row:
    async with database.acquire() as conn:
        row = await conn.fetchrow(
            "SELECT tier::text, status, stripe_subscription_id, current_period_end, cancel_at_period_end"
            " FROM subscriptions WHERE user_id = $1::text::uuid",
            user.id,
        )
    assert row is not None
    return Row(**row)


async def converges(client: Client, stripe: StripeDouble, database: Database, seeds: Sequence[int]) -> None:
    """Each event five times, in any order, several at once: in the end it is as Stripe has it."""
    inbox = billing_of(client).inbox
    ada = await User.register(client, f"ada{seeds[0]}@example.com")
    await ada.json("POST", "/billing/checkout", {"tier": "pro"})
    async with database.acquire() as conn:
        customer = await conn.fetchval(
            "SELECT stripe_customer_id FROM stripe_customers WHERE user_id = $1::text::uuid", ada.id
        )
    for seed in seeds:
        told = life(stripe, ada, customer) * 5
        random.Random(seed).shuffle(told)

        async def deliver(event: dict[str, Any]) -> None:
            payload = orjson.dumps(shown(event))
            await inbox.receive(payload, signature(payload, SECRET))

        for start in range(0, len(told), 8):
            await asyncio.gather(*(deliver(event) for event in told[start : start + 8]))
        while set((await states(database)).values()) != {"applied"}:
            async with database.acquire() as conn:
                await conn.execute("UPDATE stripe_events SET next_try_at = now() WHERE state = 'pending'")
            await inbox.apply_due()
        assert await as_we_have_it(database, ada) == as_stripe_has_it(stripe, customer), f"seed {seed}"
        async with database.acquire() as conn:
            await conn.execute("DELETE FROM stripe_events")
        stripe.store.events.clear()
        stripe.store.objects = {customer: stripe.store.objects[customer]}


async def test_repeated_and_shuffled_events_end_as_stripe_has_it(
    client: Client, stripe: StripeDouble, database: Database
) -> None:
    """BI1, in small."""
    await converges(client, stripe, database, range(20))


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(4))
async def test_1000_shuffles_of_events_five_times_each_end_as_stripe_has_it(
    client: Client, stripe: StripeDouble, database: Database, part: int
) -> None:
    """BI1."""
    await converges(client, stripe, database, range(part * 250, part * 250 + 250))


async def test_a_late_update_does_not_undo_the_end(client: Client, stripe: StripeDouble) -> None:
    """BI2."""
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    at_stripe.change_price(stripe.store, stripe.subscription(customer), "price_team_monthly")
    at_stripe.end_subscription(stripe.store, stripe.subscription(customer))
    update, end = stripe.webhooks.pending.values()
    await stripe.webhooks.deliver([end])
    await stripe.webhooks.deliver([update])
    assert await ada.tier() == "free"
    assert (await ada.json("GET", "/billing/subscription"))["status"] == "canceled"


async def test_an_update_before_the_checkouts_completion_gives_the_tier(client: Client, stripe: StripeDouble) -> None:
    """BI2."""
    ada = await User.register(client)
    answer = await ada.json("POST", "/billing/checkout", {"tier": "pro"})
    session = stripe.pay(answer["checkout_url"].rsplit("/", 1)[1])
    at_stripe.change_price(stripe.store, stripe.subscription(session["customer"]), "price_power_monthly")
    await stripe.webhooks.deliver(list(stripe.webhooks.pending.values())[::-1])
    assert await ada.tier() == "power"


async def test_a_reading_that_is_answered_late_does_not_undo_a_newer_one(client: Client, stripe: StripeDouble) -> None:
    """BI3."""
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    at_stripe.change_price(stripe.store, stripe.subscription(customer), "price_power_monthly")
    [older] = stripe.webhooks.pending.values()
    late = stripe.fail(r"/v1/subscriptions", method="GET", late=0.8)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send(client, older))
        while not late.hits:
            await asyncio.sleep(0.01)
        at_stripe.change_price(stripe.store, stripe.subscription(customer), "price_team_monthly")
        assert await send(client, stripe.store.events[-1]) == 200
        assert await ada.tier() == "team"
    assert await ada.tier() == "team"


async def race(client: Client, other: Client, stripe: StripeDouble, rounds: int) -> None:
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "pro")
    tiers = ["pro", "power", "team"]
    for number in range(rounds):
        for tier in (tiers[number % 3], tiers[(number + 1) % 3]):
            at_stripe.change_price(stripe.store, stripe.subscription(customer), f"price_{tier}_monthly")
        one, two = (stripe.store.events[-2], stripe.store.events[-1])
        stripe.webhooks.pending.clear()
        servers = [client, other] if number % 2 else [other, client]
        assert set(await asyncio.gather(send(servers[0], one), send(servers[1], two))) == {200}
        assert await ada.tier() == tiers[(number + 1) % 3], number


async def test_two_events_at_once_on_two_servers_lose_no_update(
    client: Client, start: Start, paid: Settings, stripe: StripeDouble
) -> None:
    """BI3, in small."""
    await race(client, await start(paid), stripe, 20)


@pytest.mark.proof
async def test_200_rounds_of_two_events_at_once_on_two_servers_lose_no_update(
    client: Client, start: Start, paid: Settings, stripe: StripeDouble
) -> None:
    """BI3."""
    await race(client, await start(paid), stripe, 200)


STATUSES = st.sampled_from(["active", "past_due", "canceled"])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), STATUSES, st.sampled_from(["pro", "team"])), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_without_stripe_the_newest_event_counts_in_any_order(
    told: list[tuple[int, str, str]], chance: random.Random
) -> None:
    """A life: times rise, and nothing follows the end. Repeated and shuffled it ends in the same row, but for doubt."""
    told = [by_time for _, by_time in sorted({item[0]: item for item in told}.items())]
    ends = [number for number, (_, status, _) in enumerate(told) if status == "canceled"]
    told = told[: ends[0] + 1] if ends else told
    shuffled = told * 3
    chance.shuffle(shuffled)
    row: Row | None = None
    for moment, status, tier in shuffled:
        at = datetime.fromtimestamp(moment, UTC)
        found = merged(row, Row(tier=tier, status=status, stripe_subscription_id="sub_1", told_at=at), at)
        assert not isinstance(found, Doubt)
        row = found
    assert row is not None
    _, status, tier = told[-1]
    assert (row.status, row.tier) == (status, tier)


ODD: list[Any] = [None, 0, -1, 1.5, True, "", "x", "x" * 300, "a\u0000b", [], [[]], {}, {"id": 5}, {"data": [5]}]


async def test_events_whose_objects_are_odd_are_kept_or_refused_and_hurt_nobody(
    client: Client, stripe: StripeDouble, database: Database
) -> None:
    ada = await User.register(client)
    customer = await ada.subscribe(stripe, "power")
    fields = ("id", "customer", "metadata", "parent", "client_reference_id", "object", "subscription")
    for value in ODD:
        for name in fields:
            for about in ({"customer": customer}, {"object": "customer"}):
                told = event("invoice.payment_failed", **{**about, name: value})
                payload = orjson.dumps(told)
                assert (await post(client, payload, signature(payload, SECRET)))[0] == 200, (name, value)
    assert await ada.tier() == "power"
    assert set((await states(database)).values()) <= {"applied", "ignored", "unknown_customer"}
