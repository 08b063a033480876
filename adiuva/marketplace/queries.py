"""The SQL of the marketplace: one function a statement; the caller owns the transaction.

Whatever changes a plugin, its versions, installations or ratings locks the plugin's row first, so that no two wait for
each other.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import attrs
import orjson
from asyncpg import Record

from adiuva.database import Connection
from adiuva.errors import InvalidTokenError
from adiuva.marketplace.models import (
    Candidate,
    Held,
    Known,
    Package,
    Pending,
    Plugin,
    Rating,
    Review,
    Sort,
    Submission,
    Version,
    Waiting,
)
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
                SELECT FROM unnest($3::text[]) AS word
                WHERE strpos(lower(id || ' ' || name || ' ' || description), lower(word)) = 0
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
    return [_plugin(row) for row in rows if row["id"] is not None], rows[0]["n"]


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
    return _plugin(row) if row else None


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
    return [_plugin(row) for row in rows if row["id"] is not None], rows[0]["n"]


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
    return _plugin(row) if row else None


async def list_known(conn: Connection, *, author_id: UUID | None) -> list[Known]:
    """The approved plugins of all authors but one."""
    rows = await conn.fetch(
        "SELECT id, name FROM plugins WHERE status = 'approved' AND author_id IS DISTINCT FROM $1 ORDER BY id",
        author_id,
    )
    return [Known(**row) for row in rows]


async def lock_approvals(conn: Connection) -> None:
    """Let nobody else approve a plugin until the end of the transaction, so that names are compared with all others."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('adiuva.marketplace.approvals'))")


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


async def insert_plugin(conn: Connection, submission: Submission, author_id: UUID) -> bool:
    """Make a plugin of its first submission; False if its id is taken.

    Raises:
        InvalidTokenError: the author's account is gone.
    """
    try:
        status = await conn.execute(
            """
            INSERT INTO plugins (id, author_id, name, description, version, category, price_cents, permissions)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (id) DO NOTHING
            """,
            submission.id,
            author_id,
            submission.name,
            submission.description,
            submission.version,
            submission.category,
            submission.price_cents,
            submission.permissions,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise _account_gone(error, "plugins_author_id_fkey") from error
    return status != "INSERT 0 0"


async def find_last_version(conn: Connection, plugin_id: str) -> str | None:
    """The last version that was submitted, whatever became of it."""
    version: str | None = await conn.fetchval(
        "SELECT version FROM plugin_versions WHERE plugin_id = $1 ORDER BY position DESC LIMIT 1", plugin_id
    )
    return version


async def list_versions(conn: Connection, plugin_id: str, page: Page) -> tuple[list[Version], int]:
    """A page of a plugin's versions, the newest first, and how many there are in all."""
    rows = await conn.fetch(
        """
        SELECT
            total.n, version.version, version.name, version.description, version.category, version.price_cents,
            version.permissions, version.status, version.submitted_at, version.package_checksum,
            version.package_size_bytes, version.package_uploaded_at, version.package_approved,
            review.decision::text, review.notes, review.created_at AS reviewed_at
        FROM (SELECT count(*) AS n FROM plugin_versions WHERE plugin_id = $1) AS total
        LEFT JOIN (
            SELECT
                plugin_id, position, version, name, description, category, price_cents, permissions, status,
                submitted_at, package_checksum, package_size_bytes, package_uploaded_at, package_approved
            FROM plugin_versions WHERE plugin_id = $1 ORDER BY position DESC LIMIT $2 OFFSET $3
        ) AS version ON true
        LEFT JOIN LATERAL (
            SELECT decision, notes, created_at FROM plugin_reviews
            WHERE plugin_id = version.plugin_id AND plugin_reviews.version = version.version
            ORDER BY created_at DESC LIMIT 1
        ) AS review ON true
        ORDER BY version.position DESC
        """,
        plugin_id,
        page.limit,
        page.offset,
    )
    return [_version(row) for row in rows if row["version"] is not None], rows[0]["n"]


async def count_pending(conn: Connection, author_id: UUID) -> int:
    """How many of an author's plugins have a version that waits."""
    count: int = await conn.fetchval(
        """
        SELECT count(*) FROM plugins
        JOIN plugin_versions AS version ON version.plugin_id = plugins.id AND version.status = 'pending_review'
        WHERE plugins.author_id = $1
        """,
        author_id,
    )
    return count


async def end_pending(conn: Connection, plugin_id: str, status: str) -> None:
    """Take the version that waits, if any, out of the queue: it is now ``superseded`` or ``withdrawn``."""
    await conn.execute(
        "UPDATE plugin_versions SET status = $2 WHERE plugin_id = $1 AND status = 'pending_review'", plugin_id, status
    )


async def insert_version(conn: Connection, submission: Submission) -> None:
    """Put a version into the queue; nothing else of that plugin waits there."""
    await conn.execute(
        """
        INSERT INTO plugin_versions
            (plugin_id, position, version, name, description, category, price_cents, permissions)
        SELECT $1, 1 + coalesce(max(position), 0), $2, $3, $4, $5, $6, $7 FROM plugin_versions WHERE plugin_id = $1
        """,
        submission.id,
        submission.version,
        submission.name,
        submission.description,
        submission.category,
        submission.price_cents,
        submission.permissions,
    )


async def show_pending(conn: Connection, plugin_id: str) -> None:
    """Let a plugin that serves nobody show the version that waits; a suspended one stays as it was when it was."""
    await conn.execute(
        """
        UPDATE plugins SET
            name = version.name, description = version.description, version = version.version,
            category = version.category, price_cents = version.price_cents, permissions = version.permissions,
            status = 'pending_review', updated_at = now()
        FROM plugin_versions AS version
        WHERE plugins.id = $1 AND plugins.status NOT IN ('approved', 'suspended')
            AND version.plugin_id = plugins.id AND version.status = 'pending_review'
        """,
        plugin_id,
    )


async def list_waiting(conn: Connection, page: Page) -> tuple[list[Waiting], int]:
    """A page of what waits for a review, the oldest first: new versions, and packages of approved ones."""
    rows = await conn.fetch(
        """
        WITH waiting AS (
            SELECT
                plugin_id, name, description, version, category, price_cents, permissions, submitted_at,
                package_checksum
            FROM plugin_versions
            WHERE status = 'pending_review'
                OR (status = 'approved' AND package_key IS NOT NULL AND NOT package_approved)
        )
        SELECT
            total.n, plugins.id, shown.name, shown.description, shown.version, plugins.author_id, shown.category,
            shown.price_cents, plugins.currency, shown.permissions, 'pending_review' AS status, plugins.install_count,
            plugins.rating_sum::float8 / nullif(plugins.rating_count, 0) AS avg_rating, plugins.rating_count,
            plugins.created_at, false AS installed, shown.package_checksum,
            report.report::text AS check_report, report.checked_at
        FROM (SELECT count(*) AS n FROM waiting) AS total
        LEFT JOIN (
            (
                SELECT
                    plugin_id, name, description, version, category, price_cents, permissions, submitted_at,
                    package_checksum
                FROM waiting ORDER BY submitted_at, plugin_id LIMIT $1 OFFSET $2
            ) AS shown
            JOIN plugins ON plugins.id = shown.plugin_id
            LEFT JOIN plugin_check_reports AS report
                ON report.plugin_id = shown.plugin_id AND report.package_checksum = shown.package_checksum
        ) ON true
        ORDER BY shown.submitted_at, shown.plugin_id
        """,
        page.limit,
        page.offset,
    )
    return [_waiting(row) for row in rows if row["id"] is not None], rows[0]["n"]


async def list_pending(conn: Connection) -> list[Pending]:
    """Everything that waits for a review, the oldest first, for the command line."""
    rows = await conn.fetch(
        """
        SELECT
            plugins.id, version.version, version.name, version.description, users.email AS author, version.category,
            version.price_cents, plugins.currency, version.permissions, version.submitted_at,
            version.package_checksum, version.package_size_bytes, (report.report ->> 'passed')::boolean AS passed
        FROM plugin_versions AS version
        JOIN plugins ON plugins.id = version.plugin_id
        LEFT JOIN users ON users.id = plugins.author_id
        LEFT JOIN plugin_check_reports AS report
            ON report.plugin_id = version.plugin_id AND report.package_checksum = version.package_checksum
        WHERE version.status = 'pending_review'
            OR (version.status = 'approved' AND version.package_key IS NOT NULL AND NOT version.package_approved)
        ORDER BY version.submitted_at, plugins.id
        """
    )
    return [Pending(**row) for row in rows]


async def find_candidate(conn: Connection, plugin_id: str) -> Candidate | None:
    """What of a plugin waits for a review: a version, else the package of the approved one."""
    row = await conn.fetchrow(
        """
        SELECT position, version, name, status, package_checksum
        FROM plugin_versions
        WHERE plugin_id = $1 AND (
            status = 'pending_review' OR (status = 'approved' AND package_key IS NOT NULL AND NOT package_approved)
        )
        ORDER BY position DESC
        LIMIT 1
        """,
        plugin_id,
    )
    return Candidate(**row) if row else None


async def insert_review(
    conn: Connection,
    *,
    review_id: UUID,
    plugin_id: str,
    reviewer_id: UUID | None,
    version: str,
    decision: str,
    notes: str,
) -> None:
    """Note what an admin decided about a version."""
    await conn.execute(
        """
        INSERT INTO plugin_reviews (id, plugin_id, reviewer_id, version, decision, notes)
        VALUES ($1, $2, $3, $4, $5::text::review_decision, $6)
        """,
        review_id,
        plugin_id,
        reviewer_id,
        version,
        decision,
        notes,
    )


async def approve(conn: Connection, plugin_id: str, position: int) -> None:
    """Let a version serve, with its package: the plugin shows it from now on."""
    await conn.execute(
        """
        WITH version AS (
            UPDATE plugin_versions SET status = 'approved', package_approved = package_key IS NOT NULL
            WHERE plugin_id = $1 AND position = $2
            RETURNING plugin_id, name, description, version, category, price_cents, permissions
        )
        UPDATE plugins SET
            name = version.name, description = version.description, version = version.version,
            category = version.category, price_cents = version.price_cents, permissions = version.permissions,
            status = 'approved', updated_at = now()
        FROM version
        WHERE plugins.id = version.plugin_id
        """,
        plugin_id,
        position,
    )


async def reject(conn: Connection, plugin_id: str, position: int) -> None:
    """Refuse a version; a plugin that has no other is rejected with it."""
    await conn.execute(
        """
        WITH version AS (
            UPDATE plugin_versions SET status = 'rejected' WHERE plugin_id = $1 AND position = $2 RETURNING plugin_id
        )
        UPDATE plugins SET status = 'rejected', updated_at = now()
        FROM version
        WHERE plugins.id = version.plugin_id AND plugins.status = 'pending_review'
        """,
        plugin_id,
        position,
    )


async def set_status(conn: Connection, plugin_id: str, status: str) -> None:
    """Give a plugin another status: what asks for it next finds it so."""
    await conn.execute(
        "UPDATE plugins SET status = $2::text::plugin_status, updated_at = now() WHERE id = $1", plugin_id, status
    )


async def insert_installation(conn: Connection, *, user_id: UUID, plugin_id: str) -> None:
    """Install a plugin, which is locked; that it is there already is fine.

    Raises:
        InvalidTokenError: the user's account is gone.
    """
    try:
        await conn.execute(
            "INSERT INTO plugin_installations (user_id, plugin_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            user_id,
            plugin_id,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise _account_gone(error, "plugin_installations_user_id_fkey") from error


async def find_installation(conn: Connection, *, user_id: UUID, plugin_id: str) -> Record | None:
    """``plugin_id`` and ``installed_at``, where the user has the plugin installed."""
    return await conn.fetchrow(
        "SELECT plugin_id, installed_at FROM plugin_installations WHERE user_id = $1 AND plugin_id = $2",
        user_id,
        plugin_id,
    )


async def delete_installation(conn: Connection, *, user_id: UUID, plugin_id: str) -> bool:
    """Uninstall a plugin; False if the user has not installed it."""
    status = await conn.execute(
        """
        WITH plugin AS (
            SELECT id FROM plugins WHERE id = $2 FOR NO KEY UPDATE
        )
        DELETE FROM plugin_installations USING plugin WHERE user_id = $1 AND plugin_id = plugin.id
        """,
        user_id,
        plugin_id,
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
    return [_plugin(row) for row in rows if row["id"] is not None], rows[0]["n"]


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


def _waiting(row: Record) -> Waiting:
    report = row["check_report"]
    return Waiting(
        **attrs.asdict(_plugin(row)),
        package_checksum=row["package_checksum"],
        check_report=orjson.loads(report) if report else None,
        checked_at=row["checked_at"],
    )


def _plugin(row: Record) -> Plugin:
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


def _version(row: Record) -> Version:
    package = review = None
    if row["package_checksum"] is not None:
        package = Package(
            checksum=row["package_checksum"],
            size_bytes=row["package_size_bytes"],
            uploaded_at=row["package_uploaded_at"],
            approved=row["package_approved"],
        )
    if row["decision"] is not None:
        review = Review(decision=row["decision"], notes=row["notes"], created_at=row["reviewed_at"])
    return Version(
        version=row["version"],
        name=row["name"],
        description=row["description"],
        category=row["category"],
        price_cents=row["price_cents"],
        permissions=list(row["permissions"]),
        status=row["status"],
        submitted_at=row["submitted_at"],
        package=package,
        review=review,
    )


def _account_gone(error: asyncpg.ForeignKeyViolationError, constraint: str) -> Exception:
    return InvalidTokenError() if error.constraint_name == constraint else error
