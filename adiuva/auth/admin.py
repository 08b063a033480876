"""``adiuva admin``: what an operator does to accounts, beside the running server and on its database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from adiuva.errors import NotFoundError
from adiuva.settings import Settings
from adiuva.tiers import TIER_NAMES

if TYPE_CHECKING:
    from adiuva.auth.models import User
    from adiuva.database import Connection

T = TypeVar("T")


@click.group()
def admin() -> None:
    """Manage accounts on the running system's database."""


@admin.command()
@click.argument("email")
def grant(email: str) -> None:
    """Make the user with this address an admin."""
    from adiuva.auth import queries

    _expect(email, _run(Settings.load(), lambda conn: queries.set_admin(conn, _address(email), is_admin=True)))
    click.echo(f"{email} is an admin now.")


@admin.command()
@click.argument("email")
def revoke(email: str) -> None:
    """Make the user with this address an ordinary one again."""
    from adiuva.auth import queries

    _expect(email, _run(Settings.load(), lambda conn: queries.set_admin(conn, _address(email), is_admin=False)))
    click.echo(f"{email} is no admin now.")


@admin.command("set-tier")
@click.argument("email")
@click.argument("tier", type=click.Choice(TIER_NAMES))
def set_tier(email: str, tier: str) -> None:
    """Give the user with this address a tier, without a payment."""
    from adiuva.auth import queries

    _expect(email, _run(Settings.load(), lambda conn: queries.set_tier(conn, _address(email), tier)))
    click.echo(f"{email} has the tier {tier} now.")


@admin.command("list")
def list_users() -> None:
    """List all users: address, tier, role, and the day they registered."""
    from adiuva.auth import queries

    settings = Settings.load()
    users = _run(settings, queries.list_users)
    if not users:
        click.echo("There are no users yet.")
    width = max((len(user.email) for user in users), default=0)
    for user in users:
        click.echo(_line(user, width, settings.default_tier))


def _line(user: "User", width: int, default_tier: str) -> str:
    role = "admin" if user.is_admin else "user"
    return f"{user.email:<{width}}  {user.tier or default_tier:<5}  {role:<5}  {user.created_at:%Y-%m-%d}"


def _run(settings: Settings, work: "Callable[[Connection], Awaitable[T]]") -> T:
    from adiuva.database import Database

    async def run() -> T:
        database = await Database.connect(settings, share=True)
        try:
            async with database.acquire() as conn:
                return await work(conn)
        finally:
            await database.close()

    return asyncio.run(run())


def _address(text: str) -> str:
    from adiuva.auth.models import normal_email

    return normal_email(text) or text


def _expect(email: str, found: bool) -> None:
    if not found:
        message = f"Nobody is registered as {email}."
        raise NotFoundError(message)
