"""``python -m adiuva.testing.stripe_double``: the double by itself, beside a server that is tried out."""

import asyncio

import click

from adiuva.testing.stripe_double import StripeDouble


@click.command()
@click.option("--port", default=12111, show_default=True, help="Where it listens, on this machine only.")
@click.option(
    "--webhook",
    default="http://127.0.0.1:8000/api/v1/billing/webhook",
    show_default=True,
    help="Where events are delivered.",
)
def main(port: int, webhook: str) -> None:
    """Play Stripe: no money moves."""
    asyncio.run(_serve(port, webhook))


async def _serve(port: int, webhook: str) -> None:
    async with StripeDouble(port=port, automatic=True) as stripe:
        stripe.webhooks.url = webhook
        click.echo("Start the server with")
        click.echo(f"  STRIPE_API_BASE={stripe.base_url}")
        click.echo(f"  STRIPE_SECRET_KEY={stripe.api_key}")
        click.echo(f"  STRIPE_WEBHOOK_SECRET={stripe.webhook_secret}")
        while True:
            await asyncio.sleep(5)
            await stripe.webhooks.deliver()


if __name__ == "__main__":
    main()
