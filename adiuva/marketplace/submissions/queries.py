"""The SQL of submissions: a plugin's versions. The plugin's row is locked before."""

from uuid import UUID

from asyncpg import Record

from adiuva.database import Connection
from adiuva.marketplace.models import Package, Review, Submission, Version
from adiuva.web.paging import Page


async def insert_plugin(conn: Connection, submission: Submission, author_id: UUID) -> bool:
    """Make a plugin of its first submission, which waits then; False if its id is taken.

    Raises:
        InvalidTokenError: the author's account is gone.
    """
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
    return status != "INSERT 0 0"


async def find_last_version(conn: Connection, plugin_id: str) -> str:
    """The last version that was submitted, whatever became of it."""
    version: str = await conn.fetchval(
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
