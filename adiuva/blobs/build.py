"""The blob store that the settings ask for."""

from adiuva.blobs.files import FileStore
from adiuva.blobs.protocol import BlobStore
from adiuva.settings import Settings, SettingsError


async def make_bucket(settings: Settings) -> None:
    """Make the bucket of ``S3_BUCKET`` where it is missing.

    Raises:
        SettingsError: ``S3_BUCKET`` is not set.
        BlobStoreUnavailableError: the store does not answer, or refuses.
    """
    if not settings.s3_bucket:
        raise SettingsError(["S3_BUCKET is not set: there is no bucket to make"])
    store = build_blob_store(settings, create_bucket=True)
    try:
        await store.check()
    finally:
        await store.close()


def build_blob_store(settings: Settings, *, create_bucket: bool = False) -> BlobStore:
    """S3 where ``S3_BUCKET`` is set, files under ``DATA_DIR`` otherwise; in dev, a missing bucket is made."""
    if not settings.s3_bucket:
        return FileStore(settings.data_dir / "blobs")
    from adiuva.blobs.s3 import S3Store
    from adiuva.blobs.s3_calls import Bucket

    bucket = Bucket(
        name=settings.s3_bucket,
        region=settings.s3_region,
        endpoint_url=settings.s3_endpoint_url,
        create=create_bucket or settings.env == "dev",
    )
    return S3Store(bucket, largest=settings.max_blob_bytes)
