"""The SQL of plugins, installations and ratings: one function a statement; the caller owns the transaction.

Whatever changes a plugin, its versions, installations or ratings locks the plugin's row first, so that no two wait for
each other.
"""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import Record

from adiuva.database import Connection
from adiuva.marketplace.models import Held, Known, Plugin, Rating, Sort
from adiuva.web.paging import Page


async def list_approved(
    conn: Connection, *, user_id: UUID, category: str | None, words: Sequence[str], sort: Sort, page: Page
) -> tuple[list[Plugin], int]:
    """A page of the approved plugins that have all of ``words``, and how many there are in all."""
    rows = await conn.fetch(
        """
        WITH found AS (
            SELECT
                id, created_at, install_count, rating_count,
                rating_sum::float8 / nullif(rating_count, 0) AS avg_rating
            FROM plugins
            WHERE status = 'approved' AND ($2::text IS NULL OR category = $2) AND NOT EXISTS (
                SELECT FROM lower(id || ' ' || name || ' ' || description) AS text, unnest($3::text[]) AS word
                WHERE strpos(text, lower(word)) = 0
            )
        ), shown AS (
            SELECT id, row_number() OVER (
                ORDER BY
                    CASE $4 WHEN 'rating' THEN avg_rating WHEN 'installs' THEN install_count END DESC NULLS LAST,
                    CASE $4 WHEN 'rating' THEN rating_count END DESC,
                    CASE $4 WHEN 'newest' THEN created_at END DESC,
                    install_count DESC, id
            ) AS place
            FROM found
            ORDER BY place
            LIMIT $5 OFFSET $6
        )
        SELECT
            total.n, plugins.id, plugins.name, plugins.description, plugins.version, plugins.author_id,
            plugins.category, plugins.price_cents, plugins.currency, plugins.permissions, plugins.status::text,
            plugins.install_count, plugins.rating_sum::float8 / nullif(plugins.rating_count, 0) AS avg_rating,
            plugins.rating_count, plugins.created_at, EXISTS (
                SELECT FROM plugin_installations WHERE user_id = $1 AND plugin_id = plugins.id
            ) AS installed
        FROM (SELECT count(*) AS n FROM found) AS total
        LEFT JOIN (shown JOIN plugins ON plugins.id = shown.id) ON true
        ORDER BY shown.place
        """,
        user_id,
        category,
        words,
        sort,
        page.limit,
        page.offset,
    )
    return [plugin_of(row) for row in rows if row["id"] is not None], rows[0]["n"]


async def find_plugin(conn: Connection, plugin_id: str, *, user_id: UUID | None) -> Plugin | None:
    """A plugin of any status, as the user sees it."""
    row = await conn.fetchrow(
        """
        SELECT
            id, name, description, version, author_id, category, price_cents, currency, permissions, status::text,
            install_count, rating_sum::float8 / nullif(rating_count, 0) AS avg_rating, rating_count, created_at,
            EXISTS (SELECT FROM plugin_installations WHERE user_id = $2 AND plugin_id = plugins.id) AS installed
        FROM plugins
        WHERE id = $1
        """,
        plugin_id,
        user_id,
    )
    return plugin_of(row) if row else None


async def list_of_author(conn: Connection, author_id: UUID, page: Page) -> tuple[list[Plugin], int]:
    """A page of an author's plugins, of any status, the newest first, and how many there are in all."""
    rows = await conn.fetch(
        """
        SELECT
            total.n, plugin.id, plugin.name, plugin.description, plugin.version, plugin.author_id, plugin.category,
            plugin.price_cents, plugin.currency, plugin.permissions, plugin.status::text, plugin.install_count,
            plugin.rating_sum::float8 / nullif(plugin.rating_count, 0) AS avg_rating, plugin.rating_count,
            plugin.created_at, EXISTS (
                SELECT FROM plugin_installations WHERE user_id = $1 AND plugin_id = plugin.id
            ) AS installed
        FROM (SELECT count(*) AS n FROM plugins WHERE author_id = $1) AS total
        LEFT JOIN (
            SELECT
                id, name, description, version, author_id, category, price_cents, currency, permissions, status,
                install_count, rating_sum, rating_count, created_at
            FROM plugins WHERE author_id = $1 ORDER BY created_at DESC, id LIMIT $2 OFFSET $3
        ) AS plugin ON true
        ORDER BY plugin.created_at DESC, plugin.id
        """,
        author_id,
        page.limit,
        page.offset,
    )
    return [plugin_of(row) for row in rows if row["id"] is not None], rows[0]["n"]


async def find_version(conn: Connection, plugin_id: str, version: str, *, user_id: UUID | None) -> Plugin | None:
    """A plugin as it would be with one of its versions; its status is that version's."""
    row = await conn.fetchrow(
        """
        SELECT
            plugins.id, version.name, version.description, version.version, plugins.author_id, version.category,
            version.price_cents, plugins.currency, version.permissions, version.status, plugins.install_count,
            plugins.rating_sum::float8 / nullif(plugins.rating_count, 0) AS avg_rating, plugins.rating_count,
            plugins.created_at, EXISTS (
                SELECT FROM plugin_installations WHERE user_id = $3 AND plugin_id = plugins.id
            ) AS installed
        FROM plugins
        JOIN plugin_versions AS version ON version.plugin_id = plugins.id
        WHERE plugins.id = $1 AND version.version = $2
        """,
        plugin_id,
        version,
        user_id,
    )
    return plugin_of(row) if row else None


async def list_known(conn: Connection, *, author_id: UUID | None) -> list[Known]:
    """The approved plugins of all authors but one."""
    rows = await conn.fetch(
        "SELECT id, name FROM plugins WHERE status = 'approved' AND author_id IS DISTINCT FROM $1 ORDER BY id",
        author_id,
    )
    return [Known(**row) for row in rows]


async def lock_plugin(conn: Connection, plugin_id: str) -> Held | None:
    """Hold a plugin until the end of the transaction; None if there is none."""
    row = await conn.fetchrow(
        """
        SELECT id, author_id, name, version, price_cents, currency, status::text
        FROM plugins WHERE id = $1 FOR NO KEY UPDATE
        """,
        plugin_id,
    )
    return Held(**row) if row else None


async def set_status(conn: Connection, plugin_id: str, status: str) -> None:
    """Give a plugin another status: what asks for it next finds it so."""
    await conn.execute(
        "UPDATE plugins SET status = $2::text::plugin_status, updated_at = now() WHERE id = $1", plugin_id, status
    )


async def insert_installation(
    conn: Connection, *, user_id: UUID, plugin_id: str, accepted: Sequence[str] | None
) -> None:
    """Install a plugin, which is locked; that it is there already is fine.

    Where ``accepted`` is None, it is what the plugin asks for.

    Raises:
        InvalidTokenError: the user's account is gone.
    """
    await conn.execute(
        """
        INSERT INTO plugin_installations (user_id, plugin_id, accepted_permissions) VALUES ($1, $2, $3::text[])
        ON CONFLICT DO NOTHING
        """,
        user_id,
        plugin_id,
        accepted,
    )


async def find_installation(conn: Connection, *, user_id: UUID, plugin_id: str) -> Record | None:
    """``plugin_id``, ``installed_at``, and the permissions accepted and pending, where the plugin is installed."""
    return await conn.fetchrow(
        """
        SELECT
            plugin_id, installed_at, accepted_permissions,
            ARRAY(
                SELECT permission FROM unnest(plugins.permissions) WITH ORDINALITY AS asked (permission, place)
                WHERE permission <> ALL (accepted_permissions) ORDER BY place
            ) AS pending_permissions
        FROM plugin_installations
        JOIN plugins ON plugins.id = plugin_id
        WHERE user_id = $1 AND plugin_id = $2
        """,
        user_id,
        plugin_id,
    )


async def accept_permissions(conn: Connection, *, user_id: UUID, plugin_id: str, accepted: Sequence[str]) -> None:
    """Note what the user accepts of a plugin, which is locked and installed, in place of what was accepted before."""
    await conn.execute(
        "UPDATE plugin_installations SET accepted_permissions = $3 WHERE user_id = $1 AND plugin_id = $2",
        user_id,
        plugin_id,
        accepted,
    )


async def list_accepted(conn: Connection, *, user_id: UUID) -> dict[str, list[str]]:
    """The permissions that a user has accepted, by plugin."""
    rows = await conn.fetch(
        "SELECT plugin_id, accepted_permissions FROM plugin_installations WHERE user_id = $1", user_id
    )
    return {row["plugin_id"]: row["accepted_permissions"] for row in rows}


async def delete_installation(conn: Connection, *, user_id: UUID, plugin_id: str) -> bool:
    """Uninstall a plugin, which is locked; False if the user has not installed it."""
    status = await conn.execute(
        "DELETE FROM plugin_installations WHERE user_id = $1 AND plugin_id = $2", user_id, plugin_id
    )
    return status != "DELETE 0"


async def list_installed(conn: Connection, user_id: UUID, page: Page) -> tuple[list[Plugin], int]:
    """A page of what a user has installed, of any status, the last first, and how many there are in all."""
    rows = await conn.fetch(
        """
        SELECT
            total.n, plugin.id, plugin.name, plugin.description, plugin.version, plugin.author_id, plugin.category,
            plugin.price_cents, plugin.currency, plugin.permissions, plugin.status::text, plugin.install_count,
            plugin.rating_sum::float8 / nullif(plugin.rating_count, 0) AS avg_rating, plugin.rating_count,
            plugin.created_at, true AS installed
        FROM (SELECT count(*) AS n FROM plugin_installations WHERE user_id = $1) AS total
        LEFT JOIN (
            SELECT
                plugins.id, name, description, version, author_id, category, price_cents, currency, permissions,
                status, install_count, rating_sum, rating_count, created_at, installed_at
            FROM plugin_installations
            JOIN plugins ON plugins.id = plugin_installations.plugin_id
            WHERE user_id = $1
            ORDER BY installed_at DESC, plugins.id
            LIMIT $2 OFFSET $3
        ) AS plugin ON true
        ORDER BY plugin.installed_at DESC, plugin.id
        """,
        user_id,
        page.limit,
        page.offset,
    )
    return [plugin_of(row) for row in rows if row["id"] is not None], rows[0]["n"]


async def rate(conn: Connection, *, user_id: UUID, plugin_id: str, stars: int) -> bool:
    """Note what a user thinks of a plugin, which is locked; False if the user has not installed it."""
    status = await conn.execute(
        """
        INSERT INTO plugin_ratings (user_id, plugin_id, stars)
        SELECT user_id, plugin_id, $3 FROM plugin_installations WHERE user_id = $1 AND plugin_id = $2
        ON CONFLICT (user_id, plugin_id) DO UPDATE SET stars = excluded.stars, rated_at = now()
        """,
        user_id,
        plugin_id,
        stars,
    )
    return status != "INSERT 0 0"


async def find_rating(conn: Connection, plugin_id: str) -> Rating:
    """What all users think of a plugin."""
    row = await conn.fetchrow(
        "SELECT rating_sum::float8 / nullif(rating_count, 0) AS avg_rating, rating_count FROM plugins WHERE id = $1",
        plugin_id,
    )
    assert row is not None
    return Rating(**row)


def plugin_of(row: Record) -> Plugin:
    """The plugin that a row with all of its columns is."""
    return Plugin(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        version=row["version"],
        author_id=row["author_id"],
        category=row["category"],
        price_cents=row["price_cents"],
        currency=row["currency"],
        permissions=list(row["permissions"]),
        status=row["status"],
        install_count=row["install_count"],
        avg_rating=row["avg_rating"],
        rating_count=row["rating_count"],
        installed=row["installed"],
        created_at=row["created_at"],
    )


async def lock_user(conn: Connection, user_id: UUID) -> None:
    """Wait for whoever changes something of a user that has to be counted, and keep others from it."""
    await conn.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
