"""The blob store that the settings ask for."""

from adiuva.blobs.files import FileStore
from adiuva.blobs.protocol import BlobStore
from adiuva.settings import Settings


def build_blob_store(settings: Settings) -> BlobStore:
    """S3 where ``S3_BUCKET`` is set, files under ``DATA_DIR`` otherwise."""
    if not settings.s3_bucket:
        return FileStore(settings.data_dir / "blobs")
    from adiuva.blobs.s3 import S3Store
    from adiuva.blobs.s3_calls import Bucket

    bucket = Bucket(
        name=settings.s3_bucket,
        region=settings.s3_region,
        endpoint_url=settings.s3_endpoint_url,
        create=settings.env == "dev",
    )
    return S3Store(bucket, largest=settings.max_blob_bytes)
