"""``adiuva admin reconcile`` and ``verify``: storage as its operator looks after it, beside the running server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from adiuva.errors import AdiuvaError
from adiuva.settings import Settings

if TYPE_CHECKING:
    from adiuva.blobs.protocol import BlobStore
    from adiuva.database import Database
    from adiuva.storage.housekeeping.models import Tidied, Verified

T = TypeVar("T")


class StorageFaultyError(AdiuvaError):
    """Storage is not as it should be."""

    code = "storage_faulty"


@click.command()
def reconcile() -> None:
    """Put bytes, rows and usage in agreement, as the running server does now and then."""
    import attrs

    from adiuva.audit import queries as audit
    from adiuva.audit.models import Actor
    from adiuva.storage.housekeeping.housekeeper import Housekeeper

    settings = Settings.load()

    async def work(database: "Database", blobs: "BlobStore") -> "Tidied":
        tidied = await Housekeeper(database=database, blobs=blobs, lease_seconds=settings.upload_lease_seconds).run()
        async with database.acquire() as conn:
            await audit.append(conn, Actor.at_the_command_line(), "storage.reconcile", "all", attrs.asdict(tidied))
        return tidied

    tidied = _run(settings, work)
    click.echo(f"uploads given up:        {tidied.abandoned}")
    click.echo(f"blobs deleted:           {tidied.deleted}")
    click.echo(f"bytes without a row:     {tidied.orphans}")
    click.echo(f"counters put right:      {tidied.repaired}")


@click.command()
@click.option("--deep", is_flag=True, help="Read and hash every blob, instead of comparing sizes only.")
def verify(*, deep: bool) -> None:
    """Compare rows with blobs; what is wrong is listed, and makes the command fail."""
    from adiuva.storage.housekeeping.verify import verify as look

    settings = Settings.load()

    async def work(database: "Database", blobs: "BlobStore") -> "Verified":
        return await look(database, blobs, deep=deep)

    verified = _run(settings, work)
    for finding in verified.findings:
        click.echo(f"{finding.key}: {finding.fault}")
    click.echo(f"{verified.rows} rows, {verified.size} bytes: {len(verified.findings)} faults")
    if verified.findings:
        raise StorageFaultyError


def _run(settings: Settings, work: "Callable[[Database, BlobStore], Awaitable[T]]") -> T:
    from adiuva.blobs.build import build_blob_store
    from adiuva.database import Database

    async def run() -> T:
        database = await Database.connect(settings, share=True)
        try:
            blobs = build_blob_store(settings)
            try:
                return await work(database, blobs)
            finally:
                await blobs.close()
        finally:
            await database.close()

    return asyncio.run(run())
