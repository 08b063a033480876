"""Checks of what keeps data: database, blobs, vectors, rate limits, and the disk below."""

import shutil
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from adiuva import clock
from adiuva.blobs.build import build_blob_store
from adiuva.database import Database
from adiuva.doctor import queries
from adiuva.doctor.checkup import Outcome, TroubleError, told
from adiuva.embedded import EmbeddedPostgres
from adiuva.embedded.errors import EmbeddedPostgresError
from adiuva.errors import AdiuvaError
from adiuva.settings import Settings, SettingsError
from adiuva.vectors.build import build_vector_store
from adiuva.vectors.derive import derive_vector
from adiuva.vectors.protocol import Entry
from adiuva.web.limits import make_limiter

OLDEST_POSTGRES: Final = 140000  # as server_version_num counts
SKEW_SECONDS: Final = 5.0
LEAST_FREE_BYTES: Final = 2**30
GIB: Final = 2**30
_NOBODY: Final = UUID(int=0)  # no user has this id; what a killed check leaves, the housekeeper removes
_PROBE: Final = b"adiuva doctor"


async def database(settings: Settings) -> Outcome:
    """Whether the database can be reached, is new enough, and has this version's schema."""
    if not settings.database_url and not (settings.data_dir / "postgres" / "PG_VERSION").exists():
        return Outcome("ok", "Embedded PostgreSQL, which the first start makes.")
    kind = "PostgreSQL at DATABASE_URL" if settings.database_url else "Embedded PostgreSQL"
    try:
        found = await Database.connect(settings, share=True, check=False)
    except (AdiuvaError, EmbeddedPostgresError) as error:
        remedy = "Start PostgreSQL, or correct DATABASE_URL." if settings.database_url else "See the message."
        raise TroubleError(told(error), remedy) from error
    try:
        missing = await found.missing_migrations()
        async with found.acquire() as conn:
            server = await queries.server(conn)
    finally:
        await found.close()
    said = f"{kind}, version {server.version}"
    if server.number < OLDEST_POSTGRES:
        raise TroubleError(f"{said}: too old.", "Use PostgreSQL 14 or newer.")
    if missing and settings.database_url:
        remedy = "Run `adiuva migrate`."
        if not server.may_create:
            remedy = (
                f"Have its owner grant CREATE on schema {server.schema} to {server.user}, then run `adiuva migrate`."
            )
        raise TroubleError(f"{said}: the schema lacks {len(missing)} of this version's migrations.", remedy)
    if missing:
        return Outcome("ok", f"{said}; the next start brings its schema up to date.")
    return Outcome("ok", f"{said}, schema up to date.")


async def blobs(settings: Settings) -> Outcome:
    """Whether a blob can be written, read and deleted."""
    store = build_blob_store(settings)
    key = f"{_NOBODY}/doctor/{uuid4()}.1"
    try:
        await store.put(key, _once(_PROBE), size=len(_PROBE), sha256=sha256(_PROBE).hexdigest())
        try:
            if await store.read(key, len(_PROBE)) != _PROBE:
                raise TroubleError("What was written is not what is read.", "Look after the disk, or the store.")
        finally:
            await store.delete(key)
    except AdiuvaError as error:
        raise TroubleError(told(error), _blob_remedy(settings)) from error
    finally:
        await store.close()
    where = f"bucket {settings.s3_bucket}" if settings.s3_bucket else f"files in {settings.data_dir / 'blobs'}"
    return Outcome("ok", f"Written, read and deleted: {where}.")


def _blob_remedy(settings: Settings) -> str:
    if not settings.s3_bucket:
        return f"Make {settings.data_dir} writable for the account that the server runs as, and see that there is room."
    return (
        "See that S3_ENDPOINT_URL answers, that the bucket exists in S3_REGION, and that AWS_ACCESS_KEY_ID and"
        " AWS_SECRET_ACCESS_KEY may get, put, list and delete its objects."
    )


async def vectors(settings: Settings) -> Outcome:
    """Whether a vector can be written, found and deleted."""
    store = build_vector_store(settings)
    entry = Entry(
        id="doctor",
        blob="",
        checksum=sha256(b"").hexdigest(),
        vector=derive_vector(_PROBE, settings.vector_dimensions),
    )
    try:
        await store.upsert(_NOBODY, [entry])
        found = await store.search(_NOBODY, entry.vector, 1)
        await store.delete_user(_NOBODY)
    except AdiuvaError as error:
        if not _remote(settings) and "already accessed" in str(error.__cause__):  # as qdrant-client says it
            return Outcome("ok", "Files in use by the running server, whose /health/ready checks them.")
        raise TroubleError(told(error), _vector_remedy(settings)) from error
    finally:
        await store.close()
    if not found and not settings.pinecone_api_key:  # which shows what was written only after a while
        raise TroubleError("What was written is not found.", _vector_remedy(settings))
    return Outcome("ok", f"Written, found and deleted: {_remote(settings) or 'files under DATA_DIR'}.")


def _remote(settings: Settings) -> str:
    if settings.pinecone_api_key:
        return f"Pinecone index {settings.pinecone_index}"
    return "Qdrant server" if settings.qdrant_url else ""


def _vector_remedy(settings: Settings) -> str:
    if settings.pinecone_api_key:
        return (
            "See that PINECONE_API_KEY is valid, and that the index is dense, has the metric cosine and as many"
            " dimensions as VECTOR_DIMENSIONS."
        )
    if settings.qdrant_url:
        return (
            "See that QDRANT_URL answers, that QDRANT_API_KEY is its key, and that the collection `adiuva` was made"
            " with the same VECTOR_DIMENSIONS."
        )
    return (
        f"See that {settings.data_dir / 'vectors'} can be written, and was made with the same VECTOR_DIMENSIONS;"
        " for more than a few thousand vectors set QDRANT_URL."
    )


async def limits(settings: Settings) -> Outcome:
    """Whether the shared counts answer."""
    if not settings.rate_limit_storage_url:
        return Outcome("ok", "Counted in the process: right for one, too lenient for several.")
    try:
        limiter = make_limiter(settings.rate_limit_storage_url)
    except SettingsError as error:
        raise TroubleError(str(error), "Correct RATE_LIMIT_STORAGE_URL, or install what it needs.") from error
    try:
        await limiter.check()
    except AdiuvaError as error:
        remedy = "Start Redis, or correct RATE_LIMIT_STORAGE_URL; until then each process counts by itself."
        raise TroubleError(told(error), remedy) from error
    finally:
        await limiter.close()
    return Outcome("ok", "The shared counts answer.")


async def clock_skew(settings: Settings) -> Outcome:
    """Whether this machine's time is the database's: tokens and signatures are only good for a while."""
    if not settings.database_url and EmbeddedPostgres.running(settings.data_dir / "postgres") is None:
        return Outcome("ok", "There is no other machine to compare with.")
    try:
        found = await Database.connect(settings, share=True, check=False)
    except AdiuvaError:
        return Outcome("warning", "Not compared: the database cannot be reached.")
    try:
        async with found.acquire() as conn:
            before = clock.now()
            there: datetime = await queries.now(conn)
            after = clock.now()
    finally:
        await found.close()
    skew = (there - (before + (after - before) / 2)).total_seconds()
    if abs(skew) > SKEW_SECONDS:
        ahead = "ahead of" if skew > 0 else "behind"
        raise TroubleError(
            f"The database's clock is {abs(skew):.0f} s {ahead} this machine's.",
            "Let both take their time from the network (NTP): tokens expire wrongly, and Stripe's events are refused.",
        )
    return Outcome("ok", f"The database's clock differs by {abs(skew) * 1000:.0f} ms.")


async def disk(settings: Settings) -> Outcome:
    """Whether there is room below ``DATA_DIR``."""
    folder = _nearest(settings.data_dir)
    free = shutil.disk_usage(folder).free
    said = f"{free / GIB:.1f} GiB free at {settings.data_dir}"
    remedy = "Make room, or move DATA_DIR to a larger disk."
    if free < LEAST_FREE_BYTES:
        raise TroubleError(f"{said}.", remedy)
    if not settings.s3_bucket and free < 2 * settings.max_blob_bytes:
        return Outcome("warning", f"{said}, and one blob may take {settings.max_blob_bytes / GIB:.1f}.", remedy)
    return Outcome("ok", f"{said}.")


def _nearest(folder: Path) -> Path:
    parents: Sequence[Path] = (folder, *folder.parents)
    return next(path for path in parents if path.exists())


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
