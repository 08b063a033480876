"""``adiuva admin plugins``: reviews at the command line, as over HTTP, and in the same log."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from adiuva.settings import Settings

if TYPE_CHECKING:
    from adiuva.audit.models import Actor
    from adiuva.marketplace.models import Pending, Plugin
    from adiuva.marketplace.review.service import Reviews

T = TypeVar("T")

_NOTES = click.option("--notes", required=True, help="Why; its author reads this.")


@click.group()
def plugins() -> None:
    """Review the plugins of the marketplace."""


@plugins.command()
def pending() -> None:
    """Show what waits for a review, the oldest first."""
    from adiuva.database import run_on
    from adiuva.marketplace.review import queries

    waiting = run_on(Settings.load(), queries.list_pending)
    for plugin in waiting:
        click.echo(_description(plugin))
    if not waiting:
        click.echo("Nothing waits for a review.")


@plugins.command()
@click.argument("plugin_id", metavar="ID")
@click.option("--notes", default="", help="For its author.")
@click.option("--version", help="Only if it is this version that waits.")
@click.option("--package", "checksum", help="Only if the package that waits has this SHA-256.")
def approve(plugin_id: str, notes: str, version: str | None, checksum: str | None) -> None:
    """Approve what of the plugin ID waits: all users of the marketplace get it."""
    from adiuva.marketplace.models import ReviewRequest

    request = ReviewRequest(decision="approved", notes=notes, version=version, package_checksum=checksum)
    _act(lambda reviews, actor: reviews.decide(actor, plugin_id, request))


@plugins.command()
@click.argument("plugin_id", metavar="ID")
@_NOTES
def reject(plugin_id: str, notes: str) -> None:
    """Reject what of the plugin ID waits; a version that is approved goes on."""
    from adiuva.marketplace.models import ReviewRequest

    request = ReviewRequest(decision="rejected", notes=notes)
    _act(lambda reviews, actor: reviews.decide(actor, plugin_id, request))


@plugins.command()
@click.argument("plugin_id", metavar="ID")
@_NOTES
def suspend(plugin_id: str, notes: str) -> None:
    """Take the approved plugin ID away from everybody, at once."""
    _act(lambda reviews, actor: reviews.suspend(actor, plugin_id, notes))


@plugins.command()
@click.argument("plugin_id", metavar="ID")
def reinstate(plugin_id: str) -> None:
    """Let the suspended plugin ID go on."""
    _act(lambda reviews, actor: reviews.reinstate(actor, plugin_id))


@plugins.command()
@click.argument("plugin_id", metavar="ID")
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="A folder; else this one."
)
def download(plugin_id: str, folder: Path) -> None:
    """Save the last package of the plugin ID, reviewed or not, as pip installs it."""
    from adiuva.marketplace.packages.fetch import fetch_package

    fetched = fetch_package(Settings.load(), plugin_id)
    path = folder / fetched.file_name
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(fetched.data)
    click.echo(f"{path}: {len(fetched.data)} bytes, SHA-256 {fetched.submitted.package.checksum}")


def _act(act: "Callable[[Reviews, Actor], Awaitable[Plugin]]") -> None:
    from adiuva.audit.models import Actor
    from adiuva.database import Database
    from adiuva.marketplace.review.service import Reviews

    async def run() -> "Plugin":
        database = await Database.connect(Settings.load(), share=True)
        try:
            return await act(Reviews(database=database), Actor.at_the_command_line())
        finally:
            await database.close()

    plugin = asyncio.run(run())
    click.echo(f"{plugin.id} {plugin.version} is {plugin.status} now.")


def _description(plugin: "Pending") -> str:
    price = f"{plugin.price_cents / 100:.2f} {plugin.currency}" if plugin.price_cents else "free"
    package = f"{plugin.package_size_bytes} bytes, SHA-256 {plugin.package_checksum}"
    checked = {None: "not yet, see adiuva admin plugins check", True: "passed", False: "failed"}[plugin.passed]
    return "\n  ".join(
        [
            click.style(f"{plugin.id} {plugin.version}", bold=True) + f"  {plugin.name}",
            f"by {plugin.author}, {plugin.submitted_at:%Y-%m-%d}, {plugin.category}, {price}",
            f"permissions: {', '.join(plugin.permissions) or 'none'}",
            f"package: {package if plugin.package_checksum else 'none'}",
            *([f"checked: {checked}"] if plugin.package_checksum else []),
            plugin.description.replace("\n", "\n  "),
        ]
    )
