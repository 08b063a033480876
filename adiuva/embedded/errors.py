"""What keeps the embedded server from starting."""

from adiuva.errors import AdiuvaError


class EmbeddedPostgresError(AdiuvaError):
    """The embedded PostgreSQL does not start."""

    code = "database_unavailable"


class FolderInUseError(EmbeddedPostgresError):
    """Another server runs on this DATA_DIR."""

    code = "data_dir_in_use"
