"""Authors and buyers without a server between, and what has to be true of their money in the end."""

import random
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from attrs import frozen

from adiuva.billing.purchases.models import Buyer, Offer
from adiuva.billing.shares import shares_of
from adiuva.testing.stripe_double import StripeDouble
from adiuva.testing.stripe_double import connecting as at_stripe

Rows = list[asyncpg.Record]


@frozen
class Sale:
    """One buyer, one plugin."""

    buyer: Buyer
    offer: Offer


async def make_user(conn: Any, email: str) -> UUID:
    user_id = uuid4()
    await conn.execute("INSERT INTO users (id, email, password_hash) VALUES ($1, $2, '')", user_id, email)
    return user_id


async def make_author(conn: Any, stripe: StripeDouble) -> UUID:
    """An author whose account takes transfers."""
    author = await make_user(conn, f"{uuid4().hex}@example.com")
    account = at_stripe.create_account(stripe.store, {"capabilities": {"transfers": {"requested": "true"}}})
    at_stripe.onboard(stripe.store, account)
    await conn.execute(
        "INSERT INTO payout_accounts (id, user_id, stripe_account_id, state) VALUES ($1, $2, $3, 'active')",
        uuid4(),
        author,
        account["id"],
    )
    return author


async def make_sale(conn: Any, author: UUID, chance: random.Random) -> Sale:
    """A buyer and a plugin; nothing is at Stripe yet."""
    price, plugin = chance.randint(50, 100_000), uuid4().hex
    await conn.execute(
        """
        INSERT INTO plugins (id, author_id, name, description, version, category, price_cents, permissions, status)
        VALUES ($1, $2, $1, '', '1.0.0', 'other', $3, '{}', 'approved')
        """,
        plugin,
        author,
        price,
    )
    email = f"{uuid4().hex}@example.com"
    buyer = Buyer(user_id=await make_user(conn, email), email=email)
    return Sale(buyer, Offer(plugin_id=plugin, name=plugin, price_cents=price, currency="eur", author_id=author))


async def add_card(conn: Any, stripe: StripeDouble, sale: Sale) -> None:
    """Put a card on file for a buyer who is a customer already."""
    key = await conn.fetchval("SELECT stripe_customer_id FROM stripe_customers WHERE user_id = $1", sale.buyer.user_id)
    stripe.add_card(key)


async def assert_exact(conn: Any, stripe: StripeDouble, sale: Sale) -> None:
    """One customer, one charge, one transfer, one reversal for each refund; the books say the same."""
    store, gross = stripe.store, sale.offer.price_cents
    [customer] = store.all("customer", email=sale.buyer.email)
    [charge] = store.all("charge", customer=customer["id"])
    [transfer] = store.all("transfer", source_transaction=charge["id"])
    refunds = store.all("refund", charge=charge["id"])
    reversals = store.all("transfer_reversal", transfer=transfer["id"])
    assert charge["amount"] == gross
    assert transfer["amount"] == shares_of(gross).developer_cents
    back = charge["amount_refunded"]
    assert back == sum(refund["amount"] for refund in refunds)
    assert transfer["amount"] - transfer["amount_reversed"] == shares_of(gross - back).developer_cents
    lines = await conn.fetch(
        """
        SELECT kind, amount_cents, developer_share_cents FROM revenue_events
        WHERE plugin_id = $1 ORDER BY amount_cents
        """,
        sale.offer.plugin_id,
    )
    assert sum(line["amount_cents"] for line in lines) == gross - back
    assert sum(line["developer_share_cents"] for line in lines) == shares_of(gross - back).developer_cents
    assert sorted(-line["amount_cents"] for line in lines if line["kind"] == "refund") == sorted(
        refund["amount"] for refund in refunds
    )
    taken = sorted(-line["developer_share_cents"] for line in lines if line["developer_share_cents"] < 0)
    assert taken == sorted(reversal["amount"] for reversal in reversals)
