"""The SQL of packages."""

from adiuva.database import Connection


async def drop_package(conn: Connection, plugin_id: str, position: int) -> None:
    """Take the package away from a version."""
    raise NotImplementedError
