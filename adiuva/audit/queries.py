"""The SQL of the audit log. It can only grow: a trigger refuses everything else."""

from collections.abc import Mapping
from typing import Any

import orjson

from adiuva.audit.models import Actor, AuditEntry
from adiuva.clock import new_id
from adiuva.database import Connection
from adiuva.web.paging import Page


async def append(
    conn: Connection, actor: Actor, action: str, target: str, details: Mapping[str, Any] | None = None
) -> None:
    """Write down that ``actor`` did ``action`` (``plugin.approve``) to ``target``; in the transaction of the act."""
    await conn.execute(
        """
        INSERT INTO audit_log (id, actor_id, actor, action, target, details) VALUES ($1, $2, $3, $4, $5, $6::jsonb)
        """,
        new_id(),
        actor.id,
        actor.name,
        action,
        target,
        orjson.dumps(dict(details or {})).decode(),
    )


async def list_entries(conn: Connection, page: Page) -> tuple[list[AuditEntry], int]:
    """A page of the log, the newest first, and how many entries there are in all."""
    rows = await conn.fetch(
        """
        SELECT
            entry.id, entry.created_at, entry.actor_id, entry.actor, entry.action, entry.target, entry.details, total.n
        FROM (SELECT count(*) AS n FROM audit_log) AS total
        LEFT JOIN LATERAL (
            SELECT id, position, created_at, actor_id, actor, action, target, details
            FROM audit_log
            ORDER BY position DESC
            LIMIT $1 OFFSET $2
        ) AS entry ON true
        ORDER BY entry.position DESC
        """,
        page.limit,
        page.offset,
    )
    entries = [
        AuditEntry(
            id=row["id"],
            created_at=row["created_at"],
            actor_id=row["actor_id"],
            actor=row["actor"],
            action=row["action"],
            target=row["target"],
            details=orjson.loads(row["details"]),
        )
        for row in rows
        if row["id"] is not None
    ]
    return entries, rows[0]["n"]
