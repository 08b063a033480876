"""``adiuva admin``: what an operator does to accounts, beside the running server and on its database."""

from typing import TYPE_CHECKING

import click

from adiuva.errors import NotFoundError
from adiuva.settings import Settings
from adiuva.tiers import TIER_NAMES

if TYPE_CHECKING:
    from adiuva.auth.models import User
    from adiuva.auth.users.service import Act


@click.group()
def admin() -> None:
    """Manage accounts on the running system's database."""


@admin.command()
@click.argument("email")
def grant(email: str) -> None:
    """Make the user with this address an admin."""
    from adiuva.auth.users.service import grant_admin

    _change(email, grant_admin)
    click.echo(f"{email} is an admin now.")


@admin.command()
@click.argument("email")
def revoke(email: str) -> None:
    """Make the user with this address an ordinary one again."""
    from adiuva.auth.users.service import revoke_admin

    _change(email, revoke_admin)
    click.echo(f"{email} is no admin now.")


@admin.command("set-tier")
@click.argument("email")
@click.argument("tier", type=click.Choice(TIER_NAMES))
def set_tier(email: str, tier: str) -> None:
    """Give the user with this address a tier, without a payment."""
    from adiuva.auth.users.service import give_tier

    _change(email, give_tier(tier))
    click.echo(f"{email} has the tier {tier} now.")


@admin.command("list")
def list_users() -> None:
    """List all users: address, tier, role, and the day they registered."""
    from adiuva.auth import queries
    from adiuva.database import run_on

    settings = Settings.load()
    users = run_on(settings, queries.list_users)
    if not users:
        click.echo("There are no users yet.")
    width = max((len(user.email) for user in users), default=0)
    for user in users:
        click.echo(_line(user, width, settings.default_tier))


def _line(user: "User", width: int, default_tier: str) -> str:
    role = "admin" if user.is_admin else "user"
    return f"{user.email:<{width}}  {user.tier or default_tier:<5}  {role:<5}  {user.created_at:%Y-%m-%d}"


def _change(email: str, act: "Act") -> None:
    """Change the account with this address, and write it down, both or neither."""
    from adiuva.audit.models import Actor
    from adiuva.auth.models import normal_email
    from adiuva.database import run_on

    address = normal_email(email) or email
    if not run_on(Settings.load(), lambda conn: act(conn, Actor.at_the_command_line(), address)):
        message = f"Nobody is registered as {email}."
        raise NotFoundError(message)
