"""The SQL of reviews. The plugin's row is locked before."""

from uuid import UUID

import attrs
import orjson
from asyncpg import Record

from adiuva.database import Connection
from adiuva.marketplace.models import Candidate, Pending, Waiting
from adiuva.marketplace.queries import plugin_of
from adiuva.web.paging import Page


async def lock_approvals(conn: Connection) -> None:
    """Let nobody else approve a plugin until the end of the transaction, so that names are compared with all others."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('adiuva.marketplace.approvals'))")


async def list_waiting(conn: Connection, page: Page) -> tuple[list[Waiting], int]:
    """A page of what waits for a review, the oldest first: new versions, and packages of approved ones."""
    rows = await conn.fetch(
        """
        SELECT
            total.n, plugins.id, shown.name, shown.description, shown.version, plugins.author_id, shown.category,
            shown.price_cents, plugins.currency, shown.permissions, 'pending_review' AS status, plugins.install_count,
            plugins.rating_sum::float8 / nullif(plugins.rating_count, 0) AS avg_rating, plugins.rating_count,
            plugins.created_at, false AS installed, shown.package_checksum,
            report.report::text AS check_report, report.checked_at
        FROM (SELECT count(*) AS n FROM plugin_versions_waiting) AS total
        LEFT JOIN (
            (
                SELECT
                    plugin_id, name, description, version, category, price_cents, permissions, submitted_at,
                    package_checksum
                FROM plugin_versions_waiting ORDER BY submitted_at, plugin_id LIMIT $1 OFFSET $2
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
        FROM plugin_versions_waiting AS version
        JOIN plugins ON plugins.id = version.plugin_id
        LEFT JOIN users ON users.id = plugins.author_id
        LEFT JOIN plugin_check_reports AS report
            ON report.plugin_id = version.plugin_id AND report.package_checksum = version.package_checksum
        ORDER BY version.submitted_at, plugins.id
        """
    )
    return [Pending(**row) for row in rows]


async def find_candidate(conn: Connection, plugin_id: str) -> Candidate | None:
    """What of a plugin waits for a review: a version, else the package of the approved one."""
    row = await conn.fetchrow(
        """
        SELECT position, version, name, status, package_checksum
        FROM plugin_versions_waiting
        WHERE plugin_id = $1
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


def _waiting(row: Record) -> Waiting:
    report = row["check_report"]
    return Waiting(
        **attrs.asdict(plugin_of(row)),
        package_checksum=row["package_checksum"],
        check_report=orjson.loads(report) if report else None,
        checked_at=row["checked_at"],
    )
