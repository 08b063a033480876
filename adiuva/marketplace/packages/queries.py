"""The SQL of packages. The plugin's row is locked before; then come its versions, then the intents."""

from datetime import timedelta
from uuid import UUID

from adiuva.database import Connection
from adiuva.marketplace.packages.models import Submitted, Target
from adiuva.storage.models import Blob
from adiuva.storage.uploads.models import Doomed


async def find_target(conn: Connection, plugin_id: str) -> Target | None:
    """The version that a package would be for: the one that waits for a review, else the one that serves."""
    row = await conn.fetchrow(
        """
        SELECT plugins.author_id, version.position, version.version, version.package_checksum, version.package_approved
        FROM plugins
        JOIN plugin_versions AS version ON version.plugin_id = plugins.id AND (
            version.status = 'pending_review'
            OR (plugins.status = 'approved' AND version.status = 'approved' AND version.version = plugins.version)
        )
        WHERE plugins.id = $1
        ORDER BY version.position DESC
        LIMIT 1
        """,
        plugin_id,
    )
    return Target(**row) if row else None


async def attach(
    conn: Connection,
    *,
    intent_id: UUID,
    doom_id: UUID,
    plugin_id: str,
    target: Target,
    checksum: str,
    size: int,
    lease: timedelta,
) -> tuple[bool, Doomed | None]:
    """Let a version have the bytes of an upload: whether the upload still had its lease, and what has to go for it."""
    row = await conn.fetchrow(
        """
        WITH upload AS (
            SELECT id, user_id, blob_key FROM storage_intents WHERE id = $1 AND state = 'upload' FOR UPDATE
        ), old AS (
            SELECT package_key FROM plugin_versions WHERE plugin_id = $3 AND position = $4
        ), stored AS (
            UPDATE plugin_versions SET
                package_key = upload.blob_key, package_checksum = $5, package_size_bytes = $6,
                package_uploaded_at = now(), package_approved = false
            FROM upload
            WHERE plugin_id = $3 AND position = $4
            RETURNING upload.user_id
        ), done AS (
            DELETE FROM storage_intents USING stored WHERE id = $1
        ), doomed AS (
            INSERT INTO storage_intents (id, user_id, kind, state, blob_key, reserved_bytes, lease_until)
            SELECT $2, stored.user_id, 'packages', 'doomed', old.package_key, 0, now() + $7::interval
            FROM stored, old
            WHERE old.package_key IS NOT NULL
            RETURNING id, blob_key AS key
        )
        SELECT doomed.id, doomed.key FROM stored LEFT JOIN doomed ON true
        """,
        intent_id,
        doom_id,
        plugin_id,
        target.position,
        checksum,
        size,
        lease,
    )
    if row is None:
        return False, None
    return True, Doomed(id=row["id"], key=row["key"]) if row["id"] else None


async def find_submitted(conn: Connection, plugin_id: str) -> Submitted | None:
    """The package that was uploaded last, reviewed or not, and what was submitted with it."""
    row = await conn.fetchrow(
        """
        SELECT
            version, permissions, package_key AS key, package_checksum AS checksum, package_size_bytes AS size,
            package_uploaded_at AS modified
        FROM plugin_versions
        WHERE plugin_id = $1 AND package_key IS NOT NULL
        ORDER BY position DESC
        LIMIT 1
        """,
        plugin_id,
    )
    if row is None:
        return None
    blob = Blob(key=row["key"], checksum=row["checksum"], size=row["size"], modified=row["modified"])
    return Submitted(version=row["version"], permissions=list(row["permissions"]), package=blob)


async def save_report(conn: Connection, plugin_id: str, checksum: str, report: str) -> None:
    """Keep what a check found in the package with this checksum, in place of what an earlier one did.

    Reports of packages that the plugin does not have any more go.
    """
    await conn.execute(
        """
        WITH kept AS (
            SELECT package_checksum FROM plugin_versions WHERE plugin_id = $1 AND package_checksum IS NOT NULL
        ), gone AS (
            DELETE FROM plugin_check_reports
            WHERE plugin_id = $1 AND package_checksum <> $2 AND package_checksum NOT IN (TABLE kept)
        )
        INSERT INTO plugin_check_reports (plugin_id, package_checksum, report)
        SELECT $1, package_checksum, $3::jsonb FROM kept WHERE package_checksum = $2
        ON CONFLICT ON CONSTRAINT plugin_check_reports_pkey DO UPDATE SET report = excluded.report, checked_at = now()
        """,
        plugin_id,
        checksum,
        report,
    )


async def find_approved(conn: Connection, plugin_id: str) -> Blob | None:
    """The package of the version that serves, once an admin has approved it."""
    row = await conn.fetchrow(
        """
        SELECT
            version.package_key AS key, version.package_checksum AS checksum, version.package_size_bytes AS size,
            version.package_uploaded_at AS modified
        FROM plugins
        JOIN plugin_versions AS version ON version.plugin_id = plugins.id AND version.version = plugins.version
        WHERE plugins.id = $1 AND plugins.status = 'approved' AND version.package_approved
        """,
        plugin_id,
    )
    return Blob(**row) if row else None


async def drop_unneeded(conn: Connection, plugin_id: str) -> None:
    """Doom the packages of versions that neither wait nor serve, nor will again; housekeeping deletes them."""
    await conn.execute(
        """
        WITH unneeded AS (
            SELECT version.position, version.package_key, plugins.author_id
            FROM plugin_versions AS version
            JOIN plugins ON plugins.id = version.plugin_id
            WHERE plugins.id = $1 AND version.package_key IS NOT NULL AND version.status <> 'pending_review' AND NOT (
                plugins.status IN ('approved', 'suspended')
                AND version.status = 'approved' AND version.version = plugins.version
            )
        ), dropped AS (
            UPDATE plugin_versions SET
                package_key = NULL, package_checksum = NULL, package_size_bytes = NULL, package_uploaded_at = NULL,
                package_approved = false
            FROM unneeded
            WHERE plugin_versions.plugin_id = $1 AND plugin_versions.position = unneeded.position
        )
        INSERT INTO storage_intents (id, user_id, kind, state, blob_key, reserved_bytes, lease_until)
        SELECT gen_random_uuid(), author_id, 'packages', 'doomed', package_key, 0, now() FROM unneeded
        """,
        plugin_id,
    )


async def drop(conn: Connection, plugin_id: str, position: int) -> None:
    """Doom the package of one version."""
    await conn.execute(
        """
        WITH old AS (
            SELECT version.package_key, plugins.author_id
            FROM plugin_versions AS version JOIN plugins ON plugins.id = version.plugin_id
            WHERE plugin_id = $1 AND position = $2 AND package_key IS NOT NULL
        ), dropped AS (
            UPDATE plugin_versions SET
                package_key = NULL, package_checksum = NULL, package_size_bytes = NULL, package_uploaded_at = NULL,
                package_approved = false
            WHERE plugin_id = $1 AND position = $2
        )
        INSERT INTO storage_intents (id, user_id, kind, state, blob_key, reserved_bytes, lease_until)
        SELECT gen_random_uuid(), author_id, 'packages', 'doomed', package_key, 0, now() FROM old
        """,
        plugin_id,
        position,
    )
