"""What a check asks the database."""

from datetime import datetime

from attrs import frozen

from adiuva.database import Connection


@frozen(kw_only=True)
class Server:
    """The database server, and who we are to it."""

    version: str
    number: int
    user: str
    schema: str | None
    may_create: bool


async def server(conn: Connection) -> Server:
    """What there is to know of it."""
    row = await conn.fetchrow(
        """
        SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
               current_user::text AS user, current_schema()::text AS schema,
               COALESCE(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create
        """
    )
    assert row is not None
    return Server(**row)


async def now(conn: Connection) -> datetime:
    """Its time, in UTC."""
    found: datetime = await conn.fetchval("SELECT clock_timestamp()")
    return found
