"""Bringing a schema up to date, with yoyo, which is slow to import: only what migrates imports this module."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import structlog
import yoyo

from adiuva.database import MIGRATIONS, DatabaseUnreachableError
from adiuva.embedded import EmbeddedPostgres
from adiuva.errors import AdiuvaError
from adiuva.settings import Settings

T = TypeVar("T")

log = structlog.get_logger(__name__)

# One of PostgreSQL's advisory locks: two that migrate at once take turns, and a killed one leaves nothing locked.
_LOCK = 4_207_849_484


class MigrationFailedError(AdiuvaError):
    """A migration failed; the schema is as it was before it."""

    code = "migration_failed"


def patiently(work: Callable[[], T], fault: type[AdiuvaError], *, seconds: float) -> T:
    """What ``work`` gives; for some seconds, try again while it raises ``fault``. Blocks."""
    until = time.monotonic() + seconds
    while True:
        try:
            return work()
        except fault as error:
            if time.monotonic() > until:
                raise
            log.info("waiting", error=error.code)
            time.sleep(1)


def migrate(settings: Settings) -> list[str]:
    """Bring the database of ``settings`` up to date, embedded or not; the names of the migrations applied. Blocks.

    Raises:
        EmbeddedPostgresError: The embedded server does not start.
        DatabaseUnreachableError: The database of ``DATABASE_URL`` cannot be reached.
        MigrationFailedError: A migration does not go through; those before it are in place.
    """
    if settings.database_url:
        return apply(settings.database_url)
    folder = settings.data_dir / "postgres"
    embedded = EmbeddedPostgres.running(folder) or EmbeddedPostgres.start(folder)
    try:
        return apply(embedded.dsn)
    finally:
        embedded.stop()


def apply(dsn: str) -> list[str]:
    """Apply what is missing, each migration and its mark in one transaction, so that no crash comes between them."""
    applied = []
    with _backend(dsn) as backend:
        for migration in backend.to_apply(yoyo.read_migrations(str(MIGRATIONS))):
            with _transaction(backend, migration):
                migration.process_steps(backend, "apply")
                backend.mark_one(migration)
            applied.append(migration.id)
            log.info("migrated", migration=migration.id)
    return applied


def roll_back(dsn: str) -> list[str]:
    """Undo every migration, and so lose all that is stored; the names of those undone."""
    undone = []
    with _backend(dsn) as backend:
        for migration in backend.to_rollback(yoyo.read_migrations(str(MIGRATIONS))):
            with _transaction(backend, migration):
                migration.process_steps(backend, "rollback")
                backend.unmark_one(migration)
            undone.append(migration.id)
            log.info("rolled back", migration=migration.id)
    return undone


@contextmanager
def _backend(dsn: str) -> Iterator[Any]:
    try:
        backend = yoyo.get_backend(re.sub(r"^postgresql://", "postgresql+psycopg://", dsn))
    except psycopg.Error as error:
        raise DatabaseUnreachableError(f"The database cannot be reached: {str(error).strip()}") from error
    try:
        backend.execute(f"SELECT pg_advisory_lock({_LOCK})")
        # Nobody else migrates now: a row in yoyo's own lock table is of one that was killed.
        backend.break_lock()
        backend.ensure_internal_schema_updated()
        yield backend
    finally:
        backend.connection.close()


@contextmanager
def _transaction(backend: Any, migration: Any) -> Iterator[None]:
    try:
        with backend.transaction():
            yield
    except psycopg.Error as error:
        raise MigrationFailedError(f"Migration {migration.id} failed: {error}") from error
