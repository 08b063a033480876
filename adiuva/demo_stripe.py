"""``adiuva demo --stripe``: the way of the money, at a server of its own and a double of Stripe. None of it is real."""

import asyncio
import os
import secrets
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from aiohttp import web

from adiuva.app import API
from adiuva.audit.models import Actor
from adiuva.client import Client
from adiuva.marketplace.models import ReviewRequest
from adiuva.marketplace.review.service import REVIEWS
from adiuva.serve import start
from adiuva.settings import Settings
from adiuva.testing.stripe_double import StripeDouble
from adiuva.tiers import TIER_NAMES

_, PRO, POWER, TEAM = TIER_NAMES

T = TypeVar("T")

PLUGIN: Final[dict[str, Any]] = {
    "id": "garden",
    "name": "Garden",
    "description": "Plans garden work around the weather.",
    "version": "1.0.0",
    "category": "productivity",
    "price_cents": 499,
    "permissions": ["read:tasks", "write:tasks"],
}
PATIENCE_SECONDS: Final = 30.0


async def demo() -> bool:
    """Run it and print it; everything it makes is in a folder that is gone afterwards. False where a sum is wrong."""
    with tempfile.TemporaryDirectory(prefix="adiuva-demo-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - run by root, PostgreSQL takes another user and has to pass
        async with StripeDouble() as stripe:
            port = _free_port()
            root = f"http://127.0.0.1:{port}"
            settings = Settings(
                data_dir=Path(folder),
                port=port,
                public_url=root,
                log_level="WARNING",
                llm_model="offline/rules",
                jwt_secret=secrets.token_hex(),
                stripe_secret_key=stripe.api_key,
                stripe_webhook_secret=stripe.webhook_secret,
                stripe_api_base=stripe.base_url,
            )
            runner = await start(settings)
            try:
                stripe.webhooks.url = f"{root}{API}/billing/webhook"
                click.echo(f"A server listens at {root}, a double of Stripe at {stripe.base_url}: no money moves.")
                async with Client(root) as ada, Client(root) as grace:
                    return await _Play(runner.app, stripe, ada, grace).run()
            finally:
                await runner.cleanup()


class _Play:
    """Ada buys a tier and a plugin; Grace has written it."""

    def __init__(self, app: web.Application, stripe: StripeDouble, ada: Client, grace: Client) -> None:
        self._app = app
        self._stripe = stripe
        self._ada = ada
        self._grace = grace

    async def run(self) -> bool:
        await self._subscribe(self._ada, "ada@example.com", PRO)
        await self._change_plan(self._ada, POWER)
        await self._subscribe(self._grace, "grace@example.com", TEAM)
        await self._publish()
        await self._connect()
        bought = await self._install()
        refunded = await self._refund()
        _say("Ada cancels her subscription")
        ended = await self._ada.call("DELETE", "/billing/subscription")
        there = self._stripe.store.all("subscription")[-1]["status"]
        click.echo(f"  DELETE /billing/subscription → tier {ended['tier']}, {ended['status']}; at Stripe: {there}")
        return bought and refunded and there == "canceled" and await self._tier(self._ada) == "free"

    async def _subscribe(self, client: Client, email: str, tier: str) -> None:
        _say(f"{email} registers, and buys the tier {tier}")
        await client.register(email, secrets.token_urlsafe())
        checkout = await client.call("POST", "/billing/checkout", {"tier": tier})
        click.echo(f"  POST /billing/checkout → {checkout['checkout_url']}")
        self._stripe.pay(checkout["checkout_url"].rsplit("/", 1)[1])
        await self._deliver()
        click.echo(f"  paid; tier {await self._tier(client)}")

    async def _change_plan(self, client: Client, tier: str) -> None:
        _say(f"She changes to {tier}, which is done in Stripe's billing portal")
        portal = await client.call("POST", "/billing/checkout", {"tier": tier})
        click.echo(f"  POST /billing/checkout → {portal['checkout_url']}")
        self._stripe.change_price(self._stripe.store.all("subscription")[0]["customer"], f"price_{tier}_monthly")
        await self._deliver()
        click.echo(f"  tier {await self._tier(client)}")

    async def _publish(self) -> None:
        _say("Grace publishes a plugin for 4.99 €, and an admin approves it")
        submitted = await self._grace.call("POST", "/plugins", PLUGIN)
        click.echo(f"  POST /plugins → {submitted['status']}")
        request = ReviewRequest(decision="approved", notes="")
        plugin = await self._app[REVIEWS].decide(Actor.at_the_command_line(), PLUGIN["id"], request)
        click.echo(f"  adiuva admin plugins approve garden → {plugin.status}")

    async def _connect(self) -> None:
        _say("She connects the account to which her earnings go")
        connection = await self._grace.call("POST", "/billing/connect")
        click.echo(f"  POST /billing/connect → {connection['state']}, {connection['onboarding_url']}")
        self._stripe.onboard(connection["onboarding_url"].rsplit("/", 1)[1])
        await self._deliver()
        click.echo(f"  details given; {(await self._grace.call('POST', '/billing/connect'))['state']}")

    async def _install(self) -> bool:
        _say("Ada installs the plugin: the card of her subscription is charged")
        installation = await self._ada.call("POST", "/plugins/garden/install")
        revenue = installation["revenue"]
        click.echo(f"  POST /plugins/garden/install → {revenue}")
        again = await self._ada.call("POST", "/plugins/garden/install")
        await self._deliver()
        charges, transfers = self._stripe.store.all("charge"), self._stripe.store.all("transfer")
        click.echo(f"  again → the same, {len(charges)} charge and {len(transfers)} transfer in all")
        earnings = await self._earnings()
        return again == installation and earnings == (499, 349, 150) and len(charges) == len(transfers) == 1

    async def _refund(self) -> bool:
        _say("1.00 € of it is refunded")
        [intent] = self._stripe.store.all("payment_intent")
        self._stripe.refund(intent["id"], 100)
        await self._deliver()
        [reversal] = await _until(lambda: self._stripe.store.all("transfer_reversal"))
        click.echo(f"  {reversal['amount']} cents of the transfer are reversed")
        return await self._earnings() == (399, 279, 120)

    async def _earnings(self) -> tuple[int, int, int]:
        found = await self._grace.call("GET", "/plugins/earnings")
        gross, developer, platform = (
            int(found[name]) for name in ("gross_cents", "developer_share_cents", "platform_share_cents")
        )
        click.echo(f"  GET /plugins/earnings → {gross} cents: {developer} for Grace, {platform} for the platform")
        return gross, developer, platform

    async def _deliver(self) -> None:
        statuses = await self._stripe.webhooks.deliver()
        kinds = [event["type"] for event in self._stripe.store.events[-len(statuses) :]]
        click.echo(click.style(f"  webhook: {', '.join(kinds)}", dim=True))

    async def _tier(self, client: Client) -> str:
        return str((await client.me())["tier"])


async def _until(find: Callable[[], list[T]]) -> list[T]:
    """What is found, once something is: transfers are made in the background."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := find()):  # noqa: ASYNC110 - the double has no event for it
            await asyncio.sleep(0.1)
    return found


def _say(text: str) -> None:
    click.secho(f"\n{text}", bold=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
