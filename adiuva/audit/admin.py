"""``adiuva admin audit``: what admins did, from the command line."""

from typing import TYPE_CHECKING

import click
import orjson

from adiuva.settings import Settings

if TYPE_CHECKING:
    from adiuva.audit.models import AuditEntry


@click.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many entries.")
def audit(limit: int) -> None:
    """Show what admins did, the newest first: when, who, what, to what."""
    from adiuva.audit import queries
    from adiuva.database import run_on
    from adiuva.web.paging import Page

    entries, total = run_on(Settings.load(), lambda conn: queries.list_entries(conn, Page(number=1, limit=limit)))
    for entry in entries:
        click.echo(_line(entry))
    if total > len(entries):
        click.echo(f"… and {total - len(entries)} before.")
    if not total:
        click.echo("Nothing has been done yet.")


def _line(entry: "AuditEntry") -> str:
    details = f"  {orjson.dumps(entry.details).decode()}" if entry.details else ""
    return f"{entry.created_at:%Y-%m-%d %H:%M:%SZ}  {entry.actor}  {entry.action}  {entry.target}{details}"
