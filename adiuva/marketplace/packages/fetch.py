"""A package as an operator has it: read beside the running server, whole, and held against its checksum."""

import asyncio

from attrs import field, frozen

from adiuva.blobs.build import build_blob_store
from adiuva.blobs.checksums import verified
from adiuva.database import run_on
from adiuva.errors import NotFoundError
from adiuva.marketplace.packages import queries
from adiuva.marketplace.packages.models import Submitted
from adiuva.marketplace.packages.wheels import file_name
from adiuva.settings import Settings
from adiuva.storage.models import Blob


@frozen(kw_only=True)
class Fetched:
    """The last package of a plugin, reviewed or not, under the name by which pip installs it."""

    submitted: Submitted
    data: bytes = field(repr=False)
    file_name: str


def fetch_package(settings: Settings, plugin_id: str) -> Fetched:
    """The last package of a plugin.

    Raises:
        NotFoundError: there is none.
        BlobDamagedError: it is not what was uploaded.
    """
    submitted = run_on(settings, lambda conn: queries.find_submitted(conn, plugin_id))
    if submitted is None:
        raise NotFoundError(f"There is no package of a plugin {plugin_id}.")
    data = asyncio.run(_read(settings, submitted.package))
    return Fetched(submitted=submitted, data=data, file_name=file_name(data, f"{plugin_id}.zip"))


async def _read(settings: Settings, blob: Blob) -> bytes:
    blobs = build_blob_store(settings)
    try:
        async with blobs.get(blob.key) as chunks:
            return b"".join([chunk async for chunk in verified(chunks, blob.checksum)])
    finally:
        await blobs.close()
