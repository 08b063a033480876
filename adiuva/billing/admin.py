"""``adiuva admin events`` and ``adiuva admin billing``: what an operator sees and does about money."""

from typing import TYPE_CHECKING

import click

from adiuva.errors import ConflictError, NotFoundError
from adiuva.settings import Settings

if TYPE_CHECKING:
    from uuid import UUID

    from adiuva.database import Connection

_SHOWN = 1000


@click.command()
@click.option("--retry", metavar="EVENT", help="Try this one anew, instead of listing them.")
def events(retry: str | None) -> None:
    """List Stripe's events that are not applied: pending, parked after several tries, or of an unknown customer."""
    from adiuva.billing.events import queries
    from adiuva.database import run_on

    settings = Settings.load()
    if retry is not None:
        if not run_on(settings, lambda conn: _retry(conn, retry)):
            raise NotFoundError(f"No event {retry} waits for anything.")
        click.echo(f"{retry} is tried again shortly, by the running server.")
        return
    lines = run_on(settings, lambda conn: queries.list_unfinished(conn, _SHOWN))
    for line in lines:
        about = f"  {line.fault}" if line.fault else ""
        customer = line.stripe_customer_id or "-"
        click.echo(
            f"{line.received_at:%Y-%m-%d %H:%M:%SZ}  {line.state:<16}  {line.id}  {line.type}  {customer}"
            f"  tries {line.tries}{about}"
        )
    if not lines:
        click.echo("Every event has been applied.")


@click.group()
def billing() -> None:
    """See to subscriptions, refunds and authors' shares."""


@billing.command()
def reconcile() -> None:
    """Ask Stripe for every customer's subscription, and mend the rows that are not as Stripe has them.

    The server does so by itself every quarter of an hour.
    """
    import asyncio

    async def run(settings: Settings) -> int:
        from adiuva.audit import queries as audit
        from adiuva.audit.models import Actor
        from adiuva.billing.service import following_of
        from adiuva.database import Database

        async def repaired(user_id: "UUID") -> None:
            click.echo(f"{user_id} was not as Stripe has it.")

        database = await Database.connect(settings, share=True)
        try:
            async with following_of(settings, database) as following:
                count = await following.reconcile(repaired)
            async with database.acquire() as conn:
                await audit.append(conn, Actor.at_the_command_line(), "subscription.reconcile", "all", {"count": count})
            return count
        finally:
            await database.close()

    count = asyncio.run(run(Settings.load()))
    click.echo(f"{count} mended." if count else "Everything is as Stripe has it.")


@billing.command()
@click.argument("email")
@click.argument("plugin")
@click.option("--cents", type=click.IntRange(1), help="How much; without it all that is left of what was paid.")
def refund(email: str, plugin: str, cents: int | None) -> None:
    """Pay back what the user with this address has paid for a plugin; the running server does it at Stripe.

    The author's share of it is taken back from the author. All of it paid back, the plugin is uninstalled.
    """
    from adiuva.database import run_on

    amount = run_on(Settings.load(), lambda conn: _refund(conn, email, plugin, cents))
    if amount is None:
        raise ConflictError(f"{email} has not paid that much for {plugin}, or has got it back.")
    click.echo(f"{amount} cents are paid back shortly, by the running server.")


@billing.command()
@click.option("--retry", is_flag=True, help="Try those anew that were given up, instead of listing them.")
def refunds(*, retry: bool) -> None:
    """List the refunds that were ordered and are not made: due, or refused by Stripe."""
    from adiuva.billing.purchases import queries
    from adiuva.database import run_on

    settings = Settings.load()
    if retry:
        click.echo(f"{run_on(settings, _retry_refunds)} are tried again.")
        return
    unmade = run_on(settings, lambda conn: queries.list_unmade_refunds(conn, _SHOWN))
    for line in unmade:
        about = f"  {line.fault}" if line.fault else ""
        click.echo(
            f"{line.created_at:%Y-%m-%d}  {line.state:<7}  {line.amount_cents:>7} cents  {line.plugin_id or '-'}"
            f"  {line.buyer or 'nobody any more'}{about}"
        )
    if not unmade:
        click.echo("All refunds have been made.")


@billing.command()
@click.option("--retry", is_flag=True, help="Try those anew that were given up, instead of listing them.")
def transfers(*, retry: bool) -> None:
    """List authors' shares that have not moved: held until the author's account takes them, or refused by Stripe."""
    from adiuva.billing.payouts import queries
    from adiuva.database import run_on

    settings = Settings.load()
    if retry:
        click.echo(f"{run_on(settings, _retry_transfers)} are tried again.")
        return
    stuck = run_on(settings, lambda conn: queries.list_stuck(conn, _SHOWN))
    for line in stuck:
        about = f"  {line.fault}" if line.fault else ""
        click.echo(
            f"{line.created_at:%Y-%m-%d}  {line.state:<6}  {line.kind:<8}  {line.amount_cents:>7} cents"
            f"  {line.developer or 'nobody any more'}  tries {line.tries}{about}"
        )
    if not stuck:
        click.echo("All shares have moved.")


async def _retry(conn: "Connection", event_id: str) -> bool:
    from adiuva.audit import queries as audit
    from adiuva.audit.models import Actor
    from adiuva.billing.events import queries

    found = await queries.retry(conn, event_id)
    if found:
        await audit.append(conn, Actor.at_the_command_line(), "event.retry", event_id)
    return found


async def _retry_transfers(conn: "Connection") -> int:
    from adiuva.audit import queries as audit
    from adiuva.audit.models import Actor
    from adiuva.billing.payouts import queries

    count = await queries.retry_parked(conn)
    if count:
        await audit.append(conn, Actor.at_the_command_line(), "transfer.retry", "all", {"count": count})
    return count


async def _retry_refunds(conn: "Connection") -> int:
    from adiuva.audit import queries as audit
    from adiuva.audit.models import Actor
    from adiuva.billing.purchases import queries

    count = await queries.retry_refused(conn)
    if count:
        await audit.append(conn, Actor.at_the_command_line(), "refund.retry", "all", {"count": count})
    return count


async def _refund(conn: "Connection", email: str, plugin: str, cents: int | None) -> int | None:
    from adiuva.audit import queries as audit
    from adiuva.audit.models import Actor
    from adiuva.billing.purchases import queries
    from adiuva.clock import new_id

    amount = await queries.order_refund(conn, refund_id=new_id(), email=email, plugin_id=plugin, amount_cents=cents)
    if amount is not None:
        details = {"plugin": plugin, "amount_cents": amount}
        await audit.append(conn, Actor.at_the_command_line(), "purchase.refund", email, details)
    return amount
