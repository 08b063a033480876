"""Processes that move money, and are killed after a step; started by test_faults.py.

Each life is a fork. It ends by SIGKILL after so many steps, a step being a statement of the database or a call of
Stripe; the next life has one step more. What is printed is how many died before one came to its end.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import stripe as library
from attrs import frozen

from adiuva.billing.purchases import queries
from adiuva.billing.purchases.models import Buyer, Offer
from adiuva.billing.service import Billing
from adiuva.billing.stripe import Stripe
from adiuva.clock import new_id
from adiuva.database import Database
from adiuva.settings import Settings
from adiuva.testing.stripe_double.webhooks import signature


@frozen(kw_only=True)
class Plan:
    database_url: str
    stripe_api_base: str
    stripe_secret_key: str
    stripe_webhook_secret: str
    sales: list[list[Any]]
    events: list[str]


def count_steps(steps: int) -> None:
    """Die after so many."""
    left = steps

    def counting(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            try:
                return await work(*arguments, **named)
            finally:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        return counted

    for owner, name in (
        (asyncpg.Connection, "execute"),
        (asyncpg.Connection, "fetch"),
        (asyncpg.Connection, "fetchrow"),
        (asyncpg.Connection, "fetchval"),
        (Stripe, "call"),
        (Stripe, "list"),
    ):
        setattr(owner, name, counting(getattr(owner, name)))


async def live(plan: Plan, number: int) -> None:
    settings = Settings(
        database_url=plan.database_url,
        stripe_api_base=plan.stripe_api_base,
        stripe_secret_key=plan.stripe_secret_key,
        stripe_webhook_secret=plan.stripe_webhook_secret,
    )
    database = await Database.connect(settings)
    billing = Billing(settings=settings, database=database, prefix="")
    count_steps(number)
    if plan.sales:
        await trade(plan.sales[number], billing, database)
    else:
        payload = plan.events[number].encode()
        await billing.inbox.receive(payload, signature(payload, plan.stripe_webhook_secret))
    os._exit(0)


async def trade(sale: list[Any], billing: Billing, database: Database) -> None:
    """Buy, and pay part of it back."""
    user_id, email, plugin_id, price, author = sale
    offer = Offer(plugin_id=plugin_id, name=plugin_id, price_cents=price, currency="eur", author_id=UUID(author))
    await billing.purchases.buy(Buyer(user_id=UUID(user_id), email=email), offer)
    async with database.acquire() as conn:
        amount = random.Random(price).randint(1, 20)
        await queries.order_refund(conn, refund_id=new_id(), email=email, plugin_id=plugin_id, amount_cents=amount)
    assert billing.housekeeper is not None
    await billing.housekeeper.tidy()


def main() -> None:
    plan = Plan(**orjson.loads(sys.stdin.buffer.read()))
    assert library.StripeClient is not None  # loaded before the forks
    for number in range(max(len(plan.sales), len(plan.events))):
        child = os.fork()
        if child == 0:
            asyncio.run(live(plan, number))
            os._exit(1)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            sys.stdout.write(str(number))
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
    sys.exit("no life came to its end")


if __name__ == "__main__":
    main()
