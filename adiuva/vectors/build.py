"""Which vector store the settings ask for. What it needs is loaded when it is first used, not before."""

from adiuva.settings import Settings
from adiuva.vectors.pinecone import PineconeStore
from adiuva.vectors.protocol import VectorStore
from adiuva.vectors.qdrant import QdrantStore
from adiuva.vectors.qdrant_connection import LocalQdrant, RemoteQdrant


def build_vector_store(settings: Settings) -> VectorStore:
    """Pinecone where it is set, else the Qdrant server where one is set, else Qdrant's files under ``DATA_DIR``."""
    if settings.pinecone_api_key:
        return PineconeStore(
            api_key=settings.pinecone_api_key,
            index_name=settings.pinecone_index,
            dimensions=settings.vector_dimensions,
            api_base=settings.pinecone_api_base,
        )
    if settings.qdrant_url:
        remote = RemoteQdrant(url=settings.qdrant_url, api_key=settings.qdrant_api_key)
        return QdrantStore(remote, dimensions=settings.vector_dimensions)
    return QdrantStore(LocalQdrant(settings.data_dir / "vectors"), dimensions=settings.vector_dimensions)
